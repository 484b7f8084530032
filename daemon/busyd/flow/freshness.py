"""How far a profile's answers can be trusted at a moment: when each of its calendars was last confirmed. No I/O."""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from busyd.advice.trouble import describe_missing
from busyd.clock import Now
from busyd.connection import CalendarKind
from busyd.period import Instant, to_rfc3339
from busyd.state.connection_state import ConnectionState
from busyd.state.links import Link
from busyd.state.profile_state import ProfileState
from busyd.state.state import State
from busyd.store.mirror import CalendarRecord

_LONGEST_HOLD: Final = 3600
"""Seconds after which a freshness is judged anew even if nothing seems to change."""
_SELDOM: Final = timedelta(minutes=10)
"""An account polled less often than this would be stale between two polls by the default of `max_age`."""


class CalendarHealth(StrEnum):
    """What is known of a linked calendar, in one word."""

    FRESH = "fresh"
    STALE = "stale"
    """Read before, but last confirmed longer ago than max_age."""
    NEVER_READ = "never-read"
    """Linked, but not completely read yet: its time is not known, so all of it blocks."""
    MISSING = "missing"
    """The connection has no such calendar (any more): what was last known of it counts, or else all time blocks."""


class CalendarFreshness(Struct, frozen=True, gc=False):
    """One linked calendar in an answer."""

    calendar: str
    """As the user would write it: CONNECTION/NAME."""
    as_of: Instant | None
    """When the remote last confirmed what the mirror holds; None when it never did."""
    state: CalendarHealth
    detail: str = ""
    """What is wrong and what to do; empty when all is well."""
    note: str = ""
    """Why some of its time is not known although its server was read; empty when all of it is. Also in `detail`."""
    fresh_for: float | None = None
    """Seconds for which its confirmation is still recent enough, less than 0 when it is not; None when nobody knows how
    old it is."""

    is_pending: bool = False
    """It is being read for the first time, and nothing has gone wrong so far."""

    @property
    def is_old(self) -> bool:
        """Whether its confirmation is not, or not known to be, recent enough."""
        return self.fresh_for is None or self.fresh_for < 0


class Freshness(Struct, frozen=True):
    """How far a profile's answers can be trusted."""

    as_of: Instant | None
    """When the calendar confirmed longest ago was confirmed; None when one was never read."""
    stale: bool
    known: bool
    """False when some calendar was never read: then nothing can be called free."""
    calendars: tuple[CalendarFreshness, ...]
    holds_from: Instant
    """When it was judged. After the clock was set back before this, it must be judged anew."""
    holds_until: Instant
    """The last second before the passing of time alone changes it."""
    holds_until_monotonic: float
    """The same on the clock that nobody can set."""

    @property
    def is_pending(self) -> bool:
        """Whether more will be known soon, as a calendar is being read for the first time."""
        return any(calendar.is_pending for calendar in self.calendars)

    def holds_at(self, now: Now) -> bool:
        """Whether judging anew would come to the same."""
        return self.holds_from <= now.wall <= self.holds_until and now.monotonic <= self.holds_until_monotonic


def freshness_of(
    state: State,
    profile_state: ProfileState,
    *,
    now: Now,
    max_age: float | None = None,
    links: Sequence[Link] | None = None,
) -> Freshness:
    """Judge every calendar that blocks, or those of these links.

    `max_age`: seconds allowed since a confirmation; None: as configured.
    """
    blocking = [link for link in profile_state.links if link.blocks] if links is None else links
    calendars = tuple(_judge(state, profile_state, link=link, now=now, max_age=max_age) for link in blocking)
    confirmed = [calendar.as_of for calendar in calendars if calendar.as_of is not None]
    known = bool(blocking) and len(confirmed) == len(calendars)
    as_of = min(confirmed) if known else None
    changes = (change for calendar in calendars if (change := _until_change(calendar, now.wall)) is not None)
    hold = min(changes, default=_LONGEST_HOLD)
    return Freshness(
        as_of=as_of,
        stale=as_of is None or any(calendar.is_old for calendar in calendars),
        known=known,
        calendars=calendars,
        holds_from=now.wall,
        holds_until=Instant(now.wall + int(hold)),
        holds_until_monotonic=now.monotonic + hold,
    )


def _until_change(calendar: CalendarFreshness, now: Instant) -> float | None:
    """Seconds for which a calendar's state stays as it is; None when time alone will not change it."""
    if calendar.as_of is not None and calendar.as_of > now:
        return calendar.as_of - 1 - now
    return None if calendar.is_old else calendar.fresh_for


def _judge(
    state: State, profile_state: ProfileState, *, link: Link, now: Now, max_age: float | None
) -> CalendarFreshness:
    connection = state.connection_state(link.reference.connection)
    record = state.calendars.get(link.calendar) if link.calendar is not None else None
    if record is None:  # also one that left with its connection, until a snapshot without it is made
        is_beyond = link.reference.is_wildcard and connection.partial
        health = CalendarHealth.MISSING if connection.listed and not is_beyond else CalendarHealth.NEVER_READ
        # Once its calendars are known, a connection that fails now is not why one of them is not there.
        detail = link.trouble if connection.listed and link.trouble else connection.trouble or link.trouble
        is_pending = not connection.listed and not connection.trouble
        return CalendarFreshness(link.label, None, health, detail, is_pending=is_pending)
    trouble = connection.calendar_trouble.get(record.id, "") or connection.trouble
    note = state.note_about(record.id)
    if not record.complete or record.as_of is None:
        detail = trouble or note or "it is being read for the first time"
        is_pending = not (trouble or note)
        return CalendarFreshness(link.label, None, CalendarHealth.NEVER_READ, detail, note, is_pending=is_pending)
    longest = max_age
    if longest is None:
        configured = link.max_age or profile_state.profile.max_age
        interval = 0 if trouble or link.max_age else _seldom(record, connection)
        longest = max(int(configured.total_seconds()), interval * 3 // 2)
    age = state.proofs.age_of(record, now)
    fresh_for = None if age is None else longest - age
    if record.missing_since is not None:
        trouble = trouble or describe_missing(to_rfc3339(record.missing_since), is_gone=record.gone)
        health = CalendarHealth.MISSING
    else:
        health = CalendarHealth.STALE if age is None or age > longest else CalendarHealth.FRESH
    detail = "; ".join(filter(None, (trouble, note, link.note)))
    return CalendarFreshness(link.label, record.as_of, health, detail, note, fresh_for)


def _seldom(record: CalendarRecord, connection: ConnectionState) -> int:
    """Seconds between two polls of a calendar that is polled seldom, else 0. It is not stale between them, as long as
    they succeed."""
    if record.remote.kind in (CalendarKind.FEED, CalendarKind.SUBSCRIBED):
        return int(record.validators.get("interval", "0"))
    poll = connection.connection.poll
    return int(poll.total_seconds()) if poll > _SELDOM else 0
