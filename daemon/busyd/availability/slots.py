"""Open slots: where in a window an appointment can start, given the busy time and the working hours. Pure.

Unknown time must be passed in as BUSY-UNAVAILABLE; nothing here can tell free from unknown.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from msgspec import Struct

from busyd.availability.hours import DAY as MINUTES_OF_DAY
from busyd.availability.hours import Hours
from busyd.ical.zones import Zone
from busyd.period import EARLIEST, LATEST, FbType, Instant, Period, Span, coalesce, subtract

_ALL_DAY = ((0, MINUTES_OF_DAY),)
_DAY: Final = 86_400
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()
_AT_ONCE = 2000
"""Slots examined before yielding to the loop."""
_LAID_OUT_AT_ONCE = 150
"""Spans of hours converted to instants before yielding to the loop: a millisecond."""


class SlotShape(Struct, frozen=True):
    """The slots wanted; everything in seconds."""

    duration: int
    step: int
    buffer_before: int = 0
    """Free time needed before the appointment. It counts against events, not against the edges of the hours."""
    buffer_after: int = 0
    tentative_blocks: bool = True

    def reach(self, window: Period) -> Period:
        """The window whose events decide about slots in this one."""
        low, high = window.start - self.buffer_before, window.end + self.buffer_after
        return Period(Instant(max(low, EARLIEST)), Instant(min(high, LATEST)))


def open_slots(
    busy: Sequence[Span],
    window: Period,
    *,
    zone: Zone,
    hours: Hours | None,
    shape: SlotShape,
    earliest: int,
    closed: Sequence[tuple[int, int]] = (),
) -> Iterator[tuple[int, int] | None]:
    """The (start, end) of every open slot in order of start, with None in between whenever the loop should run.

    A slot lies wholly inside the window, starts at `earliest` or later, and on a grid of `shape.step` counted from the
    start of each span of hours, or from midnight in `zone` where there are no hours. It lies wholly inside the hours;
    spans that touch, also at midnight, are one for that. Seconds count, not clock readings: on the day the clocks
    change, a grid of an hour stays a grid of an hour.

    `busy` must be sorted, disjoint, and reach `shape.reach(window)`. `closed`: spans, sorted and disjoint, in which no
    slot starts.
    """
    bounds = (max(window.start, earliest), window.end)
    if bounds[0] >= bounds[1]:
        return
    spans: list[tuple[int, int]] = []
    for span in working_spans(window, zone, hours=hours):
        spans.append(span)
        if len(spans) % _LAID_OUT_AT_ONCE == 0:
            yield None
    inside = coalesce((max(start, bounds[0]), min(end, bounds[1])) for start, end in spans)
    least = FbType.BUSY_TENTATIVE if shape.tentative_blocks else FbType.BUSY_UNAVAILABLE
    taken = coalesce(
        (start - shape.buffer_after, end + shape.buffer_before) for start, end, fbtype in busy if fbtype >= least
    )
    free = subtract(inside, taken)
    at = shut = looked_at = 0
    for first, last in spans:
        while at < len(free) and free[at][1] <= first:
            at += 1
        piece = at
        while piece < len(free) and free[piece][0] < last:
            low, high = free[piece]
            start = _on_grid(max(first, low), first, step=shape.step)
            while start < last and start + shape.duration <= high:
                while shut < len(closed) and closed[shut][1] <= start:
                    shut += 1
                if shut < len(closed) and closed[shut][0] <= start:
                    start = _on_grid(closed[shut][1], first, step=shape.step)
                    continue
                yield start, start + shape.duration
                looked_at += 1
                if looked_at % _AT_ONCE == 0:
                    yield None
                start += shape.step
            piece += 1
        looked_at += 1
        if looked_at % _AT_ONCE == 0:
            yield None


def _on_grid(moment: int, first: int, *, step: int) -> int:
    """The first point of a grid that is not before a moment; integers, so nothing is rounded."""
    return first - (first - moment) // step * step


def count_steps(window: Period, *, zone: Zone, hours: Hours | None, step: int) -> int:
    """How many points the grid can have inside the hours of a window."""
    inside = (
        (max(start, window.start), min(end, window.end)) for start, end in working_spans(window, zone, hours=hours)
    )
    return sum(-((start - end) // step) for start, end in inside)


def working_spans(window: Period, zone: Zone, *, hours: Hours | None) -> Iterator[tuple[int, int]]:
    """The spans of hours that may touch the window, in order, as instants."""
    first = max(_date_at(window.start, zone).toordinal() - 1, date.min.toordinal())
    last = _date_at(window.end, zone).toordinal()
    for day in map(date.fromordinal, range(first, last + 1)):
        for opens, closes in hours.on(day) if hours is not None else _ALL_DAY:
            start, end = instant_at(day, opens, zone=zone), instant_at(day, closes, zone=zone)
            if start < end and start < window.end and window.start < end:
                yield start, end


def _date_at(instant: Instant, zone: Zone) -> date:
    """The date of a zone; where the calendar begins or ends within a day of the instant, its first or last date."""
    ordinal = _FIRST_DAY + zone.wall(instant) // _DAY
    return date.fromordinal(min(max(ordinal, date.min.toordinal()), date.max.toordinal()))


def instant_at(day: date, minute: int, *, zone: Zone) -> int:
    """The instant at which the clocks of a zone read so many minutes from midnight; 1440 is the next midnight.

    As in RFC 5545 §3.3.5, a local time that occurs twice is the first one, and one that is skipped is read with the
    offset from before the gap.
    """
    return zone.instant((day.toordinal() - _FIRST_DAY) * _DAY + minute * 60)
