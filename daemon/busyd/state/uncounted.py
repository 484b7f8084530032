"""What is known of calendars that no profile names: when there is something in them. In memory only."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from busyd.connection import CalendarKind
from busyd.period import Instant
from busyd.store.mirror import CalendarRecord

MANY: Final = 5
"""So many busy times ahead are worth a word."""


class UncountedTime(Struct, frozen=True):
    """When there is something in a calendar, as it was at a moment."""

    spans: tuple[tuple[int, int], ...]
    """Sorted and disjoint."""
    ahead: int
    """How many of them were not over at `at`."""
    at: Instant
    mark: tuple[str | None, str | None]
    """The ctag and the sync token that were listed then."""

    def within(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """What of it is in a window."""
        return ((low, high) for a, b in self.spans if (low := max(a, start)) < (high := min(b, end)))


def may_count(record: CalendarRecord) -> bool:
    """Whether it is there, and holds events of its own that a profile could count."""
    is_there = record.missing_since is None and not record.gone
    return is_there and record.remote.kind in (CalendarKind.OWN, CalendarKind.SHARED)


def much_ahead(time: UncountedTime | None, record: CalendarRecord) -> int:
    """How many busy times are ahead in a calendar that a person may have forgotten; 0 where that needs no word."""
    is_told = time is not None and time.ahead >= MANY and not record.remote.transparent and may_count(record)
    return time.ahead if time is not None and is_told else 0
