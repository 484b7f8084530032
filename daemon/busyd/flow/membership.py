"""Whether a span may be taken: exactly when `/slots` would offer it, by the same code. And what is open instead."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from itertools import islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.availability.slots import SlotShape, open_slots
from busyd.errors import BusydError
from busyd.flow.views import ProfileView
from busyd.ical.zones import reading_zone
from busyd.period import EARLIEST, LATEST, Instant, Period, Span

ALTERNATIVES: Final = 3
LOOK_AHEAD: Final = 60 * 86_400
"""Seconds after the wanted start in which alternatives are looked for."""


class WhyNot(StrEnum):
    """The rule by which a span is not offered; the names of the problems of the API."""

    SLOT_TAKEN = "slot-taken"
    OUTSIDE_HOURS = "outside-hours"
    TOO_SOON = "too-soon"
    OFF_GRID = "off-grid"


class NotOffered(BusydError):
    """The span is not one that `/slots` offers."""

    def __init__(self, why: WhyNot, message: str, *, alternatives: Sequence[Period]) -> None:
        super().__init__(message)
        self.why = why
        self.alternatives = alternatives


class Offer(Struct, frozen=True):
    """What a profile offers: the rules of a question for slots of one length."""

    profile: ProfileView
    shape: SlotShape
    earliest: int
    max_age: timedelta

    def around(self, window: Period) -> Period:
        """The window whose events decide about slots in this one."""
        low, high = self.shape.reach(window)
        return Period(Instant(max(low, EARLIEST)), Instant(min(high, LATEST)))

    def slots(self, busy: Sequence[Span], window: Period, *, step: int | None = None) -> Iterator[tuple[int, int]]:
        """The open slots of a window, in order. `busy` must reach `around(window)`."""
        shape = self.shape if step is None else replace(self.shape, step=step)
        zone, hours = reading_zone(self.profile.timezone), self.profile.hours
        found = open_slots(busy, window, zone=zone, hours=hours, shape=shape, earliest=self.earliest)
        return (slot for slot in found if slot is not None)


def offer_of(profile: ProfileView, duration: int, *, now: Instant) -> Offer:
    """What is offered for appointments of this many seconds, with the profile's own values for all else."""
    slots = profile.slots
    shape = SlotShape(
        duration=duration,
        step=int(slots.step.total_seconds()),
        buffer_before=int(slots.buffer_before.total_seconds()),
        buffer_after=int(slots.buffer_after.total_seconds()),
    )
    return Offer(profile, shape, now + int(slots.notice.total_seconds()), profile.max_age)


def why_not(offer: Offer, span: Period, *, busy: Sequence[Span]) -> WhyNot | None:
    """The rule by which a span is not offered; None when it is. `busy` must reach `offer.around(span)`."""
    if any(offer.slots(busy, span)):
        return None
    if span.start < offer.earliest:
        return WhyNot.TOO_SOON
    if not any(offer.slots((), span, step=1)):
        return WhyNot.OUTSIDE_HOURS
    if not any(offer.slots((), span)):
        return WhyNot.OFF_GRID
    return WhyNot.SLOT_TAKEN


def ahead_of(span: Period) -> Period:
    """Where alternatives to a span are looked for."""
    return Period(span.start, Instant(min(span.start + LOOK_AHEAD, LATEST)))


def alternatives(offer: Offer, window: Period, *, busy: Sequence[Span]) -> list[Period]:
    """The next open slots of a window. `busy` must reach `offer.around(window)`."""
    found = islice(offer.slots(busy, window), ALTERNATIVES)
    return [Period(Instant(start), Instant(end)) for start, end in found]
