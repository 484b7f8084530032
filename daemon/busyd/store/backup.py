"""What a backup has of the ledger: a copy that is whole also while the daemon writes, and what becomes of it later."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from busyd.errors import UserError
from busyd.period import Instant
from busyd.store.errors import StorageDamaged
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.sqlite.connection import check, migrate, open_connection, storage_errors, transaction
from busyd.store.sqlite.ledger_schema import LEDGER_MIGRATIONS, NEWEST_SCHEMA
from busyd.store.sqlite.tables import SqliteTables
from busyd.store.table_copy import StoreTables

T = TypeVar("T")


class BackupUnusable(UserError):
    """A file cannot be restored: it is no backup, is damaged, or was made by a newer busyd."""


class LedgerCopy(Struct, frozen=True):
    """A ledger as it was at one moment."""

    content: bytes
    """A file of SQLite, whichever engine it comes from."""
    schema: int
    bookings: int
    tokens: int
    webhooks: int


def copy_ledger(path: Path) -> LedgerCopy:
    """Copy a ledger, whoever writes it meanwhile. Raises StorageError, StorageDamaged."""
    with (
        contextlib.closing(open_connection(path, journal="DELETE", synchronous="FULL")) as ledger,
        contextlib.closing(sqlite3.connect(":memory:")) as copy,
        storage_errors(path),
    ):
        ledger.backup(copy)  # in one go, under one lock
        check(copy, path)
        return _describe(copy)


def collect_ledger(fill: Callable[[StoreTables], object]) -> LedgerCopy:
    """A copy of a ledger that is in no file: `fill` puts its rows into new tables. Raises as that, StorageError."""
    path = Path(LEDGER_FILE)
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as copy, storage_errors(path):
        migrate(copy, path, migrations=LEDGER_MIGRATIONS)
        with transaction(copy):
            tables = SqliteTables(copy, "the backup")
            tables.begin_filling()
            fill(tables)
            tables.end_filling()
        check(copy, path)
        return _describe(copy)


def _describe(copy: sqlite3.Connection) -> LedgerCopy:
    tables = {row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type='table'")}

    def count(table: str) -> int:
        """None in one of an older busyd that does not know the table."""
        return copy.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] if table in tables else 0

    return LedgerCopy(
        copy.serialize(),
        schema=copy.execute("PRAGMA user_version").fetchone()[0],
        bookings=count("booking"),
        tokens=count("token"),
        webhooks=count("webhook"),
    )


class RenewedLedger(Struct, frozen=True):
    """A ledger of a backup that a daemon can work on."""

    rows: int
    """How many are to be looked at once."""
    profiles: frozenset[str]
    """The profiles that it is about."""


def renew_ledger(path: Path, *, now: Instant, since: Instant) -> RenewedLedger:
    """Make of a copy a ledger that a daemon can work on, which looks at no row that ended before `since`.

    A copy of an older busyd is migrated. Raises BackupUnusable, StorageError.
    """
    try:
        with (
            contextlib.closing(open_connection(path, journal="DELETE", synchronous="FULL")) as ledger,
            storage_errors(path),
        ):
            schema: int = ledger.execute("PRAGMA user_version").fetchone()[0]
        if not 0 < schema <= NEWEST_SCHEMA:
            message = f"the backup was made by a newer busyd (schema {schema}, this one knows {NEWEST_SCHEMA})"
            raise BackupUnusable(message, fix="install that version of busyd, then restore")
        with contextlib.closing(Ledger.open(path)) as renewed:
            rows = renewed.outbox(lambda outbox: outbox.mark_restored(now, since=since))
            return RenewedLedger(rows, renewed.profiles())
    except StorageDamaged:
        message = "the ledger in the backup is damaged"
        raise BackupUnusable(message, fix="take an older backup") from None


def read_ledger(path: Path, work: Callable[[StoreTables], T]) -> T:
    """Run `work` on the tables of a ledger that nobody else uses. Raises StorageError."""
    with (
        contextlib.closing(open_connection(path, journal="DELETE", synchronous="FULL")) as ledger,
        storage_errors(path),
    ):
        ledger.execute("BEGIN")
        return work(SqliteTables(ledger, "the backup"))


def finish_interrupted(path: Path) -> None:
    """Undo what a process that was killed has left of its last transaction, so that the file may be moved.

    Raises StorageError, StorageDamaged.
    """
    with (
        contextlib.closing(open_connection(path, journal="DELETE", synchronous="FULL")) as ledger,
        storage_errors(path),
    ):
        ledger.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
