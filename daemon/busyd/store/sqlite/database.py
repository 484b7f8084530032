"""One SQLite file, its one connection and its one thread. The statements are in their own files.

SQLite before 3.51.3 can corrupt a WAL file that has two connections (the WAL-reset bug), so the mirror, which uses WAL,
has exactly one; the ledger, which the command line opens beside the daemon, keeps the rollback journal.
"""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from busyd.store.errors import StorageDamaged, StorageError
from busyd.store.sqlite.connection import (
    Migration,
    check,
    has_unwritten_log,
    migrate,
    open_connection,
    storage_errors,
    transaction,
    wal_of,
)
from busyd.store.sqlite.seal import break_seal, digest_of, seal

T = TypeVar("T")

_CHECKPOINT_AFTER: Final = 1000
"""Pages of the log, after which they are written into the file: SQLite's own default."""


class SqliteDatabase:
    """The file, served by one thread so that the event loop never waits for a disk."""

    def __init__(
        self, path: Path, migrations: Sequence[Migration], *, journal: str, synchronous: str, sealed: bool = False
    ) -> None:
        """Raises StorageError; StorageDamaged when the file was left unclean and is found damaged.

        `sealed` files can be made anew: a digest of the whole file is kept while it is closed, and compared before its
        first use that is not `write_now`. What was once found damaged in use is not believed again, whatever SQLite
        says of it.
        """
        self.path = path
        self._sealed = sealed
        self._unchecked: bytes | None = None
        """The digest that the file should have, until they were compared."""
        self.on_damage: Callable[[], object] = lambda: None
        """Called, on any thread, when the file turns out to be damaged while it is used."""
        left_unclean = suspect_of(path).exists() or has_unwritten_log(path)
        if sealed and path.exists():
            digest = self._break_seal()
            self._unchecked = digest if not left_unclean else None
            left_unclean = self._unchecked is None
        with _unreadable(path, sealed=sealed):
            self._connection = open_connection(path, journal=journal, synchronous=synchronous)
        try:
            if left_unclean:
                check(self._connection, path)
                suspect_of(path).unlink(missing_ok=True)
            if self._unchecked:
                # Nothing is written into the file until then, only into its log.
                self._connection.execute("PRAGMA wal_autocheckpoint=0")
            with _unreadable(path, sealed=sealed):
                migrate(self._connection, path, migrations=migrations)
        except BaseException:
            self._connection.close()
            raise
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=path.stem)

    def _break_seal(self) -> bytes | None:
        """Raises StorageDamaged when the file was found damaged in use."""
        if suspect_of(self.path).exists():
            message = f"{self.path} was found damaged while it was used"
            raise StorageDamaged(message)
        with storage_errors(self.path):
            return break_seal(self.path)

    def _compare(self) -> None:
        """Raises StorageDamaged when the file is not as it was closed."""
        if not self._unchecked:
            return
        if digest_of(self.path) != self._unchecked:
            message = f"{self.path} is damaged (it is not as it was closed)"
            raise StorageDamaged(message)
        self._unchecked = None
        self._connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_AFTER}")

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the store's thread, outside a transaction. Raises StorageError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the store's thread as one transaction: all of it is kept, or nothing. Raises StorageError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    async def scrub(self) -> None:
        """Leave nothing of deleted rows in the file, its log, or what was set aside of it. Raises StorageError."""

        def rewrite(connection: sqlite3.Connection) -> None:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            aside_of(self.path).unlink(missing_ok=True)

        await self.read(rewrite)

    def write_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The same on the calling thread. Only before the loop serves, so that a start answers at once."""
        return self._transact(work, at_start=True)

    def read_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """`read` on the calling thread, likewise."""
        return self._guarded(work, at_start=True)

    def close(self) -> None:
        """Finish what is queued, then close the file."""
        self._thread.shutdown(wait=True)
        if not suspect_of(self.path).exists():
            with contextlib.suppress(StorageError):
                self._guarded(lambda _: None)  # no seal on what was not looked at
        self._connection.close()
        if (
            self._sealed
            and not self._unchecked
            and not suspect_of(self.path).exists()
            and not wal_of(self.path).exists()
        ):
            with contextlib.suppress(OSError):  # then the next start looks the file over
                seal(self.path)

    def _guarded(self, work: Callable[[sqlite3.Connection], T], *, at_start: bool = False) -> T:
        try:
            with storage_errors(self.path), _unreadable(self.path, sealed=self._sealed):
                if not at_start:
                    self._compare()
                return work(self._connection)
        except StorageDamaged:
            suspect_of(self.path).touch()  # the next start looks the whole file over
            self.on_damage()
            raise

    def _transact(self, work: Callable[[sqlite3.Connection], T], *, at_start: bool = False) -> T:
        def whole(connection: sqlite3.Connection) -> T:
            with transaction(connection):
                return work(connection)

        return self._guarded(whole, at_start=at_start)


@contextmanager
def _unreadable(path: Path, *, sealed: bool) -> Iterator[None]:
    """Take for damage of a file that can be made anew what nobody can have written so, and what it lacks."""
    try:
        yield
    except (msgspec.MsgspecError, json.JSONDecodeError, UnicodeDecodeError, sqlite3.OperationalError) as error:
        is_statement = isinstance(error, sqlite3.Error) and error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_ERROR
        if is_statement or not sealed:
            raise
        message = f"{path} is damaged ({error})"
        raise StorageDamaged(message) from error


def aside_of(path: Path) -> Path:
    """Where a damaged file is kept."""
    return path.with_name(f"{path.name}.damaged")


def set_aside(path: Path) -> Path:
    """Move a damaged file out of the way, with what belongs to it; where it is now. Raises StorageError."""
    aside = aside_of(path)
    with storage_errors(path):
        path.replace(aside)
        for suffix in ("-wal", "-shm", ".suspect", ".seal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


def suspect_of(path: Path) -> Path:
    """Says that the file was found damaged while it was used."""
    return path.with_name(path.name + ".suspect")
