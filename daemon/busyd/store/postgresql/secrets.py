"""Sealed secrets in a table: as commands read and change them, and as a daemon has them in memory."""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from busyd.credentials.key import CredentialStoreUnreadable, StoreKey
from busyd.credentials.records import Changes
from busyd.credentials.sealed_secrets import Opened, SealedSecrets
from busyd.store.errors import StorageError
from busyd.store.postgresql.connection import TransactionConnection
from busyd.store.postgresql.fleet_connection import FleetConnection
from busyd.store.postgresql.forms import has_schema, require_not_moved
from busyd.store.postgresql.secret_schema import SECRETS
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession

logger = logging.getLogger(__name__)

_STATE: Final = "SELECT COUNT(*), COALESCE(MAX(moved), 0) FROM secrets.secret"
"""Changes whenever a record does: a row that is written has a number above all others."""
_ALL: Final = "SELECT name, sealed FROM {schema}.secret"
_PUT: Final = (
    "INSERT INTO secret (name, sealed) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET sealed=excluded.sealed, moved=excluded.moved"
)
_REMOVE: Final = "DELETE FROM secret WHERE name=?"


class SealedTable:
    """`SealedRecords` in a database. They are read once, unless they are changed through this object."""

    is_bundle = False

    def __init__(self, server: DatabaseServer) -> None:
        self.where = server.name
        self._server = server
        self._reading = threading.Lock()
        self._read: Mapping[str, bytes] | StorageError | None = None

    def read(self) -> Mapping[str, bytes]:
        """All records by name. Raises StorageError, StoredElsewhere where they were moved away."""
        with self._reading:
            if self._read is None:
                try:
                    self._read = self._read_now()
                except StorageError as error:
                    self._read = error  # a server that is away is waited for once
            if isinstance(self._read, StorageError):
                raise self._read
            return self._read

    def change(self, work: Callable[[Mapping[str, bytes]], Changes]) -> None:
        """Change what `work` says, given all there is, alone. Raises StorageError, and what `work` raises."""
        with contextlib.closing(TransactionConnection(self._server, SECRETS)) as connection:
            connection.write(lambda db: put_records(db, work(read_records(db))))
        self._read = None

    def _read_now(self) -> Mapping[str, bytes]:
        with self._server.errors(), contextlib.closing(self._server.connect(SECRETS.schema)) as connection:
            db = PostgresSession(connection)
            require_not_moved(db, SECRETS.schema, where=self._server.name)
            return read_records(db) if has_schema(db, SECRETS.schema) else {}


class FollowedSecrets(SealedTable):
    """The same as a daemon has them in memory: it looks for changes, and goes on without the server."""

    def __init__(self, fleet: FleetConnection, key: StoreKey) -> None:
        """Make the table where there is none, and read it. Blocks.

        Raises StorageError; CredentialStoreUnreadable where there are secrets and none of them opens with the key.
        """
        super().__init__(fleet.server)
        TransactionConnection(fleet.server, SECRETS).close()
        self._fleet = fleet
        self._secrets = SealedSecrets(self, key)
        self._seen: object = None
        self._known: Mapping[str, bytes] = {}
        self._newest: Mapping[str, bytes] = {}
        self._changed: set[str] = set()
        self._fault = ""
        self._look_for_newest()
        self._take(self._secrets.open(self._newest))
        self._changed.clear()

    def read(self) -> Mapping[str, bytes]:
        """All records by name, as they were seen last. From any thread."""
        return self._known

    def look(self) -> None:
        """See whether there are others. On the thread of the fleet. Raises StorageError.

        When another key has sealed them, those before count until that key is here, too.
        """
        self._look_for_newest()
        if self._newest is self._known:
            return
        try:
            self._take(self._secrets.open(self._newest))
        except CredentialStoreUnreadable as error:
            if str(error) != self._fault:
                logger.error("%s; %s: until then those that were read before are used", error, error.fix)
            self._fault = str(error)

    def take_changed(self) -> frozenset[str]:
        """The names of those that have changed since the last time."""
        changed, self._changed = frozenset(self._changed), set()
        return changed

    def _look_for_newest(self) -> None:
        (seen,) = self._fleet.execute(_STATE)
        if seen != self._seen:
            self._newest = dict(self._fleet.execute(_ALL.format(schema=SECRETS.schema)))
            self._seen = seen

    def _take(self, opened: Opened) -> None:
        for error in opened.damaged.values():
            logger.error("%s; %s", error, error.fix)
        self._changed |= {name for name, _ in self._newest.items() ^ self._known.items()}
        self._known, self._fault = self._newest, ""


def read_records(db: PostgresSession, schema: str = SECRETS.schema) -> dict[str, bytes]:
    """All records by name."""
    return dict(db.execute(_ALL.format(schema=schema)).fetchall())


def put_records(db: PostgresSession, changes: Changes) -> None:
    """Write records of the schema that the session is in, and remove those that are None."""
    for name, sealed in changes.items():
        if sealed is None:
            db.execute(_REMOVE, (name,))
        else:
            db.execute(_PUT, (name, sealed))
