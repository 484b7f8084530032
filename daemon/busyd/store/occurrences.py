"""The values of the busy index: what each object says of time within the horizon, so that a start needs no parsing."""

from array import array
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from busyd.ical.facts import Facts, Problem
from busyd.period import EARLIEST, Period

ANY_ZONE: Final = ""
"""The zone of entries that do not depend on the reader's."""


class IndexEntry(Struct, frozen=True):
    """The occurrences of one object, read in one zone."""

    object: int
    zone: str
    span: Period
    """What the occurrences of a recurring object cover; others are complete whatever the span."""
    recurring: bool
    occurrences: "array[int]"
    """Flat triples of start, end and number in `facts`."""
    facts: tuple[Facts, ...]
    problems: tuple[Problem, ...] = ()
    incomplete: str = ""
    """Not empty: something of the object may be at any time, for the reason stated here."""
    incomplete_since: int = EARLIEST
    """From when on."""
    postponed: bool = False
    """The object could not be read just now. Such an entry is never stored: it is lacking, until it is read."""

    @property
    def is_doubtful(self) -> bool:
        """Whether something of it is not understood, so that windows are not complete."""
        return bool(self.incomplete) or any(facts.unknown for facts in self.facts)


class RowCounts(Struct, frozen=True):
    """How many occurrences a calendar has."""

    by_zone: Mapping[str, int]
    withheld: int
    """How many of its entries are withheld."""

    def read_in(self, zone: str) -> int:
        """How many there are for who reads in this zone, as far as it has been read in it."""
        return self.by_zone.get(ANY_ZONE, 0) + (self.by_zone.get(zone, 0) if zone != ANY_ZONE else 0)

    @property
    def most(self) -> int:
        """How many there are in the zone in which there are most."""
        return max(map(self.read_in, self.by_zone), default=0)
