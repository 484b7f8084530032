"""A person's working hours and the defaults for slots and appointments, as plain values. No zones, instants or texts.

Times of day are whole minutes from midnight on the clock of the profile's zone. The instants they stand for on a given
day are computed where slots are.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final

from msgspec import Struct, field

MinuteSpan = tuple[int, int]
"""(start, end) in minutes from midnight, half-open; `(540, 720)` is 09:00 to 12:00, and 1440 is the end of the day."""

DAY: Final = 24 * 60
"""Minutes on the clock from midnight to midnight; days on which the clock changes have them too."""


class Hours(Struct, frozen=True):
    """When appointments may be offered. A weekday without spans is closed; an exception replaces its weekday."""

    weekdays: tuple[tuple[MinuteSpan, ...], ...]
    """Seven entries, Monday first; the spans of a day are sorted and disjoint (touching ones stay apart: each starts
    its own grid of slots)."""
    exceptions: Mapping[date, tuple[MinuteSpan, ...]] = field(default_factory=dict)
    """Dates with their own hours; no spans means closed."""

    def __post_init__(self) -> None:
        if len(self.weekdays) != 7:
            message = f"a week has seven days, not {len(self.weekdays)}"
            raise ValueError(message)
        for spans in (*self.weekdays, *self.exceptions.values()):
            check_day(spans)

    def on(self, day: date) -> tuple[MinuteSpan, ...]:
        """The open spans of a day."""
        return self.exceptions.get(day, self.weekdays[day.weekday()])


def check_day(spans: tuple[MinuteSpan, ...]) -> None:
    """Raise ValueError unless the spans are not empty, within the day, sorted and disjoint."""
    if any(not 0 <= start < end <= DAY for start, end in spans):
        message = f"not spans within a day: {spans}"
        raise ValueError(message)
    if any(before[1] > after[0] for before, after in pairwise(spans)):
        message = f"spans overlap or are not sorted: {spans}"
        raise ValueError(message)


class SlotDefaults(Struct, frozen=True):
    """The defaults for a request for open slots."""

    duration: timedelta = timedelta(minutes=30)
    step: timedelta = timedelta(minutes=30)
    """Slots start on a grid of this width, counted from the start of each span of hours."""
    notice: timedelta = timedelta(hours=2)
    """Slots start no earlier than this from now."""
    buffer_before: timedelta = timedelta(0)
    """Free time the new appointment needs before it."""
    buffer_after: timedelta = timedelta(0)
    window: timedelta | None = None
    """Slots start no later than this from now; None: however far ahead."""
    per_day: int | None = None
    """Appointments and holds of a day, counted by their start in the zone of the profile; None: any number."""
    per_week: int | None = None
    """The same of a week, which starts on Monday."""

    @property
    def is_limited(self) -> bool:
        """Whether the number of appointments matters."""
        return self.per_day is not None or self.per_week is not None


class Invite(StrEnum):
    """What becomes of the guests of an appointment."""

    NONE = "none"
    """They are not written to the calendar."""
    SERVER = "server"
    """They become ATTENDEEs, and the calendar's own server mails them."""


class AppointmentDefaults(Struct, frozen=True):
    """What appointments get for which nothing else was asked."""

    invite: Invite = Invite.NONE
    reminders: tuple[timedelta, ...] = ()
    """Alarms, so long before the start."""
