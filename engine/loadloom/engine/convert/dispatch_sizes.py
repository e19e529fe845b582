"""How large a site is: its devices, their parts, the values of its problem and of its answer."""

from collections.abc import Iterator, Sequence

from google.protobuf.message import Message

from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb

COLUMNS = {
    "loads": 1,
    "photovoltaics": 1,
    "storages": 4,
    "wind_turbines": 1,
    "vehicles": 5,
    "appliances": 3,
    "generators": 6,
    "combined_heat_and_powers": 6,
    "boilers": 6,
    "heat_pumps": 6,
    "chillers": 6,
    "heat_buses": 2,
    "rooms": 7,
}
"""The values in each interval of a device in its problem, by its field; those of a swapping
station go with its batteries, and those of a scenario with the loads and plants."""

PLAIN = ("loads", "photovoltaics", "storages")
"""The devices of a plain site, and the highest number of its fields."""

PLAIN_FIELDS = pb.Site.STORAGES_FIELD_NUMBER


def check(site: pb.Site, limits: Limits, count: int) -> None:
    """Checks that a site has no more parts and values than are dealt with in a moment.

    Raises:
        Refusal: it is beyond a limit.
    """
    columns = 4 + len(site.loads) + len(site.photovoltaics) + 4 * len(site.storages)
    devices = len(site.loads) + len(site.photovoltaics) + len(site.storages)
    targets = sum(len(storage.targets) for storage in site.storages)
    if not plain(site):
        devices, columns = _devices(site), _columns(site)
    if devices > limits.devices:
        raise refusal.too_large("site", "devices", devices, limits.devices)
    if targets > limits.targets:
        raise refusal.too_large("site.storages", "targets", targets, limits.targets)
    if not plain(site):
        _check_parts(site, limits)
    if columns * count > limits.points:
        raise refusal.too_large("site", "points", columns * count, limits.points)


def plain(site: pb.Site) -> bool:
    """Whether a site has no devices beyond loads, photovoltaic plants and stores."""
    fields = site.ListFields()  # in the order of their numbers
    return not fields or fields[-1][0].number <= PLAIN_FIELDS


def answer_columns(site: pb.Site) -> int:
    """The values in each interval of the answer for a site."""
    columns = 2 + 3 * len(site.storages) + len(site.photovoltaics)
    if plain(site):
        return columns
    columns += sum(
        len(getattr(site, name)) * COLUMNS[name] for name in COLUMNS if name not in PLAIN
    )
    batteries = sum(len(station.initial_energy_kwh) + 2 for station in site.swap_stations)
    return columns + batteries + 4 * len(site.scenarios)


def longest(site: pb.Site) -> int:
    """The length of the longest series of a site, where nothing else tells the intervals."""
    return max(map(len, _series(site)), default=0) or 1


def _series(message: Message) -> Iterator[Sequence[float]]:
    for field, value in message.ListFields():
        if isinstance(value, common_pb2.Series):
            yield value.values
        elif field.message_type is not None:
            for part in value if field.is_repeated else (value,):
                yield from _series(part)


def _devices(site: pb.Site) -> int:
    circuits = len(site.meter.circuits) + len(site.meter.demand_charges)
    parts = len(site.swap_stations) + len(site.scenarios) + circuits
    return parts + sum(len(getattr(site, name)) for name in COLUMNS)


def _columns(site: pb.Site) -> int:
    known = 10 + sum(width * len(getattr(site, name)) for name, width in COLUMNS.items())
    batteries = sum(len(station.initial_energy_kwh) for station in site.swap_stations)
    followed = 5 + len(site.loads) + len(site.photovoltaics) + len(site.wind_turbines)
    rules = 2 * len(site.meter.circuits) + len(site.meter.demand_charges)
    return known + 2 * batteries + followed * len(site.scenarios) + rules


def _check_parts(site: pb.Site, limits: Limits) -> None:
    """Checks lists within devices, which are no series."""
    stations = site.swap_stations
    parts = {
        "site.vehicles": sum(len(vehicle.sessions) for vehicle in site.vehicles),
        "site.swap_stations": sum(
            len(station.initial_energy_kwh)
            + sum(1 + len(booking.returned_kwh) for booking in station.bookings)
            for station in stations
        ),
        "site.appliances": sum(len(each.fixed.profile_kw) for each in site.appliances),
        "site.storages": sum(len(storage.wear_steps) for storage in site.storages),
        "site.meter.demand_charges": sum(len(each.tiers) for each in site.meter.demand_charges),
        "site.meter.circuits": sum(len(circuit.devices) for circuit in site.meter.circuits),
        "site.scenarios": sum(
            len(each.loads) + len(each.photovoltaics) + len(each.wind_turbines)
            for each in site.scenarios
        ),
    }
    for path, asked in parts.items():
        if asked > limits.targets:
            raise refusal.too_large(path, "targets", asked, limits.targets)
