"""When a daemon polls a connection first that another one has polled before: its turn stays what it was.

Overdue polls start a moment apart; otherwise no request could be served between their answers.
"""

from collections.abc import Iterable

from msgspec import Struct

from busyd.clock import Clock
from busyd.period import Instant
from busyd.state.connection_state import ConnectionState
from busyd.store.mirror import CalendarRecord
from busyd.sync.timing import APART

NEVER = float("inf")


class FirstPoll(Struct, frozen=True):
    """What a schedule begins with, in monotonic seconds."""

    last: float = -NEVER
    """When the connection was polled last, at the latest."""
    not_before: float = -NEVER


AT_ONCE = FirstPoll()


class FirstPolls:
    """Those of all connections of a daemon."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free = -NEVER
        """From when on nothing else begins (monotonic)."""

    def of(self, state: ConnectionState, linked: Iterable[CalendarRecord], *, is_refused: bool) -> FirstPoll:
        """`linked` are its calendars that count. A login that was refused is tried, as this daemon may have another.

        Where nobody has said how it went with the connection, as after a move of the stores, it is due: however young
        the proofs of its calendars are, the last poll may have failed.
        """
        now, monotonic = self._clock.now(), self._clock.monotonic()

        def passed(at: Instant | None) -> float:
            """Monotonic, at the end of that second: when in it something was is not known."""
            return -NEVER if at is None else monotonic - max(0, now - at - 1)

        records = list(linked)
        proved = max((record.as_of for record in records if record.as_of is not None), default=state.last_poll)
        is_told = state.last_poll is not None or bool(state.trouble)
        last = passed(proved) if is_told and all(record.complete for record in records) else -NEVER
        if state.trouble and not is_refused and state.next_poll is not None and state.next_poll > now:
            return FirstPoll(last, monotonic + (state.next_poll - now))
        if last + state.connection.poll.total_seconds() > monotonic:
            return FirstPoll(last)
        self._free = max(self._free + APART, monotonic)
        return FirstPoll(last, self._free)
