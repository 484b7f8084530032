"""Taking back what was asked for, as nothing was written and nothing will be soon, while nobody was told of it.

Where several daemons share the rows, whoever has asked may wait at another one. What it is told is noted before it is
told, in the database, and what is noted is not taken back.
"""

import logging
from collections.abc import Callable

from busyd.booking.applying import WriteRefused
from busyd.booking.carrying import is_open
from busyd.clock import Clock
from busyd.errors import BusydError
from busyd.flow.membership import NotProven
from busyd.flow.orders import reason_of, take_back
from busyd.flow.requests import OutboxRequests
from busyd.flow.waiting import WaitingRequests
from busyd.store.bookings import Booking
from busyd.store.outbox import Outbox

logger = logging.getLogger(__name__)


class Withdrawals:
    """Takes rows back, and says from when on they are not."""

    def __init__(
        self,
        requests: OutboxRequests,
        waiting: WaitingRequests,
        *,
        take: Callable[[Booking], object],
        clock: Clock,
    ) -> None:
        """`take` follows a row as it is then."""
        self._requests = requests
        self._waiting = waiting
        self._take = take
        self._clock = clock

    async def withdraw(self, name: str, error: BusydError) -> bool:
        """Take a row back for an error that its work ran into, and tell whoever waits for it; whether that was done."""
        may_wait = self._waiting.is_awaited(name) or self._requests.is_shared
        if not may_wait or not isinstance(error, NotProven | WriteRefused):
            return False
        changed: list[Booking] = []

        def work(outbox: Outbox) -> list[Booking]:
            row = outbox.find(name)
            if row is not None and name not in self._requests.told_of and not outbox.was_told(row):
                changed[:] = take_back(outbox, name, now=self._clock.now(), reason=reason_of(error))
            return changed

        self._waiting.hold_back(name, is_withdrawing=True)
        try:
            await self._requests.change(work)
        except BusydError as failure:
            logger.warning("appointment %s could not be taken back: %s", name, failure)
        for one in changed:
            self._take(one)
        self._waiting.hold_back(name, is_withdrawing=bool(changed))
        if changed:
            self._waiting.fail(name, error)
        return bool(changed)

    async def before_telling(self, row: Booking) -> Booking | None:
        """To be called before somebody is told that a row is under way: the row, where it has come to rest meanwhile.

        Otherwise no daemon takes it back from now on. Raises StorageError.
        """
        at_rest: Booking | None = None

        def work(outbox: Outbox) -> list[Booking]:
            nonlocal at_rest
            current = outbox.find(row.id)
            if current is None or not is_open(current):
                at_rest = current
            else:
                outbox.note_told(current)
            return []

        await self._requests.change(work)
        return at_rest
