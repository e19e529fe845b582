"""What a family writes in the transaction that makes an operation."""

from collections.abc import Callable

from sqlalchemy import Connection

Also = Callable[[Connection, str], None]
"""What a family writes beside a new operation, whose name it is given."""


def write_nothing(connection: Connection, operation: str) -> None:
    """Writes nothing: the operation alone is what there is to write."""
