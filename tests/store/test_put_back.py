"""A database that was put back to an earlier state by whoever runs the server: noticed before anything is written."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.changes import ChangeEvent
from busyd.store.errors import SessionEnded
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.moving import move
from busyd.store.postgresql.fleet import Fleet
from busyd.store.postgresql.ledger_database import LedgerTables
from busyd.store.postgresql.ledger_schema import LEDGER
from busyd.store.postgresql.moving import StoreDatabase
from busyd.store.postgresql.restoring import SeenState, adopt_put_back, replace_ledger
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.storage import PostgresStorage
from busyd.store.sqlite.moving import StateDirectory
from tests.other_user import give_to_nobody
from tests.postgres import OWNER, PostgresServer, find_programs, running
from tests.store.conftest import with_tables
from tests.store.filled import make_stores
from tests.store.fleets import opened_by, until_waiting

NOW = Instant(1_900_000_000)
AHEAD = 4_000_000_000
"""A time that no clock has reached."""


@pytest.fixture
def used(postgres: PostgresServer) -> DatabaseServer:
    """A database in which a daemon has booked something."""
    return book(postgres.new_database())


def book(database: DatabaseServer) -> DatabaseServer:
    with_tables(database)
    span = Period(Instant(AHEAD), Instant(AHEAD + 3600))
    rows = [
        Booking("booked", BookingKind.APPOINTMENT, "anna", BookingState.BOOKED, span, NOW, uid="U"),
        Booking("held", BookingKind.HOLD, "ben", BookingState.BOOKED, span, NOW, expires=Instant(AHEAD)),
    ]
    with contextlib.closing(Ledger(LedgerTables(database))) as ledger:
        for row in rows:
            ledger.outbox(lambda outbox: outbox.add(row))  # noqa: B023
    with contextlib.closing(database.connect("mirror")) as connection:
        connection.execute(b"INSERT INTO calendar (connection, href, listing, epoch) VALUES ('a', '/', '{}', 'epoch')")
        connection.execute(b"UPDATE changes.counter SET newest=7")
    return database


def followed(database: DatabaseServer) -> int | None:
    return adopt_put_back(database, followed_for=86_400)


def row_of(database: DatabaseServer, name: str) -> Booking:
    with contextlib.closing(Ledger(LedgerTables(database))) as ledger:
        found = ledger.outbox(lambda outbox: outbox.find(name))
    assert found is not None
    return found


def put_back_by_dump(source: DatabaseServer, target: DatabaseServer, *options: str) -> None:
    """What the administrator of a database does."""
    programs = find_programs()
    assert programs is not None
    dump = [str(programs / "pg_dump"), *options, source.conninfo]
    dumped = subprocess.run(dump, capture_output=True, check=True).stdout
    restore = [str(programs / "psql"), "-q", "-v", "ON_ERROR_STOP=1", target.conninfo]
    put = subprocess.run(restore, input=dumped, capture_output=True, check=False)
    assert put.returncode == 0, put.stderr.decode()


def test_a_database_that_stays_where_it_is_is_not_taken_for_one_that_was_put_back(
    postgres: PostgresServer, used: DatabaseServer, tmp_path: Path
) -> None:
    assert followed(postgres.new_database()) is None
    assert followed(used) is None
    postgres.stop()
    postgres.start()
    assert followed(used) is None
    make_stores(tmp_path)
    replace_ledger(used, tmp_path / LEDGER_FILE, now=NOW, last=lambda _: None)
    assert followed(used) is None
    move(StateDirectory(tmp_path), StoreDatabase(used), replace=True, now=NOW)
    assert followed(used) is None
    with contextlib.closing(Fleet(used)) as fleet:
        fleet.begin("one", "")
        assert followed(used) is None
        fleet.renew()


def test_a_daemon_that_declares_meanwhile_waits_and_is_told_that_its_session_has_ended(used: DatabaseServer) -> None:
    with (
        contextlib.closing(Fleet(used)) as fleet,
        contextlib.closing(used.connect("ledger")) as other,
        ThreadPoolExecutor(2) as threads,
    ):
        fleet.begin("one", "")
        other.execute("DELETE FROM place")
        other.execute("SELECT pg_advisory_lock(%s)", (MIRROR.lock,))
        rows = threads.submit(followed, used)
        until_waiting(used, 1)
        declared = threads.submit(fleet.declare, ["anna"])
        until_waiting(used, 2)
        other.execute("SELECT pg_advisory_unlock_all()")
        assert rows.result() == 1
        with pytest.raises(SessionEnded):
            declared.result()


@pytest.mark.parametrize("options", [(), ("--schema=ledger",)], ids=["all", "the ledger alone"])
async def test_what_pg_dump_has_written_counts_as_restored_once_it_is_put_back(
    postgres: PostgresServer, used: DatabaseServer, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with contextlib.closing(Fleet(used)) as fleet:
        fleet.begin("one", "")
    target = postgres.new_database()
    with contextlib.closing(target.connect("public")) as connection:
        connection.execute(b"CREATE EXTENSION btree_gist SCHEMA public")
    put_back_by_dump(used, target, "--no-comments", *options)
    assert followed(target) == 1
    assert row_of(target, "booked").restored == 1
    assert row_of(target, "held").state is BookingState.CANCELLED
    with contextlib.closing(target.connect("fleet")) as connection:
        assert connection.execute(b"SELECT COUNT(*) FROM session").fetchone() == (0,)
        if not options:
            assert connection.execute(b"SELECT COUNT(*) FROM mirror.calendar WHERE epoch='epoch'").fetchone() == (0,)
    with contextlib.closing(PostgresStorage(target, beside=tmp_path / "none").open_change_log(now=NOW)) as log:
        told = await log.entries_after(log.oldest - 1)
        assert [(one.change.event, *one.change.profiles) for one in told] == [
            (ChangeEvent.RESET, "anna"),
            (ChangeEvent.RESET, "ben"),
        ]
        assert log.newest > 1_000_000_000
    assert followed(target) is None
    assert followed(used) is None


def test_a_database_that_lacks_what_was_seen_in_it_was_put_back(used: DatabaseServer) -> None:
    with contextlib.closing(used.connect("ledger")) as connection:
        (here,) = connection.execute(b"SELECT here FROM place").fetchone() or ("",)
    for seen in (SeenState(here, 7), SeenState("elsewhere", 8)):
        assert adopt_put_back(used, followed_for=86_400, seen=seen) is None
    assert adopt_put_back(used, followed_for=86_400, seen=SeenState(here, 8)) == 1
    assert adopt_put_back(used, followed_for=86_400, seen=SeenState(here, 8)) is None


def test_whoever_puts_back_the_files_of_a_server_says_so_by_deleting_a_row(used: DatabaseServer) -> None:
    with contextlib.closing(used.connect("ledger")) as connection:
        connection.execute(b"DELETE FROM place")
    assert followed(used) == 1
    assert followed(used) is None


@pytest.fixture
def other_server() -> Iterator[PostgresServer]:
    """One that may be put back."""
    with running() as server:
        yield server


def test_a_server_that_goes_on_from_an_earlier_moment_is_noticed_and_sessions_end_with_the_old_one(
    other_server: PostgresServer,
) -> None:
    database = book(other_server.new_database())
    with contextlib.closing(Fleet(database)) as fleet:
        fleet.begin("one", "")
        with opened_by(fleet, LEDGER) as ledger:
            ledger.write(lambda db: db.execute("SELECT 1"))
            other_server.stop()
            recover(other_server.folder / "data")
            other_server.start()
            until_it_writes(other_server)
            with pytest.raises(SessionEnded):
                ledger.write(lambda db: db.execute("SELECT 1"))
        with pytest.raises(SessionEnded):
            fleet.renew()
        assert followed(database) == 1
        fleet.begin("one", "")
        fleet.renew()
        assert followed(database) is None


def recover(data: Path) -> None:
    """Have the server recover from what there is of its write-ahead log, as to a point in time: a timeline begins."""
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write("restore_command = 'false'\n")
    (data / "recovery.signal").touch()
    if os.geteuid() == 0:
        give_to_nobody(data / "recovery.signal")


def until_it_writes(server: PostgresServer) -> None:
    """It answers before it has begun the timeline."""
    with server.connect("postgres") as connection:
        while connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
            pass
        assert connection.execute("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)").fetchone() == ("00000002",)
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname=%s", (OWNER,)).fetchone() == (False,)
