"""The second journey: a question -> an answer from memory. Every listener that tells busy time goes through here."""

from collections.abc import Awaitable, Callable
from enum import StrEnum

from msgspec import Struct

from busyd.availability.snapshot import Snapshot, with_unknown
from busyd.connection import CalendarKind
from busyd.errors import UserError
from busyd.period import BusyPeriod, FbType, Instant, Period, Span
from busyd.state.links import Link
from busyd.state.state import ProfileState, State
from busyd.store.mirror import CalendarRecord


class CalendarHealth(StrEnum):
    """What is known of a linked calendar, as one word for the reader of an answer."""

    FRESH = "fresh"
    STALE = "stale"
    """Read before, but its last proof is older than the profile's max_age."""
    NEVER_READ = "never-read"
    """Linked, but not completely read yet: its time is not known, so all of it blocks."""
    MISSING = "missing"
    """The connection has no such calendar (any more): what was last known of it counts, or else all time blocks."""


class CalendarState(Struct, frozen=True):
    """One linked calendar in an answer."""

    calendar: str
    """As the user would write it: CONNECTION/NAME."""
    as_of: Instant | None
    """The last moment at which the remote confirmed what the mirror holds; None when it never did."""
    state: CalendarHealth
    detail: str = ""
    """What is wrong and what to do; empty when all is well."""
    note: str = ""
    """Why some of its time is not known though its server was read; empty when all of it is. Also in `detail`."""
    fresh_until: Instant | None = None
    """The last second at which its proof is young enough."""


class Freshness(Struct, frozen=True):
    """How far a profile's answers can be trusted at this moment."""

    as_of: Instant | None
    """The oldest of its calendars' proofs; None when one was never read."""
    stale: bool
    known: bool
    """False when some calendar was never read: then nothing can be called free."""
    calendars: tuple[CalendarState, ...]


class FreeBusyAnswer(Struct, frozen=True):
    """When a profile is busy inside a window."""

    profile: str
    window: Period
    freshness: Freshness
    complete: bool
    spans: list[Span]
    """Sorted, disjoint, clipped: the canonical form of `period.flatten`."""

    @property
    def busy(self) -> list[BusyPeriod]:
        return [BusyPeriod(Instant(start), Instant(end), FbType(fbtype)) for start, end, fbtype in self.spans]


class UnknownProfile(UserError):
    """Asked for a profile that is not configured."""


Expander = Callable[[ProfileState, Period], Awaitable[Snapshot]]
"""Builds a snapshot for a window beyond the horizon, from the mirror."""


def find_profile(state: State, name: str) -> ProfileState:
    """Raises UnknownProfile, with what there is."""
    profile_state = state.profiles.get(name)
    if profile_state is None:
        there_is = ", ".join(sorted(state.profiles)) or "none"
        message = f"there is no profile {name!r}"
        raise UnknownProfile(message, fix=f"profiles in the configuration: {there_is}")
    return profile_state


def freshness_of(state: State, profile_state: ProfileState, now: Instant, *, max_age: int | None = None) -> Freshness:
    """Judge every link of a profile at this moment, by the age in seconds that a question names or by its own rules."""
    blocking = [link for link in profile_state.links if link.blocks]
    calendars = tuple(_judge(state, profile_state, link, now, max_age) for link in blocking)
    proofs = [calendar.as_of for calendar in calendars]
    read = [proof for proof in proofs if proof is not None]
    known = bool(blocking) and len(read) == len(proofs)
    as_of = min(read) if known else None
    stale = as_of is None or any(_is_old(one, now) for one in calendars)
    return Freshness(as_of, stale, known, calendars)


async def ask_freebusy(state: State, expand: Expander, name: str, window: Period, now: Instant) -> FreeBusyAnswer:
    """When a profile is busy. Inside the horizon it is two bisections; beyond it the mirror is expanded, exactly."""
    profile_state = find_profile(state, name)
    freshness = freshness_of(state, profile_state, now)  # before any wait: later proofs say nothing of what is read now
    snapshot = profile_state.snapshot
    if snapshot is not None and not snapshot.covers(window):
        snapshot = await expand(profile_state, window)
    return answer(profile_state, snapshot, freshness, window)


def answer(
    profile_state: ProfileState, snapshot: Snapshot | None, freshness: Freshness, window: Period
) -> FreeBusyAnswer:
    """Read a snapshot. What is not known blocks: without a snapshot, or with an unread calendar, the whole window."""
    spans = snapshot.between(window) if snapshot is not None else []
    understood = snapshot is not None and snapshot.understood(window)
    known = freshness.known and snapshot is not None
    if not known:
        spans = with_unknown(spans, window)
    return FreeBusyAnswer(profile_state.profile.name, window, freshness, known and understood, spans)


def _is_old(calendar: CalendarState, now: Instant) -> bool:
    if calendar.as_of is None or calendar.fresh_until is None:
        return True
    return not calendar.as_of <= now <= calendar.fresh_until


def _judge(state: State, profile_state: ProfileState, link: Link, now: Instant, max_age: int | None) -> CalendarState:
    connection = state.connection_state(link.reference.connection)
    if link.calendar is None:
        listed = connection.listed
        health = CalendarHealth.MISSING if listed else CalendarHealth.NEVER_READ
        return CalendarState(link.label, None, health, connection.trouble or link.trouble)
    record = state.calendars[link.calendar]
    trouble = connection.calendar_trouble.get(record.id, "") or connection.trouble
    note = state.note_about(record.id)
    if not record.complete or record.as_of is None:
        detail = trouble or note or "it is being read for the first time"
        return CalendarState(link.label, None, CalendarHealth.NEVER_READ, detail, note)
    longest = _longest_age(profile_state, record, troubled=bool(trouble)) if max_age is None else max_age
    fresh_until = Instant(record.as_of + longest)
    if record.missing_since is not None:
        gone = "its server no longer lists it; what was last known of it still counts"
        detail = _sentences(trouble or gone, note)
        return CalendarState(link.label, record.as_of, CalendarHealth.MISSING, detail, note, fresh_until)
    # A proof from the future is none: the clock was set back, and nobody knows by how much too far.
    health = CalendarHealth.FRESH if record.as_of <= now <= fresh_until else CalendarHealth.STALE
    return CalendarState(link.label, record.as_of, health, _sentences(trouble, note), note, fresh_until)


def _sentences(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def _longest_age(profile_state: ProfileState, record: CalendarRecord, *, troubled: bool) -> int:
    """Seconds for which a proof holds. A feed that is looked at every six hours is not stale in between, as long as
    it can be looked at."""
    longest = int(profile_state.profile.max_age.total_seconds())
    if record.remote.kind in (CalendarKind.FEED, CalendarKind.SUBSCRIBED) and not troubled:
        return max(longest, int(record.validators.get("interval", "0")) * 3 // 2)
    return longest
