"""Book: carries every row that is written to a calendar on until it is settled, and follows it from then on.

One task a row at a time. Whatever it runs into, it goes on from what was committed last, later each time, over
restarts too; only what nobody has been told of yet is withdrawn instead. What a poll shows of a row that rests
(deleted, edited or moved on a phone, somebody else's event in its time) starts another look at it.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

from msgspec.structs import replace

from busyd.booking.applying import WriteRefused, merged
from busyd.booking.carrying import Carrier, is_open
from busyd.booking.rendering import render
from busyd.clock import Clock, sleep_unless
from busyd.dav.errors import LoginRefused
from busyd.dav.href import normalise_href
from busyd.errors import BusydError
from busyd.flow.after_restore import UnknownEvents, level_after_restore, told_after_restore
from busyd.flow.following import FollowedRows
from busyd.flow.kept_writes import keep_in_mirror
from busyd.flow.looking_ahead import LooksAhead
from busyd.flow.looks import AnswerSource, Looks
from busyd.flow.membership import LoginNotAccepted, NotConnected
from busyd.flow.orders import note_refused_change, require_not_taken_back
from busyd.flow.requests import OutboxRequests, keep_answer
from busyd.flow.waiting import PromisedAnswer, WaitingRequests
from busyd.flow.withdrawing import Withdrawals
from busyd.index.writer import IndexWriter
from busyd.store.bookings import Booking, BookingState, WantedChange, connection_of
from busyd.store.outbox import Outbox

logger = logging.getLogger(__name__)

TOLD_WITHIN: Final = 10.0
"""Seconds after which whoever asked is told that it is pending."""
_FIRST_RETRY: Final = 1.0
_LONGEST_RETRY: Final = 300.0


class Booker:
    """Carries rows on, and follows them."""

    def __init__(self, requests: OutboxRequests, writer: IndexWriter, *, answers: AnswerSource, clock: Clock) -> None:
        self._requests = requests
        self._writer = writer
        self._answers = answers
        self._clock = clock
        self._looks = Looks(writer, answers, clock=clock)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wake: dict[str, asyncio.Event] = {}
        """Rows that are to be looked at, or looked at again."""
        self._waiting = WaitingRequests()
        self._ahead = LooksAhead(self._looks, clock=clock)
        self.rows = FollowedRows(writer, self._looks, carry_on=self.carry_on, clock=clock)
        self._withdrawals = Withdrawals(requests, self._waiting, take=self.rows.take, clock=clock)
        self._unknown = UnknownEvents(requests, writer)
        self.is_own: Callable[[str], bool] = lambda _: True
        """Whether this daemon carries the rows of a connection on; see `shared_rows.py`."""
        self.on_awaited: Callable[[str], object] = lambda _: None
        """Called with a row that somebody waits for from now on."""
        self.on_refused: Callable[[str], object] = lambda _: None
        """Called with a connection whose account refuses other rows than before."""
        self.troubles: dict[str, BusydError] = {}
        """Row -> why it is not settled yet."""

    async def begin(self) -> None:
        """Take up what an earlier process has left. To be called once the connections can be asked."""
        since = self.rows.since
        rows = await self._requests.read(lambda outbox: outbox.followed(since))
        for row in rows:
            self.rows.take(row)
            if is_open(row):
                self.carry_on(row)

    async def after_poll(self, connection: str) -> None:
        """Compare with what the calendars of a connection have now."""
        await self.rows.after_poll(connection)
        await self._unknown.after_poll(connection)

    async def close(self) -> None:
        """Stop. What was committed stays, and is taken up by the next start."""
        await self.rows.close()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def halt(self) -> dict[str, asyncio.Task[None]]:
        """Break off carrying on rows that are not this daemon's; the tasks that end by that."""
        left = {name: task for name, task in self._tasks.items() if not self.is_own(self._connection_of(name))}
        for task in left.values():
            task.cancel()
        return left

    async def let_go(self) -> None:
        """Stop carrying on rows that are not this daemon's, and return once that work has ended."""
        left = self.halt()
        await asyncio.gather(*left.values(), return_exceptions=True)
        for name, task in left.items():
            if self._tasks.get(name) is task:
                self._forget(name)  # it ended before its first step

    def is_busy(self, connection: str) -> bool:
        """Whether a row of a connection is being carried on."""
        return any(self._connection_of(name) == connection for name in self._tasks)

    def follow(self, row: Booking) -> None:
        """Take a row as another daemon may have committed it."""
        self.rows.take(row)
        if is_open(row):
            self.carry_on(row)
        elif row.id not in self._tasks:
            self._waiting.tell(row)

    def looking_ahead(self, row: Booking) -> AbstractAsyncContextManager[None]:
        """Begin the first look of a row that is about to be committed: `settle` then goes on with it."""
        return self._ahead.during(row) if self.is_own(connection_of(row.calendar)) else nullcontext()

    async def settle(self, row: Booking, *, promised: PromisedAnswer | None = None) -> Booking:
        """Carry a row on, and wait for what comes of it: the row as it is then, also when it is not settled in time.

        Raises NotProven, and WriteRefused, when nothing was written: then what was asked for is withdrawn.
        """
        self.rows.take(row)
        self.carry_on(row)
        self.on_awaited(row.id)  # another daemon may have settled it already
        settled = await self._waiting.wait(row.id, TOLD_WITHIN, promised=promised)
        if settled is None:
            settled = await self._withdrawals.before_telling(row)
        if settled is not None and row.state is BookingState.PENDING:
            require_not_taken_back(settled)
        return settled or self.rows.find(row.id) or row

    def require_connected(self, connection: str) -> None:
        """Raises NotProven while nothing can be sent to a connection."""
        schedule = self._answers.schedules.get(connection)
        if schedule is None:
            raise NotConnected(connection)
        if schedule.is_refused:
            raise LoginNotAccepted(connection)

    def carry_on(self, row: Booking, *, by_poll: bool = False) -> None:
        """Have a row carried on, or once more when it is being carried; by a poll only where it waits for a retry."""
        # A claim is carried with its appointment, and by itself when it turns up after its end.
        name = row.parent if row.parent and row.blocks else row.id
        if by_poll and name in self._tasks and name not in self.troubles:
            return
        if not self.is_own(connection_of(row.calendar)):
            self._ahead.drop(name)
            return
        self._wake.setdefault(name, asyncio.Event()).set()
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(self._pursue(name), name=f"book {name}")

    async def _pursue(self, name: str) -> None:
        """Carry a row on until it rests, however long that takes."""
        wake, wait = self._wake[name], _FIRST_RETRY
        try:
            while wake.is_set():
                wake.clear()
                try:
                    row = await self._attempt(name)
                except BusydError as error:
                    if await self._withdrawals.withdraw(name, error):
                        wake.set()
                        continue
                    self._note(name, error)
                    await self._show_refused(name, is_refused=isinstance(error, WriteRefused))
                    await sleep_unless(wake, wait, clock=self._clock)
                    wake.set()
                    wait = min(2 * wait, _LONGEST_RETRY)
                else:
                    wait = _FIRST_RETRY
                    self.troubles.pop(name, None)
                    await self._show_refused(name, is_refused=False)
                    if row is not None and not wake.is_set():
                        self._waiting.tell(row)  # else somebody has asked for something since that it does not show
                        self.rows.compare_soon(row.calendar.partition(" ")[0])  # as the polls for it do not
        except Exception:
            logger.exception("appointment %s: internal error; it is taken up again at the next poll", name)
        finally:
            self._forget(name)

    def _forget(self, name: str) -> None:
        del self._tasks[name], self._wake[name]
        self._requests.told_of.discard(name)
        self._ahead.drop(name)

    async def _attempt(self, name: str) -> Booking | None:
        """Carry a row and its claims as far as they go now."""
        row, claims = self.rows.find(name), list[Booking]()
        if row is None or row.state is not BookingState.PENDING:  # of what is pending nothing was moved yet
            row, claims = await self._requests.read(lambda outbox: (outbox.find(name), outbox.claims_of(name)))
        if row is None:
            return None
        connection = row.calendar.partition(" ")[0]
        self.require_connected(connection)
        schedule = self._answers.schedules[connection]
        carrier = Carrier(
            schedule.context.client,
            prove=self._looks.prove,
            is_overlapped=self._looks.is_overlapped,
            commit=self._commit,
            mirror=self._mirror,
            clock=self._clock,
            was_restored=await self._requests.was_restored(),
            zone=self._zone_of(row),
        )
        try:
            if row.state is BookingState.MOVING and claims:
                claims[-1] = await carrier.carry(claims[-1])
            before = row
            held = None
            if row.state is BookingState.MOVING:
                held = claims[-1].state if claims else BookingState.CANCELLED
            row = await carrier.carry(row, claim=held, proving=self._ahead.take(name))
            if row.state is BookingState.BOOKED and before.state is not BookingState.BOOKED:
                written_to = self._writer.state.connection_state(connection).connection
                self.rows.look_again_later(row, lag_of=lambda: self._requests.lag_of(written_to))
            if row.state is BookingState.BOOKED and row.invited == "pending" and row.wanted is None:
                row = await carrier.carry(await self._commit(row, await self._with_guests(row)))
            for claim in claims:
                if claim.blocks:
                    await carrier.carry(claim, is_wanted=row.state is BookingState.MOVING)
        except LoginRefused:
            await schedule.look()  # so that it is known, and tried no more often than any other
            raise
        return row

    async def compose(self, row: Booking, *, with_guests: bool = False) -> bytes:
        """What is to be written for a row, in the zone of its profile."""
        return await render(row, zone=self._zone_of(row), now=self._clock.now(), with_guests=with_guests)

    def _connection_of(self, name: str) -> str:
        row = self.rows.find(name)
        return connection_of(row.calendar) if row is not None else ""

    def _zone_of(self, row: Booking) -> str:
        view = self._answers.profile(row.profile)
        return view.timezone if view is not None else "UTC"

    async def _with_guests(self, row: Booking) -> Booking:
        """A row whose guests are to be written: only now is it certain that the slot stays."""
        body = await self.compose(row, with_guests=True)
        return replace(row, wanted=WantedChange(row.details, body, row.sequence, invites=True))

    async def _commit(self, before: Booking, after: Booking, /, *, is_answer: bool = False) -> Booking:
        """As `Commit`."""
        kept, promised = after, self._waiting.promised(after)

        def work(outbox: Outbox) -> list[Booking]:
            nonlocal kept
            current = outbox.find(after.id)
            if current is None or current == before:
                kept = after
            else:
                kept = merged(current, after=after) if is_answer else current
            outbox.record(kept)
            note_refused_change(current or before, kept, outbox=outbox)
            if promised is not None and kept is after:
                keep_answer(outbox, promised[0].asked, told=promised[1])
            return [kept]

        await self._requests.change(work)
        self.rows.take(kept)
        if promised is not None and kept is after:
            promised[0].told = promised[1]
        if before.restored == 1 and kept.restored != 1:
            logger.log(level_after_restore(kept), "%s", told_after_restore(before, kept))
        return kept

    async def _mirror(self, row: Booking, payload: bytes, *, etag: str) -> None:
        """Have the mirror hold what was written just now: the next poll will find it unchanged."""
        record = self.rows.calendar_of(row)
        if record is not None and record.complete:
            context = self._answers.schedules[record.connection].context
            await keep_in_mirror(
                self._writer, record, context=context, href=normalise_href(row.href), payload=payload, etag=etag
            )

    async def _show_refused(self, name: str, *, is_refused: bool) -> None:
        """Have it told whether the account refuses what would settle a row."""
        row = self.rows.find(name)
        if row is not None and await self._writer.publisher.show_refused(row, is_refused=is_refused):
            self.on_refused(connection_of(row.calendar))

    def _note(self, name: str, error: BusydError) -> None:
        if str(self.troubles.get(name, "")) != str(error):
            logger.warning("appointment %s is not settled yet: %s", name, error)
        self.troubles[name] = error
