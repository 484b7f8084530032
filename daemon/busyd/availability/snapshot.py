"""A profile's busy periods as sorted, disjoint arrays: built from tables and rules, immutable, replaced as a whole.

A query is two bisections. Building is split into slices and into buckets of time, so that no step takes long.
"""

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from busyd.availability.occurrence_table import OccurrenceTable
from busyd.availability.policy import Rules, Verdict, decide
from busyd.period import FbType, Instant, Period, Span, coalesce, flatten

_BUCKET_BITS: Final = 18
"""A bucket of time is 2**18 seconds, about 3 days: few enough spans to sort and merge in less than a millisecond."""
_DIGEST_SIZE: Final = 16


class Reading(Struct, frozen=True):
    """How one calendar counts for one profile."""

    tables: OccurrenceTable
    rules: Rules
    me: frozenset[str]


class Snapshot(Struct, frozen=True):
    """When a profile is busy within `span`, as far as that is known."""

    span: Period
    starts: "array[int]"
    ends: "array[int]"
    types: bytes
    unknown: tuple[tuple[int, int], ...] = ()
    """Spans in which an event could not be understood: windows that touch them are incomplete."""
    incomplete: bool = False
    """Some event's time is not known at all: no window is complete."""

    def between(self, window: Period) -> list[Span]:
        """The busy spans of a window inside `span`, clipped to it."""
        first = bisect_right(self.ends, window.start)
        last = bisect_left(self.starts, window.end, first)
        spans = list(zip(self.starts[first:last], self.ends[first:last], self.types[first:last], strict=True))
        if spans:
            spans[0] = (max(spans[0][0], window.start), spans[0][1], spans[0][2])
            spans[-1] = (spans[-1][0], min(spans[-1][1], window.end), spans[-1][2])
        return spans

    def understood(self, window: Period) -> bool:
        """True when every event that may touch the window was understood."""
        return not self.incomplete and not any(start < window.end and window.start < end for start, end in self.unknown)

    def covers(self, window: Period) -> bool:
        return self.span.start <= window.start and window.end <= self.span.end


def nothing_known(span: Period) -> Snapshot:
    """The snapshot of a profile of which nothing is known: unavailable, and incomplete."""
    types = bytes([FbType.BUSY_UNAVAILABLE])
    whole = ((int(span.start), int(span.end)),)
    return Snapshot(span, array("q", [span.start]), array("q", [span.end]), types, unknown=whole)


def build_snapshot(readings: Sequence[Reading], span: Period) -> Generator[None, None, Snapshot]:
    """Apply the rules to the facts and merge. Yields between slices; returns the snapshot."""
    buckets: dict[int, array[int]] = {}
    unknown: list[tuple[int, int]] = []
    for reading in readings:
        yield from _spread(reading, span, buckets=buckets, unknown=unknown)
    starts, ends, types = array("q"), array("q"), bytearray()
    for number in sorted(buckets):
        # Removed as it is processed: freeing all of them at the end would be the longest step.
        flat = buckets.pop(number)
        for start, end, fbtype in flatten(zip(flat[0::3], flat[1::3], flat[2::3], strict=True)):
            if types and types[-1] == fbtype and ends[-1] == start:
                ends[-1] = end  # a span that was cut at the border of two buckets
            else:
                starts.append(start)
                ends.append(end)
                types.append(fbtype)
        yield
    return Snapshot(
        span=span,
        starts=starts,
        ends=ends,
        types=bytes(types),
        unknown=tuple(coalesce(unknown)),
        incomplete=any(reading.tables.incomplete for reading in readings),
    )


def _spread(
    reading: Reading, span: Period, *, buckets: dict[int, "array[int]"], unknown: list[tuple[int, int]]
) -> Iterator[None]:
    """Decide about each occurrence, and put it into its buckets of time, as flat triples.

    Lists of tuples would be built faster, but use a megabyte for every ten thousand occurrences.
    """
    verdicts = _Verdicts(reading)
    low, high = span.start, span.end
    for part in reading.tables.pieces():
        for start, end, number in zip(part.starts, part.ends, part.facts, strict=True):
            fbtype, before, after, not_understood = verdicts[number]
            if not fbtype:
                continue
            a, b = max(start - before, low), min(end + after, high)
            if a >= b:
                continue
            if not_understood:
                unknown.append((a, b))
            first, last = a >> _BUCKET_BITS, (b - 1) >> _BUCKET_BITS
            for at in range(first, last + 1):
                bucket = buckets.get(at)
                if bucket is None:
                    bucket = buckets[at] = array("q")
                if first != last:  # cut at the borders of the bucket
                    edge = at << _BUCKET_BITS
                    bucket.extend((max(a, edge), min(b, edge + (1 << _BUCKET_BITS)), fbtype))
                else:
                    bucket.extend((a, b, fbtype))
        yield


class _Verdicts(dict[int, tuple[int, int, int, bool]]):
    """Number of facts -> what they mean under one reading's rules, decided when first asked for."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def __missing__(self, number: int) -> tuple[int, int, int, bool]:
        facts = self._reading.tables.table.facts[number]
        verdict: Verdict = decide(facts, self._reading.rules, me=self._reading.me)
        self[number] = short = (int(verdict.fbtype), verdict.before, verdict.after, bool(facts.unknown))
        return short


def pack(snapshot: Snapshot) -> bytes:
    """The snapshot in its stored form, so that a start need not build it."""
    size = len(snapshot.starts)
    head = array("q", [snapshot.span.start, snapshot.span.end, snapshot.incomplete, size])
    pairs = array("q", [edge for pair in snapshot.unknown for edge in pair])
    body = b"".join(
        (head.tobytes(), snapshot.starts.tobytes(), snapshot.ends.tobytes(), snapshot.types, pairs.tobytes())
    )
    return _digest(body) + body


def unpack(stored: bytes) -> Snapshot:
    """Read what `pack` wrote. Raises ValueError when it is damaged."""
    digest, body = stored[:_DIGEST_SIZE], stored[_DIGEST_SIZE:]
    if digest != _digest(body):
        raise ValueError("a stored snapshot is damaged")
    head = _column(body[:32])
    start, end, incomplete, count = head
    at = 32 + 8 * count
    edges = _column(body[32 + 17 * count :])
    return Snapshot(
        span=Period(Instant(start), Instant(end)),
        starts=_column(body[32:at]),
        ends=_column(body[at : at + 8 * count]),
        types=body[at + 8 * count : at + 9 * count],
        unknown=tuple(_pairs(edges)),
        incomplete=bool(incomplete),
    )


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_SIZE).digest()


def _column(raw: bytes) -> "array[int]":
    column = array("q")
    column.frombytes(raw)
    return column


def _pairs(edges: Iterable[int]) -> Iterator[tuple[int, int]]:
    edge = iter(edges)
    return zip(edge, edge, strict=True)


def with_unknown(spans: list[Span], window: Period) -> list[Span]:
    """The spans when a calendar has never been read: the rest of the window is unavailable, not free."""
    return flatten([*spans, (window.start, window.end, FbType.BUSY_UNAVAILABLE)])
