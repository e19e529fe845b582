"""The command `loadloom`: does what the installed extras allow, and says what is missing."""

import sys
from importlib.util import find_spec

from loadloom.client.command.interrupts import end_quietly

CLI_NEEDS = (
    *("icalendar", "matplotlib", "pandas", "pyarrow", "pydantic", "rich", "typer", "yaml"),
)
"""Modules that come with the extra `cli` alone."""


def main() -> None:
    """Runs what the command line asks for."""
    end_quietly()
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"]:  # a server needs no tables and no charts
        from loadloom.client.command.serve import serve_with

        serve_with(arguments[1:])
    if arguments[:1] == ["worker"]:
        from loadloom.client.command.serve import work_with

        work_with(arguments[1:])
    if arguments[:1] == ["token"]:
        from loadloom.client.command.serve import token_with

        token_with(arguments[1:])
    if missing := [name for name in CLI_NEEDS if find_spec(name) is None]:
        sys.exit(
            f"loadloom: the command line is not installed (no {', '.join(missing)}); "
            "install it: pip install 'loadloom[cli]', and 'loadloom[cli,engine]' to plan "
            "without a server elsewhere"
        )
    from loadloom.client.command.app import app

    app()


if __name__ == "__main__":
    main()
