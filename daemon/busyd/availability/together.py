"""Open slots of several people together. Pure.

Each is free in exactly the slots that are offered of that person alone: nothing is decided here but how many it takes.
"""

from collections.abc import Generator, Iterable, Sequence
from typing import Final

_AT_ONCE: Final = 2000
"""Slots looked at before yielding to the loop."""

Together = tuple[int, int, tuple[int, ...]]
"""Start and end of a slot, and the numbers of those who are free in it."""


def slots_together(
    people: Sequence[Iterable[tuple[int, int] | None]], *, least: int
) -> Generator[None, None, list[Together]]:
    """The slots, in order of start, in which at least so many are free. Yields whenever the loop should run.

    `people`: the open slots of each as `open_slots` has them, all of one length. Who is free is told in their order.
    """
    free: dict[tuple[int, int], tuple[int, ...]] = {}
    for number, slots in enumerate(people):
        for slot in slots:
            if slot is None:
                yield
            else:
                free[slot] = (*free.get(slot, ()), number)
        yield
    together: list[Together] = []
    for looked_at, slot in enumerate(sorted(free)):
        if len(free[slot]) >= least:
            together.append((*slot, free[slot]))
        if looked_at % _AT_ONCE == 0:
            yield
    return together
