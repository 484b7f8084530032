"""A zone as a table of clock changes: wall times to instants and back by bisection.

RFC 5545 §3.3.5: a wall time that does not exist has the offset from before the gap, one that exists twice is the first
of the two. In both cases, the offset before the change applies until both clocks have passed the time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

CYCLE: Final = 146_097 * 86_400
"""Seconds in 400 years, after which the Gregorian calendar and the days of the week repeat."""


class ClockChange(NamedTuple):
    """The offsets from UTC before and after an instant, in seconds."""

    instant: int
    before: int
    after: int


class Zone:
    """Offsets from UTC for all time. Immutable; compared by identity."""

    __slots__ = ("_changes", "_end", "_offsets", "_walls", "name")
    spread = 0
    """Seconds by which a wall time may be later than `instant` says: not 0 only for a zone that nobody knows."""

    def __init__(
        self, name: str, first_offset: int, *, changes: Iterable[tuple[int, int]], repeats: bool = False
    ) -> None:
        """`changes` are (instant, offset from then on), sorted; `first_offset` holds before the first of them.

        With `repeats`, the last 400 years of the table repeat for all time after it.
        """
        self.name = name
        self._changes: list[int] = []
        self._walls: list[int] = []
        self._offsets = [first_offset]
        latest = -(1 << 62)
        for instant, offset in changes:
            before = self._offsets[-1]
            latest = max(latest, instant + max(before, offset))
            self._changes.append(instant)
            self._walls.append(latest)
            self._offsets.append(offset)
        self._end = self._changes[-1] - 2 * 86_400 if repeats and self._changes else 1 << 62

    def instant(self, wall: int) -> int:
        """The instant at which a clock in this zone shows the wall time."""
        if wall > self._end:
            turns = (wall - self._end) // CYCLE + 1
            return self.instant(wall - turns * CYCLE) + turns * CYCLE
        return wall - self._offsets[bisect_right(self._walls, wall)]

    def instants(self, walls: Sequence[int]) -> list[int]:
        """The same for many wall times, which must be sorted."""
        if not walls or walls[-1] > self._end:
            return [self.instant(wall) for wall in walls]
        instants: list[int] = []
        done, size, changes = 0, len(walls), len(self._walls)
        at = bisect_right(self._walls, walls[0])
        while done < size:
            upto = bisect_left(walls, self._walls[at], done) if at < changes else size
            offset = self._offsets[at]
            instants += [wall - offset for wall in walls[done:upto]]
            done, at = upto, at + 1
        return instants

    def wall(self, instant: int) -> int:
        """The wall time that a clock in this zone shows at the instant."""
        if instant > self._end:
            turns = (instant - self._end) // CYCLE + 1
            return self.wall(instant - turns * CYCLE) + turns * CYCLE
        return instant + self._offsets[bisect_right(self._changes, instant)]

    def changes(self, first: int, end: int) -> list[ClockChange]:
        """The changes of the clocks from one instant to another, the end not included, as far as the table goes."""
        places = range(bisect_left(self._changes, first), bisect_left(self._changes, end))
        changes = (ClockChange(self._changes[at], self._offsets[at], self._offsets[at + 1]) for at in places)
        return [change for change in changes if change.before != change.after]

    def pieces(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Split the wall times `first` to `last` (inclusive) into (first, last, offset), each with one offset."""
        if last > self._end:
            offset = first - self.instant(first)
            yield first, last, offset
            return
        at = bisect_right(self._walls, first)
        end = bisect_left(self._walls, last + 1)
        while at < end:
            yield first, self._walls[at] - 1, self._offsets[at]
            first = self._walls[at]
            at += 1
        yield first, last, self._offsets[at]


UTC: Final = Zone("UTC", 0, changes=())
