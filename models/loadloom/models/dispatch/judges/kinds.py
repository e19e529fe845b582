"""The judges of the referee by family."""

from types import ModuleType

from loadloom.models.dispatch.judges import (
    appliance,
    heat,
    room,
    storage,
    swapping,
    unit,
    vehicle,
)

JUDGES: dict[str, ModuleType] = {
    "appliances": appliance,
    "buses": heat,
    "rooms": room,
    "storages": storage,
    "swappings": swapping,
    "units": unit,
    "vehicles": vehicle,
}
