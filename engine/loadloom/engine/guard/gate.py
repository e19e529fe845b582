"""The gate: who calls, and whether it may, before anything else is done for a call."""

from collections.abc import Sequence

from loadloom.engine.guard import refusal
from loadloom.engine.guard.roles import EVERYBODY, OPEN, Caller
from loadloom.engine.guard.tokens import Tokens

KEY, SCHEME = "authorization", "bearer "


class Gate:
    """Lets callers in by their tokens; lets everybody in where there are none."""

    def __init__(self, tokens: Tokens | None) -> None:
        self._tokens = tokens

    def admitted(self, method: str, metadata: Sequence[tuple[str, str | bytes]]) -> Caller:
        """Who calls a method.

        Args:
            method: its full name, "/package.Service/Method".
            metadata: what came with the call.

        Raises:
            Refusal: it bears no token that is known, or may not call the method.
        """
        if self._tokens is None or method.startswith(OPEN):
            return EVERYBODY
        said = next((value for key, value in metadata if key == KEY), None)
        if not isinstance(said, str) or not said.lower().startswith(SCHEME):
            raise refusal.no_token()
        caller = self._tokens.bearer(said[len(SCHEME) :].strip())
        if caller is None:
            raise refusal.unknown_token()
        caller.check(method)
        return caller
