"""The command of tokens: python -m loadloom.engine.token_main new --role operator ...

`new` prints a token, once: nobody can ask for it again. A server that runs on the same file knows
what is new or revoked within a second.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from os import environ
from pathlib import Path

from loadloom.engine.guard import tokens
from loadloom.engine.guard.roles import Role
from loadloom.engine.guard.tokens import BadToken

VARIABLE = "LOADLOOM_TOKEN_HASHES"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when done, 1 if the file cannot be used, 2 for what cannot be."""
    said = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    if said.token_hashes is None:
        print(f"name the file: --token-hashes FILE, or {VARIABLE}", file=sys.stderr)
        return 2
    try:
        _run(said)
    except BadToken as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{said.token_hashes}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _run(said: Namespace) -> None:
    file: Path = said.token_hashes
    if said.verb == "new":
        print(tokens.make(file, said.role, said.tenant, said.user, days=said.days))
    elif said.verb == "revoke":
        tokens.revoke(file, said.id)
    else:
        for token in tokens.read(file).values():
            facts = (token.id, token.role, token.user, token.tenant, token.made, token.until)
            print("\t".join(facts))


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="loadloom token", description="Who may call a server.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    new = verbs.add_parser("new", help="Make a token and print it, once.")
    new.add_argument("--role", required=True, choices=list(Role), help="What its bearer may do.")
    new.add_argument("--user", default="", help="The user that a member is.")
    new.add_argument("--tenant", default="", help="Whose schedules and operations it sees.")
    new.add_argument("--days", type=float, help="How long it is good for; without end if not told.")
    listing = verbs.add_parser("list", help="Tell ids, roles, users, tenants, begins and ends.")
    end = verbs.add_parser("revoke", help="Let nobody in with a token any more.")
    end.add_argument("id", help="The id, which is the second part of the token.")
    for verb in (new, listing, end):
        verb.add_argument(
            "--token-hashes",
            type=Path,
            metavar="FILE",
            default=environ.get(VARIABLE),
            help=f"The file of digests, as the server's setting; that of {VARIABLE}.",
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
