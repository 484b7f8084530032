"""Who waits for what comes of a row: told once it is settled, or why nothing comes of it."""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from busyd.errors import BusydError
from busyd.flow.requests import KeyedRequest, Told
from busyd.store.bookings import Booking, BookingState


class PromisedAnswer(Struct, eq=False):
    """What a request is told once its row is booked: kept by the commit that books it."""

    asked: KeyedRequest
    render: Callable[[Booking], Told | None]
    """None: there is more to come of it."""
    told: Told | None = None
    """What was kept."""


class _Waiter(Struct, eq=False):
    """Somebody who asked for a change of a row."""

    told: asyncio.Future[Booking]
    is_withdrawing: bool = False


class AskedTwice(Exception):
    """Another daemon has been asked for the same with the same key, and was quicker."""

    def __init__(self, known: Told | Booking) -> None:
        super().__init__("asked twice")
        self.known = known


class WaitingRequests:
    """Those who wait, by row."""

    def __init__(self) -> None:
        self._waiters: dict[str, list[_Waiter]] = {}
        self._promised: dict[str, PromisedAnswer] = {}

    def is_awaited(self, row: str) -> bool:
        """Whether somebody waits for a row."""
        return row in self._waiters

    def promised(self, row: Booking) -> tuple[PromisedAnswer, Told] | None:
        """What is to be kept with a row that is about to be committed."""
        promised = self._promised.get(row.id) if row.state is BookingState.BOOKED else None
        told = promised.render(row) if promised is not None else None
        return (promised, told) if promised is not None and told is not None else None

    async def wait(self, row: str, seconds: float, *, promised: PromisedAnswer | None = None) -> Booking | None:
        """The row once it is settled; None when it is not in time. Raises what `fail` tells."""
        waiter = _Waiter(asyncio.get_running_loop().create_future())
        self._waiters.setdefault(row, []).append(waiter)
        if promised is not None:
            self._promised[row] = promised
        try:
            await asyncio.wait((waiter.told,), timeout=seconds)
            return await waiter.told if waiter.is_withdrawing or waiter.told.done() else None
        finally:
            self._waiters[row].remove(waiter)
            if promised is not None:
                del self._promised[row]
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
