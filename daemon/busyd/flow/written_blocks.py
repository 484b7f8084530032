"""Blocks that are in a calendar too: written, changed and removed there by the same hand as appointments.

Nobody else's time is taken, so that no calendar is looked at first. Deleted on a phone, a block is gone.
"""

import secrets
from typing import Final, overload

from msgspec import UNSET
from msgspec.structs import replace

from busyd.flow.appointment_requests import NotSettled
from busyd.flow.ask import find_profile
from busyd.flow.blocks import BlockChanges, BlockView, view_block
from busyd.flow.book import Booker
from busyd.flow.orders import ordered_cancel, require_carried_out, require_changeable
from busyd.flow.primary import find_block_calendar
from busyd.flow.requests import KeyedRequest, OutboxRequests, Told
from busyd.index.writer import IndexWriter
from busyd.period import FbType, Period
from busyd.state.links import calendar_keys
from busyd.store.bookings import (
    BLOCKS_NOTHING,
    Booking,
    BookingKind,
    BookingState,
    Details,
    WantedChange,
    calendar_key,
)
from busyd.store.outbox import Outbox

_BLOCK: Final = BookingKind.BLOCK
_UNNAMED: Final = "Blocked"
"""What an event is called whose block has no name."""


class WrittenBlocks:
    """Makes, changes and removes them. Everything raises UnknownProfile, KeyMismatch, StorageError.

    What returns a view returns it as it is once it is settled, or after some seconds. `Told` is what was told before
    under the same key.
    """

    def __init__(self, requests: OutboxRequests, writer: IndexWriter, *, booker: Booker) -> None:
        self._requests = requests
        self._writer = writer
        self._booker = booker

    async def add(self, asked: KeyedRequest, span: Period, *, fbtype: FbType, summary: str) -> BlockView | Told:
        """Mark time as busy. Raises NoPrimary, ReadOnlyCalendar, NotProven; WriteRefused when nothing was written."""
        if (known := await self._known(asked)) is not None:
            return known
        profile_state = find_profile(self._writer.state, asked.profile)
        calendar = find_block_calendar(self._writer.state, profile_state)
        self._booker.require_connected(calendar.connection)
        await self._requests.load_tables(asked.profile)
        number = secrets.token_hex(8)
        name = asked.key or f"block {number}"
        uid = await self._requests.read(lambda outbox: outbox.uid_for(asked.profile, name))
        row = Booking(
            id=number,
            kind=_BLOCK,
            profile=asked.profile,
            state=BookingState.PENDING,
            span=span,
            created=asked.now,
            calendar=calendar_key(calendar.connection, calendar.remote.href),
            counts=tuple(sorted(calendar_keys(profile_state.links))),
            uid=uid,
            href=f"{calendar.remote.target}{uid}.ics",
            fbtype=int(fbtype),
            token=asked.token,
            details=Details(summary=summary),
        )
        row = replace(row, body=await self._render(row))

        def work(outbox: Outbox) -> list[Booking]:
            outbox.add(row)
            return [row]

        twin = await self._requests.change_once(asked, work)
        return _told(twin) or view_block(await self._booker.settle(row))

    async def change(self, asked: KeyedRequest, booking: str, *, changes: BlockChanges) -> BlockView | Told:
        """Change a block in its calendar. Raises UnknownBooking, HasEnded, NotSettled, ChangeRefused."""
        row = await self._requests.find(asked, booking, kind=_BLOCK)
        if (known := await self._known(asked)) is not None:
            return known  # also of a twin that has changed the row
        require_changeable(row)
        span = changes.span(row.span) if changes.span is not UNSET else row.span
        fbtype = int(changes.fbtype) if changes.fbtype is not UNSET else row.fbtype
        details = row.details if changes.summary is UNSET else replace(row.details, summary=changes.summary)
        sequence = row.sequence + 1
        after = replace(row, span=span, fbtype=fbtype, details=details, sequence=sequence)
        wanted = WantedChange(details, await self._render(after), sequence, fbtype, key=asked.key)
        changed = replace(row, target=span if span != row.span else None, wanted=wanted)

        def work(outbox: Outbox) -> list[Booking]:
            if outbox.find(booking) != row:
                message = "the block has just changed"
                raise NotSettled(message)
            outbox.record(changed)
            return [changed]

        twin = await self._requests.change_once(asked, work)
        if twin is not None:
            return _told(twin)
        settled = await self._booker.settle(changed)
        require_carried_out(settled, sequence=sequence)
        return view_block(settled)

    async def cancel(self, asked: KeyedRequest, booking: str, *, reason: str) -> BlockView | Told:
        """Remove a block, from its calendar too; the same when it is gone. Raises UnknownBooking."""
        if (known := await self._known(asked)) is not None:
            return known
        row = await self._requests.find(asked, booking, kind=_BLOCK)
        if row.state in BLOCKS_NOTHING:
            return view_block(row)
        changed: list[Booking] = []

        def work(outbox: Outbox) -> list[Booking]:
            known = outbox.find(booking) or row
            changed[:] = [ordered_cancel(known, outbox, now=asked.now, reason=reason)]
            outbox.record(changed[0])
            return changed

        twin = await self._requests.change_once(asked, work)
        return _told(twin) or view_block(await self._booker.settle(changed[0]))

    async def _known(self, asked: KeyedRequest) -> BlockView | Told | None:
        return _told(await self._requests.known(asked))

    async def _render(self, row: Booking) -> bytes:
        named = replace(row, details=replace(row.details, summary=row.details.summary or _UNNAMED))
        return await self._booker.compose(named)


@overload
def _told(known: Told | Booking) -> BlockView | Told: ...
@overload
def _told(known: Told | Booking | None) -> BlockView | Told | None: ...
def _told(known: Told | Booking | None) -> BlockView | Told | None:
    return view_block(known) if isinstance(known, Booking) else known
