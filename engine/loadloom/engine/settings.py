"""The settings of a server: from the command line, the environment, and a file, in this order.

Every setting can be given as `--name value`, as LOADLOOM_NAME, or under its name in a TOML file
that `--settings` or LOADLOOM_SETTINGS names; the limits stand in the file's table `limits`, and are
`--limits.points` and LOADLOOM_LIMITS__POINTS elsewhere.
"""

import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, Self

import psutil
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    CliApp,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

PREFIX = "LOADLOOM_"

CLIENTS_OWN = "TOKEN"
"""The variable, without the prefix, from which clients take their token."""

ROOTS = "DATA_ROOTS__"
"""How the variables begin, without the prefix, that each name a root of data sets."""

ALIKE = 0.7
"""How much alike two names are, 0..1, for one to be taken for a misspelling of the other."""


class BadSettings(ValueError):  # noqa: N818 -- it names the settings' state
    """Settings that a server cannot run with; one line for each of them."""


def cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def half_of_memory_mib() -> int:
    """Half of the memory of this machine, or of what its processes are confined to, in MiB."""
    confined = Path("/sys/fs/cgroup/memory.max")
    text = confined.read_text().strip() if confined.is_file() else ""
    most = psutil.virtual_memory().total
    return min(most, int(text) if text.isdecimal() else most) >> 21


def own_database() -> str:
    """The URL of the database of this user on this machine, a file where programs keep state."""
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    if sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA") or home)
    return f"sqlite:///{home / 'loadloom' / 'loadloom.db'}"


class Limits(BaseModel):
    """The limits that requests must keep, as SystemService tells them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    message_bytes: int = Field(default=16 * 2**20, ge=4096)
    """The largest message in either direction."""
    intervals: PositiveInt = 366 * 24 * 12
    """The largest number of intervals of a grid; by default a leap year of five-minute steps."""
    points: PositiveInt = 2_000_000
    """The largest number of values of one site, spread over its grid, or in one message; of the
    totals of areas, and of what is decided of the plants of a purchase: each times intervals."""
    devices: PositiveInt = 1_000
    """The largest number of loads, plants and storages of one site."""
    targets: PositiveInt = 10_000
    """The largest number of targets of all storages of one site."""
    sites_per_batch: PositiveInt = 10_000
    """The largest number of sites in one batch."""
    batches_under_way: PositiveInt = 4
    """The number of batches of one stream that are solved or being answered at any time."""
    points_under_way: PositiveInt = 32_000_000
    """The largest number of values of all batches of all streams that are solved or being answered
    at any time: those asked with, and those of every column of the plans. Others wait. Requests of
    whom to call wait so among themselves, as a few bytes may ask for columns of millions."""
    users: PositiveInt = 50_000
    """The largest number of users of a schedule."""
    schedule_points: PositiveInt = 20_000_000
    """The largest number of values of one quantity of a schedule: users, or measures whose slots
    are restricted, times days times slots."""
    curve_points: PositiveInt = 400_000_000
    """The largest number of values of the load curves of a data set that a call holds in memory:
    users times intervals; or puts by in a file, for a stream that asks for figures of users. Other
    sums are made piece by piece and have no such limit."""
    settlement_users: PositiveInt = 2_000_000
    """The largest number of users of a settlement."""
    customers: PositiveInt = 2_000_000
    """The largest number of customers among whom to choose whom to call."""
    customer_points: PositiveInt = 50_000_000
    """The largest number of values of one quantity of customers or nodes: customers times levels of
    incentive times intervals, or nodes times intervals."""
    event_calls: PositiveInt = 200_000
    """The largest number of customers that one event calls."""
    fleet_sites: PositiveInt = 200_000
    """The largest number of sites of a fleet."""
    fleet_points: PositiveInt = 10_000_000
    """The largest number of values of one quantity of the sites of a fleet: sites times
    intervals."""
    solve_seconds: PositiveFloat = 60.0
    """The longest time one solve may take."""
    calls_under_way: PositiveInt = 1_000
    """The number of calls that may wait or run before new ones are shed; streams, and questions
    about the server itself, have no part in it."""
    bytes_under_way: PositiveInt = 256 * 2**20
    """The largest size of all requests for single answers that wait or run before new ones are
    shed; one request alone is always taken."""
    streams_under_way: PositiveInt = 10_000
    """The number of streams of batches that may be open before new ones are shed."""
    tenant_calls: NonNegativeInt = 0
    """The number of calls of one tenant that may wait or run before its new ones are shed, as of
    `calls_under_way`; no limit of its own with 0."""
    tenant_operations: NonNegativeInt = 0
    """The number of operations of one tenant that may wait or run; no limit with 0."""
    tenant_cpu_seconds: NonNegativeFloat = 0.0
    """The CPU seconds that the operations of one tenant may take in a day of UTC before new ones
    are refused; no limit with 0."""


class Settings(BaseSettings):
    """The Loadloom server: plans, and the operations that make them, over gRPC."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        cli_implicit_flags=True,
        cli_kebab_case=True,
        cli_prog_name="loadloom serve",
        use_attribute_docstrings=True,
    )

    settings: Path | None = None
    """The TOML file to read settings from."""
    host: str = Field(default="127.0.0.1", min_length=1)
    """The address to listen on."""
    port: int = Field(default=8421, ge=0, le=65535)
    """The port to listen on; 0 takes a free one, which the line "listening" on stdout tells."""
    tls_certificate: Path | None = None
    """The server's certificate chain, PEM."""
    tls_key: Path | None = None
    """The key of the certificate, PEM."""
    tls_client_ca: Path | None = None
    """The authorities that vouch for callers, PEM; no certificate is asked for without."""
    token_hashes: Path | None = None
    """The file of the digests of callers' tokens, which `loadloom token new` writes. With it every
    call but those about health needs a token; without it everybody may do everything."""
    insecure: bool = False
    """Whether to listen without TLS, or without tokens, on addresses that other machines reach."""
    metrics_host: str = Field(default="127.0.0.1", min_length=1)
    """The address to serve Prometheus metrics on, without TLS or tokens: they tell counts and times
    of calls and jobs, and name no user."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """The port to serve Prometheus metrics on; 0 for none."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines to log, on stderr."""
    grace_s: NonNegativeFloat = 20.0
    """The time that accepted calls have to finish when the server is told to stop."""
    with_parent: bool = False
    """Whether to stop when standard input ends, as it does when the starting process is gone."""
    single_threads: PositiveInt = 2
    """The threads for calls about one site."""
    bulk_threads: PositiveInt = Field(default_factory=cores)
    """The threads for batches and streams; by default one a core."""
    workers: PositiveInt = Field(default_factory=cores)
    """The worker processes for solves that take long; by default one a core."""
    worker_memory_mib: NonNegativeInt = Field(default_factory=half_of_memory_mib)
    """The memory that one worker process may take; by default half of the machine's, and no limit
    with 0."""
    load_ahead: bool = True
    """Whether worker processes load the kernels of all families at leisure once the server has
    begun, some seconds for each process, or each kernel with the first call that needs it."""
    reserve_share: float = Field(default=0.1, ge=0.0, lt=1.0)
    """The share of a call's remaining time that is kept back for the answer."""
    reserve_s: NonNegativeFloat = 0.1
    """The most time that is kept back for the answer."""
    setup_s: PositiveFloat = 20.0
    """The time in which a stream must send its setup."""
    unread_s: PositiveFloat = 10.0
    """The time that an answer of a stream may stay unread while batches of others wait for room."""
    silence_s: PositiveFloat = 120.0
    """The time that a stream of load curves may stay silent before its next chunk, or its end."""
    overrun_s: PositiveFloat = 1.0
    """The time after a solve's limit at which its worker process is killed."""
    database_url: str = Field(
        default_factory=own_database, pattern=r"^(sqlite:///|postgresql(\+psycopg)?://).+"
    )
    """The database of operations: sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/NAME, which
    serves several machines; by default a file in the user's folder for state."""
    job_workers: NonNegativeInt = Field(default_factory=cores)
    """The jobs that are solved at once; by default one a core, and none with 0."""
    job_attempts: PositiveInt = 3
    """The attempts that a job has whose solve dies, before it has failed."""
    job_limit_s: PositiveFloat = 3_600.0
    """The longest time that one attempt at a job may take."""
    job_memory_mib: NonNegativeInt = Field(default_factory=half_of_memory_mib)
    """The memory that one job may take; by default half of the machine's, and no limit with 0."""
    lease_s: PositiveFloat = 15.0
    """The time after which a job is taken from a worker that has not been heard of."""
    retention_days: PositiveFloat = 30.0
    """The time that operations are kept for after their end."""
    schedule_days: NonNegativeFloat = 0.0
    """The time that settled schedules are kept for after their last day, with their plans, notices
    and deliveries; without end with 0. What they added to the ledger stays there."""
    waiting_calls: PositiveInt = 5_000
    """The number of calls that may wait for operations, or watch them, at once."""
    data_roots: dict[str, str] = {}
    """The folders below which data sets may lie, by name: paths, or URLs that fsspec knows. A table
    in the file, `--data-roots '{"meters": "/srv/meters"}'`, or LOADLOOM_DATA_ROOTS__METERS. Workers
    on other machines need them too, each with the place that the folders have there."""
    cluster: str = ""
    """The scheduler of a Dask cluster, such as tcp://10.0.0.5:8786, on whose workers data sets with
    a row a user are added up; empty for this machine. Its workers read the files themselves, at the
    same paths or URLs. It needs the extra `cluster`; Dask trusts whoever reaches its ports."""
    cluster_folder: str = ""
    """A folder that this machine and the workers of the cluster see under the same path, as the
    same user. Data sets with a row a reading are spread out there for them, and added up on this
    machine without such a folder."""
    limits: Limits = Limits()
    """The limits that requests must keep."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- not one of ours
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- not one of ours
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources in order: the command line (put first by pydantic), environment, file."""
        return init_settings, env_settings, _File(settings_cls)

    @model_validator(mode="after")
    def _check_guard(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key must be given together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        if self.tls_certificate is None and not self.insecure and not _is_loopback(self.host):
            raise ValueError(
                f"host {self.host} can be reached from other machines: give tls_certificate and "
                "tls_key, or set insecure to listen without TLS"
            )
        known = self.token_hashes is not None or self.tls_client_ca is not None
        if not known and not self.insecure and not _is_loopback(self.host):
            raise ValueError(
                f"host {self.host} can be reached from other machines: give token_hashes, or "
                "tls_client_ca, or set insecure to let everybody do everything"
            )
        return self


class _File(PydanticBaseSettingsSource):
    """The settings in the TOML file that an earlier source names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Not asked for: the file is read as a whole."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        path = self.current_state.get("settings")
        if not path:
            return {}
        try:
            said = tomllib.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise BadSettings(f"settings: cannot read {path}: {error}") from error
        limits = said.get("limits")
        unknown = [*_unknown(said, Settings), *_unknown(limits, Limits, "limits.")]
        if unknown:
            raise BadSettings("\n".join(f"{path}: {told}" for told in unknown))
        return said


_AS_JSON = {
    "limits": """must be JSON, such as {"points": 1000000}; or set limits.points alone""",
    "data_roots": """must be JSON, such as {"meters": "/srv/meters"}""",
}
"""The settings that are given as JSON, and what to say of those that are not."""


def load(arguments: Sequence[str]) -> Settings:
    """The settings from command line, environment and file.

    Raises:
        BadSettings: settings that break rules, each named on a line of its own.
    """
    try:
        return CliApp.run(Settings, cli_args=list(arguments))
    except ValidationError as error:
        raise BadSettings("\n".join(map(_line, error.errors()))) from error
    except SettingsError as error:  # a value that is to be JSON
        name = next((one for one in _AS_JSON if one in str(error)), "limits")
        raise BadSettings(f"{name}: {error.__cause__}; {_AS_JSON[name]}") from error


def unknown_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that look like settings and are none, and what to say of each.

    They are no fault: other programs name variables after a service, as Kubernetes does.
    """
    limits = [f"LIMITS__{name.upper()}" for name in Limits.model_fields]
    known = [*(name.upper() for name in Settings.model_fields), *limits]
    given = {name: name.upper() for name in environment if name.upper().startswith(PREFIX)}
    short = {name: upper.removeprefix(PREFIX) for name, upper in given.items()}
    return {
        name: _not_known(word, known, PREFIX)
        for name, word in short.items()
        if word not in (*known, CLIENTS_OWN) and not word.startswith(ROOTS)
    }


def _unknown(said: object, kind: type[BaseModel], prefix: str = "") -> list[str]:
    """What to say of each name in a table of the file that is no setting."""
    if not isinstance(said, dict):
        return []
    known = list(kind.model_fields)
    unknown = [name for name in said if name not in known]
    return [f"{prefix}{name} {_not_known(name, known, prefix)}" for name in unknown]


def _not_known(name: str, known: list[str], prefix: str) -> str:
    close = get_close_matches(name, known, 1, ALIKE)
    return "is no setting" + (f"; did you mean {prefix}{close[0]}?" if close else "")


def _line(error: Any) -> str:  # noqa: ANN401 -- pydantic's dictionary
    name = ".".join(map(str, error["loc"]))
    message = error["msg"].removeprefix("Value error, ")
    return f"{name}: {message}, got {error['input']!r}" if name else message


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
