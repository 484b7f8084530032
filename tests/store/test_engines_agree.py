"""SQLite and PostgreSQL side by side: whatever is written, everything that can be read is the same in both."""

import contextlib
import itertools
import sqlite3
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from busyd.connection import RemoteCalendar
from busyd.ical.facts import Problem, ProblemKind
from busyd.period import Instant, Period
from busyd.store.mirror import (
    AccountRecord,
    CalendarRecord,
    DoubtKind,
    ObjectDoubt,
    StoredObject,
    SyncMark,
    other_version_of,
)
from busyd.store.occurrences import IndexEntry
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from busyd.store.sqlite.connection import migrate
from busyd.store.sqlite.schema import MIRROR_MIGRATIONS
from busyd.store.statements import calendars, made, members
from busyd.store.statements import occurrences as occurrence_statements
from busyd.store.transaction import Transaction

CONNECTIONS = ("anna", "ben")
CALENDARS = [RemoteCalendar(f"/{name}/", name) for name in ("work", "Home", "Äpfel", "")]
HREFS = ("/work/b.ics", "/work/B.ics", "/work/a.ics", "/work/%C3%A4.ics", "/work/ä", other_version_of("/work/a.ics"))
SPANS = [Period(Instant(0), Instant(100)), Period(Instant(50), Instant(150))]
connections = st.sampled_from(CONNECTIONS)
hrefs = st.lists(st.sampled_from(HREFS), unique=True, max_size=4)
# What iCalendar text and servers may hold, and what PostgreSQL or the driver could take for something else.
texts = st.sampled_from(["", "a", "A", "\0", "\uf8ff0", "ä", "a%b", "?1", "'", "\\x00", "z" * 300])
payloads = st.binary(max_size=40) | st.sampled_from([b"", b"\0", b"BEGIN:VEVENT", b"x" * 3000])
instants = st.integers(0, 10**10).map(Instant)
wide = st.sampled_from([-(2**40), 0, 2**31, 2**40])


class Engines(RuleBasedStateMachine):
    """Does everything in both, and compares."""

    both: Sequence[Transaction]
    """SQLite's and PostgreSQL's."""

    def __init__(self) -> None:
        super().__init__()
        self.done = 0

    def do(self, *works: Callable[[Transaction], object]) -> None:
        """Run the works in both, with the same random texts; they have to return the same."""
        self.done += 1
        results = []
        for tx in self.both:
            COUNTER[:] = [itertools.count(self.done * 1000)]
            results.append([work(tx) for work in works])
        assert results[0] == results[1]

    def in_calendar(self, data: st.DataObject, *works: Callable[[Transaction, int], object]) -> None:
        number = data.draw(st.integers(0, len(self.both[0].read_calendars()) - 1))
        self.do(lambda tx: [work(tx, tx.read_calendars()[number].id) for work in works])

    def has_calendars(self) -> bool:
        return bool(self.both[0].read_calendars())

    @rule(name=connections, listed=st.lists(st.sampled_from(CALENDARS), unique=True), at=instants, unreadable=hrefs)
    def list_calendars(self, name: str, listed: list[RemoteCalendar], at: Instant, unreadable: list[str]) -> None:
        self.do(lambda tx: tx.record_listing(name, listed, at=at, unreadable=sorted(unreadable[:1])))

    @rule(name=connections, user=texts, homes=st.lists(texts, max_size=2), at=instants, partial=texts)
    def discover(self, name: str, user: str, homes: list[str], at: Instant, partial: str) -> None:
        account = AccountRecord(name, "https://x.test/", user, "/p/", tuple(homes), (), bool(partial), at)
        self.do(lambda tx: tx.record_account(account), lambda tx: tx.record_partial(name, partial))

    @rule(name=connections)
    def forget_account(self, name: str) -> None:
        self.do(lambda tx: tx.forget_account(name))

    @precondition(has_calendars)
    @rule(data=st.data(), at=instants, text=texts, etag=st.none() | texts, held=st.dictionaries(texts, instants))
    def sync(self, data: st.DataObject, at: Instant, text: str, etag: str | None, held: dict[str, Instant]) -> None:
        doubts = {text: ObjectDoubt(DoubtKind.GONE, at, uid=text)}
        mark = SyncMark(etag, text, at, None, held, doubts, etag, {"etag": text}, None, at, etag)
        self.in_calendar(data, lambda tx, number: tx.record_sync(number, mark))
        self.in_calendar(data, lambda tx, number: tx.confirm_calendars([number], at))

    @precondition(has_calendars)
    @rule(data=st.data())
    def gone(self, data: st.DataObject) -> None:
        self.in_calendar(data, lambda tx, number: tx.record_gone(number), Transaction.advance_generation)

    @precondition(has_calendars)
    @rule(data=st.data(), href=st.sampled_from(HREFS), etag=texts, uid=texts, payload=payloads)
    def put(self, data: st.DataObject, href: str, etag: str, uid: str, payload: bytes) -> None:
        def work(tx: Transaction, number: int) -> None:
            tx.put_object(number, StoredObject(href, etag, uid, payload))

        self.in_calendar(data, work)

    @precondition(has_calendars)
    @rule(data=st.data(), gone=hrefs, at=instants)
    def forget(self, data: st.DataObject, gone: list[str], at: Instant) -> None:
        self.in_calendar(data, lambda tx, number: len(tx.forget_objects(number, gone, at=at)))

    @precondition(has_calendars)
    @rule(data=st.data(), unread=hrefs, spelling=texts)
    def mark_unread(self, data: st.DataObject, unread: list[str], spelling: str) -> None:
        def work(tx: Transaction, number: int) -> object:
            nothing = tx.mark_unread(number, unread, etag="")
            tx.record_spellings(number, dict.fromkeys(unread, spelling))
            return list(nothing.values())

        self.in_calendar(data, work)

    @precondition(has_calendars)
    @rule(data=st.data(), of=hrefs, zone=st.sampled_from(["", "Europe/Berlin"]), span=st.sampled_from(SPANS),
          recurring=st.booleans(), withheld=st.booleans(), starts=st.lists(wide, max_size=3), incomplete=texts,
          uid=texts)  # fmt: skip
    def index(
        self, data: st.DataObject, of: list[str], zone: str, span: Period, recurring: bool, withheld: bool,
        starts: list[int], incomplete: str, uid: str,
    ) -> None:  # fmt: skip
        def work(tx: Transaction, number: int) -> None:
            rows = array("q", [value for start in starts for value in (start, start + 1, 0)])
            problems = (Problem(ProblemKind.UNREADABLE, uid, incomplete),) if incomplete else ()
            found = tx.objects_with_payload(number, of)
            entries = [IndexEntry(one, zone, span, recurring, rows, (), problems, incomplete) for one in found]
            if withheld:
                tx.replace_entries({entry.object: [entry] for entry in entries}, withheld=True)
            else:
                tx.put_entries(entries)
            tx.record_uids(dict.fromkeys(found, uid))

        self.in_calendar(data, work)

    @precondition(has_calendars)
    @rule(data=st.data())
    def forget_withheld(self, data: st.DataObject) -> None:
        self.in_calendar(data, lambda tx, number: tx.forget_withheld(number))

    @rule()
    def forget_index(self) -> None:
        self.do(lambda tx: tx.forget_entries())

    @precondition(has_calendars)
    @rule(data=st.data(), name=st.sampled_from(["a.ics", "B.ics", "none.ics"]))
    def touch(self, data: st.DataObject, name: str) -> None:
        self.in_calendar(data, lambda tx, number: tx.touch_member(number, name))

    @rule(owner=connections, tags=st.dictionaries(st.sampled_from(["a.ics", "B.ics", "ä.ics"]), texts), at=instants,
          touched=st.sampled_from(["a.ics", "B.ics"]))  # fmt: skip
    def make(self, owner: str, tags: dict[str, str], at: Instant, touched: str) -> None:
        self.do(lambda tx: tx.follow_made(owner, tags, at=at), lambda tx: tx.touch_made(owner, touched))

    @rule(name=connections, key=texts, body=payloads, others=st.lists(connections))
    def snapshot(self, name: str, key: str, body: bytes, others: list[str]) -> None:
        self.do(lambda tx: tx.record_snapshot(name, key, body=body), lambda tx: tx.record_meta(name, key))
        self.do(lambda tx: tx.forget_snapshots({name, *others}))

    @rule()
    def compare(self) -> None:
        sqlite, postgresql = map(everything, self.both)
        assert sqlite == postgresql
        assert self.both[0].has_changed_members == self.both[1].has_changed_members


COUNTER: list[Iterator[int]] = [itertools.count()]


def everything(tx: Transaction) -> dict[str, Any]:
    """All that a mirror can be asked, without the ids of its rows."""
    records = tx.read_calendars()
    told: dict[str, Any] = {
        "accounts": [tx.read_account(name) for name in CONNECTIONS],
        "meta": [tx.read_meta(name) for name in CONNECTIONS],
        "shared": [row[1:] for row in tx.shared_uids()],
        "generations": [number for _, number in sorted(tx.generations().items())],
        "snapshots": [tx.read_snapshot(name) for name in CONNECTIONS],
        "salts": [tx.read_salts(name) for name in CONNECTIONS],
        "made": [tx.read_made_changes(name, after=n, upto=n + 3, limit=2) for name in CONNECTIONS for n in range(4)],
    }
    for position, record in enumerate(records):
        told[f"{position}"] = (record_without_id(record), of_calendar(tx, record.id))
    return told


def record_without_id(record: CalendarRecord) -> list[Any]:
    return [getattr(record, name) for name in record.__struct_fields__ if name != "id"]


def of_calendar(tx: Transaction, number: int) -> list[Any]:
    objects = tx.read_objects(number)
    names = tx.member_names(number, None)
    zone = "Europe/Berlin"
    return [
        objects,
        tx.read_etags(number),
        tx.read_spellings(number),
        tx.read_uids(number, HREFS),
        tx.read_payloads(number, HREFS),
        tx.objects_that_say(number, b"VEVENT"),
        tx.objects_that_say(number, b"\0"),
        tx.read_marks([number])[number],
        tx.read_members(number),
        names,
        tx.read_contents(number, [*names, "none.ics"], most=1000),
        [tx.read_changes(number, after=after, limit=3) for after in range(5)],
        [tx.read_member(number, name) for name in (*names, "none.ics")],
        [tx.names_with_uid(number, one.uid) for one in objects],
        tx.count_rows(number),
        tx.generation_of(number),
        pages(lambda after: tx.read_entries(number, zone, after=after), lambda row: row[2].object),
        pages(lambda after: tx.read_recurring(number, zone, after=after), lambda row: row[0].object),
        pages(lambda after: tx.objects_to_expand(number, zone, span=SPANS[0], after=after), lambda row: row[0]),
    ]


def pages(read: Callable[[int], Sequence[Any]], id_of: Callable[[Any], int]) -> list[Any]:
    """What is read page by page, without ids: one row a page, or what is with it under the same id."""
    found: list[Any] = []
    after = 0
    while rows := read(after):
        after = id_of(rows[-1])
        found.extend([without_id(value) for value in row] for row in rows)
    return found


def without_id(value: object) -> object:
    if isinstance(value, IndexEntry):
        return [getattr(value, name) for name in value.__struct_fields__ if name != "object"]
    return None if isinstance(value, int) else value


@pytest.fixture(autouse=True)
def same_random_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs and salts are drawn: the same ones in both."""

    class Counting:
        @staticmethod
        def token_hex(_: int) -> str:
            return f"{next(COUNTER[0]):x}"

    for module in (calendars, made, members):
        monkeypatch.setattr(module, "secrets", Counting)


def test_whatever_is_written_all_that_is_read_is_the_same(
    migrated: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(occurrence_statements, "AT_ONCE", 3)
    with contextlib.closing(migrated.connect(MIRROR.schema)) as server:

        class Fresh(Engines):
            def __init__(self) -> None:
                super().__init__()
                self.file = sqlite3.connect(":memory:", isolation_level=None)
                self.file.execute("PRAGMA foreign_keys=ON")
                migrate(self.file, Path(":memory:"), migrations=MIRROR_MIGRATIONS)
                server.execute("BEGIN")
                self.both = [Transaction(self.file), Transaction(PostgresSession(server))]

            def teardown(self) -> None:
                try:
                    self.compare()
                finally:
                    server.execute("ROLLBACK")
                    self.file.close()

        run_state_machine_as_test(
            Fresh, settings=settings(max_examples=20, stateful_step_count=25, suppress_health_check=list(HealthCheck))
        )
