"""Which objects of a calendar may touch which of some spans: found in one pass, however many spans there are."""

from bisect import bisect_left
from collections.abc import Generator, Sequence

from busyd.availability.cells import cells_of
from busyd.availability.occurrence_table import OccurrenceTable


def objects_near(table: OccurrenceTable, spans: Sequence[tuple[int, int]]) -> Generator[None, None, list[set[int]]]:
    """For each span the numbers of the objects that overlap it, travel time included. Yields between slices.

    `spans` are sorted by their start; they may overlap.
    """
    before, after = table.table.longest_before, table.table.longest_after
    starts = [start - after for start, _ in spans]
    ends = [end + before for _, end in spans]
    longest = max((end - start for start, end in zip(starts, ends, strict=True)), default=0)
    found: list[set[int]] = [set() for _ in spans]
    wanted = cells_of(starts, ends)
    for part in table.pieces():
        if part.cells & wanted:
            for number, start, end in zip(part.objects, part.starts, part.ends, strict=True):
                for at in range(bisect_left(starts, start - longest), bisect_left(starts, max(end, start + 1))):
                    if start < ends[at] and (starts[at] < end or start == end >= starts[at]):
                        found[at].add(number)
        yield
    return found
