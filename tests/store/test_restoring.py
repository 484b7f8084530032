"""A ledger from a backup, in place of the one in a database: all of it or nothing, and nobody goes on with what was."""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from busyd.errors import TryAgain
from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.change_log import ChangeLog
from busyd.store.changes import ChangeEvent, NumberGone
from busyd.store.engine import Rows
from busyd.store.errors import Overlaps, StorageDamaged, StorageError, StoredElsewhere
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.moving import move
from busyd.store.postgresql.backup import copy_ledger
from busyd.store.postgresql.fleet import Fleet
from busyd.store.postgresql.ledger_database import LedgerTables
from busyd.store.postgresql.moving import StoreDatabase
from busyd.store.postgresql.restoring import replace_ledger
from busyd.store.postgresql.server import _SETTINGS as SETTINGS
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from busyd.store.postgresql.storage import PostgresStorage
from busyd.store.sqlite.moving import StateDirectory
from tests.postgres import LossyProxy, PostgresServer
from tests.store.conftest import with_tables
from tests.store.filled import Dump, dump_database, dump_files, fill_stores, make_stores
from tests.store.fleets import Begin, let_expire

NOW = Instant(1_900_000_000)
ASIDE = "ledger_before_restore_20300317t174640z"
HOUR = Period(NOW, Instant(NOW + 3600))


@pytest.fixture
def empty(postgres: PostgresServer) -> DatabaseServer:
    """A database in which busyd never was."""
    return postgres.new_database()


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A ledger that came from a backup."""
    fill_stores(tmp_path, 1)
    return tmp_path / LEDGER_FILE


def restore(database: DatabaseServer, staged: Path, *, last: Callable[[], object] = lambda: None) -> str:
    return replace_ledger(database, staged, now=NOW, last=lambda _: last())


def ledger_in(dump: Dump) -> Dump:
    return {name: rows for name, rows in dump.items() if name.startswith("ledger.")}


def schemas(database: DatabaseServer) -> set[str]:
    with contextlib.closing(database.connect("public")) as connection:
        query = b"SELECT nspname::text FROM pg_namespace WHERE nspname ~ '^(ledger|changes|mirror|fleet)'"
        return {row[0] for row in connection.execute(query)}


def test_whatever_is_in_a_ledger_is_the_same_in_a_database_and_in_a_backup_of_that(
    empty: DatabaseServer, staged: Path
) -> None:
    before = ledger_in(dump_files(staged.parent))
    assert restore(empty, staged) == ""
    assert ledger_in(dump_database(empty)) == before
    copy = copy_ledger(empty)
    staged.write_bytes(copy.content)
    assert ledger_in(dump_files(staged.parent)) == before
    counts = tuple(len(before[f"ledger.{name}"]) for name in ("booking", "token", "webhook"))
    assert (copy.bookings, copy.tokens, copy.webhooks) == counts


def test_the_server_waits_for_what_takes_long_outside_it(
    empty: DatabaseServer, staged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = ("statement_timeout", "idle_in_transaction_session_timeout")
    found: list[str] = []

    def last(db: PostgresSession) -> None:
        found.extend(db.execute("SELECT current_setting(?)", (name,)).fetchone()[0] for name in limits)

    replace_ledger(empty, staged, now=NOW, last=last)
    assert found == ["0", "0"]
    for name in limits:
        monkeypatch.setitem(SETTINGS, name, "1ms")
    assert copy_ledger(empty).tokens


def test_the_rules_go_on_with_what_was_restored(empty: DatabaseServer, tmp_path: Path) -> None:
    with contextlib.closing(Ledger.open(tmp_path / LEDGER_FILE)) as ledger:
        row = Booking("1", BookingKind.APPOINTMENT, "anna", BookingState.BOOKED, HOUR, NOW, uid="U")
        ledger.outbox(lambda outbox: outbox.add(row))
        made = ledger.add_token("anna", scopes=("book",), details=False, expires=None, name="crm", now=NOW)
    restore(empty, tmp_path / LEDGER_FILE)
    with contextlib.closing(Ledger(LedgerTables(empty))) as ledger:
        assert ledger.find_token(made.text, NOW) is not None
        other = Booking("2", BookingKind.HOLD, "anna", BookingState.BOOKED, HOUR, NOW)
        with pytest.raises(Overlaps):
            ledger.outbox(lambda outbox: outbox.add(other))


def test_what_was_replaced_is_kept_under_a_name_that_says_so(empty: DatabaseServer, staged: Path) -> None:
    with_tables(empty)
    with contextlib.closing(Ledger(LedgerTables(empty))) as ledger:
        ledger.add_token("anna", scopes=("book",), details=False, expires=None, name="replaced", now=NOW)
    assert restore(empty, staged) == ASIDE
    assert restore(empty, staged) == ASIDE.replace("40z", "41z")
    assert {name for name in schemas(empty) if name.startswith("ledger")} == {
        "ledger",
        ASIDE,
        ASIDE.replace("40z", "41z"),
    }
    with contextlib.closing(empty.connect("ledger")) as connection:
        connection.execute(f"DROP SCHEMA ledger CASCADE; ALTER SCHEMA {ASIDE} RENAME TO ledger".encode())
    with contextlib.closing(Ledger(LedgerTables(empty))) as ledger:
        assert [token.name for token in ledger.tokens()] == ["replaced"]


def test_nothing_is_restored_while_a_daemon_has_a_session(begin: Begin, database: DatabaseServer, staged: Path) -> None:
    for name in ("one", "two"):
        begin(name)
    before = dump_database(database), schemas(database)
    with pytest.raises(TryAgain, match=r"busyd runs on .* \(one, two\), so nothing was restored"):
        restore(database, staged)
    assert (dump_database(database), schemas(database)) == before


def test_sessions_that_have_expired_end_and_what_they_owned_is_free(
    begin: Begin, database: DatabaseServer, staged: Path, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: drop(database, ASIDE))
    one, two = begin("one"), begin("two")
    one.declare(["a", "b"])
    one.claim(9)
    let_expire(one)
    two.end()
    restore(database, staged)
    assert {owner.name for owner in two.owners()} == {""}
    with pytest.raises(StorageError, match="has ended"):
        one.renew()


def drop(database: DatabaseServer, schema: str) -> None:
    with contextlib.closing(database.connect("public")) as connection:
        connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


def test_no_daemon_begins_while_a_ledger_is_being_replaced(
    empty: DatabaseServer, staged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(Fleet(empty)) as fleet:
        monkeypatch.setattr("busyd.store.postgresql.fleet_connection._TIMEOUT", "100ms")

        def start() -> None:
            with pytest.raises(StorageError, match="statement timeout"):
                fleet.begin("one", "")

        restore(empty, staged, last=start)
        monkeypatch.setattr("busyd.store.postgresql.fleet_connection._TIMEOUT", "60s")
        fleet.begin("one", "")
        fleet.renew()


def test_what_fails_at_the_end_undoes_all_of_it(empty: DatabaseServer, staged: Path) -> None:
    with_tables(empty)
    before = dump_database(empty), schemas(empty)

    def fail() -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        restore(empty, staged, last=fail)
    assert (dump_database(empty), schemas(empty)) == before
    with pytest.raises(StorageDamaged):
        staged.write_bytes(staged.read_bytes()[: staged.stat().st_size // 2])
        restore(empty, staged)
    assert (dump_database(empty), schemas(empty)) == before


def test_a_server_that_is_lost_before_all_is_kept_has_kept_nothing(
    empty: DatabaseServer, staged: Path, postgres: PostgresServer
) -> None:
    with_tables(empty)
    before = dump_database(empty), schemas(empty)

    def end_connections() -> None:
        with postgres.connect("postgres") as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname=%s", (empty.database,)
            )

    with pytest.raises(StorageError):
        restore(empty, staged, last=end_connections)
    assert (dump_database(empty), schemas(empty)) == before


def test_a_commit_that_was_not_answered_counts(empty: DatabaseServer, staged: Path, postgres: PostgresServer) -> None:
    with LossyProxy(postgres) as proxy:

        def lose_commit() -> None:
            proxy.lose_answer_to = b"COMMIT"

        with_tables(empty)
        restore(proxy.in_front_of(empty), staged, last=lose_commit)
        assert not proxy.lose_answer_to
    assert ledger_in(dump_database(empty)) == ledger_in(dump_files(staged.parent))


def test_a_restore_that_is_killed_anywhere_leaves_the_old_ledger_or_the_new_one(
    empty: DatabaseServer, staged: Path
) -> None:
    with_tables(empty)
    before, after = ledger_in(dump_database(empty)), ledger_in(dump_files(staged.parent))
    count = statements_until(-1, partial(restore, empty, staged))
    assert ledger_in(dump_database(empty)) == after
    drop(empty, "ledger")
    rename(empty, ASIDE, "ledger")
    assert ledger_in(dump_database(empty)) == before
    for step in (1, count // 4, count // 2, count - 1, count):
        assert statements_until(step, partial(restore, empty, staged)) == 0
        assert ledger_in(dump_database(empty)) == before
        assert schemas(empty) == {"changes", "fleet", "ledger", "mirror"}
    restore(empty, staged)
    assert ledger_in(dump_database(empty)) == after


def rename(database: DatabaseServer, old: str, new: str) -> None:
    with contextlib.closing(database.connect("public")) as connection:
        connection.execute(f"ALTER SCHEMA {old} RENAME TO {new}".encode())


def statements_until(last: int, work: Callable[[], object]) -> int:
    """Run `work` in a process that ends, as by kill -9, before the n-th statement; 0 then, else how many there were."""
    if (child := os.fork()) == 0:
        try:
            count, execute = 0, PostgresSession.execute

            def counting(session: PostgresSession, statement: str, values: Sequence[Any] = (), /) -> Rows:
                nonlocal count
                count += 1
                if count == last:
                    os._exit(0)
                return execute(session, statement, values)

            PostgresSession.execute = counting  # type: ignore[method-assign]
            work()
            os._exit(count)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(255)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status != 255
    return status


async def test_whoever_follows_the_log_is_told_a_reset_under_a_number_that_nobody_has_seen(
    empty: DatabaseServer, tmp_path: Path
) -> None:
    with contextlib.closing(Ledger.open(tmp_path / LEDGER_FILE)) as ledger:
        for profile in ("anna", "*"):
            ledger.add_token(profile, scopes=("book",), details=False, expires=None, name="", now=NOW)
    restore(empty, tmp_path / LEDGER_FILE)
    with contextlib.closing(PostgresStorage(empty, beside=tmp_path / "none").open_change_log(now=NOW)) as log:
        assert log.is_new  # what is booked is not told as if it had just been
        assert log.oldest > NOW
        with pytest.raises(NumberGone):
            await log.entries_after(7)
        before = log.newest
    later = Instant(NOW + 60)
    replace_ledger(empty, tmp_path / LEDGER_FILE, now=later, last=lambda _: None)
    with contextlib.closing(PostgresStorage(empty, beside=tmp_path / "none").open_change_log(now=NOW)) as log:
        assert log.newest > before
        for known in (before, before + 5):  # of this log, and of another one
            (entry,) = await log.entries_after(known)
            assert (entry.change.event, entry.change.profiles) == (ChangeEvent.RESET, frozenset({"anna"}))


def test_a_log_that_was_found_damaged_is_made_anew(empty: DatabaseServer, staged: Path, tmp_path: Path) -> None:
    with_tables(empty)
    with contextlib.closing(empty.connect("changes")) as connection:
        connection.execute(b"UPDATE schema_version SET damaged=1")
    restore(empty, staged)
    log: ChangeLog
    with contextlib.closing(PostgresStorage(empty, beside=tmp_path / "none").open_change_log(now=NOW)) as log:
        assert log.newest > NOW


def test_a_ledger_is_restored_also_where_one_is_damaged_or_was_moved_away(
    empty: DatabaseServer, staged: Path, tmp_path: Path
) -> None:
    with_tables(empty)
    with contextlib.closing(empty.connect("ledger")) as connection:
        connection.execute(b"UPDATE schema_version SET damaged=1")
    with pytest.raises(StorageDamaged):
        copy_ledger(empty)
    assert restore(empty, staged) == ASIDE
    (other := tmp_path / "other").mkdir()
    move(StoreDatabase(empty), StateDirectory(other), replace=False, now=NOW)
    with pytest.raises(StoredElsewhere, match="was moved to a state directory"):
        copy_ledger(empty)
    assert restore(empty, staged) == ""
    assert copy_ledger(empty).tokens


def test_a_backup_is_of_one_moment_whoever_writes_meanwhile(empty: DatabaseServer, tmp_path: Path) -> None:
    make_stores(tmp_path)
    restore(empty, tmp_path / LEDGER_FILE)
    with (
        contextlib.closing(empty.connect("ledger")) as writer,
        contextlib.closing(Ledger(LedgerTables(empty))) as ledger,
    ):
        ledger.add_token("anna", scopes=("book",), details=False, expires=None, name="", now=NOW)
        writer.execute(b"BEGIN; LOCK TABLE booking IN ROW EXCLUSIVE MODE; DELETE FROM token")
        assert copy_ledger(empty).tokens == 1
        with contextlib.suppress(psycopg.Error):
            writer.execute(b"COMMIT")
        assert copy_ledger(empty).tokens == 0
