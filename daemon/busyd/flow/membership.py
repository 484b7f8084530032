"""Whether a span may be taken: exactly when `/slots` would offer it, by the same code. And what is open instead."""

from bisect import bisect_left
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from busyd.availability.full_days import full_spans
from busyd.availability.hours import Hours, SlotDefaults
from busyd.availability.slots import SlotShape, open_slots
from busyd.cooperative import in_slices
from busyd.errors import BusydError
from busyd.flow.ask import FreeBusyAnswer, OnStale, Unanswerable, UnknownProfile, resolve_unknown
from busyd.flow.views import ProfileView
from busyd.ical.zones import Zone, reading_zone
from busyd.period import EARLIEST, LATEST, Instant, Period, Span
from busyd.timetext import write_duration

ALTERNATIVES: Final = 3
LOOK_AHEAD: Final = 60 * 86_400
"""Seconds after the wanted start in which alternatives are looked for."""

_LONGEST_WEEK: Final = 8 * 86_400
"""Seconds; clocks may be set back in it."""


class WhyNot(StrEnum):
    """The rule by which a span is not offered; the names of the problems of the API."""

    SLOT_TAKEN = "slot-taken"
    OUTSIDE_HOURS = "outside-hours"
    TOO_SOON = "too-soon"
    TOO_FAR = "too-far"
    OFF_GRID = "off-grid"
    LIMIT_REACHED = "limit-reached"


class NotProven(BusydError):
    """What is known is too old, and the calendars could not be confirmed at once."""


class NotConnected(NotProven):
    """Nothing can be sent to a connection before it was polled."""

    def __init__(self, connection: str) -> None:
        super().__init__(f"the connection {connection} is not connected yet")


class LoginNotAccepted(NotProven):
    """Nothing can be sent to a connection before the right password is stored for it."""

    def __init__(self, connection: str) -> None:
        super().__init__(f"the server of the connection {connection} does not accept its login")
        self.connection = connection


class NotOffered(BusydError):
    """The span is not one that `/slots` offers."""

    def __init__(
        self, why: WhyNot, message: str, *, reach: Period, alternatives: Sequence[Period], is_past: bool = False
    ) -> None:
        super().__init__(message)
        self.why = why
        self.is_past = is_past
        """It has begun already, whatever the notice."""
        self.reach = reach
        """The span with the free time that it needs around it."""
        self.alternatives = alternatives


class FreeBusySource(Protocol):
    """What is needed of `Backend`."""

    async def freebusy(self, profile: str, window: Period) -> FreeBusyAnswer: ...


class ProfileSource(FreeBusySource, Protocol):
    """The same, with what is known of profiles."""

    def profile(self, name: str) -> ProfileView | None: ...


class Offer(Struct, frozen=True):
    """What a profile offers at a moment: the rules of a question for slots of one length."""

    profile: ProfileView
    shape: SlotShape
    zone: Zone
    hours: Hours | None
    now: Instant
    earliest: int
    """No slot starts before this."""
    latest: int | None
    """No slot starts after this."""
    full: Sequence[tuple[int, int]]
    """Days and weeks in which nothing more may start."""

    def slots(self, busy: Sequence[Span], window: Period) -> Iterator[tuple[int, int] | None]:
        """The open slots of a window, as `open_slots` has them. `busy` must reach `shape.reach(window)`."""
        last = window.end if self.latest is None else min(window.end, self.latest + self.shape.duration)
        if last <= window.start:
            return iter(())
        return open_slots(
            busy,
            Period(window.start, Instant(last)),
            zone=self.zone,
            hours=self.hours,
            shape=self.shape,
            earliest=self.earliest,
            closed=self.full,
        )


def make_offer(
    profile: ProfileView,
    shape: SlotShape,
    *,
    notice: int,
    hours: Hours | None,
    now: Instant,
    ignored: Collection[str] = (),
) -> Offer:
    """What is offered for a question. `ignored`: ids of rows that do not count, since they are to be replaced."""
    zone, slots, own = reading_zone(profile.timezone), profile.slots, profile.own_starts
    this_week = bisect_left(own, (now - _LONGEST_WEEK, ""))  # nothing is offered in the past
    starts = [start for start, row in own[this_week:] if row not in ignored]
    return Offer(
        profile,
        shape,
        zone=zone,
        hours=hours,
        now=now,
        earliest=now + notice,
        latest=None if slots.window is None else now + _seconds(slots.window),
        full=full_spans(starts, slots, zone=zone),
    )


def offer_of(profile: ProfileView, duration: int, *, now: Instant, ignored: Collection[str] = ()) -> Offer:
    """What is offered for appointments of this many seconds, with the profile's own values for all else."""
    slots, shape = profile.slots, default_shape(profile.slots, duration)
    return make_offer(profile, shape, notice=_seconds(slots.notice), hours=profile.hours, now=now, ignored=ignored)


def default_shape(slots: SlotDefaults, duration: int) -> SlotShape:
    """Slots of this many seconds, with a profile's own values for all else."""
    return SlotShape(
        duration=duration,
        step=_seconds(slots.step),
        buffer_before=_seconds(slots.buffer_before),
        buffer_after=_seconds(slots.buffer_after),
    )


def why_not(offer: Offer, span: Period, *, busy: Sequence[Span]) -> WhyNot | None:
    """The rule by which a span is not offered; None when it is. `busy` must reach `offer.shape.reach(span)`."""
    if _is_offered(offer, span, busy=busy):
        return None
    if span.start < offer.earliest:
        return WhyNot.TOO_SOON
    if offer.latest is not None and span.start > offer.latest:
        return WhyNot.TOO_FAR
    unlimited = replace(offer, full=())
    if not _is_offered(replace(unlimited, shape=replace(offer.shape, step=1)), span, busy=()):
        return WhyNot.OUTSIDE_HOURS
    if not _is_offered(unlimited, span, busy=()):
        return WhyNot.OFF_GRID
    return WhyNot.SLOT_TAKEN if _is_offered(offer, span, busy=()) else WhyNot.LIMIT_REACHED


def _is_offered(offer: Offer, span: Period, *, busy: Sequence[Span]) -> bool:
    return any(slot is not None for slot in offer.slots(busy, span))


def require_profile(answers: ProfileSource, name: str) -> ProfileView:
    """A profile as it is now. Raises UnknownProfile."""
    profile = answers.profile(name)
    if profile is None:
        message = f"there is no profile {name}"
        raise UnknownProfile(message)
    return profile


async def not_offered(answers: FreeBusySource, offer: Offer, *, why: WhyNot, span: Period) -> NotOffered:
    """The refusal of a span, with what is open instead. Raises as `find_alternatives` does."""
    found = await find_alternatives(answers, offer, since=span.start)
    is_past = why is WhyNot.TOO_SOON and span.start < offer.now
    message = "the time is in the past" if is_past else explain_refusal(why, offer)
    return NotOffered(why, message, reach=offer.shape.reach(span), alternatives=found, is_past=is_past)


def explain_refusal(why: WhyNot, offer: Offer) -> str:
    """What a refusal says."""
    slots = offer.profile.slots
    if why is WhyNot.LIMIT_REACHED:
        limits = ((slots.per_day, "per day"), (slots.per_week, "per week"))
        most = ", ".join([f"{limit} {each}" for limit, each in limits if limit is not None])
        return f"{_REASONS[why]}: at most {most}"
    if why is WhyNot.TOO_FAR and slots.window is not None:
        return f"{_REASONS[why]}: at most {write_duration(slots.window)}"
    return _REASONS[why]


_REASONS: Final[Mapping[WhyNot, str]] = {
    WhyNot.SLOT_TAKEN: "the time is not free",
    WhyNot.OUTSIDE_HOURS: "the time is outside the working hours",
    WhyNot.TOO_SOON: "the time is too soon",
    WhyNot.TOO_FAR: "the time is too far ahead",
    WhyNot.OFF_GRID: "nothing may start at this time",
    WhyNot.LIMIT_REACHED: "the day or week is full",
}


async def find_alternatives(answers: FreeBusySource, offer: Offer, *, since: Instant) -> list[Period]:
    """The next three open slots from a moment on, for the same parameters, at most `LOOK_AHEAD` away.

    From the end of the notice at the earliest; where the moment is too far ahead, from there. None while the calendars
    are stale, nor in time in which there may be an event that nobody can read. Raises UnknownProfile, StorageError.
    """
    is_beyond = offer.latest is not None and since > offer.latest
    start = max(offer.earliest, EARLIEST if is_beyond else since)
    if start >= LATEST:
        return []
    window = Period(Instant(start), Instant(min(start + LOOK_AHEAD, LATEST)))
    answer = await answers.freebusy(offer.profile.name, offer.shape.reach(window))
    if answer.snapshot is not None and window.start < answer.snapshot.incomplete_since < answer.window.end:
        # An event may be at any time from then on; what is before it is known.
        window = Period(window.start, Instant(answer.snapshot.incomplete_since))
        answer = replace(answer, window=window)
    try:
        busy = resolve_unknown(answer, OnStale.ERROR).spans
    except Unanswerable:
        return []
    return await in_slices(_first(offer, window, busy=busy))


def _first(offer: Offer, window: Period, *, busy: Sequence[Span]) -> Generator[None, None, list[Period]]:
    found: list[Period] = []
    for slot in offer.slots(busy, window):
        if slot is None:
            yield
        else:
            found.append(Period(Instant(slot[0]), Instant(slot[1])))
            if len(found) == ALTERNATIVES:
                break
    return found


def _seconds(length: timedelta) -> int:
    return int(length.total_seconds())
