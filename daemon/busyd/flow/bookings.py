"""Blocks: time that somebody marks as busy by hand. KeyedRequest for, changed and cancelled, each exactly once.

The order is always: one transaction of the ledger, then the snapshots, then the answer. A row that was told is thus
kept, and busy in every answer; one that was committed and not told is busy too.
"""

import secrets
from collections.abc import Callable
from typing import Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from busyd.booking.transitions import BookingEvent, next_state
from busyd.cooperative import to_the_end
from busyd.errors import UserError
from busyd.flow.ask import find_profile
from busyd.index.writer import IndexWriter
from busyd.period import FbType, Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState, Details
from busyd.store.ledger_thread import LedgerThread
from busyd.store.outbox import KeyMismatch, Outbox

__all__ = [
    "BlockChanges",
    "BlockView",
    "Bookings",
    "KeyMismatch",
    "KeyedRequest",
    "Told",
    "UnknownBooking",
    "view_block",
]

Render = Callable[["BlockView"], bytes]


class UnknownBooking(UserError):
    """There is no block of this id, or none that the caller may see."""


class BlockChanges(Struct, frozen=True):
    """What is to be another in a block."""

    span: Callable[[Period], Period] | UnsetType = UNSET
    """Makes the new time of the old one. Raises whatever tells the caller what is wrong with it."""
    fbtype: FbType | UnsetType = UNSET
    summary: str | UnsetType = UNSET


class BlockView(Struct, frozen=True):
    """A block as it is told."""

    id: str
    profile: str
    span: Period
    fbtype: FbType
    summary: str
    state: BookingState
    created: Instant


class KeyedRequest(Struct, frozen=True):
    """A request that changes something: what tells it from others, and who makes it."""

    profile: str
    now: Instant
    key: str = ""
    """Idempotency-Key; empty when there was none."""
    fingerprint: bytes = b""
    """The same for the same request only."""
    token: str = ""
    """The id of the caller's token."""
    sees_all: bool = False
    """Whether the caller may see what was not asked for with this token."""


class Told(Struct, frozen=True):
    """What a request gets for an answer, now and whenever it is made again with the same key."""

    status: int
    body: bytes
    booking: str


GONE: Final = 204


class Bookings:
    """The rows of the outbox as handlers see them."""

    def __init__(self, writer: IndexWriter, ledger: LedgerThread) -> None:
        self._writer = writer
        self._ledger = ledger

    async def add_block(
        self, asked: KeyedRequest, span: Period, *, fbtype: FbType, summary: str, render: Render
    ) -> Told:
        """Mark time as busy. Raises UnknownProfile, KeyMismatch, StorageError."""
        row = Booking(
            id=secrets.token_hex(8),
            kind=BookingKind.BLOCK,
            profile=asked.profile,
            state=BookingState.BOOKED,
            span=span,
            created=asked.now,
            fbtype=int(fbtype),
            token=asked.token,
            details=Details(summary=summary),
        )

        def work(outbox: Outbox) -> tuple[Booking, int]:
            outbox.add(row)
            return row, 201

        return await self._once(asked, work, render=render)

    async def change_block(self, asked: KeyedRequest, booking: str, *, changes: BlockChanges, render: Render) -> Told:
        """Change a block. Raises UnknownProfile, UnknownBooking, KeyMismatch, StorageError."""

        def work(outbox: Outbox) -> tuple[Booking, int]:
            row = _visible(outbox.find(booking), asked, booking=booking)
            if not row.blocks:
                raise _unknown(booking)
            if changes.span is not UNSET:
                row = replace(row, span=changes.span(row.span))
            if changes.fbtype is not UNSET:
                row = replace(row, fbtype=int(changes.fbtype))
            if changes.summary is not UNSET:
                row = replace(row, details=replace(row.details, summary=changes.summary))
            outbox.record(row)
            return row, 200

        return await self._once(asked, work, render=render)

    async def cancel_block(self, asked: KeyedRequest, booking: str, *, reason: str) -> Told:
        """Remove a block; the same when it is removed already. Raises as `change_block`."""

        def work(outbox: Outbox) -> tuple[Booking, int]:
            row = _visible(outbox.find(booking), asked, booking=booking)
            if row.blocks:
                state = next_state(row.kind, row.state, event=BookingEvent.CANCEL, is_local=True)
                row = replace(row, state=state, reason=reason)
                outbox.record(row)
            return row, GONE

        return await self._once(asked, work, render=lambda _: b"")

    async def block(self, asked: KeyedRequest, booking: str) -> BlockView:
        """One block, also one that was removed. Raises UnknownBooking, StorageError."""
        return view_block(
            _visible(await self._ledger.outbox(lambda outbox: outbox.find(booking)), asked, booking=booking)
        )

    async def blocks(self, asked: KeyedRequest, window: Period) -> list[BlockView]:
        """The blocks in force that touch a window, in order. Raises StorageError."""
        rows = await self._ledger.outbox(lambda outbox: outbox.of_profile(asked.profile, window))
        return [view_block(row) for row in rows if row.blocks and _may_see(row, asked)]

    async def _once(
        self, asked: KeyedRequest, work: Callable[[Outbox], tuple[Booking, int]], *, render: Render
    ) -> Told:
        """Do what was asked for and keep the answer, or tell what was told before under the same key."""
        await self._load_tables(asked.profile)

        def whole(outbox: Outbox) -> tuple[Told, Booking | None]:
            if asked.key:
                known = outbox.find_key(asked.profile, asked.key, fingerprint=asked.fingerprint)
                if known is not None and known.status is not None:
                    return Told(known.status, known.answer or b"", known.booking), outbox.find(known.booking)
            row, status = work(outbox)
            told = Told(status, render(view_block(row)), row.id)
            if asked.key:
                outbox.use_key(asked.profile, asked.key, fingerprint=asked.fingerprint, booking=row, now=asked.now)
                outbox.keep_answer(asked.profile, asked.key, status=status, answer=told.body)
            return told, row

        return await to_the_end(self._commit(whole))

    async def _commit(self, work: Callable[[Outbox], tuple[Told, Booking | None]]) -> Told:
        """Commit, then show: also when whoever asked does not wait for it."""
        told, row = await self._ledger.outbox(work)
        if row is not None:
            await self._writer.publisher.show_rows([row])
        return told

    async def _load_tables(self, profile: str) -> None:
        """Have the snapshot be one that rows can be added to: after a start it is a stored one for a moment."""
        if find_profile(self._writer.state, profile).readings is None:
            await self._writer.complete_tables()


def view_block(row: Booking) -> BlockView:
    """A row as it is told."""
    return BlockView(
        id=row.id,
        profile=row.profile,
        span=row.span,
        fbtype=FbType(row.fbtype),
        summary=row.details.summary,
        state=row.state,
        created=row.created,
    )


def _may_see(row: Booking, asked: KeyedRequest) -> bool:
    is_its = row.kind is BookingKind.BLOCK and row.profile == asked.profile
    return is_its and (asked.sees_all or (bool(asked.token) and row.token == asked.token))


def _visible(row: Booking | None, asked: KeyedRequest, *, booking: str) -> Booking:
    if row is None or not _may_see(row, asked):
        raise _unknown(booking)
    return row


def _unknown(booking: str) -> UnknownBooking:
    message = f"there is no block {booking!r} that you may see"
    return UnknownBooking(message, fix="the list of blocks shows those there are; it may have been removed")
