"""Carries a row of the outbox on: look, decide, commit, send, over and over, until there is nothing to do for now.

Before the first byte of every PUT its mark is committed, and with the first one the state SENDING. Everything but a
definite answer is unknown: what it came to is seen by the next look, never assumed. Nobody else may change the row
meanwhile. Moves, which need a claim, and guests are not carried yet.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from busyd.booking.decision import Request, Sight, Step, decide
from busyd.booking.rendering import read_version, with_mark
from busyd.booking.transitions import BookingEvent, next_state
from busyd.clock import Clock
from busyd.dav.exchange import Operation
from busyd.dav.href import ETag
from busyd.dav.objects import Refused, WriteOutcome, delete_object, fetch_object, put_object
from busyd.errors import BusydError
from busyd.period import Instant
from busyd.store.bookings import BLOCKS_NOTHING, Booking, BookingState

T = TypeVar("T")

WATCHED_FOR: Final = 86_400
"""Seconds for which a late PUT of ours is deleted if it turns up after a row has ended."""
_FAILED_CONDITION: Final = 412
_RESTS: Final = frozenset({BookingState.BOOKED, BookingState.CLAIMED, *BLOCKS_NOTHING, BookingState.ATTENTION})
"""States in which another look at once would say no more; on a server whose reads lag it would say less."""
_GOING: Final = frozenset({BookingState.CANCELLING, BookingState.YIELDING})


class Client(Protocol):
    """What carries out operations: `CaldavClient`."""

    async def run(self, operation: Operation[T]) -> T: ...


class WriteRefused(BusydError):
    """The server has refused a write for another reason than its condition. The row stays as it is."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"the server refused the write with status {refused.status}")
        self.refused = refused


class Carrier(Struct, frozen=True):
    """What it takes to carry the rows of one calendar."""

    client: Client
    is_taken: Callable[[Booking], Awaitable[bool]]
    """Whether somebody else has an event in the span of a row, by a proof that is newer than the call."""
    commit: Callable[[Booking], Awaitable[None]]
    """Keeps a row as it is now, and shows it; on the disk when it returns."""
    clock: Clock

    async def carry(self, row: Booking) -> Booking:
        """Carry a row on as far as it goes now. Raises WriteRefused, WriteOutcomeUnknown, RemoteError, StorageError.

        After an error the row is as it was last committed, and is to be carried on from there.
        """
        after_412 = False
        while True:
            step = decide(row, await self._look(row, after_412=after_412))
            after_412 = False
            changed = applied(row, step, now=self.clock.now())
            if step.send is None:
                if changed != row:
                    await self.commit(changed)
                if changed == row or changed.state in _RESTS:
                    return changed
                row = changed
            else:
                row, after_412 = await self._send(changed, step.send)
                if row.state in _RESTS:
                    return row

    async def _look(self, row: Booking, *, after_412: bool) -> Sight:
        taken = await self.is_taken(row)
        found = await self.client.run(fetch_object(row.href))
        version = read_version(row, found.payload, etag=found.etag) if found is not None else None
        return Sight(version, taken=taken, after_412=after_412)

    async def _send(self, row: Booking, request: Request) -> tuple[Booking, bool]:
        """Commit, then send; the row after the answer, and whether its condition failed."""
        if request is Request.DELETE:
            await self.commit(row)
            outcome = await self.client.run(delete_object(row.href, ETag(row.etag)))
            if isinstance(outcome, Refused):
                return row, self._check(outcome)
            row = applied(row, Step(BookingEvent.ABSENT), now=self.clock.now()) if row.state in _GOING else row
            await self.commit(row)
            return row, False
        mark = secrets.token_hex(8)
        row = replace(row, marks=(*row.marks, mark))
        await self.commit(row)
        outcome = await self.client.run(self._put(row, request, mark=mark))
        known = tuple(one for one in row.marks if one != mark)
        if isinstance(outcome, Refused):
            failed = self._check(outcome)
            row = replace(row, marks=known)
            await self.commit(row)
            return row, failed
        # Without an ETag in the answer the mark says at the next look that it is ours.
        row = replace(row, etag=str(outcome.etag), marks=known) if outcome.etag else replace(row, etag="")
        if row.state is BookingState.SENDING:
            row = replace(row, state=next_state(row.kind, row.state, event=BookingEvent.CREATED))
        elif request is Request.FENCE:
            row = replace(row, restored=0)
        await self.commit(row)
        return row, False

    def _put(self, row: Booking, request: Request, *, mark: str) -> Operation[WriteOutcome]:
        payload = with_mark(row.body, mark)
        if request is Request.CREATE:
            return put_object(row.href, payload, if_none_match=True)
        return put_object(row.href, payload, if_match=ETag(row.etag))

    def _check(self, refused: Refused) -> bool:
        if refused.status != _FAILED_CONDITION:
            raise WriteRefused(refused)
        return True


def applied(row: Booking, step: Step, *, now: Instant) -> Booking:
    """A row as it is after a step. Raises ImpossibleTransition."""
    if step.looked_after_restore:
        row = replace(row, restored=0, marks=(), watch_until=None)
    if step.seen is not None:
        marks = tuple(mark for mark in row.marks if mark != step.seen.mark)
        row = replace(row, etag=step.seen.etag, marks=marks)
    if step.touched is not None:
        row = replace(row, touched=step.touched)
    if step.span is not None:
        row = replace(row, span=step.span)
    if step.conflict is not None:
        row = replace(row, conflict=step.conflict)
    if step.fence is not None:
        row = replace(row, restored=2 if step.fence else 0)
    if step.event is None:
        return row
    state = next_state(row.kind, row.state, event=step.event)
    if row.state is BookingState.MOVING:
        row = replace(row, target=None)
    if state in (BookingState.CANCELLED, BookingState.REFUSED) and row.state is not state:
        row = replace(row, etag="", settled=now, watch_until=Instant(now + WATCHED_FOR))
    if state is BookingState.REFUSED:
        row = replace(row, reason="slot-taken")
    if state is BookingState.REMOVED:
        row = replace(row, etag="", settled=now)
    return replace(row, state=state)
