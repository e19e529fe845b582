"""What the verbs of the command line do; `app` tells their options."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import typer
from google.protobuf.json_format import MessageToJson
from rich.status import Status
from rich.text import Text

from loadloom.client.charts import SUFFIXES, write_chart
from loadloom.client.client import Client
from loadloom.client.command.output import write_table
from loadloom.client.command.report import plan_report, system_report
from loadloom.client.command.terminal import Terminal
from loadloom.client.connection import TARGET, Tls
from loadloom.client.embedded import EngineFailed, EngineMissing, engine
from loadloom.client.errors import (
    InvalidRequest,
    LimitExceeded,
    LoadloomError,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    Violation,
)
from loadloom.client.files.faults import InputError
from loadloom.client.files.site_input import SiteInput, read_input
from loadloom.client.plan import Plan
from loadloom.client.request import LONGEST_S, Wishes

NO_PLAN, WRONG_INPUT, SERVER_TROUBLE = 1, 2, 3

ADDRESS = re.compile(r"[^:/]+:\d{1,5}|\[[0-9a-fA-F:.%]+\]:\d{1,5}|(unix|dns|ipv4|ipv6|xds):.+")
"""A host or an IPv6 address in brackets with a port, or an address of another of gRPC's kinds."""

OPTIONS = {
    "options.time_limit": "--time-limit",
    "options.method": "--method",
    "detail": "--detail",
}
"""The options that fields of a request come from."""

LOOK_S = 1.0
"""How long to look for a server at the usual address."""

TABLE_SUFFIXES = (".csv", ".parquet")

NOT_LET = (Unauthenticated, PermissionDenied)
"""The errors of callers whom the server does not let in, or not so far."""

Trace = Callable[[Violation], str]
"""What tells where a fault that the server finds comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to ask: a server, or an engine of one's own when `server` is None."""

    server: str | None
    tls_ca: Path | None
    tls_certificate: Path | None
    tls_key: Path | None
    token_file: Path | None = None

    def check(self) -> None:
        """Ends the program if the server's address has no port."""
        if self.server is not None and not ADDRESS.fullmatch(self.server):
            right = "must be HOST:PORT, such as 127.0.0.1:8421"
            raise fail(WRONG_INPUT, f"--server {self.server}: {right}")

    def tls(self) -> Tls | None:
        """The files for TLS, when there are any; ends the program if they cannot be used."""
        files = (self.tls_ca, self.tls_certificate, self.tls_key)
        for file in filter(None, files):
            if not file.is_file():
                raise fail(WRONG_INPUT, f"{file}: is not a file")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise fail(WRONG_INPUT, "--tls-certificate and --tls-key must be given together")
        if files == (None, None, None):
            return None
        return Tls(root_certificates=files[0], client_certificate=files[1], client_key=files[2])

    def token(self) -> str | None:
        """The token in the file; None for that of the environment, "" for an own engine.

        Ends the program if the file cannot be read.
        """
        if self.server is None:
            return ""
        if self.token_file is None:
            return None
        try:
            said = self.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise fail(WRONG_INPUT, f"--token-file {self.token_file}: {error}") from None
        if not said or not said.isascii() or len(said.split()) > 1:
            raise fail(WRONG_INPUT, f"--token-file {self.token_file}: holds no token")
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What to read and write, and the horizon if it is not that of the prices."""

    site: Path
    prices: Path | None
    start: datetime | None
    end: datetime | None
    out: Path | None
    plot: Path | None


def dispatch(files: Files, address: Address, wishes: Wishes, as_json: bool) -> None:
    """Plans the site in the files, tells the plan, and writes what was asked for."""
    address.check()
    check_output("--out", files.out, TABLE_SUFFIXES)
    check_output("--plot", files.plot, SUFFIXES)
    check_time_limit(wishes.get("time_limit_s"))
    try:
        found = read_input(files.site, files.prices, files.start, files.end)
    except InputError as error:
        raise fail(WRONG_INPUT, *map(str, error.faults)) from None
    with (
        server_trouble(address, partial(_traced, found)),
        connected(address) as (client, _),
        busy("Planning"),
    ):
        plan = client.plan_dispatch(found.site, found.grid, **wishes)
    if as_json:
        print(MessageToJson(plan.message, preserving_proto_field_name=True))
    else:
        Terminal().print(plan_report(found.site, plan, found.place))
    for column in found.prices:
        note(f"Prices: {column}")
    for doubt in found.doubts:
        warn(doubt)
    if not plan.exists:
        for file in filter(None, (files.out, files.plot)):
            note(f"{file} is not written, as there is no plan")
        raise typer.Exit(NO_PLAN)
    _write(found, plan, files)


def info(address: Address) -> None:
    """Tells the versions, limits and solvers of the server, the usual one if none is named.

    Where none answers at the usual address, an engine of one's own tells of itself.
    """
    address.check()
    if address.server is None and address.tls() is None and _answers(TARGET):
        address = replace(address, server=TARGET)
    heading = f"Loadloom at {address.server}"
    if address.server is None:
        heading = f"No server answers at {TARGET}; this is the engine that a call would start"
    with server_trouble(address), connected(address) as (client, _):
        report = system_report(client.system_info(), heading)
    Terminal().print(report)


def _answers(target: str) -> bool:
    """Whether a server of ours answers, on a plain connection to this machine."""
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), LOOK_S).close()
        with Client(target, timeout_s=LOOK_S) as client:
            client.system_info()
    except (OSError, LoadloomError):
        return False
    return True


@contextmanager
def connected(address: Address, *arguments: str) -> Iterator[tuple[Client, str]]:
    """A client of the server, or of an engine with arguments that runs for as long as the block."""
    with ExitStack() as stack:
        target, tls, token = address.server, address.tls(), address.token()
        if target is None:
            with busy("Starting an engine, which compiles its kernels the first time"):
                target, tls = stack.enter_context(engine(*arguments)), None
        yield stack.enter_context(Client(target, tls=tls, token=token)), target


@contextmanager
def server_trouble(address: Address, trace: Trace = str) -> Iterator[None]:
    """Ends the program with the right exit code when its block gets no answer.

    What the server finds wrong with a request is told as `trace` words it.
    """
    try:
        yield
    except (InvalidRequest, LimitExceeded) as error:
        faults = [*map(trace, error.violations)]
        raise fail(WRONG_INPUT, *(faults or [str(error)])) from None
    except Unavailable as error:
        raise fail(SERVER_TROUBLE, f"--server {address.server}: {error}") from None
    except LoadloomError as error:
        told = str(error) if isinstance(error, NOT_LET) else f"{error.code}: {error}"
        raise fail(SERVER_TROUBLE, told) from None
    except (EngineMissing, EngineFailed) as error:
        raise fail(SERVER_TROUBLE, str(error)) from None


def _traced(found: SiteInput, violation: Violation) -> str:
    """What the server found, at the option or the place in the site file that it comes from."""
    for path, option in OPTIONS.items():
        if violation.path.startswith(path):
            return f"{option}: {violation.message}"
    if violation.path.startswith("grid."):
        first, last = found.grid.boundaries[0], found.grid.boundaries[-1]
        horizon = f"the horizon of {found.grid.count:,} intervals from {first} to {last}"
        return f"{horizon} (--prices, --from, --to): {violation.message}"
    return str(found.fault(violation.path, violation.message))


def _write(found: SiteInput, plan: Plan, files: Files) -> None:
    writers = (("Schedule", files.out, write_table), ("Chart", files.plot, write_chart))
    for what, file, write in writers:
        if file is None:
            continue
        try:
            write(found.site, plan, file)
        except OSError as error:
            told = f"{file}: cannot be written: {error.strerror or error}"
            raise fail(WRONG_INPUT, told) from None
        note(f"{what} in {file}")


def check_output(option: str, file: Path | None, suffixes: tuple[str, ...]) -> None:
    """Ends the program if a file could not be written in the end."""
    if file is None:
        return
    if file.suffix.lower() not in suffixes:
        raise fail(WRONG_INPUT, f"{option} {file}: must end in one of {', '.join(suffixes)}")
    if not file.parent.is_dir():
        raise fail(WRONG_INPUT, f"{option} {file}: there is no folder {file.parent}; make it")


def check_time_limit(limit_s: float | None) -> None:
    """Ends the program if a time limit makes no sense."""
    if limit_s is not None and not 0.0 < limit_s <= LONGEST_S:
        right = f"must be a number of seconds above 0, at most {LONGEST_S:g}"
        raise fail(WRONG_INPUT, f"--time-limit {limit_s:g}: {right}")


def busy(what: str) -> Status:
    """A sign that something is under way."""
    return Terminal(stderr=True).status(f"{what} ...")


def note(sentence: str) -> None:
    """Tells something beside what was asked for."""
    Terminal(stderr=True).print(Text(sentence, style="dim"), soft_wrap=True)


def warn(sentence: str) -> None:
    """Tells something that is possible but unlikely."""
    Terminal(stderr=True).print(Text(sentence, style="yellow"), soft_wrap=True)


def fail(code: int, *faults: str) -> typer.Exit:
    """Tells what is wrong, each fault on a line of its own, and gives the end of the program."""
    for fault in faults:
        Terminal(stderr=True).print(Text(fault, style="red"), soft_wrap=True)
    return typer.Exit(code)
