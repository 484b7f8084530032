"""A profile's busy periods as sorted, disjoint arrays: immutable, replaced as a whole. A query is two bisections."""

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from busyd.period import LATEST, FbType, Instant, Period, Span, flatten

_DIGEST_SIZE: Final = 16
NEVER: Final = LATEST + 1
"""Later than every window."""


class Snapshot(Struct, frozen=True):
    """When a profile is busy within `span`, as far as that is known."""

    span: Period
    starts: "array[int]"
    ends: "array[int]"
    types: bytes
    unknown: tuple[tuple[int, int], ...] = ()
    """Spans in which an event could not be understood: windows that touch them are incomplete."""
    incomplete_since: int = NEVER
    """From then on some event may be at any time: no window that reaches beyond it is complete."""

    def between(self, window: Period) -> list[Span]:
        """The busy spans of a window inside `span`, clipped to it."""
        first = bisect_right(self.ends, window.start)
        last = bisect_left(self.starts, window.end, first)
        spans = list(self.rows(first, last))
        if spans:
            spans[0] = (max(spans[0][0], window.start), spans[0][1], spans[0][2])
            spans[-1] = (spans[-1][0], min(spans[-1][1], window.end), spans[-1][2])
        return spans

    def rows(self, first: int, last: int) -> Iterator[Span]:
        """The busy spans from one number to another, that one not included."""
        return zip(self.starts[first:last], self.ends[first:last], self.types[first:last], strict=True)

    def understood(self, window: Period) -> bool:
        """True when every event that may touch the window was understood."""
        if window.end > self.incomplete_since:
            return False
        return not self.unknown or not any(start < window.end and window.start < end for start, end in self.unknown)

    @property
    def is_incomplete(self) -> bool:
        """Whether some event may be at any time, from a moment inside `span` on at the latest."""
        return self.incomplete_since < self.span.end

    def covers(self, window: Period) -> bool:
        return self.span.start <= window.start and window.end <= self.span.end


def nothing_known(span: Period) -> Snapshot:
    """The snapshot of a profile of which nothing is known: unavailable, and incomplete."""
    types = bytes([FbType.BUSY_UNAVAILABLE])
    whole = ((int(span.start), int(span.end)),)
    return Snapshot(span, array("q", [span.start]), array("q", [span.end]), types, unknown=whole)


def pack(snapshot: Snapshot) -> bytes:
    """The snapshot in its stored form, so that a start need not build it."""
    size = len(snapshot.starts)
    head = array("q", [snapshot.span.start, snapshot.span.end, snapshot.incomplete_since, size])
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
    start, end, incomplete_since, count = head
    at = 32 + 8 * count
    edges = _column(body[32 + 17 * count :])
    return Snapshot(
        span=Period(Instant(start), Instant(end)),
        starts=_column(body[32:at]),
        ends=_column(body[at : at + 8 * count]),
        types=body[at + 8 * count : at + 9 * count],
        unknown=tuple(_pairs(edges)),
        incomplete_since=incomplete_since,
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
