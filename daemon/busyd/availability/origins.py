"""What snapshots were built from, before and after -> the calendar objects by which stretches of time have changed."""

from bisect import bisect_left, bisect_right
from collections.abc import Container, Generator, Sequence
from typing import Final

from msgspec import Struct

from busyd.availability.building import Reading, Verdicts
from busyd.period import FbType

_Row = tuple[int, int, int, int, bool]
"""Object, start and end of what it takes, free/busy type, and whether that is not understood."""
_MOST_ROWS: Final = 20_000
"""Rows that are held at once: where more than that have changed, most of it is told as `reset` anyway."""


class ObjectStep(Struct, frozen=True):
    """How a calendar object takes a stretch of time, before and now; FREE where it does not."""

    calendar: int
    object: int
    before: FbType
    now: FbType


def find_objects(
    before: Sequence[Reading], now: Sequence[Reading], *, stretches: Sequence[tuple[int, int]]
) -> Generator[None, None, list[list[ObjectStep]]]:
    """For each of these sorted, disjoint stretches the objects that take it in another way. Yields between slices."""
    found: list[list[ObjectStep]] = [[] for _ in stretches]
    old, new = ({reading.calendar: reading for reading in readings} for readings in (before, now))
    for calendar in sorted(old.keys() | new.keys()):
        was, known = old.get(calendar), new.get(calendar)
        went = yield from _touching(was, stretches, shared=_parts_in(known, like=was))
        came = yield from _touching(known, stretches, shared=_parts_in(was, like=known))
        for at in went.keys() | came.keys():
            gone, there = went.get(at, set()), came.get(at, set())
            found[at] += [
                ObjectStep(calendar, number, _strongest(gone, number), _strongest(there, number))
                for number in sorted({row[0] for row in gone ^ there})
            ]
        yield
    return found


def _parts_in(reading: Reading | None, *, like: Reading | None) -> Container[int]:
    """The ids of the chunks of a reading, which mean the same in another one with the same rules."""
    if reading is None or like is None or (reading.rules, reading.me) != (like.rules, like.me):
        return ()
    return {id(part) for part in reading.tables.parts}


def _touching(
    reading: Reading | None, stretches: Sequence[tuple[int, int]], *, shared: Container[int]
) -> Generator[None, None, dict[int, set[_Row]]]:
    """Number of a stretch -> the rows that take some of it, from all chunks but the shared ones."""
    found: dict[int, set[_Row]] = {}
    if reading is None:
        return found
    verdicts, held = Verdicts(reading), 0
    starts, ends = [start for start, _ in stretches], [end for _, end in stretches]
    for whole in reading.tables.parts:
        if id(whole) in shared:
            continue
        for part in whole.pieces():
            for number, start, end, facts in zip(part.objects, part.starts, part.ends, part.facts, strict=True):
                fbtype, before, after, not_understood = verdicts[facts]
                if fbtype and held < _MOST_ROWS:
                    low, high = start - before, end + after
                    for at in range(bisect_right(ends, low), bisect_left(starts, high)):
                        found.setdefault(at, set()).add((number, low, high, fbtype, not_understood))
                        held += 1
            yield
    return found


def _strongest(rows: set[_Row], number: int) -> FbType:
    return FbType(max((row[3] for row in rows if row[0] == number), default=FbType.FREE))
