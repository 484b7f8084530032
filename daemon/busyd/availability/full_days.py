"""Days and weeks that have as many appointments as a person takes: nothing more may start in them. Pure."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from busyd.availability.hours import SlotDefaults
from busyd.ical.zones import Zone
from busyd.period import coalesce

_DAY: Final = 86_400
_MONDAY: Final = 4
"""The first Monday, counted in days from 1970-01-01."""


def full_spans(starts: Iterable[int], slots: SlotDefaults, *, zone: Zone) -> list[tuple[int, int]]:
    """The days and weeks of `zone` in which nothing more may start, sorted and disjoint.

    `starts`: when the appointments start that there are. A day lasts from its midnight to the next, a week from the
    midnight before Monday; days on which the clocks change are shorter or longer.
    """
    days = [zone.wall(start) // _DAY for start in starts]
    full: list[tuple[int, int]] = []
    for limit, length, first in ((slots.per_day, 1, 0), (slots.per_week, 7, _MONDAY)):
        if limit is None:
            continue
        for number, count in Counter((day - first) // length for day in days).items():
            if count >= limit:
                day = first + number * length
                full.append((zone.instant(day * _DAY), zone.instant((day + length) * _DAY)))
    return coalesce(full)
