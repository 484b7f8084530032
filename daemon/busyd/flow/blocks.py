"""Blocks: time that somebody marks as busy by hand."""

import secrets
from collections.abc import Callable

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from busyd.flow.requests import KeyedRequest, OutboxRequests, Told, visible
from busyd.period import FbType, Instant, Period
from busyd.state.told_appointment import STATES, AppointmentState, is_under_way
from busyd.store.bookings import Booking, BookingKind, BookingState, Details
from busyd.store.outbox import Outbox

Render = Callable[["BlockView"], bytes]
_BLOCK = BookingKind.BLOCK


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
    state: AppointmentState
    created: Instant
    is_written: bool
    """Whether it is, or is to be, in a calendar too."""
    is_under_way: bool


class ManualBlocks:
    """Makes, changes and removes blocks. Everything raises UnknownProfile, KeyMismatch, StorageError."""

    def __init__(self, requests: OutboxRequests) -> None:
        self._requests = requests

    async def add(self, asked: KeyedRequest, span: Period, *, fbtype: FbType, summary: str, render: Render) -> Told:
        """Mark time as busy."""
        row = Booking(
            id=secrets.token_hex(8),
            kind=_BLOCK,
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

    async def change(self, asked: KeyedRequest, booking: str, *, changes: BlockChanges, render: Render) -> Told:
        """Change a block. Raises UnknownBooking, also for one that was removed."""

        def work(outbox: Outbox) -> tuple[Booking, int]:
            found = outbox.find(booking)
            row = visible(found if found is None or found.blocks else None, asked, kind=_BLOCK, booking=booking)
            if changes.span is not UNSET:
                row = replace(row, span=changes.span(row.span))
            if changes.fbtype is not UNSET:
                row = replace(row, fbtype=int(changes.fbtype))
            if changes.summary is not UNSET:
                row = replace(row, details=replace(row.details, summary=changes.summary))
            outbox.record(row)
            return row, 200

        return await self._once(asked, work, render=render)

    async def cancel(self, asked: KeyedRequest, booking: str, *, reason: str) -> Told:
        """Remove a block; the same when it is removed already. Raises UnknownBooking."""
        return await self._requests.end(asked, booking, kind=_BLOCK, reason=reason)

    async def find(self, asked: KeyedRequest, booking: str) -> BlockView:
        """One block, also one that was removed. Raises UnknownBooking."""
        return view_block(await self._requests.find(asked, booking, kind=_BLOCK))

    async def in_force(self, asked: KeyedRequest, window: Period) -> list[BlockView]:
        """The blocks in force that touch a window, in order."""
        return [view_block(row) for row in await self._requests.in_force(asked, window, kind=_BLOCK)]

    async def _once(
        self, asked: KeyedRequest, work: Callable[[Outbox], tuple[Booking, int]], *, render: Render
    ) -> Told:
        return await self._requests.once(asked, work, render=lambda row: render(view_block(row)))


def view_block(row: Booking) -> BlockView:
    """A row as it is told."""
    state = STATES[row.state]
    return BlockView(
        id=row.id,
        profile=row.profile,
        span=row.span,
        fbtype=FbType(row.fbtype),
        summary=row.details.summary,
        state=state,
        created=row.created,
        is_written=bool(row.calendar),
        is_under_way=is_under_way(row),
    )
