"""Blocks that are in a calendar too: written, changed and removed there by the same hand as appointments.

Nobody else's time is taken, so that no calendar is looked at first. Deleted on a phone, a block is gone.
"""

import secrets
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from busyd.flow.appointment_requests import NotSettled
from busyd.flow.ask import find_profile
from busyd.flow.blocks import BlockChanges, BlockView, view_block
from busyd.flow.carried_rows import CarriedRows
from busyd.flow.orders import require_changeable
from busyd.flow.primary import find_block_calendar
from busyd.flow.requests import KeyedRequest, Told
from busyd.period import FbType, Period
from busyd.state.links import calendar_keys
from busyd.store.bookings import (
    Booking,
    BookingKind,
    BookingState,
    Details,
    WantedChange,
    calendar_key,
)
from busyd.store.outbox import Outbox

_UNNAMED: Final = "Blocked"
"""What an event is called whose block has no name."""


class WrittenBlocks(CarriedRows[BlockView]):
    """Makes, changes and removes them."""

    kind = BookingKind.BLOCK

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
            kind=self.kind,
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
        return self._told(twin) or view_block(await self._booker.settle(row))

    async def change(self, asked: KeyedRequest, booking: str, *, changes: BlockChanges) -> BlockView | Told:
        """Change a block in its calendar. Raises UnknownBooking, HasEnded, NotSettled, ChangeRefused."""
        row = await self._requests.find(asked, booking, kind=self.kind)
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
        return self._told(twin) or view_block(await self._settled_change(changed))

    def _view(self, row: Booking) -> BlockView:
        return view_block(row)

    async def _render(self, row: Booking) -> bytes:
        named = replace(row, details=replace(row.details, summary=row.details.summary or _UNNAMED))
        return await self._booker.compose(named)
