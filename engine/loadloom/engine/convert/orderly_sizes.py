"""How large weekly schedules may be, counted from the message before any array is made of it."""

from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits
from loadloom.models.orderly.week import Week
from loadloom.v1 import orderly_pb2 as pb

MEASURES_PER_USER = 20
"""How many measures a schedule may have for each user that the limits allow."""


def check_size(message: pb.CreateScheduleRequest, week: Week, limits: Limits) -> None:
    """Returns if the schedule keeps the limits.

    What users, measures and feeders say may be shared in the message, a single value for all, and
    is spread out for the solve; so rows and slots are counted, and not the values that were sent.

    Raises:
        Refusal: the schedule is larger, with the path, the size and the limit.
    """
    users, measures = len(message.users.names), message.measures
    counted = (
        ("users.names", "users of a schedule", users, limits.users),
        (
            "measures.user",
            "measures of a schedule",
            len(measures.user),
            MEASURES_PER_USER * limits.users,
        ),
    )
    for path, what, size, most in counted:
        if size > most:
            raise refusal.too_large(path, what, size, most)
    slots = week.day_count * week.slot_count
    feeders = len(message.shortage.feeders)
    restricted = len(measures.user) if measures.HasField("allowed") else 0
    for path, size in (
        ("users", users * slots),
        ("shortage.feeders", (1 + users + feeders) * slots),
        ("measures.allowed", restricted * slots),
    ):
        if size > limits.schedule_points:
            most = limits.schedule_points
            raise refusal.too_large(path, "points of a schedule", size, most)
