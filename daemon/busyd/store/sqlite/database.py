"""One SQLite file, its one connection and its one thread. The statements are in their own files.

SQLite before 3.51.3 can corrupt a WAL file that has two connections (the WAL-reset bug), so the mirror, which uses WAL,
has exactly one; the ledger, which the command line opens beside the daemon, keeps the rollback journal.
"""

import asyncio
import contextlib
import errno
import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from busyd.os_errors import fault_of, passes_by_itself
from busyd.ownership import advice_on_access, obstacle_of
from busyd.store.errors import Overlaps, StorageDamaged, StorageError, StorageUnusable
from busyd.store.sqlite.seal import break_seal, digest_of, seal

SQLITE_VERSION: Final = sqlite3.sqlite_version

T = TypeVar("T")
Migration = Callable[[sqlite3.Connection], None]

OVERLAP: Final = "overlap"
"""What the rule of the ledger says that refuses a row for the time it takes."""
WAL_LIMIT: Final = 16 * 1024 * 1024
"""Bytes to which the write-ahead log is cut back after it was written into the file."""
_CHECKPOINT_AFTER: Final = 1000
"""Pages of the log, after which they are written into the file: SQLite's own default."""
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_ERRNO: Final[Mapping[int, int]] = {
    sqlite3.SQLITE_BUSY: errno.EBUSY,
    sqlite3.SQLITE_LOCKED: errno.EBUSY,
    sqlite3.SQLITE_PROTOCOL: errno.EBUSY,
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
    sqlite3.SQLITE_NOLFS: errno.EOPNOTSUPP,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_READONLY: errno.EACCES,
}
"""What SQLite reports -> what the operating system would have."""


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into StorageError, with the file and what to do; Overlaps for that."""
    try:
        yield
    except sqlite3.Error as error:
        if str(error) == OVERLAP:
            raise Overlaps from None
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGE:
            message = f"{path} is damaged ({error})"
            raise StorageDamaged(message) from error
        reason = _find_obstacle(path) or OSError(_ERRNO.get(code, 0), str(error))
        raise _storage_error(path, reason) from error
    except OSError as error:
        raise _storage_error(path, error) from error


def _find_obstacle(path: Path) -> OSError | None:
    """What keeps this user from using a database and its folder; None when nothing does."""
    try:
        for file in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))):
            if not file.exists():
                continue
            mode = file.stat().st_mode
            if not stat.S_ISREG(mode):
                number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EEXIST
                return OSError(number, f"{file.name} is not a regular file")
            if obstacle := obstacle_of(file, os.R_OK | os.W_OK):
                return obstacle
        if not path.parent.is_dir():
            return OSError(errno.ENOENT, f"there is no directory {path.parent}")
    except OSError as error:
        return error
    return obstacle_of(path.parent, os.W_OK | os.X_OK)


def _storage_error(path: Path, error: OSError) -> StorageError:
    fix = advice_on_access(path.parent) if error.errno == errno.EACCES else ""
    fault = fault_of(error, f"{path} cannot be used", fix=fix)
    kind = StorageError if passes_by_itself(error) else StorageUnusable
    return kind(str(fault), fix=fault.fix)


def open_connection(path: Path, *, journal: str, synchronous: str, busy_timeout: float = 10.0) -> sqlite3.Connection:
    """A connection with explicit transactions and the defensive pragmas, of a file that was found sound.

    `busy_timeout` is how many seconds a statement waits for another process. Raises StorageError, StorageDamaged.
    """
    with storage_errors(path):
        new = not path.exists()
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=busy_timeout)
        try:
            if new:
                path.chmod(0o600)
            connection.execute(f"PRAGMA journal_mode={journal}")
            connection.execute(f"PRAGMA synchronous={synchronous}")
            connection.execute(f"PRAGMA journal_size_limit={WAL_LIMIT}")
            for pragma in ("foreign_keys=ON", "trusted_schema=OFF", "cell_size_check=ON", "cache_size=-512"):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
    return connection


def open_unlocked(path: Path) -> sqlite3.Connection:
    """A connection that only reads a file which nobody writes: it takes no lock, and does not see the write-ahead log.

    Raises StorageError when the file cannot be opened.
    """
    with storage_errors(path):
        return sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True, isolation_level=None)


def has_unwritten_log(path: Path) -> bool:
    """Whether the last process on the file ended before all of its write-ahead log was written into the file."""
    with storage_errors(path):
        return _wal_of(path).exists() and _wal_of(path).stat().st_size > 0


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Look the whole file over, also for rows that an index does not lead to. Raises StorageDamaged."""
    with storage_errors(path):
        answer = connection.execute("PRAGMA integrity_check(1)").fetchone()
        orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
    if answer is None or answer[0] != "ok" or orphan is not None:
        reason = f"a row of {orphan[0]} belongs to nothing" if orphan else answer[0] if answer else "no answer"
        message = f"{path} is damaged ({reason})"
        raise StorageDamaged(message)


def migrate(connection: sqlite3.Connection, path: Path, *, migrations: Sequence[Migration]) -> None:
    """Bring the file to the newest schema; `user_version` counts the migrations it has seen. Raises StorageError."""
    with storage_errors(path):
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(migrations):
            message = f"{path} was written by a newer busyd (schema {version}, this one knows {len(migrations)})"
            raise StorageUnusable(message, fix="install that version again, or put back a backup of the file")
        for number in range(version, len(migrations)):
            with transaction(connection):
                migrations[number](connection)
                connection.execute(f"PRAGMA user_version={number + 1}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of what is done inside is kept, or nothing; also when the commit itself fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


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
        left_unclean = _suspect(path).exists() or has_unwritten_log(path)
        if sealed and path.exists():
            digest = self._break_seal()
            self._unchecked = digest if not left_unclean else None
            left_unclean = self._unchecked is None
        with _unreadable(path, sealed=sealed):
            self._connection = open_connection(path, journal=journal, synchronous=synchronous)
        try:
            if left_unclean:
                check(self._connection, path)
                _suspect(path).unlink(missing_ok=True)
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
        if _suspect(self.path).exists():
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

    def close(self) -> None:
        """Finish what is queued, then close the file."""
        self._thread.shutdown(wait=True)
        if not _suspect(self.path).exists():
            with contextlib.suppress(StorageError):
                self._guarded(lambda _: None)  # no seal on what was not looked at
        self._connection.close()
        if (
            self._sealed
            and not self._unchecked
            and not _suspect(self.path).exists()
            and not _wal_of(self.path).exists()
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
            _suspect(self.path).touch()  # the next start looks the whole file over
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


def _suspect(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")


def _wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")
