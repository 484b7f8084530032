"""The ledger's file. The command line opens it while the daemon runs, so it keeps the rollback journal and is
synchronous.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from busyd.ownership import make_state_directory
from busyd.store.errors import StorageDamaged, StorageError
from busyd.store.sqlite.connection import check, migrate, open_connection, storage_errors, transaction
from busyd.store.sqlite.forms import require_not_moved
from busyd.store.sqlite.ledger_schema import LEDGER_MIGRATIONS

T = TypeVar("T")

_CHANGE_COUNTER: Final = 24
"""Where the file header counts changes: four bytes, big-endian (SQLite's file format 1.3.8)."""


class LedgerFile:
    """The open file. Every change is on the disk when its method returns."""

    may_lag = False

    def __init__(self, path: Path, *, busy_timeout: float) -> None:
        """Raises as `Ledger.open`."""
        self.path = path
        make_state_directory(path.parent)
        with storage_errors(path):
            require_not_moved(path)
        self._connection = open_connection(path, journal="DELETE", synchronous="FULL", busy_timeout=busy_timeout)
        try:
            check(self._connection, path)
            migrate(self._connection, path, migrations=LEDGER_MIGRATIONS)
        except StorageDamaged as error:
            self._connection.close()
            fix = "put a backup of it in place, or move it away: then tokens must be made anew"
            raise StorageDamaged(str(error), fix=fix) from error
        except BaseException:
            self._connection.close()
            raise
        self._header = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._lock = threading.Lock()
        """Held while the next one changes; never while waiting for the disk."""
        self._revisions: frozenset[bytes] = frozenset()
        """The revisions of the file of which what was read of tokens holds; empty when that must be read anew."""

    def close(self) -> None:
        self._connection.close()
        if self._header >= 0:
            # Only now: closing any descriptor of a file drops the locks this process has on it.
            os.close(self._header)
            self._header = -1

    def is_current(self) -> bool:
        """See `LedgerDatabase`; takes half a microsecond."""
        return self._revision() in self._revisions

    def read_tokens(self, work: Callable[[sqlite3.Connection], T]) -> T:
        revision = self._revision()  # first: what changes meanwhile is then seen as a change
        result = self.read(work)
        with self._lock:
            self._revisions = frozenset({revision})
        return result

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with storage_errors(self.path):
            return work(self._connection)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._writing():
            return work(self._connection)

    def write_beside_tokens(self, work: Callable[[sqlite3.Connection], T]) -> T:
        before, has_changes = self._connection.total_changes, False
        try:
            with self._writing():
                result = work(self._connection)
                has_changes = self._connection.total_changes != before
                if has_changes:
                    self._expect_own_change()
                return result
        except BaseException:
            if has_changes:  # the commit failed; what `work` itself refuses leaves the file as it was
                with self._lock:
                    self._revisions = frozenset()
            raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction. Who waits for it while the file is moved away must not write what nobody will read."""
        with storage_errors(self.path), transaction(self._connection):
            if not self._is_in_place():
                message = f"{self.path} was moved away or replaced meanwhile"
                raise StorageError(message, fix="nothing was written: try it again")
            yield

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._header), self.path.stat())
        except FileNotFoundError:
            return False

    def _revision(self) -> bytes:
        """Another value after every change of the file, by whichever process (in rollback-journal mode)."""
        return os.pread(self._header, 4, _CHANGE_COUNTER)

    def _expect_own_change(self) -> None:
        """Have what was read of tokens stay valid through the transaction just begun, which changes no right of any.

        No other process can change the file until it ends, so the next revision is its own.
        """
        with self._lock:
            revision = self._revision()
            if revision in self._revisions:
                following = (int.from_bytes(revision, "big") + 1) % 2**32
                self._revisions = frozenset({revision, following.to_bytes(4, "big")})
