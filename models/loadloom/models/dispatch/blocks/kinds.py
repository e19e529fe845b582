"""The blocks of the general programme by family."""

from types import ModuleType

from loadloom.models.dispatch.blocks import (
    appliance,
    heat,
    room,
    storage,
    swapping,
    unit,
    vehicle,
)

BLOCKS: dict[str, ModuleType] = {
    "appliances": appliance,
    "buses": heat,
    "rooms": room,
    "storages": storage,
    "swappings": swapping,
    "units": unit,
    "vehicles": vehicle,
}
