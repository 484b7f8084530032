"""State directories filled without a network: through the stores and the engine of busyd itself, as a sync would."""

import asyncio
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from busyd.clock import SystemClock
from busyd.config import load_config
from busyd.connection import RemoteCalendar
from busyd.ical.facts import Facts
from busyd.ical.limits import MAX_CALENDAR_OCCURRENCES
from busyd.index.publisher import SnapshotPublisher
from busyd.index.restore import Restore
from busyd.index.version import index_version
from busyd.index.writer import IndexWriter
from busyd.period import Period
from busyd.state.horizon import horizon_at
from busyd.state.state import State
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.mirror import MIRROR_FILE, AccountRecord, StoredObject, SyncMark
from busyd.store.occurrences import ANY_ZONE, IndexEntry
from busyd.store.store import Store
from busyd.store.transaction import Transaction
from tests.bench.processes import environment_of_the_unit

PROFILE: Final = "anna"
CONFIG: Final = """\
listen: 127.0.0.1:{port}
connections:
  anna: {{kind: caldav, url: "{url}", username: anna, password: {{env: BENCH}}, poll: {poll}}}
profiles:
  anna: {{timezone: Europe/Berlin, primary: anna/Work, conflicts: ["anna/*"], max_age: 1d}}
"""
ENVIRONMENT: Final = {"BENCH": "secret", **environment_of_the_unit()}
"""The password, and what the unit sets."""
NOBODY: Final = "http://127.0.0.1:9/"
"""Nobody listens there."""

Fill = Callable[[Transaction, Sequence[int]], None]
"""Puts objects into the calendars of these ids."""


@dataclass(frozen=True, slots=True)
class Household:
    """A configuration with its state directory, ready for `busyd run`."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def configure(self, port: int, *, url: str = NOBODY, poll: str = "1d") -> None:
        """Write the configuration."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(CONFIG.format(port=port, url=url, poll=poll))

    def arguments(self) -> list[str]:
        """What `busyd` is called with."""
        return ["--config", str(self.config), "--state", str(self.state), "run"]

    def admin_token(self) -> str:
        """The token the daemon made for its own user."""
        return (self.state / "local-admin-token").read_text().strip()

    def make_token(self, *scopes: str) -> str:
        """A token as a program would have it: free/busy of the one profile, or these scopes."""
        ledger = Ledger.open(self.state / LEDGER_FILE)
        try:
            now = SystemClock().now()
            wanted = scopes or ("freebusy",)
            made = ledger.add_token(PROFILE, scopes=wanted, details=False, expires=None, name="bench", now=now)
        finally:
            ledger.close()
        return made.text


def seed_objects(household: Household, payloads: Sequence[bytes], *, calendars: int = 1) -> None:
    """Put objects into the mirror, read them with the engine, and store index and snapshot."""

    def fill(tx: Transaction, numbers: Sequence[int]) -> None:
        for number, payload in enumerate(payloads):
            stored = StoredObject(f"/anna/{number}.ics", f'"{number}"', str(number), payload)
            tx.put_object(numbers[number % calendars], stored)

    asyncio.run(_seed(household, fill, calendars=calendars))


def seed_spans(household: Household, count: int, *, copies: int = 1) -> None:
    """Store the index of calendars with so many disjoint busy spans inside the horizon, each given `copies` times.

    A thousand objects at most share them, so that the store holds occurrences rather than objects; so many calendars
    share these, that none has more than it may have.
    """
    horizon = horizon_at(SystemClock().now())
    facts = (Facts(),)
    calendars = 1 + count * copies // (MAX_CALENDAR_OCCURRENCES // 2)

    def fill(tx: Transaction, numbers: Sequence[int]) -> None:
        spans = list(disjoint_spans(count, horizon))
        objects = min(count, 1000)
        for at in range(objects):
            stored = StoredObject(f"/anna/{at}.ics", f'"{at}"', str(at), b"")
            number = tx.put_object(numbers[at % calendars], stored)
            rows = array("q", [value for start, end in spans[at::objects] for value in (start, end, 0) * copies])
            entry = IndexEntry(number, ANY_ZONE, horizon, False, rows, facts)
            tx.put_entries([entry])

    asyncio.run(_seed(household, fill, calendars=calendars))


def disjoint_spans(count: int, horizon: Period) -> Iterator[tuple[int, int]]:
    """So many spans of equal length with gaps of the same length between them."""
    for number in range(count):
        start = horizon.start + (horizon.end - horizon.start) * number // count
        end = horizon.start + (horizon.end - horizon.start) * (2 * number + 1) // (2 * count)
        yield start, end


def spread_objects(count: int, years: int) -> list[bytes]:
    """One-hour events without overlap, evenly over so many years around today: an answer has as many as it can."""
    now = SystemClock().now()
    length = years * 365 * 86_400
    first = now - length // 2
    starts = [first + length * number // count for number in range(count)]
    return [_plain(number, start, end=start + 3600) for number, start in enumerate(starts)]


async def _seed(household: Household, fill: Fill, *, calendars: int) -> None:
    clock, config = SystemClock(), load_config(household.config, ENVIRONMENT)
    household.state.mkdir(parents=True, mode=0o700)
    store = Store.open(household.state / MIRROR_FILE)
    now = clock.now()

    def commit(tx: Transaction) -> None:
        connection = config.connections["anna"].connection
        account = AccountRecord(
            connection="anna",
            root=connection.url,
            username=connection.username,
            principal="/anna/",
            homes=(f"{connection.url}anna/",),
            addresses=(),
            single=False,
            discovered=now,
        )
        tx.record_account(account)
        tx.record_listing("anna", [listed(number) for number in range(calendars)], at=now)
        numbers = [record.id for record in tx.read_calendars("anna")]
        fill(tx, numbers)
        for number in numbers:
            tx.record_sync(number, SyncMark(ctag="1", sync_token="1", as_of=now, reconciled=now))
        tx.record_meta("index", index_version())
        for number in numbers:
            tx.advance_generation(number)

    await store.transaction(commit)
    connections = [one.connection for one in config.connections.values()]
    state = State(connections, config.profiles.values(), machine_zone="UTC")
    writer = IndexWriter(store, state, clock=clock, publisher=SnapshotPublisher(store, state, clock=clock))
    restore = Restore(writer)
    restore.take_snapshots()
    await restore.load_tables()
    await writer.expansion.close()
    store.close()


def listed(number: int) -> RemoteCalendar:
    """Calendar of this number, as its server lists it; the first is called Work."""
    name = "Work" if number == 0 else f"Calendar {number}"
    return RemoteCalendar(f"/anna/{number}/", name, ctag="1", sync_token="1")


def _plain(number: int, start: int, *, end: int) -> bytes:
    stamps = [datetime.fromtimestamp(one, UTC).strftime("%Y%m%dT%H%M%SZ") for one in (start, end)]
    return (
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//bench//EN\r\nBEGIN:VEVENT\r\nUID:{number}\r\n"
        f"DTSTAMP:20260101T000000Z\r\nDTSTART:{stamps[0]}\r\nDTEND:{stamps[1]}\r\nSUMMARY:Meeting\r\n"
        "END:VEVENT\r\nEND:VCALENDAR\r\n"
    ).encode()
