"""A daemon follows what another writes to the mirror: by numbers, and without missing anything."""

import contextlib
import threading
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import rule, run_state_machine_as_test

from busyd.connection import RemoteCalendar
from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.mirror import StoredObject
from busyd.store.moving import move
from busyd.store.occurrences import IndexEntry
from busyd.store.outbox import Outbox
from busyd.store.postgresql.connection import TransactionConnection
from busyd.store.postgresql.following import calendars_moved, forget_deletions, objects_moved
from busyd.store.postgresql.ledger_schema import LEDGER
from busyd.store.postgresql.moving import StoreDatabase
from busyd.store.postgresql.other_daemons import FollowedFrom, OtherDaemons
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from busyd.store.sqlite.moving import StateDirectory
from busyd.store.transaction import Transaction
from tests.postgres import PostgresServer
from tests.store.filled import fill_stores
from tests.store.test_engines_agree import Engines

NOW = Instant(1_790_000_000)
LATER = Instant(2**40)


class Copy:
    """What a follower has, and how far it has come."""

    def __init__(self) -> None:
        self.upto = 0
        self.calendars: dict[int, tuple[Any, dict[int, Any]]] = {}
        """By id: the row, and its objects with their entries."""

    def follow(self, db: PostgresSession) -> list[int]:
        """Take what has changed; the calendars that were told."""
        moved = calendars_moved(db, self.upto)
        kept = {} if moved.is_whole else {id: of for id, of in self.calendars.items() if id not in moved.deleted}
        for calendar in moved.written:
            changed = objects_moved(db, calendar, after=self.upto)
            objects = {} if changed.is_whole else kept.get(calendar, (None, {}))[1]
            objects = {id: row for id, row in objects.items() if id not in changed.deleted}
            kept[calendar] = rows(db, "calendar", calendar), objects | {id: of_object(db, id) for id in changed.written}
        self.calendars = kept
        self.upto = moved.upto
        return [*moved.written, *moved.deleted]


def whole(db: PostgresSession) -> dict[int, tuple[Any, dict[int, Any]]]:
    """What a follower should have."""
    objects = db.execute("SELECT calendar, id FROM object").fetchall()
    return {
        id: (rows(db, "calendar", id), {one: of_object(db, one) for calendar, one in objects if calendar == id})
        for (id,) in db.execute("SELECT id FROM calendar").fetchall()
    }


def of_object(db: PostgresSession, number: int) -> Any:
    return rows(db, "object", number), rows(db, "busy_index", number, key="object")


def rows(db: PostgresSession, table: str, number: int, *, key: str = "id") -> Any:
    found = db.execute(f"SELECT to_jsonb({table}) - 'moved' FROM {table} WHERE {key}=? ORDER BY 1", (number,))
    return found.fetchall()


def entry(number: int, zone: str) -> IndexEntry:
    return IndexEntry(number, zone, Period(NOW, LATER), False, array("q", [NOW, LATER, 0]), (), (), "")


@pytest.fixture
def connection(database: DatabaseServer) -> Iterator[TransactionConnection]:
    with contextlib.closing(TransactionConnection(database, MIRROR)) as opened:
        yield opened


def listed(*names: str) -> Callable[[PostgresSession], None]:
    """Lists calendars of these names."""
    calendars = [RemoteCalendar(f"/{name}/", name) for name in names]
    return lambda db: Transaction(db).record_listing("anna", calendars, at=NOW)


def test_whatever_is_written_a_follower_has_it_and_is_told_nothing_twice(connection: TransactionConnection) -> None:
    class Followed(Engines):
        def __init__(self) -> None:
            super().__init__()
            self.copy = Copy()
            # As it was in the first run: an account that is left would have its calendars forgotten again.
            tables = "calendar, account, made, made_member, snapshot"
            connection.write(lambda db: db.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))

        @property
        def both(self) -> list[Transaction]:  # type: ignore[override]
            return [connection.read(Transaction)]

        def do(self, *works: Callable[[Transaction], object]) -> None:
            connection.write(lambda db: [work(Transaction(db)) for work in works])

        @rule()
        def forget_deletions(self) -> None:
            connection.write(lambda db: forget_deletions(db, before=LATER))

        @rule()
        def compare(self) -> None:
            connection.read(self.copy.follow)
            assert self.copy.calendars == connection.read(whole)
            assert connection.read(self.copy.follow) == []

        def teardown(self) -> None:
            self.compare()

    run_state_machine_as_test(
        Followed, settings=settings(max_examples=20, stateful_step_count=25, suppress_health_check=list(HealthCheck))
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda tx, _: tx.record_spellings(1, {"/work/a.ics": "/Work/a.ics"}),
        lambda tx, _: tx.put_object(1, StoredObject("/work/a.ics", '"2"', "a", b"x")),
        lambda tx, object: tx.put_entries([entry(object, "Asia/Tokyo")]),
        lambda tx, object: tx.put_entries([entry(object, "Europe/Berlin")]),
        lambda tx, _: tx.forget_withheld(1),
        lambda tx, _: tx.forget_entries(),
        lambda tx, _: tx.forget_objects(1, ["/work/a.ics"], at=NOW),
        lambda tx, _: tx.confirm_calendars([1], NOW),
        lambda tx, _: tx.forget_account("anna"),
    ],
)
def test_each_change_alone_is_told_with_its_calendar(
    connection: TransactionConnection, change: Callable[[Transaction, int], object]
) -> None:
    def fill(db: PostgresSession) -> int:
        db.execute("ALTER TABLE calendar ALTER id RESTART WITH 1")
        listed("work", "home")(db)
        tx = Transaction(db)
        object = tx.put_object(1, StoredObject("/work/a.ics", '"1"', "a", b"x"))
        tx.replace_entries({object: [entry(object, "Europe/Berlin")]}, withheld=True)
        return object

    object = connection.write(fill)
    copy = Copy()
    assert connection.read(copy.follow) == [2, 1]
    connection.write(lambda db: change(Transaction(db), object))
    told = connection.read(copy.follow)
    assert copy.calendars == connection.read(whole)
    assert 1 in told


class FollowedCalendars:
    """Calendars, as they are written and followed."""

    tables = MIRROR
    count = "SELECT COUNT(*) FROM mirror.calendar"

    def __init__(self, database: DatabaseServer) -> None:
        self._connection = TransactionConnection(database, MIRROR)
        self._upto = self._connection.read(lambda db: calendars_moved(db, 0)).upto
        self.close = self._connection.close

    @staticmethod
    def write(db: PostgresSession, name: str) -> None:
        db.execute("INSERT INTO calendar (connection, href, listing) VALUES ('anna', ?, '{}')", (name,))

    def look(self) -> list[int]:
        moved = self._connection.read(partial(calendars_moved, after=self._upto))
        self._upto = moved.upto
        return list(moved.written)


class FollowedRows:
    """Rows of the outbox, likewise."""

    tables = LEDGER
    count = "SELECT COUNT(*) FROM ledger.booking"

    def __init__(self, database: DatabaseServer) -> None:
        self._others = OtherDaemons(database)
        self._others.begin()
        self.close = self._others.close

    @staticmethod
    def write(db: PostgresSession, name: str) -> None:
        span = Period(NOW, LATER)
        Outbox(db).add(Booking(name, BookingKind.BLOCK, "anna", BookingState.PENDING, span, NOW))

    def look(self) -> list[str]:
        known = FollowedFrom(lambda _: True, Period(NOW, LATER), {}, [], [], is_begun=True)
        found = self._others.read(known)
        self._others.take(found)
        return [row.id for row in found.rows]


def test_all_rows_are_told_with_the_calendars_of_the_same_moment(database: DatabaseServer) -> None:
    """However many there are: of two that were changed together, one alone would leave free what is taken."""
    names = [f"row {number}" for number in range(1500)]
    with (
        contextlib.closing(FollowedRows(database)) as followed,
        contextlib.closing(TransactionConnection(database, LEDGER)) as connection,
    ):
        connection.write(lambda db: [followed.write(db, name) for name in names])
        assert followed.look() == names
        assert followed.look() == []


@pytest.mark.parametrize("one_at_a_time", [True, False])
@pytest.mark.parametrize("kind", [FollowedCalendars, FollowedRows])
def test_of_writers_that_commit_late_nothing_is_skipped_as_only_one_writes_at_a_time(
    database: DatabaseServer, kind: type[FollowedCalendars | FollowedRows], one_at_a_time: bool
) -> None:
    """Without the lock a number is taken, a higher one is kept and read, and then the lower one is kept."""
    writers, each, seen, looks = 16, 4, set[int | str](), 0
    looked = threading.Condition()

    def write(writer: int) -> None:
        with contextlib.closing(TransactionConnection(database, kind.tables)) as connection:
            if not one_at_a_time:
                connection._begin_write = b"BEGIN; SELECT pg_current_xact_id()::text"
            for number in range(each):
                connection.write(partial(late, name=f"/{writer}/{number}/", is_late=writer % 2 == 0))

    def late(db: PostgresSession, *, name: str, is_late: bool) -> None:
        kind.write(db, name)
        if is_late:
            with looked:
                upto = looks + 3
                looked.wait_for(lambda: looks >= upto)

    with contextlib.closing(kind(database)) as followed, ThreadPoolExecutor(writers) as threads:
        writing = [threads.submit(write, writer) for writer in range(writers)]
        while True:
            is_last = all(one.done() for one in writing)
            seen.update(followed.look())
            with looked:
                looks += 1
                looked.notify_all()
            if is_last:
                break
        for one in writing:
            one.result()
    with contextlib.closing(database.connect("public")) as connection:
        ((there,),) = connection.execute(kind.count.encode()).fetchall()
    assert there == writers * each
    assert (len(seen) == there) is one_at_a_time


def test_who_has_not_looked_since_deletions_were_forgotten_is_told_of_everything(
    connection: TransactionConnection,
) -> None:
    connection.write(listed("work", "home"))
    copy, late = Copy(), Copy()
    for one in (copy, late):
        connection.read(one.follow)
    connection.write(lambda db: db.execute("DELETE FROM calendar WHERE href='/work/'"))
    connection.write(lambda db: forget_deletions(db, before=NOW))
    assert len(connection.read(copy.follow)) == 1
    connection.write(lambda db: forget_deletions(db, before=LATER))
    assert connection.read(lambda db: calendars_moved(db, copy.upto)).is_whole is False
    assert connection.read(lambda db: calendars_moved(db, late.upto)).is_whole is True
    connection.read(late.follow)
    assert late.calendars == copy.calendars == connection.read(whole)


def test_a_mirror_that_is_made_anew_is_told_as_a_whole(
    connection: TransactionConnection, database: DatabaseServer
) -> None:
    connection.write(listed("work"))
    copy = Copy()
    connection.read(copy.follow)
    connection.close()
    TransactionConnection(database, MIRROR, anew=True).close()
    connection.write(listed("home"))
    assert connection.read(lambda db: calendars_moved(db, copy.upto)).is_whole
    connection.read(copy.follow)
    assert copy.calendars == connection.read(whole)


def test_a_mirror_that_is_moved_here_is_told_as_a_whole_and_followed(postgres: PostgresServer, tmp_path: Path) -> None:
    database = postgres.new_database()
    fill_stores(tmp_path, 1)
    move(StateDirectory(tmp_path), StoreDatabase(database), replace=False, now=NOW)
    copy = Copy()
    with contextlib.closing(TransactionConnection(database, MIRROR)) as connection:
        connection.read(copy.follow)
        assert copy.calendars == connection.read(whole)
        assert copy.calendars
        connection.write(lambda db: db.execute("DELETE FROM object"))
        connection.write(lambda db: db.execute("DELETE FROM calendar WHERE id=(SELECT MAX(id) FROM calendar)"))
        assert connection.read(copy.follow)
        assert copy.calendars == connection.read(whole)


def test_a_database_that_was_put_back_to_an_earlier_state_is_told_as_a_whole(
    connection: TransactionConnection,
) -> None:
    connection.write(listed("work"))
    copy = Copy()
    connection.read(copy.follow)
    assert connection.read(lambda db: calendars_moved(db, copy.upto + 1)).is_whole


def test_objects_are_told_alone_of_a_calendar_that_is_known(connection: TransactionConnection) -> None:
    def put(db: PostgresSession, *, name: str) -> int:
        return Transaction(db).put_object(calendar, StoredObject(f"/work/{name}.ics", '"1"', name, b"x"))

    connection.write(listed("work"))
    ((calendar,),) = connection.read(lambda db: db.execute("SELECT id FROM calendar").fetchall())
    first, second = (connection.write(partial(put, name=name)) for name in "ab")
    upto = connection.read(lambda db: calendars_moved(db, 0)).upto
    third = connection.write(partial(put, name="c"))
    connection.write(partial(put, name="a"))
    connection.write(lambda db: Transaction(db).forget_objects(calendar, ["/work/b.ics"], at=NOW))
    moved = connection.read(lambda db: objects_moved(db, calendar, after=upto))
    assert (moved.written, moved.deleted, moved.is_whole) == ([third, first], [second], False)


def test_a_connection_that_is_new_here_is_read_though_its_calendars_were_written_long_ago(
    database: DatabaseServer,
) -> None:
    with contextlib.closing(TransactionConnection(database, MIRROR)) as connection:
        connection.write(lambda db: Transaction(db).record_listing("anna", [RemoteCalendar("/1/", "Work")], at=NOW))
    others = OtherDaemons(database)
    with contextlib.closing(others):
        others.begin()
        for unlisted in ([], ["anna", "ben"]):
            known = FollowedFrom(lambda _: False, Period(NOW, LATER), {}, unlisted, [], is_begun=True)
            found = others.read(known)
            assert list(found.connections) == unlisted[:1]
        assert [record.remote.name for record in found.connections["anna"].calendars] == ["Work"]
