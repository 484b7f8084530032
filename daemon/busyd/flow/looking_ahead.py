"""First looks that begin before a row is committed, and go on while it is: whoever has booked waits for less."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from busyd.booking.carrying import ProvenLook
from busyd.flow.looks import Looks
from busyd.store.bookings import Booking


class LooksAhead:
    """Those of rows that are not carried on yet."""

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._looking: dict[str, asyncio.Task[ProvenLook]] = {}

    @contextlib.asynccontextmanager
    async def during(self, row: Booking) -> AsyncIterator[None]:
        """Begin the look of a row that is about to be committed; it ends when that fails."""
        looking = asyncio.create_task(self._looks.prove(row), name=f"look ahead of {row.id}")
        looking.add_done_callback(lambda task: task.cancelled() or task.exception())  # told to whoever awaits it
        self._looking[row.id] = looking
        try:
            yield
        except BaseException:
            del self._looking[row.id]
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            raise

    def take(self, row: str) -> asyncio.Task[ProvenLook] | None:
        """The look of a row, for whoever carries it on; once."""
        return self._looking.pop(row, None)
