"""Changed tables -> a snapshot, from the one before: only the stretches of time that a change touches are made anew.

What a change touches follows from the chunks that are not in both tables, and what else lies in those stretches from
the cells of the other chunks, so that the cost is that of the change and of what happens at the same time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from busyd.availability.building import BUCKET_BITS, Reading, SpanColumns, Verdicts, build_snapshot, unplaced_since
from busyd.availability.cells import cells_of, flags_of, rows_in, stretches_of, widened
from busyd.availability.occurrence_table import SLICE, Chunk
from busyd.availability.snapshot import Snapshot
from busyd.period import Instant, Period, Span, clip, coalesce, flatten, subtract

_MOST_ROWS: Final = 2048
"""Rows of changed chunks that are compared one by one: more would need too much memory, and their cells say enough."""
_MOST_TIME: Final = 2
"""Where more than this part of the time is touched, everything is built anew: that is as fast, and simpler."""

Stretches = list[tuple[int, int]]
"""Sorted, disjoint (start, end) that do not touch."""


class Touched(Struct, frozen=True):
    """Where a calendar may have changed what is known: surely nowhere else."""

    calendar: int
    """Its id in the mirror."""
    stretches: tuple[tuple[int, int], ...]


class Rebuilt(Struct, frozen=True):
    """A snapshot, and what it was that made it another one."""

    snapshot: Snapshot
    touched: tuple[Touched, ...] | None
    """By calendar; None when not the tables have changed but what else a snapshot is made from: links, rules, span."""


class Built(Struct, frozen=True):
    """A snapshot with what it was built from."""

    snapshot: Snapshot
    readings: tuple[Reading, ...]


def rebuild_snapshot(
    before: Built | None, readings: Sequence[Reading], *, span: Period
) -> Generator[None, None, Rebuilt]:
    """The snapshot of these readings: the same as `build_snapshot` makes, by way of the one before where that helps.

    Yields between slices.
    """
    if before is None or before.snapshot.span != span or not _differ_in_tables_only(before.readings, readings):
        return Rebuilt((yield from build_snapshot(readings, span)), None)
    touched: list[Touched] = []
    for old, new in zip(before.readings, readings, strict=True):
        if old.tables is not new.tables:
            found = yield from _compare(old, new, span=span)
            if found:
                touched.append(Touched(new.calendar, tuple(found)))
    stretches = coalesce(stretch for one in touched for stretch in one.stretches)
    if sum(end - start for start, end in stretches) * _MOST_TIME > span.end - span.start:
        snapshot = yield from build_snapshot(readings, span)
    else:
        snapshot = yield from _splice(before.snapshot, readings, stretches=stretches)
    return Rebuilt(snapshot, tuple(touched))


def _differ_in_tables_only(before: Sequence[Reading], after: Sequence[Reading]) -> bool:
    return len(before) == len(after) and all(
        (old.calendar, old.rules, old.me) == (new.calendar, new.rules, new.me) and old.tables.table is new.tables.table
        for old, new in zip(before, after, strict=True)
    )


def _compare(old: Reading, new: Reading, *, span: Period) -> Generator[None, None, Stretches]:
    """The stretches inside the span in which rows came or went, as far as they count."""
    kept = {id(part) for part in old.tables.parts} & {id(part) for part in new.tables.parts}
    went = [part for part in old.tables.parts if id(part) not in kept]
    came = [part for part in new.tables.parts if id(part) not in kept]
    if sum(len(part.objects) for part in (*went, *came)) > _MOST_ROWS:
        return (yield from _touched_by(new, (*went, *came), span=span))
    # The facts of both have the same numbers. How often a row is there makes no difference to what it blocks.
    rows = _rows(went) ^ _rows(came)
    verdicts = Verdicts(new)
    changed: list[tuple[int, int]] = []
    for at, (start, end, number) in enumerate(rows):
        if at % SLICE == 0:
            yield
        fbtype, before, after, _ = verdicts[number]
        if fbtype:
            changed.append((start - before, end + after))
    return _inside(changed, span)


def _rows(parts: Iterable[Chunk]) -> set[tuple[int, int, int]]:
    return {row for part in parts for row in zip(part.starts, part.ends, part.facts, strict=True)}


def _touched_by(reading: Reading, parts: Iterable[Chunk], *, span: Period) -> Generator[None, None, Stretches]:
    """The stretches inside the span in which any row of these chunks may count."""
    before, after = reading.tables.table.longest_before, reading.tables.table.longest_after
    cells = 0
    for part in parts:
        cells |= part.cells
        yield
    reach = Period(Instant(span.start - after), Instant(span.end + before))
    stretches: Stretches = []
    for at, (start, end) in enumerate(stretches_of(cells, reach)):
        if at % SLICE == 0:
            yield
        stretches.append((start - before, end + after))
    yield
    return _inside(stretches, span)


def _inside(spans: Iterable[tuple[int, int]], span: Period) -> Stretches:
    return coalesce((max(start, span.start), min(end, span.end)) for start, end in spans)


def _splice(old: Snapshot, readings: Sequence[Reading], *, stretches: Stretches) -> Generator[None, None, Snapshot]:
    """The snapshot with what the readings say of these stretches, and as it was everywhere else."""
    pieces = list(cut(stretches))
    spans: list[list[Span]] = [[] for _ in pieces]
    unknown = subtract(list(old.unknown), stretches)
    for reading in readings:
        yield from _collect(reading, pieces, spans=spans, unknown=unknown)
    columns, at = SpanColumns(), int(old.span.start)
    for (start, end), found in zip(pieces, spans, strict=True):
        _copy(old, columns, start=at, end=start)
        columns.add(flatten(found))
        at = end
        yield
    _copy(old, columns, start=at, end=old.span.end)
    return Snapshot(
        span=old.span,
        starts=columns.starts,
        ends=columns.ends,
        types=bytes(columns.types),
        unknown=tuple(coalesce(unknown)),
        incomplete_since=unplaced_since(readings),
    )


def cut(stretches: Stretches) -> Iterator[tuple[int, int]]:
    """The stretches cut where buckets begin, so that a piece has few enough rows to sort in one step."""
    for start, end in stretches:
        while (border := (start >> BUCKET_BITS) + 1 << BUCKET_BITS) < end:
            yield start, border
            start = border
        yield start, end


def _collect(
    reading: Reading,
    pieces: Sequence[tuple[int, int]],
    *,
    spans: Sequence[list[Span]],
    unknown: list[tuple[int, int]],
) -> Iterator[None]:
    """Put what counts in the pieces into the lists of the same numbers, clipped, from all rows of one reading."""
    if not pieces:
        return
    table, verdicts = reading.tables.table, Verdicts(reading)
    around = widened(pieces, before=table.longest_after, after=table.longest_before)
    cells = cells_of([start for start, _ in around], [end for _, end in around])
    flags, low, high = flags_of(cells), around[0][0], around[-1][1]
    starts, ends = [start for start, _ in pieces], [end for _, end in pieces]
    for part in reading.tables.parts:
        if not part.cells & cells:
            yield  # to find out about its cells may have taken long
            continue
        rows = zip(part.starts, part.ends, part.facts, strict=True)
        for start, end, number in rows_in(rows, flags, low=low, high=high):
            fbtype, before, after, not_understood = verdicts[number]
            if not fbtype:
                continue
            a, b = start - before, end + after
            for at in range(bisect_right(ends, a), bisect_left(starts, b)):
                clipped = (max(a, starts[at]), min(b, ends[at]), fbtype)
                spans[at].append(clipped)
                if not_understood:
                    unknown.append(clipped[:2])
        yield


def _copy(snapshot: Snapshot, columns: SpanColumns, *, start: int, end: int) -> None:
    """Add what a snapshot has between two moments."""
    if start >= end:
        return
    first = bisect_right(snapshot.ends, start)
    last = bisect_left(snapshot.starts, end, first)
    # The first and the last may be cut, or touch what was added before.
    columns.add(list(clip(snapshot.rows(first, min(first + 1, last)), Period(Instant(start), Instant(end)))))
    if last - first > 1:
        columns.add_from(snapshot, first=first + 1, last=last - 1)
        columns.add(list(clip(snapshot.rows(last - 1, last), Period(Instant(start), Instant(end)))))
