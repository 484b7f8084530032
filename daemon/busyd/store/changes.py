"""The values of the log of changes: what became busy, free or uncertain, and how connections fare. No titles, ever."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import Struct, field

from busyd.period import Instant, Period, to_rfc3339


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


class EventOrigin(Struct, frozen=True, omit_defaults=True):
    """An event that made a span another one. Its title is not kept: whoever may see it finds it in the mirror."""

    calendar: str
    """As a person named it then."""
    collection: str
    """The href of the calendar."""
    href: str
    uid: str
    what: Literal["blocks", "changed", "released", "deleted"]
    """It takes the time now; in another way than before; no longer, though it exists; or it was deleted."""
    created: Instant | None = None
    """When its calendar's server says that it was created and last changed (RFC 5545 §3.8.7.1, §3.8.7.3)."""
    modified: Instant | None = None


class OwnOrigin(Struct, frozen=True):
    """What of busyd's own took the time, or gave it back: the kind and id of its row."""

    kind: str
    id: str


class ChangeOrigin(Struct, frozen=True, omit_defaults=True):
    """Where a change of a span comes from, as far as that is known: not streamed, told to whoever may see details."""

    events: tuple[EventOrigin, ...] = ()
    more: int = 0
    """Further events that are not listed."""
    own: tuple[OwnOrigin, ...] = ()
    confirmed: Mapping[str, Instant] = field(default_factory=dict)
    """Calendar -> when its server had last confirmed what was known of it before."""
    counts: tuple[str, ...] = ()
    """Calendars that count since then and did not."""
    counts_no_longer: tuple[str, ...] = ()
    other_rules: tuple[str, ...] = ()
    """Calendars that count by other rules or addresses since then."""


class NewEntry(Struct, frozen=True):
    """An entry before it has a number."""

    event: ChangeEvent
    profiles: frozenset[str]
    """Whom it concerns."""
    body: bytes
    """What is told of it, as one line of JSON."""
    token: str = ""
    """Of an appointment: the id of the token by which it was asked for."""
    span: Period | None = None
    """The time that it is about; None for what is about no time."""
    origin: bytes = b""
    """A `ChangeOrigin` as JSON; empty when nothing is known of it."""

    @classmethod
    def of(
        cls,
        event: ChangeEvent,
        profiles: Iterable[str],
        *,
        told: Struct,
        span: Period | None = None,
        origin: ChangeOrigin | None = None,
    ) -> "NewEntry":
        known = msgspec.json.encode(origin) if origin is not None else b""
        return cls(event, frozenset(profiles), msgspec.json.encode(told), span=span, origin=known)


class ChangeEntry(Struct, frozen=True):
    """An entry of the log."""

    number: int
    """Grows with each entry, and never comes again."""
    at: Instant
    change: NewEntry


class SpanChanged(Struct, frozen=True):
    """What is told of a span."""

    at: str
    profile: str
    start: str
    end: str
    type: str
    before: str
    uncertain: bool
    cause: ChangeCause
    calendars: tuple[str, ...]


class ProfileReset(Struct, frozen=True):
    """What is told instead where too much has changed."""

    at: str
    profile: str
    cause: ChangeCause


class ConnectionChanged(Struct, frozen=True):
    """What is told of a connection that failed, or works again."""

    at: str
    connection: str
    state: str
    detail: str


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
        start, end = (Instant(int(datetime.fromisoformat(text).timestamp())) for text in (self.start, self.end))
        return NewEntry(
            ChangeEvent.APPOINTMENT,
            frozenset({self.profile}),
            msgspec.json.encode(body),
            token=self.token,
            span=Period(start, end),
        )


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
