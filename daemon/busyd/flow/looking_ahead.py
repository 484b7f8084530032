"""First looks that begin before a row is committed, and go on while it is: whoever has booked waits for less."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from busyd.booking.carrying import ProvenLook
from busyd.clock import Clock
from busyd.flow.looks import PROVE_WITHIN, Looks
from busyd.store.bookings import Booking


class LooksAhead:
    """Those of rows that are not carried on yet."""

    def __init__(self, looks: Looks, *, clock: Clock) -> None:
        self._looks = looks
        self._clock = clock
        self._looking: dict[str, tuple[asyncio.Task[ProvenLook], float]] = {}
        """Each with when it began (monotonic)."""

    @contextlib.asynccontextmanager
    async def during(self, row: Booking) -> AsyncIterator[None]:
        """Begin the look of a row that is about to be committed; it ends when that fails."""
        looking = asyncio.create_task(self._looks.prove(row), name=f"look ahead of {row.id}")
        looking.add_done_callback(lambda task: task.cancelled() or task.exception())  # told to whoever awaits it
        self._looking[row.id] = looking, self._clock.monotonic()
        try:
            yield
        except BaseException:
            self.drop(row.id)
            await asyncio.gather(looking, return_exceptions=True)
            raise

    def take(self, row: str) -> asyncio.Task[ProvenLook] | None:
        """The look of a row, for whoever carries it on; once, and only while it says how things are now."""
        looking, began = self._looking.get(row, (None, 0.0))
        if self._clock.monotonic() - began > PROVE_WITHIN:
            self.drop(row)
            return None
        self._looking.pop(row, None)
        return looking

    def drop(self, row: str) -> None:
        """End the look of a row, if there is one."""
        if row in self._looking:
            looking, _ = self._looking.pop(row)
            looking.cancel()
