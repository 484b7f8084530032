"""Open slots of several people together. Pure.

Each is free in exactly the slots that are offered of that person alone: nothing is decided here but how many it takes.
"""

from array import array
from bisect import bisect_left
from collections.abc import Generator, Iterable, Sequence
from heapq import merge
from itertools import groupby, repeat
from operator import itemgetter
from typing import Final

_AT_ONCE: Final = 500
"""Slots looked at before yielding to the loop."""

Together = tuple[int, tuple[int, ...]]
"""The start of a slot, and the numbers of those who are free in it."""


def slots_together(
    people: Sequence[Iterable[tuple[int, int] | None]], *, least: int
) -> Generator[None, None, list[Together]]:
    """The slots, in order of start, in which at least so many are free. Yields whenever the loop should run.

    `people`: the open slots of each as `open_slots` has them, all of one length. Who is free is told in their order.
    """
    columns = []
    for number, slots in enumerate(people):
        starts = yield from _starts(slots)
        columns.append(zip(starts, repeat(number)))
    together: list[Together] = []
    for looked_at, (start, rows) in enumerate(groupby(merge(*columns), key=itemgetter(0))):
        free = tuple([number for _, number in rows])
        if len(free) >= least:
            together.append((start, free))
        if looked_at % _AT_ONCE == 0:
            yield
    return together


def _starts(slots: Iterable[tuple[int, int] | None]) -> "Generator[None, None, array[int]]":
    """When they start, each once and in order: hours that the clocks skip may come to lie in the next ones."""
    starts = array("q")
    for slot in slots:
        if slot is None:
            yield
        elif not starts or slot[0] > starts[-1]:
            starts.append(slot[0])
        elif starts[at := bisect_left(starts, slot[0])] != slot[0]:
            starts.insert(at, slot[0])
    return starts
