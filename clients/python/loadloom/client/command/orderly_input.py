"""What the files and options of `loadloom orderly` say, and where faults in them stand."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from loadloom.client.command.orderly_place import own_zone
from loadloom.client.command.verbs import WRONG_INPUT, Trace, fail
from loadloom.client.errors import InvalidRequest, Violation
from loadloom.client.files.faults import Fault, InputError
from loadloom.client.files.orderly_rules import read_rules
from loadloom.client.files.orderly_series import read_shortage, slots_of_file
from loadloom.client.files.orderly_users import UsersInput, read_users
from loadloom.client.files.series import one_instant
from loadloom.client.orderly import AbilityRule, LegalOrder, Mode, Shortage, WarningLevel
from loadloom.client.orderly_week import Week


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """What is said of a week to plan."""

    users: Path
    shortage: Path
    week: str
    loads: Path | None
    time_zone: str | None
    slot_count: int | None
    unserved_price: float | None
    title: str
    mode: Mode
    gamma: str
    history: float
    legal_order: LegalOrder
    currency_code: str
    at: datetime | None
    late_notice: bool = False
    rules: Path | None = None
    leximin_levels: int = 3


def read(said: Planning) -> tuple[UsersInput, Shortage, Week]:
    """What the files say; ends the program if they cannot be used, with all that is wrong."""
    files = filter(None, (said.users, said.shortage, said.loads))
    if absent := [file for file in files if not file.exists()]:
        raise fail(WRONG_INPUT, *(f"{file}: is not there" for file in absent))
    zone = said.time_zone or own_zone()
    faults: list[Fault] = []
    try:
        week = Week.of_name(said.week, time_zone=zone)
        count = said.slot_count or slots_of_file(said.shortage, zone)
        week = replace(week, slot_count=count)
    except InputError as error:
        raise fail(WRONG_INPUT, *map(str, error.faults)) from None
    except InvalidRequest as error:
        raise fail(WRONG_INPUT, *map(_option, error.violations)) from None
    found, shortage = None, None
    try:
        found = read_users(said.users, week, said.loads)
    except InputError as error:
        faults += error.faults
    try:
        shortage = read_shortage(said.shortage, week, said.unserved_price)
    except InputError as error:
        faults += error.faults
    if found is None or shortage is None:
        raise fail(WRONG_INPUT, *map(str, faults))
    return found, shortage, week


def rules_of(file: Path | None) -> tuple[list[WarningLevel], AbilityRule | None]:
    """The rules of the place; ends the program if the file cannot be used."""
    try:
        return ([], None) if file is None else read_rules(file)
    except InputError as error:
        raise fail(WRONG_INPUT, *map(str, error.faults)) from None


def changed_shortage(file: Path, week: Week, unserved_price: float | None) -> Shortage:
    """What is short now; ends the program if the file cannot be used."""
    try:
        return read_shortage(file, week, unserved_price)
    except InputError as error:
        raise fail(WRONG_INPUT, *map(str, error.faults)) from None


OPTIONS = {
    "week.time_zone": "--time-zone",
    "week.slot_count": "--slots",
    "week": "--week",
    "options.time_limit": "--time-limit",
    "options.relative_gap": "--gap",
    "shortage.unserved_price_per_kwh": "--unserved-price",
    "fairness.gamma": "--gamma",
    "fairness.history_strength": "--history",
    "fairness.leximin_levels": "--leximin-levels",
    "options.method": "--method",
    "warning_levels": "--rules",
    "ability": "--rules",
    "plan_time": "--at",
    "currency_code": "--currency",
}
"""The options that fields of a request come from."""


def _option(violation: Violation) -> str:
    """What is wrong, at the option that it comes from."""
    for path, option in OPTIONS.items():
        if violation.path.startswith(path):
            return f"{option}: {violation.message}"
    return str(violation)


def tracer(said: Planning, found: UsersInput) -> Trace:
    """What tells where in the files a fault comes from that the server found."""

    def trace(violation: Violation) -> str:
        if (fault := found.fault(violation)) is not None:
            return str(fault)
        if violation.path.startswith(("shortage.shortage", "shortage.cap", "shortage.feeder")):
            where = violation.path.removeprefix("shortage.")
            return f"{said.shortage} ({where}): {violation.message}"
        return _option(violation)

    return trace


def numbers(option: str, text: str) -> tuple[float, ...]:
    """The numbers of an option; ends the program if they are none."""
    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        told = f"{option} {text}: must be numbers with commas between them"
        raise fail(WRONG_INPUT, told) from None


def instant(moment: datetime | None, week: Week) -> datetime | None:
    """The instant of a time, local without an offset; ends the program if there is none."""
    try:
        return None if moment is None else one_instant(moment, ZoneInfo(week.time_zone))
    except ValueError as error:
        raise fail(WRONG_INPUT, f"--at: {error}") from None


def day(said: str) -> date | str:
    """The day that a word means: a date, or the word itself."""
    try:
        return date.fromisoformat(said)
    except ValueError:
        return said
