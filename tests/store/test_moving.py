"""Stores that are moved to a database and back: nothing is lost, changed or made twice, wherever a move ends."""

import contextlib
import itertools
import os
import resource
import sqlite3
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from psycopg.errors import UndefinedTable

from busyd.connection import RemoteCalendar
from busyd.errors import TryAgain
from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.change_log import CHANGES_FILE
from busyd.store.engine import Rows
from busyd.store.errors import Overlaps, StorageDamaged, StorageError, StorageUnusable
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.mirror import MIRROR_FILE, StoredObject
from busyd.store.moving import LEDGER, Form, Moved, MoveRefused, move
from busyd.store.postgresql.connection import TransactionConnection
from busyd.store.postgresql.ledger_database import LedgerTables
from busyd.store.postgresql.ledger_schema import LEDGER as LEDGER_TABLES
from busyd.store.postgresql.moving import StoreDatabase
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.server import _SETTINGS as SETTINGS
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from busyd.store.sqlite.database import suspect_of
from busyd.store.sqlite.ledger_file import LedgerFile
from busyd.store.sqlite.moving import StateDirectory
from busyd.store.table_copy import CopyProgress, StoreTables
from busyd.store.transaction import Transaction
from tests.postgres import PostgresServer
from tests.store.conftest import with_tables
from tests.store.filled import FILES, dump_database, dump_files, fill_stores, make_stores, what_is_blocked
from tests.store.test_outboxes_agree import bookings, everything, outcome

T = TypeVar("T")

NOW = Instant(1_790_000_000)
STAMP = "20260921t141320z"
HOUR = Period(NOW, Instant(NOW + 3600))


@pytest.fixture
def empty(postgres: PostgresServer) -> DatabaseServer:
    """A database in which busyd never was."""
    return postgres.new_database()


def to_database(state: Path, database: DatabaseServer, *, replace: bool = False) -> Moved:
    return move(StateDirectory(state), StoreDatabase(database), replace=replace, now=NOW)


def to_files(database: DatabaseServer, state: Path, *, replace: bool = False) -> Moved:
    return move(StoreDatabase(database), StateDirectory(state), replace=replace, now=NOW)


def files_of(state: Path) -> set[str]:
    return {path.name for path in state.iterdir()}


def has_live(state: Path, database: DatabaseServer) -> list[str]:
    """Where a daemon would find a ledger."""
    place = StoreDatabase(database)
    with place.held():
        there = place.has(LEDGER, Form.LIVE)
    return [*(["files"] if (state / LEDGER_FILE).exists() else []), *(["database"] if there else [])]


def add_token(ledger: Ledger) -> str:
    return ledger.add_token("anna", scopes=["freebusy"], details=False, expires=None, name="", now=NOW).text


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_whatever_is_in_the_tables_is_the_same_there_and_back_again(
    empty: DatabaseServer, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    state = tmp_path_factory.mktemp("state")
    fill_stores(state, seed)
    before = dump_files(state)
    moved = to_database(state, empty)
    assert dump_database(empty) == before
    assert {f"{store}.{table}": rows for store, found in moved.rows.items() for table, rows in found.items()} == {
        name: len(rows) for name, rows in before.items()
    }
    to_files(empty, state)
    assert dump_files(state) == before
    assert dump_database(empty) == {}


def test_it_is_told_how_far_the_copy_has_come(empty: DatabaseServer, tmp_path: Path) -> None:
    fill_stores(tmp_path, 1, rows=120)
    for source, target in (
        (StateDirectory(tmp_path), StoreDatabase(empty)),
        (StoreDatabase(empty), StateDirectory(tmp_path)),
    ):
        told: list[CopyProgress] = []
        move(source, target, replace=False, now=NOW, tell=told.append)
        assert [step for step in told if step.table == "object"] == [
            CopyProgress("object", 100, 120),
            CopyProgress("object", 120, 120),
        ]


def test_the_server_waits_for_what_takes_long_in_the_place_that_is_not_a_database(
    empty: DatabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_stores(tmp_path, 1)
    for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
        monkeypatch.setitem(SETTINGS, name, "1ms")
    before = dump_files(tmp_path)
    to_database(tmp_path, empty)
    to_files(empty, tmp_path)
    assert dump_files(tmp_path) == before


def test_what_was_moved_away_is_kept_under_a_name_that_says_so(empty: DatabaseServer, tmp_path: Path) -> None:
    fill_stores(tmp_path, 1)
    moved = to_database(tmp_path, empty)
    assert sorted(moved.aside) == sorted(f"{name}.moved-{STAMP}" for name in FILES.values())
    assert files_of(tmp_path) == set(moved.aside)
    back = to_files(empty, tmp_path)
    assert sorted(back.aside) == sorted(f"{schema}_moved_20260921t141321z" for schema in FILES)
    assert files_of(tmp_path) == {*moved.aside, *FILES.values()}


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=st.lists(bookings, max_size=10), after=st.lists(bookings, max_size=5))
def test_rows_that_the_rules_let_in_are_moved_and_the_rules_go_on(
    empty: DatabaseServer, tmp_path_factory: pytest.TempPathFactory, before: list[Booking], after: list[Booking]
) -> None:
    state, same = tmp_path_factory.mktemp("state"), tmp_path_factory.mktemp("same")
    for folder in (state, same):
        make_stores(folder)
        with contextlib.closing(Ledger.open(folder / LEDGER_FILE)) as ledger:
            for row in before:
                outcome(ledger, row)
    to_database(state, empty)
    with (
        contextlib.closing(Ledger.open(same / LEDGER_FILE)) as stayed,
        contextlib.closing(Ledger(LedgerTables(empty))) as moved,
    ):
        for row in after:
            assert outcome(stayed, row) == outcome(moved, row)
        assert stayed.outbox(everything) == moved.outbox(everything)
    to_files(empty, state)
    with (
        contextlib.closing(Ledger.open(same / LEDGER_FILE)) as stayed,
        contextlib.closing(Ledger.open(state / LEDGER_FILE)) as moved,
    ):
        for row in after:
            assert outcome(stayed, row) == outcome(moved, row)


def test_what_takes_its_time_alone_does_so_in_the_database_too(
    empty: DatabaseServer, database: DatabaseServer, tmp_path: Path
) -> None:
    row = Booking("a", BookingKind.APPOINTMENT, "anna", BookingState.MOVING, HOUR, NOW, target=later(1), uid="a")
    rows = [
        row,
        replace(row, id="b", kind=BookingKind.CLAIM, span=later(1), target=None, parent="a", uid="b"),
        replace(row, id="c", span=later(3), target=None, state=BookingState.CANCELLED, uid="c"),
        replace(row, id="d", span=later(3), target=None, kind=BookingKind.BLOCK, uid=""),
        replace(row, id="e", span=later(3), target=None, forced=True, uid="e"),
        replace(row, id="f", span=later(5), target=None, kind=BookingKind.HOLD, uid=""),
    ]
    make_stores(tmp_path)
    with (
        contextlib.closing(Ledger.open(tmp_path / LEDGER_FILE)) as ledger,
        contextlib.closing(Ledger(LedgerTables(database))) as same,
    ):
        for one in rows:
            assert outcome(ledger, one) == outcome(same, one) == "added"
        # What a person has moved takes nothing from who comes later.
        assert outcome(ledger, replace(rows[5], span=later(7), touched=True)) == "changed"
        assert outcome(same, replace(rows[5], span=later(7), touched=True)) == "changed"
    to_database(tmp_path, empty)
    assert what_is_blocked(empty) == what_is_blocked(database)
    assert {row[0] for row in what_is_blocked(empty)} == {"a", "b"}
    with contextlib.closing(LedgerTables(empty)) as tables, pytest.raises(Overlaps):
        tables.write(lambda db: db.execute(_TAKE))


_TAKE = f"INSERT INTO blocked (booking, family, profile, span) VALUES ('c', 'c', 'anna', int8range({NOW}, {NOW + 60}))"


def later(hours: int) -> Period:
    return Period(Instant(HOUR.start + hours * 3600), Instant(HOUR.end + hours * 3600))


def test_ids_go_on_after_those_that_were_moved(empty: DatabaseServer, tmp_path: Path) -> None:
    fill_stores(tmp_path, 3)
    used = {dict(row)["id"] for row in dump_files(tmp_path)["mirror.calendar"]}
    to_database(tmp_path, empty)
    with contextlib.closing(TransactionConnection(empty, MIRROR)) as connection:
        connection.write(lambda db: Transaction(db).record_listing("zoe", [RemoteCalendar("/new/", "New")], at=NOW))
    new = {dict(row)["id"] for row in dump_database(empty)["mirror.calendar"]} - used
    assert min(new) > max(used)


def test_few_rows_are_in_memory_at_a_time(empty: DatabaseServer, tmp_path: Path) -> None:
    make_stores(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / MIRROR_FILE)) as connection:
        tx = Transaction(connection)
        tx.record_listing("anna", [RemoteCalendar("/work/", "Work")], at=NOW)
        for number in range(1500):
            tx.put_object(1, StoredObject(f"/work/{number}", "e", "u", b"x" * 20_000))
        connection.commit()
    (tmp_path / f"{MIRROR_FILE}.seal").unlink()
    for direction in (partial(to_database, tmp_path, empty), partial(to_files, empty, tmp_path)):
        tracemalloc.start()
        try:
            assert direction().rows["mirror"]["object"] == 1500
            assert tracemalloc.get_traced_memory()[1] < 10_000_000  # of 30 MB
        finally:
            tracemalloc.stop()


def test_a_target_that_has_anything_is_replaced_only_when_asked_for(empty: DatabaseServer, tmp_path: Path) -> None:
    fill_stores(tmp_path, 1)
    before = dump_files(tmp_path)
    with_tables(empty)
    with pytest.raises(MoveRefused, match="already has a mirror and a log of changes and a ledger") as refused:
        to_database(tmp_path, empty)
    assert "--replace" in refused.value.fix
    assert dump_files(tmp_path) == before
    moved = to_database(tmp_path, empty, replace=True)
    assert sorted(moved.replaced) == sorted(f"{schema}_replaced_{STAMP}" for schema in FILES)
    assert dump_database(empty) == before
    make_stores(state := tmp_path / "other")
    with pytest.raises(MoveRefused):
        to_files(empty, state)
    assert dump_database(empty) == before
    back = to_files(empty, state, replace=True)
    assert files_of(state) == {*FILES.values(), *back.replaced}
    assert dump_files(state) == before


def test_what_was_set_aside_can_be_dropped_and_the_rules_stay(empty: DatabaseServer, tmp_path: Path) -> None:
    with_tables(empty)
    fill_stores(tmp_path, 1)
    (old,) = [name for name in to_database(tmp_path, empty, replace=True).replaced if name.startswith("ledger")]
    with contextlib.closing(empty.connect("ledger")) as connection:
        connection.execute(f"DROP SCHEMA {old} CASCADE".encode())
        query = b"SELECT 1 FROM pg_constraint WHERE conname='no_overlap'"
        assert connection.execute(query).fetchall() == [(1,)]


def test_there_is_nothing_to_move_where_there_is_no_ledger(empty: DatabaseServer, tmp_path: Path) -> None:
    with pytest.raises(MoveRefused, match=r"nothing to move: the state directory .* has no ledger"):
        to_database(tmp_path, empty)
    with pytest.raises(MoveRefused, match=r"nothing to move: the database .* has no ledger"):
        to_files(empty, tmp_path)
    fill_stores(tmp_path, 1)
    to_database(tmp_path, empty)
    with pytest.raises(MoveRefused, match=r"was moved away before; the database .* has one"):
        to_database(tmp_path, empty)


def test_no_empty_ledger_is_begun_where_one_was_moved_away(empty: DatabaseServer, tmp_path: Path) -> None:
    fill_stores(tmp_path, 1)
    to_database(tmp_path, empty)
    with pytest.raises(StorageUnusable, match="was moved to a database") as refused:
        Ledger.open(tmp_path / LEDGER_FILE)
    assert "busyd migrate-store sqlite" in refused.value.fix
    to_files(empty, tmp_path)
    with pytest.raises(StorageUnusable, match="was moved to a state directory") as refused:
        LedgerTables(empty)
    assert "busyd migrate-store postgresql" in refused.value.fix
    assert dump_database(empty) == {}
    Ledger.open(tmp_path / LEDGER_FILE).close()


def test_a_source_that_is_damaged_stays_where_it_is(empty: DatabaseServer, tmp_path: Path) -> None:
    fill_stores(tmp_path, 1)
    before = files_of(tmp_path)
    suspect_of(tmp_path / MIRROR_FILE).touch()
    with pytest.raises(StorageDamaged, match="mirror"):
        to_database(tmp_path, empty)
    suspect_of(tmp_path / MIRROR_FILE).unlink()
    whole = (tmp_path / LEDGER_FILE).read_bytes()
    (tmp_path / LEDGER_FILE).write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(StorageDamaged, match="ledger"):
        to_database(tmp_path, empty)
    assert has_live(tmp_path, empty) == ["files"]
    (tmp_path / LEDGER_FILE).write_bytes(whole)
    assert files_of(tmp_path) == before
    to_database(tmp_path, empty)
    with contextlib.closing(TransactionConnection(empty, LEDGER_TABLES)) as connection:
        connection.mark_damaged()
    with pytest.raises(StorageDamaged, match="schema ledger"):
        to_files(empty, tmp_path)
    assert has_live(tmp_path, empty) == ["database"]


def test_a_mirror_that_was_changed_while_it_was_closed_stays_suspect(empty: DatabaseServer, tmp_path: Path) -> None:
    make_stores(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / MIRROR_FILE)) as connection:
        connection.execute("INSERT INTO meta VALUES ('a', 'b')")
        connection.commit()
    for _ in range(2):
        with pytest.raises(StorageDamaged, match="not as it was closed"):
            to_database(tmp_path, empty)


@pytest.mark.parametrize(("version", "told"), [(99, "a newer busyd"), (1, "an older busyd")])
def test_another_schema_is_not_moved(empty: DatabaseServer, tmp_path: Path, version: int, told: str) -> None:
    make_stores(tmp_path)
    to_database(tmp_path, empty)
    with contextlib.closing(empty.connect("changes")) as connection:
        connection.execute(f"UPDATE schema_version SET version={version - 1}".encode())
    with pytest.raises(StorageUnusable, match=told):
        to_files(empty, tmp_path)
    with contextlib.closing(empty.connect("changes")) as connection:
        connection.execute(b"UPDATE schema_version SET version=1")
    to_files(empty, tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / CHANGES_FILE)) as file:
        file.execute(f"PRAGMA user_version={version}")
    with pytest.raises(StorageUnusable, match=told):
        to_database(tmp_path, empty)


def test_what_only_one_engine_knows_is_named(empty: DatabaseServer, tmp_path: Path) -> None:
    make_stores(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / LEDGER_FILE)) as file:
        file.execute("ALTER TABLE token ADD COLUMN colour TEXT")
    with pytest.raises(StorageUnusable, match=r"^schema ledger in .* has no column token\.colour$"):
        to_database(tmp_path, empty)
    with contextlib.closing(sqlite3.connect(tmp_path / LEDGER_FILE)) as file:
        file.execute("ALTER TABLE token DROP COLUMN colour")
        file.execute("CREATE TABLE taste (name TEXT PRIMARY KEY)")
    with pytest.raises(StorageUnusable, match=r"has no table taste$"):
        to_database(tmp_path, empty)
    with contextlib.closing(sqlite3.connect(tmp_path / LEDGER_FILE)) as file:
        file.execute("DROP TABLE taste")
    to_database(tmp_path, empty)
    with contextlib.closing(empty.connect("mirror")) as connection:
        connection.execute(b"ALTER TABLE object ADD COLUMN colour TEXT")
    with pytest.raises(StorageUnusable, match=r"mirror.sqlite3 has no column object\.colour$"):
        to_files(empty, tmp_path)
    assert has_live(tmp_path, empty) == ["database"]


def test_nothing_is_moved_while_a_busyd_is_connected(empty: DatabaseServer, tmp_path: Path) -> None:
    make_stores(tmp_path)
    to_database(tmp_path, empty)
    other = tmp_path / "other"
    make_stores(other)
    with contextlib.closing(TransactionConnection(empty, MIRROR)) as user:
        for direction in (partial(to_files, empty, tmp_path), partial(to_database, other, empty, replace=True)):
            with pytest.raises(TryAgain, match=f"{user.backend}"):
                direction()
    to_files(empty, tmp_path)


def test_who_waits_to_write_while_the_ledger_is_moved_is_told_and_loses_nothing(
    empty: DatabaseServer, tmp_path: Path
) -> None:
    fill_stores(tmp_path, 1)
    impatient = Ledger(LedgerFile(tmp_path / LEDGER_FILE, busy_timeout=0))
    source = StateDirectory(tmp_path)
    with contextlib.closing(impatient):
        with source.held(), pytest.raises(StorageError, match=r"another process|locked"):
            add_token(impatient)
        to_database(tmp_path, empty)
        with pytest.raises(StorageError, match="was moved away or replaced"):
            add_token(impatient)
        before = dump_database(empty)
    to_files(empty, tmp_path)
    assert dump_files(tmp_path) == before


def test_who_connects_while_the_ledger_leaves_the_database_waits_and_is_told(
    empty: DatabaseServer, tmp_path: Path, postgres: PostgresServer
) -> None:
    fill_stores(tmp_path, 1)
    to_database(tmp_path, empty)
    before = dump_database(empty)
    outcomes: list[str] = []

    def open_ledger() -> None:
        try:
            LedgerTables(empty).close()
            outcomes.append("opened")
        except StorageError as error:
            outcomes.append(str(error))

    late = threading.Thread(target=open_ledger)

    class Watched(StoreDatabase):
        """Somebody connects once it was seen that nobody has."""

        def set_aside(self, form: Form, stamp: str) -> list[str]:
            late.start()
            with postgres.connect("postgres") as other:
                while not other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                    assert late.is_alive()
            return super().set_aside(form, stamp)

    move(Watched(empty), StateDirectory(tmp_path), replace=False, now=NOW)
    late.join()
    assert ["was moved to a state directory" in outcome for outcome in outcomes] == [True]
    assert dump_files(tmp_path) == before


def test_a_disk_that_is_full_leaves_everything_where_it_was(empty: DatabaseServer, tmp_path: Path) -> None:
    fill_stores(tmp_path, 1, rows=60)
    before = dump_files(tmp_path)
    to_database(tmp_path, empty)
    kept = files_of(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(StorageError, match=r"mirror\.sqlite3"):
            to_files(empty, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_of(tmp_path) == kept
    assert dump_database(empty) == before
    to_files(empty, tmp_path)
    assert dump_files(tmp_path) == before


def test_a_server_that_goes_away_leaves_everything_where_it_was(
    empty: DatabaseServer, tmp_path: Path, postgres: PostgresServer
) -> None:
    fill_stores(tmp_path, 1)
    before = dump_files(tmp_path)
    source, target = StateDirectory(tmp_path), StoreDatabase(empty)

    class Cut(StateDirectory):
        def set_aside(self, form: Form, stamp: str) -> list[str]:
            with postgres.connect("postgres") as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname=%s", (empty.database,)
                )
            return super().set_aside(form, stamp)

    with pytest.raises(StorageError):
        move(Cut(tmp_path), target, replace=False, now=NOW)
    assert has_live(tmp_path, empty) == []  # all had arrived
    with pytest.raises(StorageUnusable, match="ended midway"):
        LedgerTables(empty)
    move(source, target, replace=False, now=NOW)
    assert dump_database(empty) == before


def test_what_arrives_otherwise_than_it_was_sent_is_not_put_in_place(empty: DatabaseServer, tmp_path: Path) -> None:
    fill_stores(tmp_path, 1)
    before = files_of(tmp_path)

    class Forgetful(StoreDatabase):
        def fill(self, store: str, *, work: Callable[[StoreTables], T]) -> T:
            result = super().fill(store, work=work)
            lose_link(empty)
            return result

    with pytest.raises(StorageUnusable, match=r"not what was sent \(link of ledger\)"):
        move(StateDirectory(tmp_path), Forgetful(empty), replace=False, now=NOW)
    assert files_of(tmp_path) == before
    assert has_live(tmp_path, empty) == ["files"]


def test_a_move_is_finished_only_with_what_was_moved_away(empty: DatabaseServer, tmp_path: Path) -> None:
    class Ended(StoreDatabase):
        def take_over(self) -> None:
            raise StorageError("the server is gone")

    fill_stores(tmp_path, 1)
    with pytest.raises(StorageError, match="gone"):
        move(StateDirectory(tmp_path), Ended(empty), replace=False, now=NOW)
    lose_link(empty)
    with pytest.raises(MoveRefused, match=r"not what was moved away from .* \(link of ledger\)"):
        to_database(tmp_path, empty)
    assert has_live(tmp_path, empty) == []


def lose_link(database: DatabaseServer) -> None:
    """One of those that a move has brought so far."""
    with contextlib.closing(database.connect("ledger_moving")) as connection, contextlib.suppress(UndefinedTable):
        connection.execute(b"DELETE FROM link WHERE reference IN (SELECT reference FROM link LIMIT 1)")


def killed_at(step: int, work: Callable[[], object]) -> int:
    """Run `work` in a process that ends, as by kill -9, before the n-th thing it changes; else how many there are."""
    if (child := os.fork()) == 0:
        try:
            steps = counted_steps(step)
            work()
            os._exit(next(steps) - 1)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(FAILED)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status != FAILED
    return status


KILLED, FAILED = 0, 255


def counted_steps(last: int) -> Iterator[int]:
    """Counts what this process changes by name, and ends it before the last one."""
    steps = itertools.count(1)
    execute = PostgresSession.execute

    def count() -> None:
        if next(steps) == last:
            os._exit(KILLED)

    def counting(session: PostgresSession, statement: str, values: Sequence[Any] = (), /) -> Rows:
        if statement.startswith(("COMMIT", "DROP", "CREATE SCHEMA", "UPDATE schema_version")):
            count()
        return execute(session, statement, values)

    PostgresSession.execute = counting  # type: ignore[method-assign]
    sys.addaudithook(lambda event, _: count() if event == "os.rename" else None)
    return steps


@pytest.mark.parametrize("direction", ["to the database", "to files"])
def test_a_move_that_is_killed_anywhere_leaves_one_place_at_most_and_can_be_done_again(
    empty: DatabaseServer, tmp_path: Path, direction: str
) -> None:
    fill_stores(tmp_path, 1, rows=2)
    before = dump_files(tmp_path)
    there, back = partial(to_database, tmp_path, empty), partial(to_files, empty, tmp_path)
    source, target = "files", "database"
    if direction == "to files":
        there()
        there, back, source, target = back, there, target, source
    count = killed_at(-1, there)
    back()
    seen = []
    for step in (1, count // 2, *range(count - 5, count + 1)):
        assert killed_at(step, there) == KILLED
        seen.append(has_live(tmp_path, empty))
        if seen[-1] != [source]:  # else the next move begins with what this one has left
            there()
            assert has_live(tmp_path, empty) == [target]
            assert (dump_files(tmp_path) if target == "files" else dump_database(empty)) == before
            back()
    assert [live for live, _ in itertools.groupby(seen)] == [[source], []]
