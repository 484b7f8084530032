"""The span of time that is kept expanded. It moves on with the days; what lies beyond is expanded when asked for."""

from typing import Final

from busyd.period import Instant, Period

DAY: Final = 86_400
PAST_DAYS: Final = 92
AHEAD_DAYS: Final = 460
"""A feed shows 400 days; the rest is room for zones, travel and the roll of the day."""


def horizon_at(now: Instant) -> Period:
    """Whole UTC days around now."""
    today = now // DAY
    return Period(Instant((today - PAST_DAYS) * DAY), Instant((today + AHEAD_DAYS) * DAY))


def followed_since(moment: Instant) -> Instant:
    """When a moment came into the horizon."""
    return Instant((moment // DAY - AHEAD_DAYS + 1) * DAY)
