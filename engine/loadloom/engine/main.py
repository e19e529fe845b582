"""The server's command: python -m loadloom.engine.main [--port 8421] [--settings loadloom.toml] ...

It logs on stderr. When it serves, it says so in one line on stdout:

    {"event": "listening", "address": "127.0.0.1:8421"}

Worker processes load this file too, so it loads nothing before it is needed.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadloom.engine.settings import Settings


def serve(settings: "Settings") -> None:
    """Serves until the process is told to stop, and returns when accepted calls are finished.

    Raises:
        BadSettings: a file of the settings cannot be read.
        OSError: an address cannot be listened on.
    """
    from loadloom.engine.server import serve_until_told

    serve_until_told(settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when told to stop, 1 if it cannot listen, 2 for bad settings.

    130 when interrupted before it serves.
    """
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # once it serves, the signal is a word to stop
        print("interrupted", file=sys.stderr)
        return 130


def _run(arguments: Sequence[str]) -> int:
    from loadloom.engine.settings import BadSettings, load

    try:
        serve(load(arguments))
    except BadSettings as error:
        print(f"bad settings:\n{error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
