"""A connection to a SQLite file: how it is opened, checked and migrated, and what its errors mean."""

import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from busyd.os_errors import fault_of, passes_by_itself
from busyd.ownership import advice_on_access, obstacle_of
from busyd.store.errors import OutOfSpace, Overlaps, StorageDamaged, StorageError, StorageUnusable

SQLITE_VERSION: Final = sqlite3.sqlite_version

Migration = Callable[[sqlite3.Connection], None]

OVERLAP: Final = "overlap"
"""What the rule of the ledger says that refuses a row for the time it takes."""
WAL_LIMIT: Final = 16 * 1024 * 1024
"""Bytes to which the write-ahead log is cut back after it was written into the file."""
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
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutOfSpace(str(fault), fix=fault.fix)
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
        return wal_of(path).exists() and wal_of(path).stat().st_size > 0


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


def wal_of(path: Path) -> Path:
    """Its write-ahead log."""
    return path.with_name(path.name + "-wal")
