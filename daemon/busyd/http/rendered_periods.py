"""Busy periods as JSON text, each written once for a snapshot: writing times is the dearest part of an answer."""

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from busyd.availability.snapshot import Snapshot
from busyd.period import FbType, Period, Span, to_rfc3339

MOST_PERIODS: Final = 4096
"""In one answer; a longer one is written period by period, in slices."""
_MOST_KEPT: Final = 1 << 16
"""Periods whose text is kept: about 10 MB."""

_TYPES: Final = [fbtype.text for fbtype in FbType]


def write_period(span: Span) -> bytes:
    """One busy period as JSON."""
    start, end, fbtype = span
    return f'{{"start":"{to_rfc3339(start)}","end":"{to_rfc3339(end)}","type":"{_TYPES[fbtype]}"}}'.encode()


class BusyList(Struct, frozen=True):
    """The busy periods of an answer."""

    json: bytes
    """Without brackets."""
    digest: str
    """Of the periods, whatever they were written from."""


def busy_list(texts: Iterable[bytes], starts: "array[int]", *, ends: "array[int]", types: bytes) -> BusyList:
    """Periods as they were written, and what they say: as numbers, which are a fifth of the bytes."""
    digest = hashlib.blake2b(b"".join((starts, ends, types)), digest_size=8).hexdigest()
    return BusyList(b",".join(texts), digest)


_NOTHING: Final = busy_list((), array("q"), ends=array("q"), types=b"")


class RenderedPeriods:
    """The text of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.kept = 0
        """How many texts there are."""
        self._texts: list[bytes | None] = [None] * len(snapshot.starts)

    def read(self, window: Period) -> BusyList | None:
        """`snapshot.between(window)`; None when there are more than `MOST_PERIODS`."""
        snapshot = self.snapshot
        first = bisect_right(snapshot.ends, window.start)
        last = bisect_left(snapshot.starts, window.end, first)
        if first == last:
            return _NOTHING
        if last - first > MOST_PERIODS:
            return None
        try:
            return self._join(first, last, window=window)
        except TypeError:  # one of the texts is not written yet
            self._write(first, last)
            return self._join(first, last, window=window)

    def _join(self, first: int, last: int, *, window: Period) -> BusyList:
        snapshot = self.snapshot
        texts, types = self._texts[first:last], snapshot.types[first:last]
        starts, ends = snapshot.starts[first:last], snapshot.ends[first:last]
        if starts[0] < window.start:
            starts[0] = window.start
            texts[0] = write_period((window.start, ends[0], types[0]))
        if ends[-1] > window.end:
            ends[-1] = window.end
            texts[-1] = write_period((starts[-1], window.end, types[-1]))
        return busy_list(texts, starts, ends=ends, types=types)  # type: ignore[arg-type]

    def _write(self, first: int, last: int) -> None:
        """Write the texts of these periods that are lacking."""
        if self.kept > _MOST_KEPT:
            self._texts, self.kept = [None] * len(self._texts), 0
        texts = self._texts
        for number, span in enumerate(self.snapshot.rows(first, last), first):
            if texts[number] is None:
                texts[number] = write_period(span)
                self.kept += 1
