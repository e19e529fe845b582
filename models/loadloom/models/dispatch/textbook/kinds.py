"""The chapters of the reference model by family."""

from types import ModuleType

from loadloom.models.dispatch.textbook import (
    appliance,
    heat,
    room,
    storage,
    swapping,
    unit,
    vehicle,
)

TEXTBOOK: dict[str, ModuleType] = {
    "appliances": appliance,
    "buses": heat,
    "rooms": room,
    "storages": storage,
    "swappings": swapping,
    "units": unit,
    "vehicles": vehicle,
}
