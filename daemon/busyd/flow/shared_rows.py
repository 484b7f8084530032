"""The outbox where several daemons write it: each carries on the rows of the connections that it polls.

Any daemon takes a request and commits it. What another one is to carry on is followed from what it commits, and told to
whoever waits. A row that this daemon has committed is followed as well: between its commit and the moment at which it
is shown, another version may have been shown, which is then the later one.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence

from busyd.flow.book import Booker
from busyd.flow.requests import OutboxRequests
from busyd.index.writer import IndexWriter
from busyd.store.bookings import Booking, BookingKind, connection_of


class SharedRows:
    """Which rows are this daemon's to carry on, and what the others do with theirs."""

    def __init__(self, requests: OutboxRequests, writer: IndexWriter, *, booker: Booker) -> None:
        self._requests = requests
        self._writer = writer
        self._booker = booker
        self._own: frozenset[str] = frozenset()
        self._again: set[str] = set()
        """Rows that this daemon has shown since they were followed last."""
        booker.is_own = self._own.__contains__
        booker.on_awaited = lambda row: self._again.add(row)
        requests.on_shown = lambda rows: self._again.update(row.id for row in rows)

    async def own(self, connections: Collection[str]) -> None:
        """Carry on the rows of these connections, those too that others have left, and no others.

        Returns once no work about others is under way. Raises StorageError.
        """
        before, self._own = self._own, frozenset(connections)
        self._booker.is_own = self._own.__contains__
        await self._booker.let_go()
        if self._own - before:
            await self._booker.begin()

    def halt(self) -> None:
        """Carry on nothing any more, at once; `own` waits for the end of what is under way."""
        self._own = frozenset()
        self._booker.is_own = self._own.__contains__
        self._booker.halt()

    def is_idle(self, connection: str) -> bool:
        """Whether nothing of a connection is being carried on."""
        return not self._booker.is_busy(connection)

    def take_shown(self) -> list[str]:
        """The rows to be followed whether others have changed them or not."""
        shown, self._again = list(self._again), set()
        return shown

    def show_again(self, rows: Iterable[str]) -> None:
        """These were not followed after all."""
        self._again.update(rows)

    async def show(self, rows: Sequence[Booking]) -> None:
        """Show rows as they were in the ledger when that was read.

        What this daemon has shown since `take_shown` is newer, and is followed the next time.
        """
        if not (rows := self._not_shown(rows)):
            return
        if any(row.kind is BookingKind.HOLD and row.blocks for row in rows):
            self._requests.has_holds.set()
        await asyncio.shield(self._writer.publisher.show_rows(rows))

    def go_on(self, rows: Iterable[Booking]) -> None:
        """Go on with them, and tell whoever waits."""
        for row in self._not_shown(rows):
            self._booker.follow(row)

    def _not_shown(self, rows: Iterable[Booking]) -> list[Booking]:
        return [row for row in rows if row.id not in self._again]

    def refused(self, connection: str) -> tuple[str, ...]:
        """The rows that the account of a connection refuses to take."""
        rows = (self._booker.rows.find(row) for row in sorted(self._writer.state.refused_writes))
        return tuple(row.id for row in rows if row is not None and connection_of(row.calendar) == connection)

    async def take_refused(self, connection: str, refused: Collection[str]) -> None:
        """Show what the daemon that carries the rows of a connection on has said of that."""
        for number in {*self.refused(connection), *refused}:
            if (row := self._booker.rows.find(number)) is not None:
                await self._writer.publisher.show_refused(row, is_refused=number in refused)

    async def compare(self, connection: str) -> None:
        """Compare rows with what the calendars of a connection have now, which another daemon has polled."""
        await self._booker.after_poll(connection)
