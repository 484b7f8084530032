"""What goes out as JSON: one Struct for each answer, its fields in the order in which they are written.

`openapi.py` makes the schemas of the API from these, so their docstrings are read by users of the API.
"""

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from busyd.connection import CalendarKind, ConnectionKind
from busyd.flow.freshness import CalendarHealth
from busyd.flow.link_views import LinkView
from busyd.flow.views import ProblemView, ProfileHealth
from busyd.period import to_rfc3339

Time = Annotated[str, Meta(pattern="^[0-9-]{10}T[0-9:]{8}Z$", extra_json_schema={"format": "date-time"})]
Count = Annotated[int, Meta(ge=0)]
BusyType = Literal["BUSY", "BUSY-TENTATIVE", "BUSY-UNAVAILABLE"]
CountsAs = Literal["FREE", "BUSY", "BUSY-TENTATIVE", "BUSY-UNAVAILABLE"]


class BusyPeriodInAnswer(Struct, frozen=True):
    """A half-open period that is not free, with its free/busy type (RFC 5545 section 3.2.9)."""

    start: Time
    end: Time
    type: BusyType


class CalendarInAnswer(Struct, frozen=True):
    """A calendar that counts for the profile. `detail` is there when some of its time is not known: why."""

    calendar: str
    as_of: Time | None
    state: CalendarHealth
    detail: str | UnsetType = UNSET


class FreeBusy(Struct, frozen=True):
    """When a profile is busy. Periods are sorted, disjoint and clipped to the window."""

    profile: str
    start: Time
    end: Time
    as_of: Time | None
    stale: bool
    complete: bool
    busy: list[BusyPeriodInAnswer]
    calendars: list[CalendarInAnswer]


class Slot(Struct, frozen=True):
    """A half-open period in which an appointment fits."""

    start: Time
    end: Time


class Slots(Struct, frozen=True):
    """The open slots of a profile."""

    profile: str
    start: Time
    end: Time
    as_of: Time | None
    stale: bool
    complete: bool
    slots: list[Slot]


class GroupSlot(Struct, frozen=True):
    """A half-open period in which an appointment fits, and the profiles that are free then."""

    start: Time
    end: Time
    free: list[str]


class PersonInAnswer(Struct, frozen=True):
    """How far the answer can be trusted about one profile, and how much of the window is not free there."""

    profile: str
    as_of: Time | None
    stale: bool
    complete: bool
    busy_seconds: Count


class GroupSlots(Struct, frozen=True):
    """The open slots of several profiles together. `as_of` is that of the profile confirmed longest ago."""

    start: Time
    end: Time
    as_of: Time | None
    stale: bool
    complete: bool
    profiles: list[PersonInAnswer]
    slots: list[GroupSlot]


class ProfileSummary(Struct, frozen=True, gc=False):
    """A profile and whether its data is complete."""

    name: str
    timezone: str
    primary: str | None
    conflicts: tuple[str, ...]
    state: ProfileHealth
    as_of: Time | None
    stale: bool


class Profiles(Struct, frozen=True):
    """The profiles that the caller may see, as they are at the time `now`."""

    now: Time
    profiles: list[ProfileSummary]


class ExplainedEvent(Struct, frozen=True):
    """An event that touches the window, and why it blocks or does not: `explanation` says it for a person."""

    calendar: str
    uid: str
    href: str
    summary: str
    location: str
    start: Time
    end: Time
    type: CountsAs
    blocks: bool
    reason: str
    rule: str | None
    origin: str | None
    explanation: str
    notes: tuple[str, ...]


class ElsewhereInAnswer(Struct, frozen=True):
    """A calendar of the same account that does not count for the profile, and when there is something in it."""

    calendar: str
    periods: list[Slot]
    explanation: str


class Explanation(Struct, frozen=True):
    """Every event that touches the window. `elsewhere` is about calendars that do not count, as far as they were looked
    at and the caller may know of them. `detail` is there for a profile without calendars that block: what that means.
    """

    profile: str
    start: Time
    end: Time
    events: list[ExplainedEvent]
    elsewhere: list[ElsewhereInAnswer]
    detail: str | UnsetType = UNSET


class LinkedCalendar(Struct, frozen=True, gc=False):
    """A calendar that a profile names, found or not."""

    calendar: str
    state: CalendarHealth
    as_of: Time | None
    detail: str


class ProfileStatus(ProfileSummary, frozen=True, gc=False):
    """A profile with the calendars that count for it, and by which role and rules each calendar that it names does."""

    calendars: list[LinkedCalendar]
    links: list[LinkView]


class Calendar(Struct, frozen=True, gc=False):
    """A calendar as its server lists it, and what is known of it. Of a feed's address only the host is shown."""

    calendar: str
    connection: str
    name: str
    id: str
    href: str
    kind: CalendarKind
    writable: bool
    transparent: bool
    linked: bool
    state: Literal["missing", "not-linked", "read", "never-read"]
    as_of: Time | None
    detail: str
    note: str


class Calendars(Struct, frozen=True):
    """The calendars that the caller may see. Reminders lists are named, hold no events and never block."""

    calendars: list[Calendar]
    reminders: list[str]
    """As CONNECTION/NAME; of connections that were listed since the start."""


class ConnectionStatus(Struct, frozen=True, gc=False):
    """A connection, how its last poll went, and its calendars. Reminders lists are named, and never block."""

    name: str
    kind: ConnectionKind
    state: Literal["ok", "trouble", "not-app-specific", "starting", "unused"]
    detail: str
    code: str
    since: Time | None
    last_poll: Time | None
    next_poll: Time | None
    requests: Count
    calendars: list[Calendar]
    reminders: tuple[str, ...]
    owner: str | UnsetType = UNSET
    """The daemon that polls it, where several share a database."""


class Problems(Struct, frozen=True):
    """What could not be taken as it is in the calendars that the caller may see."""

    problems: list[ProblemView]


class UnableProfile(Struct, frozen=True):
    """A profile of which nothing can be proved to be free."""

    profile: str
    state: ProfileHealth


class Health(Struct, frozen=True):
    """Whether busyd runs, or is ready to answer; `cannot_answer` are the profiles for which it is not."""

    status: Literal["alive", "ready"]
    cannot_answer: list[UnableProfile] | UnsetType = UNSET


class SyncProgress(Struct, frozen=True):
    """One line about a poll."""

    connection: str
    calendar: str
    phase: str
    done: int
    total: int
    detail: str | UnsetType = UNSET


class SyncFinished(Struct, frozen=True):
    """The last line: every poll has ended."""

    finished: Literal[True]
    failed: list[str]
    refused: list[str] | UnsetType = UNSET
    """Those of them whose login was refused."""


ALIVE: Final = Health("alive")


def time_or_none(instant: int | None) -> str | None:
    """An instant as it goes out; None stays None."""
    return to_rfc3339(instant) if instant is not None else None
