"""Busy periods as JSON text, each written once for a snapshot: writing times is the dearest part of an answer."""

from bisect import bisect_left, bisect_right
from typing import Final

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


class RenderedPeriods:
    """The text of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.kept = 0
        """How many texts there are."""
        self._texts: list[bytes | None] = [None] * len(snapshot.starts)

    def read(self, window: Period) -> bytes | None:
        """`snapshot.between(window)` as a JSON list without brackets; None when there are more than `MOST_PERIODS`."""
        snapshot = self.snapshot
        first = bisect_right(snapshot.ends, window.start)
        last = bisect_left(snapshot.starts, window.end, first)
        if first == last:
            return b""
        if last - first > MOST_PERIODS:
            return None
        texts = self._texts[first:last]
        if None in texts:
            texts = self._write(first, last)
        if snapshot.starts[first] < window.start:
            texts[0] = self._clipped(first, window)
        if snapshot.ends[last - 1] > window.end:
            texts[-1] = self._clipped(last - 1, window)
        return b",".join(texts)  # type: ignore[arg-type]  # none of them is None by now

    def _clipped(self, number: int, window: Period) -> bytes:
        start, end, fbtype = next(self.snapshot.rows(number, number + 1))
        return write_period((max(start, window.start), min(end, window.end), fbtype))

    def _write(self, first: int, last: int) -> list[bytes | None]:
        """The texts of these periods, those that are lacking written."""
        if self.kept > _MOST_KEPT:
            self._texts, self.kept = [None] * len(self._texts), 0
        texts = self._texts
        for number, span in enumerate(self.snapshot.rows(first, last), first):
            if texts[number] is None:
                texts[number] = write_period(span)
                self.kept += 1
        return texts[first:last]
