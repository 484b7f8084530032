"""A profile: one person or role whose availability is asked for, as the configuration describes it. Plain values."""

from collections.abc import Mapping
from datetime import timedelta

from msgspec import Struct, field

from busyd.availability.hours import AppointmentDefaults, Hours, SlotDefaults
from busyd.availability.policy import Rules
from busyd.connection import CalendarReference


class Profile(Struct, frozen=True):
    """The settings of one profile."""

    name: str
    timezone: str | None = None
    """IANA name of the zone for floating and all-day times; None: the calendar's own zone, then the machine's."""
    primary: CalendarReference | None = None
    conflicts: tuple[CalendarReference, ...] = ()
    blocks: CalendarReference | None = None
    """Where blocks are written that somebody wants in a calendar; None: to the primary."""
    primary_blocks: bool = True
    primary_blocks_origin: str = ""
    """FILE:LINE where that was written; empty when it is the default."""
    addresses: tuple[str, ...] = ()
    rules: Rules = field(default_factory=Rules)
    calendar_rules: Mapping[CalendarReference, Rules] = field(default_factory=dict)
    """Rules of single calendars, already merged over `rules`."""
    hours: Hours | None = None
    """Working hours for slots; None: all day, every day."""
    slots: SlotDefaults = field(default_factory=SlotDefaults)
    appointments: AppointmentDefaults = field(default_factory=AppointmentDefaults)
    max_age: timedelta = timedelta(minutes=15)
    calendar_max_age: Mapping[CalendarReference, timedelta] = field(default_factory=dict)
    """That of single calendars, each of which is a key of `calendar_rules` as well."""
