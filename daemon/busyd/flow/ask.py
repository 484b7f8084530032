"""The second journey: a question -> an answer from memory. Every door that tells busy time goes through here."""

from dataclasses import dataclass
from enum import StrEnum

from busyd.period import BusyPeriod, Instant, Period


class CalendarHealth(StrEnum):
    """What is known of a linked calendar, as one word for the reader of an answer."""

    FRESH = "fresh"
    STALE = "stale"
    """Read before, but its last proof is older than the profile's max_age."""
    NEVER_READ = "never-read"
    """Named in the configuration, no complete reading yet: its time is not known, so all of it blocks."""
    MISSING = "missing"
    """Named in the configuration, but the connection has no such calendar: its time is not known either."""


@dataclass(frozen=True, slots=True)
class CalendarState:
    """One linked calendar in an answer."""

    calendar: str
    """As the user would write it: CONNECTION/NAME."""
    as_of: Instant | None
    """The last moment at which the remote confirmed what the mirror holds; None when it never did."""
    state: CalendarHealth
    detail: str = ""
    """What is wrong and what to do, for `/v1/status` and explain; empty when all is well."""


@dataclass(frozen=True, slots=True)
class FreeBusyAnswer:
    """When a profile is busy inside a window."""

    profile: str
    window: Period
    as_of: Instant | None
    stale: bool
    complete: bool
    busy: tuple[BusyPeriod, ...]
    calendars: tuple[CalendarState, ...]
