"""Disks fill up, files break: the mirror is begun anew, the ledger refuses with words, the loop waits for no lock."""

import contextlib
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from busyd.cli.exit_status import status_of
from busyd.connection import RemoteCalendar
from busyd.ownership import as_owner_of
from busyd.period import Instant
from busyd.store.errors import OutOfSpace, StorageDamaged, StorageError, StorageUnusable
from busyd.store.ledger import Ledger
from busyd.store.mirror import StoredObject
from busyd.store.sqlite.connection import open_connection, storage_errors
from busyd.store.sqlite.database import SqliteDatabase
from busyd.store.sqlite.schema import MIRROR_MIGRATIONS
from busyd.store.sqlite.seal import seal
from busyd.store.store import Store
from busyd.store.transaction import Transaction

NOW = Instant(1_790_000_000)
WORK = RemoteCalendar("/1/calendars/work/", "Work", ctag="1")


def open_database(folder: Path) -> SqliteDatabase:
    """The file below the store, for what no named method does."""
    return SqliteDatabase(folder / "mirror.sqlite3", MIRROR_MIGRATIONS, journal="WAL", synchronous="NORMAL")


def open_mirror(folder: Path) -> Store:
    return Store.open(folder / "mirror.sqlite3")


def list_work(tx: Transaction) -> None:
    tx.record_listing("anna", [WORK], at=NOW)


async def test_a_full_disk_is_told_as_such_and_passes(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    await database.write(lambda db: list_work(Transaction(db)))
    pages = await database.read(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await database.read(lambda db: db.execute(f"PRAGMA max_page_count={pages + 2}").fetchone())

    def much(db: sqlite3.Connection) -> None:
        for number in range(200):
            Transaction(db).put_object(1, StoredObject(f"/{number}", "e", "u", b"x" * 4000))

    with pytest.raises(StorageError, match="full"):
        await database.write(much)
    await database.read(lambda db: db.execute("PRAGMA max_page_count=1000000").fetchone())
    await database.write(much)
    database.close()


async def test_a_commit_that_fails_leaves_no_transaction_open(tmp_path: Path) -> None:
    database = open_database(tmp_path)

    def leaves_a_dangling_reference(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA defer_foreign_keys=ON")
        db.execute("INSERT INTO object (calendar, href, etag, uid, payload) VALUES (99,'/a','e','u',x'')")

    with pytest.raises(Exception, match="FOREIGN KEY"):
        await database.write(leaves_a_dangling_reference)  # the COMMIT itself is refused
    await database.write(lambda db: list_work(Transaction(db)))
    database.close()


def damage_mirror(folder: Path, how: str) -> None:
    """A mirror with one calendar, cleanly closed, then damaged."""
    path = folder / "mirror.sqlite3"
    store = open_mirror(folder)
    store.transaction_now(list_work)
    store.close()
    whole = path.read_bytes()
    broken = {
        "garbage": b"not a database at all" * 500,
        "page": whole[:4096] + b"\xff" * (len(whole) - 4096),
        "truncated": whole[: len(whole) // 2],
    }
    path.write_bytes(broken[how])


@pytest.mark.parametrize("how", ["garbage", "page", "truncated"])
async def test_a_damaged_mirror_is_set_aside_and_begun_anew(tmp_path: Path, how: str) -> None:
    damage_mirror(tmp_path, how)
    noticed = threading.Event()
    try:
        first = open_mirror(tmp_path)
    except StorageDamaged:
        noticed.set()
    else:
        first.call_on_damage(noticed.set)
        with pytest.raises(StorageDamaged):
            await first.read_calendars()
        first.close()
    assert noticed.is_set()
    again = Store.open_or_begin_anew(tmp_path / "mirror.sqlite3")
    assert await again.read_calendars() == []
    assert (tmp_path / "mirror.sqlite3.damaged").exists()
    again.close()


@pytest.mark.parametrize("damage", ["garbage", "page"])
def test_a_damaged_ledger_is_refused_with_words(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ledger.sqlite3"
    ledger = Ledger.open(path)
    ledger.add_token("anna", scopes=["freebusy"], details=False, expires=None, name="", now=NOW)
    ledger.close()
    whole = path.read_bytes()
    path.write_bytes(b"no database" * 900 if damage == "garbage" else whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(StorageError, match="ledger"):
        Ledger.open(path)


@pytest.mark.parametrize("name", ["mirror.sqlite3", "mirror.sqlite3-wal", "ledger.sqlite3", "ledger.sqlite3-journal"])
def test_a_directory_in_place_of_a_file_stays_until_somebody_removes_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(StorageUnusable, match=name.partition("-")[0]):
        if name.startswith("mirror"):
            open_mirror(tmp_path).close()
        else:
            ledger = Ledger.open(tmp_path / "ledger.sqlite3")
            ledger.add_token("anna", scopes=["freebusy"], details=False, expires=None, name="", now=NOW)


def test_another_user_is_told_whose_the_ledger_is(foreign_state: Path) -> None:
    with as_owner_of(foreign_state):
        Ledger.open(foreign_state / "ledger.sqlite3").close()
    os.seteuid(12345)
    try:
        with pytest.raises(StorageUnusable, match="permission denied") as refused:
            Ledger.open(foreign_state / "ledger.sqlite3")
    finally:
        os.seteuid(0)
    assert refused.value.fix == "run this as nobody, or as root"


@pytest.mark.parametrize("code", ["SQLITE_FULL", "SQLITE_IOERR_FSYNC", "SQLITE_BUSY", "SQLITE_NOMEM"])
def test_what_the_disk_refuses_may_work_later(tmp_path: Path, code: str) -> None:
    error = sqlite3.OperationalError("refused")
    error.sqlite_errorcode = getattr(sqlite3, code)
    with pytest.raises(StorageError) as raised, storage_errors(tmp_path / "ledger.sqlite3"):
        raise error
    assert not isinstance(raised.value, StorageUnusable)
    assert isinstance(raised.value, OutOfSpace) is (code == "SQLITE_FULL")
    assert status_of(raised.value) == 75


def test_a_file_of_a_newer_busyd_stays_what_it_is(tmp_path: Path) -> None:
    open_mirror(tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "mirror.sqlite3")) as database:
        database.execute("PRAGMA user_version=99")
    seal(tmp_path / "mirror.sqlite3")
    with pytest.raises(StorageUnusable, match="newer busyd") as raised:
        open_mirror(tmp_path)
    assert status_of(raised.value) == 78


async def test_a_locked_ledger_does_not_hold_up_the_loop(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite3", busy_timeout=0.05)
    other = open_connection(tmp_path / "ledger.sqlite3", journal="DELETE", synchronous="FULL")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match="locked"):
        ledger.record_links({"anna": {"anna/Work": WORK.href}})
    other.execute("ROLLBACK")
    ledger.record_links({"anna": {"anna/Work": WORK.href}})
    assert ledger.resolved_links() == {"anna": {"anna/Work": WORK.href}}
    ledger.close()
    other.close()


def test_the_write_ahead_log_does_not_stay_as_large_as_its_largest_transaction(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    assert 0 < database.write_now(lambda db: db.execute("PRAGMA journal_size_limit").fetchone()[0]) < 2**26
    database.close()


def test_what_is_no_file_is_called_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    os.mkfifo(path)
    with pytest.raises(StorageUnusable, match="is not a regular file") as raised:
        Ledger.open(path)
    assert raised.value.fix == "something else is already there; move it away, or use another path"
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageUnusable) as raised:
        Ledger.open(path)
    assert "there is a directory" in raised.value.fix
