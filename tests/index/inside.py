"""A backend without handlers and network: real stores, real engine, calendars filled by hand, a clock that obeys."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from busyd.availability.profile import Profile
from busyd.connection import CalendarReference, Connection, ConnectionKind, RemoteCalendar
from busyd.flow.backend import Backend
from busyd.index.batch import Incoming
from busyd.index.changes import ChangeRecorder
from busyd.index.publisher import SnapshotPublisher
from busyd.index.restore import Restore
from busyd.index.writer import IndexWriter
from busyd.period import Instant, Period
from busyd.state.links import remembered_by_profile
from busyd.state.state import State
from busyd.store.bookings import Booking
from busyd.store.change_log import ChangeLog
from busyd.store.ledger import Ledger
from busyd.store.ledger_thread import LedgerThread
from busyd.store.mirror import CalendarRecord, SyncMark
from busyd.store.store import Store

ANNA = Connection("anna", ConnectionKind.ICLOUD, "https://caldav.icloud.com/", "anna@icloud.com")
WORK = RemoteCalendar("/1/calendars/work/", "Work", ctag="1")
HOME = RemoteCalendar("/1/calendars/home/", "Home", ctag="1")


def at(text: str) -> Instant:
    """An instant from `2026-06-01` or `2026-06-01T09:00` in UTC."""
    return Instant(int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()))


def window(start: str, end: str) -> Period:
    return Period(at(start), at(end))


def ref(text: str) -> CalendarReference:
    return CalendarReference.parse(text)


def event(uid: str, *lines: str) -> bytes:
    text = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", "BEGIN:VEVENT", f"UID:{uid}"]
    return "\r\n".join([*text, "DTSTAMP:20260101T000000Z", *lines, "END:VEVENT", "END:VCALENDAR", ""]).encode()


def timed(uid: str, start: str, end: str, *lines: str) -> bytes:
    return event(uid, f"DTSTART:{start}", f"DTEND:{end}", *lines)


@dataclass
class StoppedClock:
    """Stands still until it is told to move."""

    instant: Instant
    part: float = 0.0
    """Of the second that has begun; only the monotonic clock shows it."""

    def now(self) -> Instant:
        return self.instant

    def monotonic(self) -> float:
        return self.instant + self.part

    async def sleep(self, seconds: float) -> None:
        self.instant = Instant(self.instant + int(seconds))
        await asyncio.sleep(0)


class Inside:
    """The backend and the hands that fill it."""

    def __init__(
        self, folder: Path, clock: StoppedClock, *, profiles: Iterable[Profile], rows: Iterable[Booking] = ()
    ) -> None:
        self.clock = clock
        self.store = Store.open(folder / "mirror.sqlite3")
        ledger = Ledger.open(folder / "ledger.sqlite3")
        self.ledger = LedgerThread(ledger)
        self.state = State([ANNA], profiles, machine_zone="UTC")
        self.state.remembered = remembered_by_profile(ledger.resolved_links(), self.state.profiles)
        self.state.problems.accepted = ledger.acceptances()
        self.state.own.take(rows)
        self.changes = ChangeLog.open_or_begin_anew(folder / "changes.sqlite3", now=clock.now())
        recorder = ChangeRecorder(self.changes, self.state, clock=clock, store=self.store)
        self.publisher = SnapshotPublisher(self.store, self.state, clock=clock, changes=recorder)
        self.writer = IndexWriter(self.store, self.state, clock=clock, publisher=self.publisher)
        self.restore = Restore(self.writer)
        self.backend = Backend(self.state, self.writer, ledger=self.ledger, clock=clock, changes=self.changes)
        self.backend.reloads.started()
        self.restore.take_snapshots()

    async def show(self, *calendars: RemoteCalendar) -> None:
        """The server lists these."""
        await self.store.record_listing("anna", calendars, at=self.clock.now())
        self.state.take_calendars(await self.store.read_calendars())
        await self.restore.load_tables()

    def record(self, calendar: RemoteCalendar) -> CalendarRecord:
        return next(one for one in self.state.calendars.values() if one.remote.href == calendar.href)

    async def put(self, calendar: RemoteCalendar, *payloads: bytes, gone: Iterable[str] = ()) -> None:
        """The calendar was read completely and holds these in addition; object n of a call is named n.ics."""
        record = self.record(calendar)
        incoming = [
            Incoming(f"{calendar.href}{number}.ics", f'"{hash(payload)}"', payload)
            for number, payload in enumerate(payloads)
        ]
        mark = SyncMark("1", None, self.clock.now())
        hrefs = [f"{calendar.href}{name}" for name in gone]
        await self.writer.store_batch(record, incoming, gone=hrefs, mark=mark)
        await self.publisher.confirm(await self.store.read_calendars())

    async def busy(self, start: str, end: str, *, profile: str = "anna") -> list[tuple[Instant, Instant, str]]:
        answer = await self.backend.freebusy(profile, window(start, end))
        return [(one.start, one.end, one.fbtype.text) for one in answer.busy]

    def close(self) -> None:
        self.store.close()
        self.ledger.close()
        self.changes.close()
