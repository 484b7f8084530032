"""Follows the rows that rest: what their calendars show of them, poll by poll.

What was deleted, edited, moved or brought back on a phone, and who else has come into their time, starts another look.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from busyd.booking.carrying import RESTS
from busyd.clock import Clock
from busyd.dav.href import normalise_href
from busyd.errors import BusydError
from busyd.flow.looks import Looks
from busyd.flow.membership import NotProven
from busyd.index.writer import IndexWriter
from busyd.period import Instant
from busyd.store.bookings import BLOCKS_NOTHING, Booking, BookingState, calendar_key
from busyd.store.mirror import CalendarRecord

logger = logging.getLogger(__name__)

FOLLOWED_FOR: Final = 86_400
"""Seconds after its end for which a row is compared with what is on the server."""
_LATE_LOOK: Final = 10.0
"""Seconds, at least, after which calendars are looked at once more: reads of a server may lag behind its writes."""
_MARGIN: Final = 1.5
"""What was measured of that lag counts so many times."""


class FollowedRows:
    """The rows that are, or may turn up, on a server, as they were committed last."""

    def __init__(self, writer: IndexWriter, looks: Looks, *, carry_on: Callable[[Booking], None], clock: Clock) -> None:
        self._writer = writer
        self._looks = looks
        self._carry_on = carry_on
        self._clock = clock
        self._rows: dict[str, Booking] = {}
        self._compared: dict[str, tuple[int, int]] = {}
        """Row -> the generation of its calendar and the version of the snapshot it was last compared with."""
        self._late: set[asyncio.Task[None]] = set()

    @property
    def since(self) -> Instant:
        """Rows that ended before this, and are final, need not be followed."""
        return Instant(self._clock.now() - FOLLOWED_FOR)

    def take(self, row: Booking) -> None:
        """Take a row as it is now."""
        self._rows[row.id] = row

    def find(self, row: str) -> Booking | None:
        """A row as it is now."""
        return self._rows.get(row)

    async def after_poll(self, connection: str) -> None:
        """Compare with what the calendars of a connection have now."""
        try:
            await self._compare_all(connection)
        except BusydError as error:
            logger.warning("%s: appointments were not compared with it, the next poll does: %s", connection, error)

    def look_again_later(self, row: Booking, *, lag: float) -> None:
        """What turns up a little after a row was booked is told, not undone. `lag`: seconds, as measured."""

        async def look() -> None:
            await self._clock.sleep(max(_LATE_LOOK, _MARGIN * lag))
            with contextlib.suppress(NotProven):
                await self._looks.prove(row)
            await self._compare(self._rows.get(row.id, row))

        task = asyncio.create_task(look(), name=f"look again at {row.id}")
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def close(self) -> None:
        """End the looks that are to come."""
        late = list(self._late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def calendar_of(self, row: Booking) -> CalendarRecord | None:
        """The calendar that a row is written to, as the mirror has it."""
        connection = row.calendar.partition(" ")[0]
        for record in self._writer.state.calendars_of(connection):
            if calendar_key(connection, record.remote.href) == row.calendar:
                return record
        return None

    async def _compare_all(self, connection: str) -> None:
        profiles = self._writer.state.links.profiles_naming(connection)
        for row in list(self._rows.values()):
            if row.profile in profiles or row.calendar.startswith(f"{connection} "):
                await self._compare(row)

    async def _compare(self, row: Booking) -> None:
        if self._is_over(row):
            self._rows.pop(row.id, None)
            self._compared.pop(row.id, None)
            return
        if row.state not in RESTS:
            self._carry_on(row)  # it may have waited for this poll
            return
        record, profile_state = self.calendar_of(row), self._writer.state.profiles.get(row.profile)
        if record is None or profile_state is None or not record.complete:
            return
        version = self._writer.state.tables.generations.get(record.id, 0), profile_state.version
        if self._compared.get(row.id) == version:
            return
        if await self._differs(row, record):
            self._carry_on(row)
        self._compared[row.id] = version

    async def _differs(self, row: Booking, record: CalendarRecord) -> bool:
        """Whether the mirror shows something of a row that is not known of it."""
        href = normalise_href(row.href)
        found = (await self._writer.store.read_payloads(record.id, [href])).get(href)
        if row.state in BLOCKS_NOTHING:
            return found is not None
        if row.state is not BookingState.BOOKED:
            return False
        if found is None or found.etag != row.etag:
            return True
        with contextlib.suppress(NotProven):
            return await self._looks.is_taken(row) is not row.conflict
        return False

    def _is_over(self, row: Booking) -> bool:
        now = self._clock.now()
        is_watched = row.watch_until is not None and row.watch_until > now
        return row.state in RESTS and row.span.end < self.since and not is_watched
