"""The values of the log of changes: what became busy, free or uncertain, and how connections fare. No titles, ever."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct

from busyd.period import Instant, to_rfc3339


class ChangeEvent(StrEnum):
    """What an entry is about; also the event types of the streams, which have `heartbeat` besides."""

    BUSY = "busy"
    FREE = "free"
    APPOINTMENT = "appointment"
    CONNECTION = "connection"
    RESET = "reset"
    """More has changed than is told one by one: what was known before is worth nothing."""


class ChangeCause(StrEnum):
    """Why something is known of a span that was not known before."""

    CALENDAR = "calendar"
    """A calendar has changed."""
    OWN = "own"
    """busyd itself has taken the time, or given it back: a block, a hold, an appointment."""
    CONFIGURATION = "configuration"
    """Other calendars, rules or addresses count."""
    READING = "reading"
    """A calendar was read for the first time, or can no longer be counted as read."""
    RESTART = "restart"
    """It changed at a time when nobody could tell: found when busyd started."""


class NewEntry(Struct, frozen=True):
    """An entry before it has a number."""

    event: ChangeEvent
    profiles: frozenset[str]
    """Whom it concerns."""
    body: bytes
    """What is told of it, as one line of JSON."""
    token: str = ""
    """Of an appointment: the id of the token by which it was asked for."""

    @classmethod
    def of(cls, event: ChangeEvent, profiles: Iterable[str], *, told: Struct) -> "NewEntry":
        return cls(event, frozenset(profiles), msgspec.json.encode(told))


class ChangeEntry(Struct, frozen=True):
    """An entry of the log."""

    number: int
    """Grows with each entry, and never comes again."""
    at: Instant
    change: NewEntry


class AppointmentChanged(Struct, frozen=True):
    """What is told of an appointment that is in another state, or at another time."""

    at: str
    profile: str
    appointment: str
    state: str
    before: str
    """The state that was told last; empty when nothing was."""
    reason: str
    changed_elsewhere: str
    start: str
    end: str


class ToldAppointment(Struct, frozen=True):
    """What of an appointment is told to whoever follows changes."""

    id: str
    profile: str
    token: str
    state: str
    reason: str
    changed_elsewhere: str
    start: str
    end: str

    def entry_after(self, before: "ToldAppointment | None", *, at: Instant) -> NewEntry:
        """The entry that tells it to whoever knows what was told before."""
        body = AppointmentChanged(
            at=to_rfc3339(at),
            profile=self.profile,
            appointment=self.id,
            state=self.state,
            before=before.state if before is not None else "",
            reason=self.reason,
            changed_elsewhere=self.changed_elsewhere,
            start=self.start,
            end=self.end,
        )
        return NewEntry(ChangeEvent.APPOINTMENT, frozenset({self.profile}), msgspec.json.encode(body), token=self.token)


class ToldState(Struct, frozen=True):
    """What all entries up to now amount to, written in one transaction with the last of them."""

    snapshots: Sequence[tuple[str, bytes]] = ()
    """Profile and packed snapshot."""
    failing: Sequence[str] = ()
    """Connections of which a failure was told."""
    recovered: Sequence[str] = ()
    appointments: Sequence[ToldAppointment] = ()
    """Appointments as they are to be told. Those that were told so already have no entry."""
    is_silent: bool = False
    """Whether the appointments are taken as told, without entries."""


class NumberGone(Exception):
    """The entry asked for is no longer kept, or was never written: what came after it cannot be told."""
