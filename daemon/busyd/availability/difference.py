"""Two snapshots -> what changed from one to the other, in which stretches of time, and by which calendars."""

from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from busyd.availability.snapshot import Snapshot
from busyd.availability.splicing import Touched, cut
from busyd.period import FbType, Instant, Period, coalesce


class Known(Struct, frozen=True):
    """What is known of a moment."""

    fbtype: FbType
    uncertain: bool = False
    """Some event that may be then could not be understood."""


class Change(Struct, frozen=True):
    """A stretch of time of which something else is known now, the same in all of it."""

    start: Instant
    end: Instant
    before: Known
    now: Known
    calendars: tuple[int, ...] = ()
    """Ids of the calendars that changed there, one of which is the cause; empty when the cause lies elsewhere: in the
    configuration, in the calendars that are linked."""


def find_changes(
    before: Snapshot, now: Snapshot, *, touched: Sequence[Touched] | None
) -> Generator[None, None, list[Change]]:
    """What changed in the time that both snapshots cover, in order; `touched` as the rebuild of `now` has it.

    Yields between slices.
    """
    low, high = max(before.span.start, now.span.start), min(before.span.end, now.span.end)
    changes: list[Change] = []
    if low >= high:
        return changes
    causes = touched or ()
    stretches = coalesce(stretch for one in causes for stretch in one.stretches)
    if touched is None or before.incomplete_since != now.incomplete_since:
        stretches = [(low, high)]
    for start, end in cut([(max(start, low), min(end, high)) for start, end in stretches]):
        window = Period(Instant(start), Instant(end))
        if not _is_same(before, now, window=window):
            for change in _in_window(before, now, window=window, causes=causes):
                _append(changes, change)
                yield
        yield
    return changes


def _is_same(before: Snapshot, now: Snapshot, *, window: Period) -> bool:
    """Whether two snapshots surely know the same of a window; cheaper than to look for what they do not."""
    return (
        before.unknown == now.unknown
        and min(before.incomplete_since, window.end) == min(now.incomplete_since, window.end)
        and before.between(window) == now.between(window)
    )


def _append(changes: list[Change], change: Change) -> None:
    """Add a change, as a part of the last one where it goes on as that was."""
    last = changes[-1] if changes else None
    if last is not None and last.end == change.start and replace(last, start=change.start, end=change.end) == change:
        changes[-1] = replace(last, end=change.end)
    else:
        changes.append(change)


def _in_window(before: Snapshot, now: Snapshot, *, window: Period, causes: Sequence[Touched]) -> Iterator[Change]:
    one, other = _Sight(before, window), _Sight(now, window)
    calendars = [(cause.calendar, _Stretches(cause.stretches)) for cause in causes]
    edges = {window.start, window.end, *one.edges, *other.edges}
    edges |= {edge for _, stretches in calendars for edge in stretches.edges if window.start < edge < window.end}
    ordered = sorted(edges)
    for start, end in pairwise(ordered):
        was, known = one.at(start), other.at(start)
        if was != known:
            by = tuple(number for number, stretches in calendars if stretches.has(start))
            yield Change(Instant(start), Instant(end), was, known, by)


class _Stretches:
    """Sorted, disjoint stretches, asked for moments."""

    def __init__(self, stretches: Sequence[tuple[int, int]]) -> None:
        self._stretches = stretches
        self._starts = [start for start, _ in stretches]

    @property
    def edges(self) -> Iterator[int]:
        return (edge for stretch in self._stretches for edge in stretch)

    def has(self, moment: int) -> bool:
        at = bisect_right(self._starts, moment) - 1
        return at >= 0 and moment < self._stretches[at][1]


class _Sight:
    """What a snapshot knows inside a window, asked for moments."""

    def __init__(self, snapshot: Snapshot, window: Period) -> None:
        self._spans = snapshot.between(window)
        self._starts = [start for start, _, _ in self._spans]
        self._unplaced_since = snapshot.incomplete_since
        inside = [(max(start, window.start), min(end, window.end)) for start, end in snapshot.unknown]
        self._unknown = _Stretches(coalesce(inside))
        self.edges = {edge for start, end, _ in self._spans for edge in (start, end)} | set(self._unknown.edges)
        if window.start < self._unplaced_since < window.end:
            self.edges.add(self._unplaced_since)

    def at(self, moment: int) -> Known:
        number = bisect_right(self._starts, moment) - 1
        is_busy = number >= 0 and moment < self._spans[number][1]
        fbtype = FbType(self._spans[number][2]) if is_busy else FbType.FREE
        return Known(fbtype, moment >= self._unplaced_since or self._unknown.has(moment))
