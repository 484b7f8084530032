"""Tables and rules -> a snapshot, as a whole: in slices and in buckets of time, so that no step takes long."""

from array import array
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import Final

from msgspec import Struct

from busyd.availability.occurrence_table import OccurrenceTable
from busyd.availability.policy import Rules, Verdict, decide
from busyd.availability.snapshot import NEVER, Snapshot
from busyd.period import Period, Span, coalesce, flatten

BUCKET_BITS: Final = 18
"""A bucket of time is 2**18 seconds, about 3 days: few enough spans to sort and merge in less than a millisecond."""


class Reading(Struct, frozen=True, gc=False):
    """How one calendar counts for one profile."""

    tables: OccurrenceTable
    rules: Rules
    me: frozenset[str]
    calendar: int = 0
    """Its id in the mirror."""


class SpanColumns:
    """Spans in their order, joined where two of a type touch, as the columns of a snapshot."""

    def __init__(self) -> None:
        self.starts, self.ends, self.types = array("q"), array("q"), bytearray()

    def add(self, spans: Sequence[Span]) -> None:
        """Add spans that are sorted, disjoint, and behind all others."""
        starts, ends, types = self.starts, self.ends, self.types
        for start, end, fbtype in spans:
            if types and types[-1] == fbtype and ends[-1] == start:
                ends[-1] = end  # a span that was cut, at the border of two buckets for instance
            else:
                starts.append(start)
                ends.append(end)
                types.append(fbtype)

    def add_from(self, snapshot: Snapshot, *, first: int, last: int) -> None:
        """Add spans of a snapshot from one number to another, that one not included; no other touches them."""
        self.starts.extend(snapshot.starts[first:last])
        self.ends.extend(snapshot.ends[first:last])
        self.types += snapshot.types[first:last]


class Verdicts(dict[int, tuple[int, int, int, bool]]):
    """Number of facts -> type, seconds before and after, and whether they are unknown, under one reading's rules.

    Decided when first asked for.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def __missing__(self, number: int) -> tuple[int, int, int, bool]:
        facts = self._reading.tables.table.facts[number]
        verdict: Verdict = decide(facts, self._reading.rules, me=self._reading.me)
        self[number] = short = (int(verdict.fbtype), verdict.before, verdict.after, bool(facts.unknown))
        return short


def build_snapshot(readings: Sequence[Reading], span: Period) -> Generator[None, None, Snapshot]:
    """Apply the rules to the facts and merge. Yields between slices; returns the snapshot."""
    buckets: defaultdict[int, array[int]] = defaultdict(partial(array, "q"))
    unknown: list[tuple[int, int]] = []
    for reading in readings:
        yield from _spread(reading, span, buckets=buckets, unknown=unknown)
    columns = SpanColumns()
    for number in sorted(buckets):
        # Removed as it is processed: freeing all of them at the end would be the longest step.
        flat = buckets.pop(number)
        columns.add(flatten(zip(flat[0::3], flat[1::3], flat[2::3], strict=True)))
        yield
    return Snapshot(
        span=span,
        starts=columns.starts,
        ends=columns.ends,
        types=bytes(columns.types),
        unknown=tuple(coalesce(unknown)),
        incomplete_since=unplaced_since(readings),
    )


def unplaced_since(readings: Sequence[Reading]) -> int:
    """From when on something may be at any time."""
    return min((what.since for reading in readings for what in reading.tables.incomplete.values()), default=NEVER)


def _spread(
    reading: Reading, span: Period, *, buckets: "defaultdict[int, array[int]]", unknown: list[tuple[int, int]]
) -> Iterator[None]:
    """Decide about each occurrence, and put it into its buckets of time, as flat triples.

    Lists of tuples would be built faster, but use a megabyte for every ten thousand occurrences.
    """
    verdicts = Verdicts(reading)
    low, high = span.start, span.end
    for part in reading.tables.pieces():
        for start, end, number in zip(part.starts, part.ends, part.facts, strict=True):
            fbtype, before, after, not_understood = verdicts[number]
            if not fbtype:
                continue
            a, b = start - before, end + after
            if a < low:
                a = low
            if b > high:
                b = high
            if a >= b:
                continue
            if not_understood:
                unknown.append((a, b))
            first, last = a >> BUCKET_BITS, (b - 1) >> BUCKET_BITS
            if first == last:
                buckets[first].extend((a, b, fbtype))
                continue
            for at in range(first, last + 1):
                edge = at << BUCKET_BITS
                buckets[at].extend((max(a, edge), min(b, edge + (1 << BUCKET_BITS)), fbtype))
        yield
