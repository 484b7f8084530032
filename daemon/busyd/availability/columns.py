"""The occurrences of one calendar in memory: parallel packed columns, 28 bytes an occurrence. Facts, no opinion."""

from array import array
from collections.abc import Generator, Iterable, Mapping
from itertools import compress
from typing import Final

from msgspec.structs import replace

from busyd.ical.facts import Attendee, Facts
from busyd.period import Period
from busyd.store.occurrences import IndexEntry

SLICE: Final = 500
"""Rows worked through before a generator lets others run: well under a millisecond."""
_ENTRY_COST: Final = 20
"""An entry costs about as much as so many rows, however few it has."""


class FactsTable:
    """Every distinct `Facts` once, so that an occurrence holds a number."""

    def __init__(self) -> None:
        self.facts: list[Facts] = []
        self._numbers: dict[Facts, int] = {}
        self._attendees: dict[Attendee, Attendee] = {}
        """Each once: the same people come to most events."""

    def number(self, facts: Facts) -> int:
        """The number of these facts, a new one when they were not seen before."""
        known = self._numbers.get(facts)
        if known is None:
            if facts.attendees:
                shared = tuple([self._attendees.setdefault(one, one) for one in facts.attendees])
                facts = replace(facts, attendees=shared)
            known = self._numbers[facts] = len(self.facts)
            self.facts.append(facts)
        return known


class Columns:
    """One calendar as read in one zone. A change makes new columns, so that whoever reads sees one state."""

    __slots__ = ("ends", "facts", "incomplete", "objects", "recurring", "starts", "table")

    def __init__(self, table: FactsTable) -> None:
        self.table = table
        self.objects: array[int] = array("q")
        self.starts: array[int] = array("q")
        self.ends: array[int] = array("q")
        self.facts: array[int] = array("I")
        self.recurring: frozenset[int] = frozenset()
        """Objects whose occurrences beyond the horizon are not here."""
        self.incomplete: dict[int, str] = {}
        """Object -> why some of its time is not known at all."""

    def changed(self, changes: Mapping[int, IndexEntry | None]) -> Generator[None, None, "Columns"]:
        """Columns with these entries in place of what the objects had; None forgets one. Yields between slices."""
        new = yield from self._without(changes)
        yield from new.add(entry for entry in changes.values() if entry is not None)
        return new

    def add(self, entries: Iterable[IndexEntry]) -> Generator[None, None, None]:
        """Take in entries of objects that are not here, while nobody reads these columns. Yields between slices."""
        recurring, spent = set(self.recurring), 0
        for entry in entries:
            numbers = [self.table.number(facts) for facts in entry.facts]
            rows = entry.occurrences
            count = len(rows) // 3
            self.objects.extend([entry.object] * count)
            self.starts.extend(rows[0::3])
            self.ends.extend(rows[1::3])
            self.facts.extend([numbers[number] for number in rows[2::3]])
            if entry.recurring:
                recurring.add(entry.object)
            if entry.incomplete:
                self.incomplete[entry.object] = entry.incomplete
            spent += count + _ENTRY_COST
            if spent >= SLICE:
                spent = 0
                yield
        self.recurring = frozenset(recurring)

    def with_table(self, table: FactsTable) -> Generator[None, None, "Columns"]:
        """The same occurrences with the facts in another table. Yields between slices."""
        numbers: dict[int, int] = {}
        new = Columns(table)
        new.objects, new.starts, new.ends = self.objects, self.starts, self.ends
        new.recurring, new.incomplete = self.recurring, self.incomplete
        for offset in range(0, len(self.facts), SLICE):
            part = self.facts[offset : offset + SLICE]
            for number in set(part) - numbers.keys():
                numbers[number] = table.number(self.table.facts[number])
            new.facts.extend([numbers[number] for number in part])
            yield
        return new

    def objects_in(self, window: Period) -> Generator[None, None, set[int]]:
        """The objects with an occurrence that overlaps the window. Yields between slices."""
        found: set[int] = set()
        for offset in range(0, len(self.objects), SLICE):
            part = slice(offset, offset + SLICE)
            rows = zip(self.objects[part], self.starts[part], self.ends[part], strict=True)
            found.update(number for number, start, end in rows if start < window.end and window.start < end)
            yield
        return found

    def _without(self, changes: Mapping[int, IndexEntry | None]) -> Generator[None, None, "Columns"]:
        """A copy that lacks every row of the objects named."""
        new = Columns(self.table)
        new.recurring = self.recurring - changes.keys()
        new.incomplete = {number: why for number, why in self.incomplete.items() if number not in changes}
        for offset in range(0, len(self.objects), SLICE):
            part = slice(offset, offset + SLICE)
            objects = self.objects[part]
            if changes.keys().isdisjoint(objects):  # nearly always, and far cheaper than choosing row by row
                new.objects.extend(objects)
                new.starts.extend(self.starts[part])
                new.ends.extend(self.ends[part])
                new.facts.extend(self.facts[part])
            else:
                keep = [number not in changes for number in objects]
                new.objects.extend(compress(objects, keep))
                new.starts.extend(compress(self.starts[part], keep))
                new.ends.extend(compress(self.ends[part], keep))
                new.facts.extend(compress(self.facts[part], keep))
            yield
        return new
