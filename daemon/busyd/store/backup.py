"""What a backup has of the ledger: a copy that is whole also while the daemon writes, and what becomes of it later."""

import contextlib
import sqlite3
from pathlib import Path

from msgspec import Struct

from busyd.errors import UserError
from busyd.period import Instant
from busyd.store.errors import StorageDamaged
from busyd.store.ledger import Ledger
from busyd.store.sqlite.connection import check, open_connection, storage_errors
from busyd.store.sqlite.ledger_schema import NEWEST_SCHEMA


class BackupUnusable(UserError):
    """A file cannot be restored: it is no backup, is damaged, or was made by a newer busyd."""


class LedgerCopy(Struct, frozen=True):
    """A ledger as it was at one moment."""

    content: bytes
    schema: int
    bookings: int
    tokens: int


def copy_ledger(path: Path) -> LedgerCopy:
    """Copy a ledger, whoever writes it meanwhile. Raises StorageError, StorageDamaged."""
    with (
        contextlib.closing(open_connection(path, journal="DELETE", synchronous="FULL")) as ledger,
        contextlib.closing(sqlite3.connect(":memory:")) as copy,
        storage_errors(path),
    ):
        ledger.backup(copy)  # in one go, under one lock
        check(copy, path)
        tables = {row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        bookings = copy.execute("SELECT COUNT(*) FROM booking").fetchone()[0] if "booking" in tables else 0
        return LedgerCopy(
            copy.serialize(),
            schema=copy.execute("PRAGMA user_version").fetchone()[0],
            bookings=bookings,
            tokens=copy.execute("SELECT COUNT(*) FROM token").fetchone()[0],
        )


def renew_ledger(path: Path, *, now: Instant, since: Instant) -> int:
    """Make of a copy a ledger that a daemon can work on; how many rows are to be looked at once, none before `since`.

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
            return renewed.outbox(lambda outbox: outbox.mark_restored(now, since=since))
    except StorageDamaged:
        message = "the ledger in the backup is damaged"
        raise BackupUnusable(message, fix="take an older backup") from None


def finish_interrupted(path: Path) -> None:
    """Undo what a process that was killed has left of its last transaction, so that the file may be moved.

    Raises StorageError, StorageDamaged.
    """
    with (
        contextlib.closing(open_connection(path, journal="DELETE", synchronous="FULL")) as ledger,
        storage_errors(path),
    ):
        ledger.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
