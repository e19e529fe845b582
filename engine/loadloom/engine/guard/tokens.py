"""Tokens: static keys of 256 random bits, of which the server knows the digests alone.

They stand in a file with a line of JSON for each token that was made or revoked; lines are only
ever added. A token is `loadloom_ID_SECRET`: the id finds its line, the digest of the whole proves
it. A slow digest would add nothing, as nobody guesses 256 bits.
"""

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from secrets import token_hex, token_urlsafe
from time import monotonic

from loadloom.engine.guard import log
from loadloom.engine.guard.roles import Caller, Role
from loadloom.engine.settings import BadSettings

LOOK_S = 1.0
"""The time between two looks whether the file has changed."""

LONGEST_DAYS = 36_525
"""The days for which a token may be good: a century."""

TENANT = re.compile(r"[A-Za-z0-9._-]{0,100}")
USER = re.compile(r"[^\x00]{1,200}", re.DOTALL)
ID = re.compile(r"[0-9a-f]{12}")
DIGEST = re.compile(r"[0-9a-f]{64}")


class BadToken(ValueError):  # noqa: N818 -- it names the token's state
    """A token that cannot be made, or a line of the file that tells of none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What the file says of a token; its secret is not among it.

    Attributes:
        id: what tells tokens apart, in logs too.
        digest: the SHA-256 of the whole token, in hexadecimal.
        role: what its bearer may do.
        tenant: whose rows its bearer may see.
        user: the user that its bearer is, if a member; else empty.
        made: when it was made, ISO 8601.
        until: when it ends to be one, ISO 8601; empty for never.
    """

    id: str
    digest: str
    role: Role
    tenant: str = ""
    user: str = ""
    made: str = ""
    until: str = ""

    def __post_init__(self) -> None:
        """Checks that there can be such a token.

        Raises:
            BadToken: there cannot be.
        """
        if self.role not in list(Role):
            raise BadToken(f"role {self.role!r} is none of {', '.join(Role)}")
        if (self.role == Role.MEMBER) != bool(self.user):
            raise BadToken("a member, and nobody else, is a user: give both or neither")
        if self.user and (not USER.fullmatch(self.user) or len(self.user.encode()) > 200):
            raise BadToken("the name of a user has at most 200 bytes")
        if not TENANT.fullmatch(self.tenant):
            raise BadToken("a tenant has at most 100 letters, digits, dots, dashes and underscores")
        if not (ID.fullmatch(self.id) and DIGEST.fullmatch(self.digest)):
            raise BadToken("the id must have 12 and the digest 64 hexadecimal digits")
        if self.until and datetime.fromisoformat(self.until).tzinfo is None:
            raise BadToken("the end of a token must have a time zone")

    @property
    def caller(self) -> Caller:
        """Its bearer."""
        return Caller(tenant=self.tenant, role=Role(self.role), user=self.user, token=self.id)

    def is_good(self, now: datetime) -> bool:
        """Whether its time is not over."""
        return not self.until or now < datetime.fromisoformat(self.until)


def make(
    file: Path, role: str, tenant: str = "", user: str = "", *, days: float | None = None
) -> str:
    """A new token, whose digest is added to the file, which is made if there is none.

    It is good for so many days; without end if there are none.

    Raises:
        BadToken: there cannot be such a token.
        OSError: the file cannot be written.
    """
    id_ = token_hex(6)
    secret = f"loadloom_{id_}_{token_urlsafe(32)}"
    if role not in list(Role):
        raise BadToken(f"role {role!r} is none of {', '.join(Role)}")
    now = datetime.now(UTC)
    token = Token(
        id=id_,
        digest=_digest(secret),
        role=Role(role),
        tenant=tenant,
        user=user,
        made=now.isoformat(timespec="seconds"),
        until=_end(now, days),
    )
    _add(file, asdict(token))
    return secret


def _end(now: datetime, days: float | None) -> str:
    """When a token ends that is good for so many days, ISO 8601; empty for never."""
    if days is None:
        return ""
    if not 0.0 < days <= LONGEST_DAYS:
        raise BadToken(f"a token is good for more than 0 and at most {LONGEST_DAYS:,} days")
    return (now + timedelta(days=days)).isoformat(timespec="seconds")


def revoke(file: Path, id_: str) -> None:
    """Adds to the file that a token is one no more.

    Raises:
        BadToken: the file has none of this id, or holds a line that tells of none.
        OSError: the file cannot be read or written.
    """
    if id_ not in read(file):
        raise BadToken(f"{file} has no token {id_}")
    _add(file, {"revoked": id_, "at": datetime.now(UTC).isoformat(timespec="seconds")})


def read(file: Path) -> dict[str, Token]:
    """The tokens of a file by their ids, without those that were revoked.

    Raises:
        BadToken: a line tells of no token.
        OSError: the file cannot be read.
    """
    found: dict[str, Token] = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BadToken(f"{file}: is not a text in UTF-8") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            if isinstance(said, dict) and "revoked" in said:
                found.pop(said["revoked"], None)
            else:
                token = Token(**said)
                found[token.id] = token
        except (ValueError, TypeError) as error:
            raise BadToken(f"{file}, line {number}: tells of no token: {error}") from error
    return found


class Tokens:
    """The tokens that a server knows; it sees within a second what is added to their file."""

    def __init__(self, file: Path) -> None:
        """Reads the file.

        Raises:
            BadSettings: it cannot be read, or holds a line that tells of no token.
        """
        self._file, self._looked_s = file, monotonic()
        try:
            self._version = self._seen()
            self._known: Mapping[str, Token] = read(file)
        except (BadToken, OSError) as error:
            raise BadSettings(f"token_hashes: {error}") from error

    def bearer(self, secret: str) -> Caller | None:
        """Whose token it is; None if it is none."""
        self._look()
        parts = secret.split("_", 2)
        token = self._known.get(parts[1]) if len(parts) == 3 else None
        # Compared even where there is no such id, and in a time that tells nothing.
        same = compare_digest(_digest(secret), token.digest if token else _digest(""))
        good = token is not None and same and token.is_good(datetime.now(UTC))
        return token.caller if token and good else None

    def _look(self) -> None:
        """Reads the file again if it has changed; a fault in it leaves all as it was."""
        if monotonic() - self._looked_s < LOOK_S:
            return
        self._looked_s = monotonic()
        try:
            if (seen := self._seen()) == self._version:
                return
            self._version = seen
            self._known = read(self._file)
        except (BadToken, OSError) as error:
            log.event(logging.ERROR, "tokens not read", why=str(error))

    def _seen(self) -> Sequence[int]:
        """What changes when the file does."""
        found = self._file.stat()
        return (found.st_ino, found.st_size, found.st_mtime_ns)


def _digest(secret: str) -> str:
    return sha256(secret.encode(errors="replace")).hexdigest()


def _add(file: Path, said: Mapping[str, str]) -> None:
    """Adds a line, in one write, so that two at a time do not mix."""
    line = json.dumps({name: value for name, value in said.items() if value}) + "\n"
    place = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(place, line.encode())
        os.fsync(place)
    finally:
        os.close(place)
