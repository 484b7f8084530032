"""How old the last proof of each calendar is, by two clocks: one that can be set, and one that stops with the process.

The larger of the two counts, in fractions of seconds by the clock that has them. A proof that was made before the
process started has only wall time to go by; when the clock has not even passed the last of these, nobody knows how old
any of them is, until it is replaced by a new one.
"""

from collections.abc import Iterable

from busyd.clock import Now
from busyd.period import Instant
from busyd.store.mirror import CalendarRecord


class Proofs:
    """When each calendar was last proved to be as the mirror has it, in monotonic seconds."""

    def __init__(self) -> None:
        self._proved: dict[int, tuple[Instant, float]] = {}

    def restore(self, records: Iterable[CalendarRecord], *, now: Now) -> None:
        """Take the proofs that an earlier process left."""
        dated = [(record.id, record.as_of) for record in records if record.as_of is not None]
        if now.wall <= max((as_of for _, as_of in dated), default=0):
            return  # the clock was set back, by nobody knows how much
        self._proved = {number: (as_of, now.monotonic - (now.wall - as_of)) for number, as_of in dated}

    def note(self, record: CalendarRecord, *, known: Instant | None, asked: Now | None, monotonic: float) -> None:
        """Take what a poll says of a calendar: a proof unless `known`, the date of the one before, is still its date.

        `asked` is when the poll began, and what it proves is as old as that.
        """
        if record.as_of is None:
            return
        proved = self._proved.get(record.id)
        if proved is not None and proved[0] == record.as_of:
            return
        in_this_poll = asked is not None and 0 <= asked.wall - record.as_of <= 1
        if record.as_of != known or in_this_poll:
            at = asked.monotonic if asked is not None and in_this_poll else monotonic
            self._proved[record.id] = (record.as_of, at)

    def note_later(self, record: CalendarRecord, *, monotonic: float) -> None:
        """The last proof is by a poll that began then or later, whatever its date leaves open."""
        proved = self._proved.get(record.id)
        if record.as_of is not None and (proved is None or proved[0] != record.as_of or proved[1] < monotonic):
            self._proved[record.id] = record.as_of, monotonic

    def age_of(self, record: CalendarRecord, now: Now) -> float | None:
        """Seconds since a calendar was proved; None when nobody can say, also for a proof that lies ahead."""
        proved = self._proved.get(record.id)
        if record.as_of is None or proved is None or proved[0] != record.as_of or record.as_of > now.wall:
            return None
        by_wall, exactly = now.wall - record.as_of, now.monotonic - proved[1]
        # Whole seconds may be ahead by a part of one; by more than that they are where the clock was set.
        return exactly if by_wall < exactly + 1 else by_wall
