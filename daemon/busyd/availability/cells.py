"""Which parts of time something touches, as the bits of one number: what may overlap is found without a look at rows.

Time is divided into cells of 2**14 seconds, about four and a half hours, and the cells are numbered round and round: a
bit stands for a cell and for those 776 days before and after it. So two things without a common bit surely do not
overlap, and two with one may.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from busyd.period import Period

Row = tuple[int, int, int]

CELL_BITS: Final = 14
_COUNT_BITS: Final = 12
CELLS: Final = 1 << _COUNT_BITS
_MASK: Final = CELLS - 1
EVERYWHERE: Final = (1 << CELLS) - 1
_ONE: Final = ord("1")
_DIGITS: Final = bytes.maketrans(b"01", b"\0\1")


def cells_of(starts: Sequence[int], ends: Sequence[int]) -> int:
    """The cells that these spans touch, and perhaps one before a span of no length."""
    found = {start >> CELL_BITS for start in starts}
    found.update([(end - 1) >> CELL_BITS for end in ends])
    for start, end in [(start, end) for start, end in zip(starts, ends, strict=True) if (end - start) >> CELL_BITS]:
        first, last = start >> CELL_BITS, (end - 1) >> CELL_BITS
        if last - first >= CELLS:
            return EVERYWHERE
        found.update(range(first, last + 1))
    flags = bytearray(b"0" * CELLS)
    for cell in found:
        flags[_MASK - (cell & _MASK)] = _ONE
    return int(flags, 2)


def flags_of(cells: int) -> bytes:
    """A byte for each cell, 1 where it is touched."""
    return f"{cells:0{CELLS}b}".encode()[::-1].translate(_DIGITS)


def rows_in(rows: Iterable[Row], flags: bytes, *, low: int, high: int) -> list[Row]:
    """The rows, (start, end, number), that may touch a flagged cell between two moments; the others do not."""
    return [
        (start, end, number)
        for start, end, number in rows
        # What is no longer than a cell lies in that of its start or that of its end.
        if start < high
        and end > low
        and (flags[start >> CELL_BITS & _MASK] or flags[end >> CELL_BITS & _MASK] or (end - start) >> CELL_BITS)
    ]


def stretches_of(cells: int, span: Period) -> Iterator[tuple[int, int]]:
    """The cells inside a span as stretches of time: sorted, disjoint, not touching, clipped to the span."""
    if cells == EVERYWHERE:
        yield span.start, span.end
        return
    first, last = span.start >> CELL_BITS, (span.end - 1 >> CELL_BITS) + 1
    turn = first & ~_MASK
    flags = flags_of(cells) * ((last - turn >> _COUNT_BITS) + 1)
    at, most = flags.find(1, first - turn), last - turn
    while 0 <= at < most:
        end = flags.find(0, at, most)
        end = end if end >= 0 else most
        yield max(turn + at << CELL_BITS, span.start), min(turn + end << CELL_BITS, span.end)
        at = flags.find(1, end)


def widened(stretches: Iterable[tuple[int, int]], *, before: int, after: int) -> list[tuple[int, int]]:
    """The stretches, each longer by so many seconds; they may overlap then."""
    return [(start - before, end + after) for start, end in stretches]
