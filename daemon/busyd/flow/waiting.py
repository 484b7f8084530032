"""Who waits for what comes of a row: told once it is settled, or why nothing comes of it."""

import asyncio

from msgspec import Struct

from busyd.errors import BusydError
from busyd.store.bookings import Booking


class _Waiter(Struct, eq=False):
    """Somebody who asked for a change of a row."""

    told: asyncio.Future[Booking]
    is_withdrawing: bool = False


class WaitingRequests:
    """Those who wait, by row."""

    def __init__(self) -> None:
        self._waiters: dict[str, list[_Waiter]] = {}

    def is_awaited(self, row: str) -> bool:
        """Whether somebody waits for a row."""
        return row in self._waiters

    async def wait(self, row: str, seconds: float) -> Booking | None:
        """The row once it is settled; None when it is not in time. Raises what `fail` tells."""
        waiter = _Waiter(asyncio.get_running_loop().create_future())
        self._waiters.setdefault(row, []).append(waiter)
        try:
            await asyncio.wait((waiter.told,), timeout=seconds)
            return await waiter.told if waiter.is_withdrawing or waiter.told.done() else None
        finally:
            self._waiters[row].remove(waiter)
            if not self._waiters[row]:
                del self._waiters[row]

    def hold_back(self, row: str, *, is_withdrawing: bool) -> None:
        """Nobody is told that it is pending while it is being taken back."""
        for waiter in self._waiters.get(row, ()):
            waiter.is_withdrawing = is_withdrawing

    def tell(self, row: Booking) -> None:
        """Tell that it is settled."""
        for waiter in self._waiters.get(row.id, ()):
            if not waiter.told.done():
                waiter.told.set_result(row)

    def fail(self, row: str, error: BusydError) -> None:
        """Tell why nothing comes of it."""
        for waiter in self._waiters.get(row, ()):
            if not waiter.told.done():
                waiter.told.set_exception(error)
