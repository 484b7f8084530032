"""Calendars of connected accounts that no profile names are looked at now and then: a person may have forgotten one.

Only when there is something in them is kept, in memory, and told: by the log and the status where that is much, and by
`explain` (`explain_uncounted`). It never blocks. What keeps a look from being taken is not told here; the polls tell.
"""

import asyncio
import logging
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from busyd.advice.trouble import describe_uncounted
from busyd.availability.policy import Rules, decide
from busyd.clock import sleep_unless
from busyd.connection import ConnectionKind, RemoteCalendar
from busyd.errors import BusydError
from busyd.flow.ask import find_profile
from busyd.flow.poll_now import PollNow
from busyd.ical.facts import normalise_address
from busyd.ical.zones import reading_zone
from busyd.index.writer import IndexWriter
from busyd.period import FbType, Instant, Period, coalesce
from busyd.state.uncounted import UncountedTime, may_count, much_ahead
from busyd.store.mirror import CalendarRecord
from busyd.sync.timing import has_passed

if TYPE_CHECKING:
    from busyd.booking.carrying import Client
    from busyd.dav.exchange import Operation

T = TypeVar("T")

logger = logging.getLogger(__name__)

FIRST: Final = 30.0
"""Seconds after the start: first comes what counts."""
EVERY: Final = 60.0
"""Seconds between two looks whether any is due."""
AGAIN: Final = 86_400
CHANGED_AGAIN: Final = 3_600
"""Seconds after which a look is due again, and of a calendar that has changed or failed."""
BEFORE: Final = 86_400
AHEAD: Final = 90 * 86_400
LOOKED_AT: Final = 300
"""Events of one calendar, the most."""
_AT_ONCE: Final = 50


class _Client:
    """Sends one request at a time between the polls and writes of a connection, none of which waits for more."""

    def __init__(self, schedule: PollNow) -> None:
        self._schedule = schedule

    async def run(self, operation: "Operation[T]") -> T:
        async with self._schedule.undisturbed() as client:
            return await client.run(operation)


class UncountedCalendars:
    """Looks at them for as long as the daemon runs."""

    def __init__(self, writer: IndexWriter) -> None:
        self.schedules: Mapping[str, PollNow] = {}
        """By connection; empty until polling has begun."""
        self._writer = writer
        self._asked = asyncio.Event()
        self._is_asked = False
        self._failed: dict[int, Instant] = {}
        self._told: set[int] = set()

    def ask(self) -> None:
        """Somebody wants everything to be looked at now."""
        self._asked.set()

    async def spans_of(
        self, profile: str, window: Period, *, calendars: Container[str]
    ) -> dict[str, tuple[tuple[int, int], ...]]:
        """When there is something in those of these calendars that do not count for it. Raises UnknownProfile."""
        from busyd.flow.explain import explain_uncounted

        profile_state = find_profile(self._writer.state, profile)
        return await explain_uncounted(self._writer, profile_state, window=window, calendars=calendars)

    async def run(self) -> None:
        """Ends only by being cancelled."""
        await self._rest(FIRST)
        while True:
            await self.look()
            await self._rest(EVERY)

    async def look(self) -> None:
        """Look at those that are due, one after the other."""
        state, clock = self._writer.state, self._writer.clock
        uncounted = [record for record in state.calendars.values() if not state.links.profiles_of(record.id)]
        known = {record.id for record in uncounted if may_count(record)}
        state.uncounted = {number: time for number, time in state.uncounted.items() if number in known}
        self._told &= known
        for record in uncounted:
            if record.id not in known or not self._is_due(record):
                continue
            # Apart from this task: whatever a look runs into, the next one comes.
            (fault,) = await asyncio.gather(self._look_at(record), return_exceptions=True)
            if fault is None:
                self._failed.pop(record.id, None)
                self._tell(record)
                continue
            self._failed[record.id] = clock.now()
            if isinstance(fault, BusydError):
                logger.debug("%s, which no profile names, could not be looked at: %s", record.label, fault)
            else:
                logger.error("looking at %s ended with an internal error", record.label, exc_info=fault)

    async def _look_at(self, record: CalendarRecord) -> None:
        time = await self._read(_Client(self.schedules[record.connection]), record)
        self._writer.state.uncounted[record.id] = time

    def _is_due(self, record: CalendarRecord) -> bool:
        """Whether to look now. What counts is read first, and nothing is asked of a server that is in trouble."""
        state, now = self._writer.state, self._writer.clock.now()
        connection = state.connection_state(record.connection)
        if record.connection not in self.schedules:
            return False
        if connection.connection.kind is ConnectionKind.ICS or connection.trouble or connection.last_poll is None:
            return False
        if not all(linked.complete for linked in state.linked_calendars(record.connection)):
            return False
        if self._is_asked:
            return True
        if record.id in self._failed:
            return has_passed(self._failed[record.id], CHANGED_AGAIN, at=now)
        known = state.uncounted.get(record.id)
        if known is None:
            return True
        return has_passed(known.at, CHANGED_AGAIN if known.mark != _mark(record.remote) else AGAIN, at=now)

    async def _read(self, client: "Client", record: CalendarRecord) -> UncountedTime:
        """When there is something in it. Raises BusydError."""
        state, now = self._writer.state, self._writer.clock.now()
        window = look_window(now)
        payloads = await fetch_within(client, record.remote, window=window)
        connection = state.connection_state(record.connection)
        me = frozenset(map(normalise_address, filter(None, (*connection.addresses, connection.connection.username))))
        zone = reading_zone(record.remote.timezone or state.machine_zone).name
        spans = []
        async for indexed in self._writer.expansion.index(payloads, zone, span=window):
            verdicts = [decide(facts, Rules(), me=me) for facts in indexed.facts]
            for start, end, number in indexed.rows():
                verdict = verdicts[number]
                if verdict.fbtype is not FbType.FREE:
                    spans.append((start - verdict.before, end + verdict.after))
        merged = coalesce(spans)
        return UncountedTime(tuple(merged), sum(end > now for _, end in merged), now, _mark(record.remote))

    def _tell(self, record: CalendarRecord) -> None:
        """Once, for as long as it stays so."""
        count = much_ahead(self._writer.state.uncounted.get(record.id), record)
        if not count:
            self._told.discard(record.id)
        elif record.id not in self._told:
            self._told.add(record.id)
            logger.warning("%s: %s", record.label, describe_uncounted(count))

    async def _rest(self, seconds: float) -> None:
        """Wait so long, or until somebody asks."""
        await sleep_unless(self._asked, seconds, clock=self._writer.clock)
        self._is_asked = self._asked.is_set()
        self._asked.clear()


def look_window(now: Instant) -> Period:
    """What is looked at."""
    return Period(Instant(now - BEFORE), Instant(now + AHEAD))


async def fetch_within(client: "Client", calendar: RemoteCalendar, *, window: Period) -> Sequence[bytes]:
    """The objects of a calendar that touch a window, as its server sees it. Raises RemoteError."""
    from busyd.dav.operation import fetch_objects, list_within  # a start does without lxml

    hrefs = (await client.run(list_within(calendar.target, window)))[:LOOKED_AT]
    payloads: list[bytes] = []
    for at in range(0, len(hrefs), _AT_ONCE):
        fetched = await client.run(fetch_objects(calendar.target, hrefs[at : at + _AT_ONCE]))
        payloads += [one.payload for one in fetched.objects]
    return payloads


def _mark(remote: RemoteCalendar) -> tuple[str | None, str | None]:
    return (remote.ctag, remote.sync_token)
