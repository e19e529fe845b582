"""A process that freezes itself in the middle of a transaction: freezer.py URL.

It makes an operation as a server does, and is stopped when its row is written and not committed.
"""

import os
import signal
import sys


def main(url: str) -> None:
    from loadloom.engine.store import operations as store
    from loadloom.engine.store.database import Database
    from tests.engine.operations.test_store import new

    def freeze(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    database = Database(url)
    store.create(database, new(request_id="frozen", also=freeze))
    database.close()


if __name__ == "__main__":
    main(sys.argv[1])
