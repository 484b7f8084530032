"""Busy periods as JSON text: written once for a snapshot, in blocks, so that an answer is a slice of text.

Writing times is the most expensive part of an answer, so a question asked for the first time costs little more than a
repeated one.
"""

import hashlib
from bisect import bisect_left, bisect_right
from typing import Final

from msgspec import Struct

from busyd.availability.snapshot import Snapshot
from busyd.period import FbType, Period, Span, to_rfc3339

_BITS: Final = 8
"""A block holds 2**8 periods: less than a millisecond to write, and most answers lie in one."""
MOST_PERIODS: Final = 4096
"""In one answer; a longer one is written period by period, in slices."""
_MOST_BLOCKS: Final = 128
"""Blocks that are kept: about 5 MB."""

_TYPES: Final = [fbtype.text for fbtype in FbType]
_CLIPPED: Final = 0x9E3779B97F4A7C15
"""Spreads the seconds cut off at the edge of a window over the bits of a checksum."""


def write_piece(span: Span) -> bytes:
    """One busy period as JSON."""
    start, end, fbtype = span
    return f'{{"start":"{to_rfc3339(start)}","end":"{to_rfc3339(end)}","type":"{_TYPES[fbtype]}"}}'.encode()


def write_edges(window: Period) -> bytes:
    """A window as an answer shows it, without the quotation marks at its ends. A time takes 20 bytes."""
    return f'{to_rfc3339(window.start)}","end":"{to_rfc3339(window.end)}'.encode()


def checksum_of(piece: bytes) -> int:
    """64 bits that stand for a piece; their sum over distinct pieces stands for the list."""
    return int.from_bytes(hashlib.blake2b(piece, digest_size=8).digest())


class _Block(Struct, frozen=True):
    text: bytes
    """The pieces, with commas between them."""
    edges: list[int]
    """Where each piece begins in the text; one more for the end, as if another piece followed."""
    sums: list[int]
    """The checksum of all pieces before each; one more for all of them."""


class RenderedPeriods:
    """The text of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._blocks: dict[int, _Block] = {}

    def read(self, window: Period, edges: bytes) -> tuple[bytes, int] | None:
        """`snapshot.between(window)` as a JSON list without brackets, and its checksum.

        `edges` is `write_edges(window)`. None when there are more than `MOST_PERIODS`.
        """
        snapshot, start, end = self.snapshot, window.start, window.end
        first = bisect_right(snapshot.ends, start)
        last = bisect_left(snapshot.starts, end, first) - 1
        if last < first:
            return b"", 0
        if last - first >= MOST_PERIODS:
            return None
        text, checksum = self._between(first, last)
        # In a piece the start is at [10:30], the end at [39:59].
        if snapshot.starts[first] < start:
            text = b"".join((text[:10], edges[:20], text[30:]))
            checksum += _CLIPPED * (start - snapshot.starts[first])
        if snapshot.ends[last] > end:
            piece = text.rfind(b"{")
            text = b"".join((text[: piece + 39], edges[-20:], text[piece + 59 :]))
            checksum += _CLIPPED * (end - snapshot.ends[last])
        return text, checksum

    def _between(self, first: int, last: int) -> tuple[bytes, int]:
        """The text from one period to another, both included."""
        low, high = first >> _BITS, last >> _BITS
        block, begin = self._block(low), first - (low << _BITS)
        if low == high:
            after = last - (low << _BITS) + 1
            text = block.text[block.edges[begin] : block.edges[after] - 1]
            return text, block.sums[after] - block.sums[begin]
        texts, checksum = [block.text[block.edges[begin] :]], block.sums[-1] - block.sums[begin]
        for number in range(low + 1, high):
            block = self._block(number)
            texts.append(block.text)
            checksum += block.sums[-1]
        block, after = self._block(high), last - (high << _BITS) + 1
        texts.append(block.text[: block.edges[after] - 1])
        return b",".join(texts), checksum + block.sums[after]

    def _block(self, number: int) -> _Block:
        block = self._blocks.get(number)
        if block is None:
            if len(self._blocks) >= _MOST_BLOCKS:
                self._blocks.clear()
            block = self._blocks[number] = self._write(number << _BITS)
        return block

    def _write(self, low: int) -> _Block:
        part = slice(low, low + (1 << _BITS))
        snapshot = self.snapshot
        rows = zip(snapshot.starts[part], snapshot.ends[part], snapshot.types[part], strict=True)
        pieces = [write_piece(row) for row in rows]
        edges, sums = [0], [0]
        for piece in pieces:
            edges.append(edges[-1] + len(piece) + 1)
            sums.append(sums[-1] + checksum_of(piece))
        return _Block(b",".join(pieces), edges, sums)
