"""Decisions about new rows of the outbox where other daemons commit some, too: by what was known, or not at all."""

from collections.abc import Mapping, Sequence, Set

from msgspec import Struct

from busyd.period import Period
from busyd.store.bookings import Booking
from busyd.store.outbox import Outbox


class DecisionBasis(Struct, frozen=True):
    """What a decision about a profile rests on where other daemons commit rows too: those that were shown before it."""

    profile: str
    calendars: Set[str]
    """Those that count for it."""
    shown: Mapping[str, Sequence[Period]]
    """Row -> the time that it takes."""
    upto: int
    """What others have written up to this number was shown."""

    def require_newest(self, outbox: Outbox) -> None:
        """To be called in the transaction of what was decided. Raises Outdated."""
        late = [
            row
            for row in outbox.moved_after(self.upto)
            if (row.profile == self.profile or row.calendar in self.calendars)
            and tuple(row.spans) != tuple(self.shown.get(row.id, ()))
        ]
        if late:
            raise Outdated(late)


class Outdated(Exception):
    """Other daemons have committed rows that a decision did not know."""

    def __init__(self, rows: Sequence[Booking]) -> None:
        super().__init__(f"{len(rows)} rows were not known")
        self.rows = rows
