"""The occurrences of one calendar in memory: packed tables in chunks, 28 bytes per occurrence. Applies no policy."""

from array import array
from collections.abc import Container, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.availability.cells import cells_of
from busyd.ical.facts import Attendee, Facts
from busyd.period import EARLIEST, LATEST, Period
from busyd.store.occurrences import IndexEntry

SLICE: Final = 250
"""Rows processed before a generator yields to the loop: well under a millisecond."""
_ENTRY_COST: Final = 20
"""An entry costs about as much as so many rows, however few it has."""


class FactsTable:
    """Every distinct `Facts` once, so that an occurrence holds a number."""

    def __init__(self) -> None:
        self.facts: list[Facts] = []
        self._numbers: dict[Facts, int] = {}
        self._attendees: dict[Attendee, Attendee] = {}
        """Each once: most events have the same people."""
        self.longest_before = self.longest_after = 0
        """Seconds of travel that any of them may block before and after an occurrence."""

    def number(self, facts: Facts) -> int:
        """The number of these facts, a new one when they were not seen before."""
        known = self._numbers.get(facts)
        if known is None:
            if facts.attendees:
                shared = tuple([self._attendees.setdefault(attendee, attendee) for attendee in facts.attendees])
                facts = replace(facts, attendees=shared)
            known = self._numbers[facts] = len(self.facts)
            self.facts.append(facts)
            self.longest_before = max(self.longest_before, facts.travel_before)
            self.longest_after = max(self.longest_after, facts.travel_after)
        return known


class Chunk(Struct, eq=False, gc=False):
    """Some rows, in parallel arrays. Immutable once published, and the same only as itself."""

    objects: "array[int]"
    starts: "array[int]"
    ends: "array[int]"
    facts: "array[int]"
    lowest: int = 0
    highest: int = 0
    """Between these two are all its objects."""
    known_cells: int = 0

    @property
    def cells(self) -> int:
        """The cells of time its rows touch; found out when first asked for, in a tenth of a millisecond."""
        if not self.known_cells:
            self.known_cells = cells_of(self.starts, self.ends)
        return self.known_cells

    @classmethod
    def empty(cls) -> "Chunk":
        return cls(array("q"), array("q"), array("q"), array("I"))

    def take(self, number: int, rows: "array[int]", *, facts: Sequence[int]) -> None:
        """Add rows of one object, flat triples as they are stored, before others may see the part."""
        self.objects.extend([number] * (len(rows) // 3))
        self.starts.extend(rows[0::3])
        self.ends.extend(rows[1::3])
        self.facts.extend([facts[number] for number in rows[2::3]])

    def copy(self) -> "Chunk":
        return Chunk(self.objects[:], self.starts[:], self.ends[:], self.facts[:])

    def sealed(self) -> "Chunk":
        """Make it ready to be published; it must not be empty."""
        self.lowest, self.highest = min(self.objects), max(self.objects)
        return self

    def without(self, objects: Container[int]) -> "Chunk":
        """The rows of all other objects."""
        keep = [number not in objects for number in self.objects]
        return Chunk(
            array("q", compress(self.objects, keep)),
            array("q", compress(self.starts, keep)),
            array("q", compress(self.ends, keep)),
            array("I", compress(self.facts, keep)),
            self.lowest,
            self.highest,
        )

    def pieces(self) -> "Iterator[Chunk]":
        """The same rows, at most SLICE at a time: an object may have had more."""
        if len(self.objects) <= SLICE:
            yield self
            return
        for offset in range(0, len(self.objects), SLICE):
            part = slice(offset, offset + SLICE)
            yield Chunk(self.objects[part], self.starts[part], self.ends[part], self.facts[part])


class Unplaced(Struct, frozen=True):
    """Something of an object that may be at any time from a moment on."""

    why: str
    since: int = EARLIEST


class OccurrenceTable:
    """One calendar as read in one zone. A change makes a new table, so that every reader sees one consistent state.

    Old and new tables share the chunks that did not change.
    """

    __slots__ = ("incomplete", "is_beyond", "parts", "recurring", "table")

    def __init__(self, table: FactsTable) -> None:
        self.table = table
        self.parts: list[Chunk] = []
        self.recurring: frozenset[int] = frozenset()
        """Objects that have occurrences beyond the horizon, which are not included."""
        self.incomplete: dict[int, Unplaced] = {}
        """Object -> what of its time is entirely unknown."""
        self.is_beyond = False
        """The calendar has too many occurrences: none of them are kept, and all its time is unknown."""

    @classmethod
    def beyond(cls, table: FactsTable, why: str) -> "OccurrenceTable":
        """The table of a calendar with too many occurrences, which may be at any time."""
        tables = cls(table)
        last = Chunk.empty()
        last.take(0, array("q", (EARLIEST, LATEST, 0)), facts=[table.number(Facts(unknown=why))])
        tables.parts.append(last.sealed())
        tables.incomplete[0] = Unplaced(why)
        tables.is_beyond = True
        return tables

    @property
    def count(self) -> int:
        """How many occurrences there are."""
        return sum(len(part.objects) for part in self.parts)

    def pieces(self) -> Iterator[Chunk]:
        """All rows, in pieces that one step may process."""
        for part in self.parts:
            yield from part.pieces()

    def changed(self, changes: Mapping[int, IndexEntry | None]) -> Generator[None, None, "OccurrenceTable"]:
        """The table with these entries in place of what the objects had; None forgets one. Yields between slices."""
        new = OccurrenceTable(self.table)
        new.recurring = self.recurring - changes.keys()
        new.incomplete = {number: what for number, what in self.incomplete.items() if number not in changes}
        lowest, highest = min(changes, default=0), max(changes, default=0)
        for part in self.parts:
            if highest < part.lowest or part.highest < lowest or changes.keys().isdisjoint(part.objects):
                new.parts.append(part)
                continue
            rest = part.without(changes)
            new.parts += [rest] if rest.objects else []
            yield
        yield from new.add(entry for entry in changes.values() if entry is not None)
        return new

    def add(self, entries: Iterable[IndexEntry]) -> Generator[None, None, None]:
        """Add entries of new objects, before this table is published. Yields between slices."""
        last = self.parts.pop().copy() if self.parts and len(self.parts[-1].objects) < SLICE else Chunk.empty()
        recurring, spent = set(self.recurring), 0
        for entry in entries:
            numbers = [self.table.number(facts) for facts in entry.facts]
            if entry.recurring:
                recurring.add(entry.object)
            if entry.incomplete:
                self.incomplete[entry.object] = Unplaced(entry.incomplete, entry.incomplete_since)
            spent += _ENTRY_COST
            for offset in range(0, len(entry.occurrences), 3 * SLICE):
                rows = entry.occurrences[offset : offset + 3 * SLICE]
                last.take(entry.object, rows, facts=numbers)
                if len(last.objects) >= SLICE:
                    self.parts.append(last.sealed())
                    last = Chunk.empty()
                spent += len(rows) // 3
                if spent >= SLICE:
                    spent = 0
                    yield
            if spent >= SLICE:
                spent = 0
                yield
        self.parts += [last.sealed()] if last.objects else []
        self.recurring = frozenset(recurring)

    def with_table(self, table: FactsTable) -> Generator[None, None, "OccurrenceTable"]:
        """The same occurrences with the facts in another table. Yields between slices."""
        numbers: dict[int, int] = {}
        new = OccurrenceTable(table)
        new.recurring, new.incomplete, new.is_beyond = self.recurring, self.incomplete, self.is_beyond
        for part in self.pieces():
            for number in set(part.facts) - numbers.keys():
                numbers[number] = table.number(self.table.facts[number])
            new.parts.append(replace(part, facts=array("I", [numbers[number] for number in part.facts])))
            yield
        return new

    def objects_in(self, window: Period) -> Generator[None, None, set[int]]:
        """The objects with an occurrence that overlaps the window, or has no length in it. Yields between slices."""
        numbers: set[int] = set()
        for part in self.pieces():
            rows = zip(part.objects, part.starts, part.ends, strict=True)
            low, high = window.start, window.end
            numbers.update(
                [number for number, start, end in rows if start < high and (low < end or low == start == end)]
            )
            yield
        return numbers
