"""Follows the rows that rest: what their calendars show of them, poll by poll.

What was deleted, edited, moved or brought back on a phone, and who else has come into their time, starts another look.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct

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
from busyd.sync.timing import SETTLE

logger = logging.getLogger(__name__)

FOLLOWED_FOR: Final = 86_400
"""Seconds after its end for which a row is compared with what is on the server."""
_LATE_LOOK: Final = SETTLE + 1.0
"""Seconds, at least, after which calendars are looked at once more: reads of a server may lag behind its writes. Their
second looks are due by then, so that the next booking need not take them."""
_MARGIN: Final = 1.5
"""What was measured of that lag counts so many times."""
_SOON: Final = 0.2
"""Seconds after a booking until all rows are compared with what it has seen: its answer does not wait for that."""


class _Place(Struct, frozen=True):
    """A profile and a calendar that is written to for it."""

    profile: str
    calendar: str
    """As `calendar_key`."""

    @property
    def connection(self) -> str:
        return self.calendar.partition(" ")[0]


class CarryOn(Protocol):
    """`Booker.carry_on`."""

    def __call__(self, row: Booking, /, *, by_poll: bool = False) -> None: ...


class FollowedRows:
    """The rows that are, or may turn up, on a server, as they were committed last."""

    def __init__(self, writer: IndexWriter, looks: Looks, *, carry_on: CarryOn, clock: Clock) -> None:
        self._writer = writer
        self._looks = looks
        self._carry_on = carry_on
        self._clock = clock
        self._rows: dict[str, Booking] = {}
        self._places: dict[_Place, dict[str, None]] = {}
        """Where there are rows, and which."""
        self._compared: dict[_Place, tuple[tuple[int, ...], int]] = {}
        """The generations of the calendars and the version of the snapshot that all rows were last compared with."""
        self._late: dict[str, asyncio.Task[None]] = {}
        """The last look to come, by profile."""
        self._soon: dict[str, asyncio.Task[None]] = {}
        """The comparison to come, by connection."""

    @property
    def since(self) -> Instant:
        """Rows that ended before this, and are final, need not be followed."""
        return Instant(self._clock.now() - FOLLOWED_FOR)

    def take(self, row: Booking) -> None:
        """Take a row as it is now; it is compared at the next poll. One that never had a name is let go of."""
        if not row.uid:
            self._let_go(row)
            return
        place = _Place(row.profile, row.calendar)
        self._rows[row.id] = row
        self._places.setdefault(place, {})[row.id] = None
        self._compared.pop(place, None)

    def find(self, row: str) -> Booking | None:
        """A row as it is now."""
        return self._rows.get(row)

    async def after_poll(self, connection: str) -> None:
        """Compare with what the calendars of a connection have now."""
        try:
            await self._compare_all(connection)
        except BusydError as error:
            logger.warning("%s: appointments were not compared with it, the next poll does: %s", connection, error)

    def compare_soon(self, connection: str) -> None:
        """The same in a moment, for all that was booked until then."""
        if connection not in self._soon:
            self._soon[connection] = asyncio.create_task(self._compare_soon(connection), name=f"compare {connection}")

    async def _compare_soon(self, connection: str) -> None:
        await self._clock.sleep(_SOON)
        del self._soon[connection]  # first: what is booked meanwhile is compared once more
        await self.after_poll(connection)

    def look_again_later(self, row: Booking, *, lag_of: Callable[[], Awaitable[float]]) -> None:
        """What turns up a little after a row was booked is told, not undone. `lag_of`: seconds, as measured.

        One look serves all that was booked for a profile just before.
        """

        async def look() -> None:
            try:
                await self._clock.sleep(_LATE_LOOK)  # what is booked meanwhile ends this
                await self._clock.sleep(max(_MARGIN * await lag_of() - _LATE_LOOK, 0.0))
                with contextlib.suppress(NotProven):
                    await self._looks.look_again(row)
                await self._compare_place(_Place(row.profile, row.calendar))
            except BusydError as error:
                logger.warning("%s was not looked at once more, the next poll does: %s", row.id, error)

        if (earlier := self._late.get(row.profile)) is not None:
            earlier.cancel()
        self._late[row.profile] = asyncio.create_task(look(), name=f"look again at {row.id}")

    async def close(self) -> None:
        """End the looks and comparisons that are to come."""
        tasks = [*self._late.values(), *self._soon.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def calendar_of(self, row: Booking) -> CalendarRecord | None:
        """The calendar that a row is written to, as the mirror has it."""
        return self._find_calendar(row.calendar)

    def _find_calendar(self, key: str) -> CalendarRecord | None:
        connection = key.partition(" ")[0]
        for record in self._writer.state.calendars_of(connection):
            if calendar_key(connection, record.remote.href) == key:
                return record
        return None

    async def _compare_all(self, connection: str) -> None:
        state = self._writer.state
        profiles = state.links.profiles_naming(connection)
        for place in [place for place in self._places if place.profile in profiles or place.connection == connection]:
            await self._compare_place(place)

    async def _compare_place(self, place: "_Place") -> None:
        """Compare the rows of one profile in one calendar, where either has changed."""
        state, rows = self._writer.state, [self._rows[number] for number in self._places.get(place, ())]
        for row in rows:
            if row.state not in RESTS:
                self._carry_on(row, by_poll=True)
        record, profile_state = self._find_calendar(place.calendar), state.profiles.get(place.profile)
        if record is None or profile_state is None or not record.complete:
            return
        # Not the snapshot alone: an event in the very time of a row makes no other one.
        numbers = (record.id, *(link.calendar for link in profile_state.links if link.calendar is not None))
        version = tuple(state.tables.generations.get(number, 0) for number in numbers), profile_state.version
        if self._compared.get(place) == version:
            return
        self._compared[place] = version  # unless a row comes meanwhile
        try:
            await self._compare_rested(record, [row for row in rows if row.state in RESTS])
        except BaseException:
            self._compared.pop(place, None)
            raise

    async def _compare_rested(self, record: CalendarRecord, rows: Sequence[Booking]) -> None:
        """Compare rows of one profile that rest with their calendar, and look for others in their time."""
        etags = await self._writer.store.read_etags(record.id, [normalise_href(row.href) for row in rows])
        booked = []
        for row in rows:
            etag = etags.get(normalise_href(row.href))
            if self._is_over(row):
                self._let_go(row)
            elif (row.state in BLOCKS_NOTHING and etag is not None) or (
                row.state is BookingState.BOOKED and etag != row.etag
            ):
                self._carry_on(row)
            elif row.state is BookingState.BOOKED and row.span.end > self._clock.now():
                booked.append(row)
        crowded = await self._looks.may_be_taken(booked[0].profile, booked) if booked else []
        told = [row for row in booked if row.conflict]
        for row in {row.id: row for row in (*crowded, *told)}.values():
            if await self._looks.is_overlapped(row) is not row.conflict:
                self._carry_on(row)

    def _let_go(self, row: Booking) -> None:
        place = _Place(row.profile, row.calendar)
        self._rows.pop(row.id, None)
        self._places.get(place, {}).pop(row.id, None)
        if not self._places.get(place, True):
            del self._places[place]

    def _is_over(self, row: Booking) -> bool:
        now = self._clock.now()
        is_watched = row.watch_until is not None and row.watch_until > now
        return row.state in RESTS and row.span.end < self.since and not is_watched
