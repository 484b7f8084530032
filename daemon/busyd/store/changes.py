"""The values of the log of changes: what became busy, free or uncertain, and how connections fare. No titles, ever."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct

from busyd.period import Instant


class ChangeEvent(StrEnum):
    """What an entry is about; also the event types of the streams, which have `heartbeat` besides."""

    BUSY = "busy"
    FREE = "free"
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

    @classmethod
    def of(cls, event: ChangeEvent, profiles: Iterable[str], *, told: Struct) -> "NewEntry":
        return cls(event, frozenset(profiles), msgspec.json.encode(told))


class ChangeEntry(Struct, frozen=True):
    """An entry of the log."""

    number: int
    """Grows with each entry, and never comes again."""
    at: Instant
    change: NewEntry


class ToldState(Struct, frozen=True):
    """What all entries up to now amount to, written in one transaction with the last of them."""

    snapshots: Sequence[tuple[str, bytes]] = ()
    """Profile and packed snapshot."""
    failing: Sequence[str] = ()
    """Connections of which a failure was told."""
    recovered: Sequence[str] = ()


class NumberGone(Exception):
    """The entry asked for is no longer kept, or was never written: what came after it cannot be told."""
