"""Carries a row of the outbox on: look, decide, commit, send, over and over, until there is nothing to do for now.

Before the first byte of every PUT its mark is committed, and with the first one the state SENDING. Everything but a
definite answer is unknown: what it came to is seen by the next look, never assumed. Meanwhile somebody may order a
cancel; the next commit finds it, and nothing is sent that it forbids.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from busyd.booking.applying import WriteRefused, applied, with_proof
from busyd.booking.decision import Request, Sight, Step, Version, decide
from busyd.booking.rendering import read_version, with_mark, with_new_mark
from busyd.booking.transitions import BookingEvent, next_state
from busyd.clock import Clock
from busyd.dav.exchange import Operation
from busyd.dav.href import ETag
from busyd.dav.objects import Refused, WriteOutcome, delete_object, fetch_object, put_object
from busyd.errors import RemoteError
from busyd.period import Instant
from busyd.store.bookings import BLOCKS_NOTHING, Booking, BookingState

T = TypeVar("T")

_FAILED_CONDITION: Final = 412
_NO_CONDITION: Final = 428
_WAITING: Final = frozenset({BookingState.ATTENTION, BookingState.ATTENTION_RESTORED})
RESTS: Final = frozenset({BookingState.BOOKED, BookingState.CLAIMED, *BLOCKS_NOTHING, *_WAITING})
"""States in which another look at once would say no more; on a server whose reads lag it would say less."""
_AT_REST: Final = RESTS - {BookingState.CLAIMED}
"""States that a start leaves alone. A claim goes when its appointment is where it was to be moved."""
_GOING: Final = frozenset({BookingState.CANCELLING, BookingState.YIELDING})
_PROVED: Final = frozenset({BookingState.PENDING, BookingState.CONFIRMED})
"""States that are left only by a look at every calendar that counts."""


class Client(Protocol):
    """What carries out operations: `CaldavClient`."""

    async def run(self, operation: Operation[T]) -> T: ...


class Mirror(Protocol):
    """Keeps what was written."""

    async def __call__(self, row: Booking, payload: bytes, /, *, etag: str) -> None: ...


class Commit(Protocol):
    """Keeps a row, and shows it; what it returns is on the disk."""

    async def __call__(self, before: Booking, after: Booking, /, *, is_answer: bool = False) -> Booking:
        """(as it was, as it is now) -> what is kept.

        It is another row than asked for when somebody has changed it meanwhile. Then what a look has shown is dropped,
        since the next look shows it again; what the server has answered to a write (`is_answer`) is kept beside it.
        """
        ...


class ProvenLook(Struct, frozen=True):
    """What a look shows of others, all of it newer than what led to it."""

    taken: bool
    """Whether somebody else has an event in its span."""
    proof: Mapping[str, Instant]
    """Calendar -> when it was confirmed."""


class Carrier(Struct, frozen=True):
    """What it takes to carry the rows of one calendar."""

    client: Client
    prove: Callable[[Booking], Awaitable[ProvenLook]]
    """Looks at every calendar that counts, by proofs that are newer than the call. Raises whatever prevents that."""
    is_overlapped: Callable[[Booking], Awaitable[bool]]
    """Whether somebody else is known to be in the time of what is booked, without asking anew."""
    commit: Commit
    mirror: Mirror
    """Told what a write has put under the name of a row, with its ETag; no bytes when it has removed it."""
    clock: Clock
    was_restored: bool = False
    """Whether the ledger ever came from a backup, so that it may have forgotten what was sent."""
    zone: str = "UTC"
    """IANA name of the zone in which floating and all-day times of the profile are read."""

    async def carry(
        self,
        row: Booking,
        *,
        claim: BookingState | None = None,
        is_wanted: bool = True,
        proving: Awaitable[ProvenLook] | None = None,
    ) -> Booking:
        """Carry a row on as far as it goes now. Raises WriteRefused, WriteOutcomeUnknown, RemoteError, StorageError.

        After an error the row is as it was last committed, and is to be carried on from there. `claim`, `is_wanted`:
        as in `Sight`. `proving`: what `prove` is finding out of it already.
        """
        after_412, not_taken = False, ""
        while True:
            sight, proof = await self._look(row, proving)
            proving = None
            sight = replace(sight, after_412=after_412, claim=claim, is_wanted=is_wanted)
            after_412 = False
            step = decide(row, sight)
            changed = with_proof(applied(row, step, now=self.clock.now()), proof, event=step.event)
            if step.send is None:
                kept = await self._keep(row, changed)
                if step.event is BookingEvent.FOUND and sight.version is not None:
                    await self.mirror(kept, sight.version.payload, etag=sight.version.etag)  # listings may lag
                is_left = kept.state in RESTS and (is_wanted or kept.state is not BookingState.CLAIMED)
                if kept == row or (kept == changed and is_left):
                    return kept
                row = kept
            else:
                if step.send is not Request.CREATE and not_taken and not_taken == changed.etag:
                    # The ETag is still the one that the server has just said not to be: weak, or its reads lag.
                    raise WriteRefused(_FAILED_CONDITION, None)
                row, after_412, proving = await self._send(row, changed, request=step.send, there=sight.version)
                not_taken = row.etag if after_412 else ""
                if row.state in RESTS and row.wanted is None:
                    return row

    async def _look(
        self, row: Booking, proving: Awaitable[ProvenLook] | None = None
    ) -> tuple[Sight, Mapping[str, Instant]]:
        # Of what was confirmed the server has just said that it is there; nothing was ever sent of what is pending.
        is_said = row.state is BookingState.CONFIRMED and row.etag
        is_unsent = row.state is BookingState.PENDING and not self.was_restored
        if (is_said or is_unsent) and not row.restored:
            around = await (proving or self.prove(row))
            return Sight(None, taken=around.taken), around.proof
        if row.state in _PROVED and not row.restored:
            around, version = await asyncio.gather(proving or self.prove(row), self._version(row))
            return Sight(version, taken=around.taken), around.proof
        taken = row.state is BookingState.BOOKED and await self.is_overlapped(row)
        return Sight(await self._version(row), taken=taken), {}

    async def _version(self, row: Booking) -> Version | None:
        if not row.href:
            return None  # taken back before it was sent: no server has anything of it
        found = await self.client.run(fetch_object(row.href))
        return read_version(row, found.payload, etag=found.etag, zone=self.zone) if found is not None else None

    async def _keep(self, before: Booking, row: Booking, *, is_answer: bool = False) -> Booking:
        return await self.commit(before, row, is_answer=is_answer) if row != before else row

    async def _send(
        self, before: Booking, row: Booking, *, request: Request, there: Version | None
    ) -> tuple[Booking, bool, Awaitable[ProvenLook] | None]:
        """Commit, then send; the row after that, whether its condition failed, and the next look if it has begun."""
        if request is not Request.CREATE and not row.etag:
            raise WriteRefused(_NO_CONDITION, None)  # a server that names no versions: it would hit whatever is there
        if request is Request.DELETE:
            return *await self._delete(before, row), None
        mark = secrets.token_hex(8)
        row = replace(row, marks=(*row.marks, mark))
        kept = await self.commit(before, row)
        if kept != row:
            return kept, False, None
        payload = with_mark(_body(row, request), mark)
        if request is Request.FENCE and there is not None:
            payload = with_new_mark(there.payload, mark)  # a person may have changed it
        outcome = await self.client.run(_put(row, payload, is_new=request is Request.CREATE))
        marks = tuple(one for one in row.marks if one != mark)
        if isinstance(outcome, Refused):
            failed = outcome.status == _FAILED_CONDITION
            changed = replace(row, marks=marks)
            if not failed and request in _CHANGES:
                changed, failed = applied(changed, _REFUSED[request], now=self.clock.now()), True
            kept = await self.commit(row, changed, is_answer=True)
            if not failed:
                raise WriteRefused(outcome.status, outcome.precondition)
            return kept, True, None
        # Without an ETag in the answer the mark says at the next look that it is ours.
        written = replace(row, etag="", mark="")
        if outcome.etag:
            written = replace(row, etag=str(outcome.etag), mark=mark, marks=marks)
        if row.state is BookingState.SENDING:
            written = replace(written, state=next_state(row.kind, row.state, event=BookingEvent.CREATED))
        elif request is Request.FENCE:
            written = replace(written, restored=0)
        elif request is Request.EDIT and outcome.etag:
            written = applied(written, Step(is_done=True), now=self.clock.now())
        elif request is Request.MOVE and outcome.etag:
            written = applied(written, Step(BookingEvent.MOVED, span=row.target), now=self.clock.now())
        if written.state is BookingState.CONFIRMED and written.etag and not written.restored:
            return await self._confirm(row, written, payload=payload)
        kept = await self.commit(row, written, is_answer=True)
        if outcome.etag:
            await self.mirror(row, payload, etag=str(outcome.etag))
        return kept, False, None

    async def _confirm(
        self, before: Booking, row: Booking, *, payload: bytes
    ) -> tuple[Booking, bool, Awaitable[ProvenLook] | None]:
        """The same after the answer to the first PUT: the second look does not wait until that is on the disk."""

        async def look() -> ProvenLook:
            await self.mirror(row, payload, etag=row.etag)
            return await self.prove(row)

        looking, kept = asyncio.create_task(look(), name=f"look after {row.id}"), before
        try:
            kept = await self.commit(before, row, is_answer=True)
        finally:
            if kept != row:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
        return kept, False, looking if kept == row else None

    async def _delete(self, before: Booking, row: Booking) -> tuple[Booking, bool]:
        row = replace(row, mark="")  # what is there after it again, a person has brought back
        kept = await self._keep(before, row)
        if kept != row:
            return kept, False
        outcome = await self.client.run(delete_object(row.href, ETag(row.etag)))
        if isinstance(outcome, Refused):
            if outcome.status != _FAILED_CONDITION:
                raise WriteRefused(outcome.status, outcome.precondition)
            return row, True
        if await self._version(row) is not None:
            # Its server may lag, and it may have dropped the request: its time is free when it is no longer shown.
            message = "its server says that it has removed the event, and still shows it"
            raise RemoteError(message)
        gone = applied(row, Step(BookingEvent.ABSENT), now=self.clock.now()) if row.state in _GOING else row
        await self.mirror(row, b"", etag="")  # first, so that its time is free once it is told to be
        return await self._keep(row, gone, is_answer=True), False


_CHANGES: Final = frozenset({Request.MOVE, Request.EDIT})
_REFUSED: Final = {Request.MOVE: Step(BookingEvent.MOVE_REFUSED), Request.EDIT: Step(is_done=False)}


def _body(row: Booking, request: Request) -> bytes:
    return row.wanted.body if request in _CHANGES and row.wanted is not None else row.body


def _put(row: Booking, payload: bytes, *, is_new: bool) -> Operation[WriteOutcome]:
    if is_new:
        return put_object(row.href, payload, if_none_match=True)
    return put_object(row.href, payload, if_match=ETag(row.etag))


def is_open(row: Booking) -> bool:
    """Whether something of a row is still to be carried out."""
    return row.state not in _AT_REST or row.wanted is not None or bool(row.restored) or row.invited == "pending"
