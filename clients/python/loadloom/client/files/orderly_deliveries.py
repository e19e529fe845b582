"""Files of deliveries: what users really gave in their events.

    user,day,first_slot,energy_kwh
    bakery,Wed,18,175
    foundry,2026-12-10,17,1180

A day is its number from 0 on, a date, or a weekday. A table of events that was written before
serves as it is, with its energies corrected; its other columns are not read.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from loadloom.client.errors import Violation
from loadloom.client.files import orderly_cells as cells
from loadloom.client.files.faults import Fault, InputError
from loadloom.client.files.formulas import unguarded
from loadloom.client.files.orderly_cells import Cells, Column
from loadloom.client.files.tables import Table, read_table
from loadloom.client.orderly import Delivery
from loadloom.client.orderly_parts import Event
from loadloom.client.orderly_plan import day_number
from loadloom.client.orderly_week import Week

OTHERS = ("date", *Event.__slots__)

COLUMNS = {name: Column(parse=cells.text) for name in OTHERS} | {
    "user": Column(parse=cells.text),
    "day": Column(parse=cells.text),
    "first_slot": Column(parse=cells.whole(0)),
    "energy_kwh": Column(parse=cells.real(0.0), unit=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveriesInput:
    """The deliveries of a file, one for each row of its table."""

    deliveries: list[Delivery]
    table: Table

    def fault(self, violation: Violation) -> Fault | None:
        """A fault at a path such as "deliveries[3].day", traced to the file."""
        number, _, rest = violation.path.removeprefix("deliveries[").partition("]")
        if not violation.path.startswith("deliveries[") or not number.isdigit():
            return None
        name = rest.removeprefix(".")
        return self.table.fault(violation.message, column=name, index=int(number))


def read_deliveries(file: Path, week: Week) -> DeliveriesInput:
    """The deliveries in a file.

    Raises:
        InputError: the file cannot be used; everything that is wrong with it is named.
    """
    table = read_table(file)
    found = Cells(table, COLUMNS)
    found.require("user", "day", "first_slot", "energy_kwh")
    if found.faults:
        raise InputError(cells.told(found.faults))
    deliveries = [_delivery(found, week, index) for index in range(len(table.lines))]
    if not deliveries:
        found.faults.append(table.fault("has no deliveries"))
    if found.faults:
        raise InputError(cells.told(found.faults))
    return DeliveriesInput(deliveries=deliveries, table=table)


def _delivery(found: Cells, week: Week, index: int) -> Delivery:
    for name in ("user", "day", "first_slot", "energy_kwh"):
        if not found.text(name, index):
            found.fault("the value is missing", name, index)
    return Delivery(
        user=unguarded(found.text("user", index)),
        day=_day(found, week, index),
        first_slot=found.value("first_slot", index) or 0,
        energy_kwh=found.value("energy_kwh", index) or 0.0,
    )


def _day(found: Cells, week: Week, index: int) -> int:
    said = found.text("day", index)
    try:
        return day_number(week, date.fromisoformat(said) if "-" in said else said) if said else 0
    except ValueError as error:
        found.fault(str(error), "day", index)
        return 0
