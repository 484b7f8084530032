"""VTIMEZONE components, as what busyd writes needs them: icalendar makes them from the time-zone database."""

from datetime import date
from functools import lru_cache

from icalendar import Timezone


@lru_cache(maxsize=64)
def timezone_component(zone: str, *, first: int, last: int) -> Timezone:
    """The changes of the clocks from one year to another, both included; making it takes several milliseconds."""
    made = Timezone.from_tzid(zone, first_date=date(first, 1, 1), last_date=date(last + 1, 1, 1))
    made.pop("comment", None)
    return made


@lru_cache(maxsize=64)
def timezone_lines(zone: str, *, first: int, last: int) -> bytes:
    """The same as it is written; that takes as long as all the rest of an event."""
    return bytes(timezone_component(zone, first=first, last=last).to_ical())
