"""What appointments and written blocks share: rows that `book.py` carries on, what was told of them, and their end."""

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from busyd.flow.book import Booker
from busyd.flow.orders import cancelled, require_carried_out
from busyd.flow.requests import KeyedRequest, OutboxRequests, Told
from busyd.index.writer import IndexWriter
from busyd.store.bookings import BLOCKS_NOTHING, Booking, BookingKind
from busyd.store.outbox import Outbox

View = TypeVar("View")


class CarriedRows(ABC, Generic[View]):
    """Rows of one kind. Everything raises UnknownProfile, KeyMismatch and StorageError.

    What returns a view returns it as it is once it is settled, or after some seconds. `Told` is what was told before
    under the same key.
    """

    kind: ClassVar[BookingKind]

    def __init__(self, requests: OutboxRequests, writer: IndexWriter, *, booker: Booker) -> None:
        self._requests = requests
        self._writer = writer
        self._booker = booker

    async def cancel(self, asked: KeyedRequest, booking: str, *, reason: str) -> View | Told:
        """Have one go, from its calendar too; the same when it is gone. Raises UnknownBooking."""
        if (known := await self._known(asked)) is not None:
            return known
        row = await self._requests.find(asked, booking, kind=self.kind)
        if row.state in BLOCKS_NOTHING:
            return self._view(row)
        changed: list[Booking] = []

        def work(outbox: Outbox) -> list[Booking]:
            known = outbox.find(booking) or row
            changed[:] = cancelled(known, outbox, now=asked.now, reason=reason)
            for one in changed:
                outbox.record(one)
            return changed

        twin = await self._requests.change_once(asked, work)
        return self._told(twin) or self._view(await self._booker.settle(changed[0]))

    @abstractmethod
    def _view(self, row: Booking) -> View: ...

    async def _known(self, asked: KeyedRequest) -> View | Told | None:
        """What was told of the same request before, or how it stands while that is not settled."""
        return self._told(await self._requests.known(asked))

    def _told(self, known: Told | Booking | None) -> View | Told | None:
        return self._view(known) if isinstance(known, Booking) else known

    async def _settled_change(self, row: Booking) -> Booking:
        """Raises ChangeRefused, and as `Booker.settle` does."""
        settled = await self._booker.settle(row)
        require_carried_out(settled, sequence=row.sequence + 1)
        return settled
