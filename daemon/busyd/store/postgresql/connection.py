"""One connection to the server, with the tables of one schema, and work run on it in transactions."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

import psycopg
from msgspec import Struct
from psycopg import Connection
from psycopg.rows import TupleRow

from busyd.store.errors import StorageDamaged, StorageError, StorageUnusable
from busyd.store.postgresql.forms import require_not_moved
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession

T = TypeVar("T")
Migration = Callable[[PostgresSession], None]

_LOST: Final = (psycopg.OperationalError, psycopg.InterfaceError)
"""What is raised when a connection is lost, among other things."""
TIMELINE: Final = "left(pg_walfile_name(pg_current_wal_lsn()), 8)"
"""Which history of its cluster the server writes: another one after it was put back to an earlier moment."""
_RUN: Final = (
    "SELECT pg_postmaster_start_time()::text || ' ' || COALESCE((SELECT stats_reset::text FROM pg_stat_wal), '')"
)
"""Differs after the server was restarted, and after crash recovery, which resets statistics."""
_SETTLE_TRIES: Final = 20
_SETTLE_EVERY: Final = 0.25
"""Seconds."""


class StoredTables(Struct, frozen=True):
    """The tables of one store."""

    schema: str
    migrations: tuple[Migration, ...]
    lock: int
    """Key of the advisory lock that one writing transaction at a time has, as SQLite locks a file."""
    is_kept: bool = False
    """Never begun anew in place of one that was moved away."""
    only_here: frozenset[str] = frozenset()
    """Tables, and columns as `table.column`, that SQLite has not: they are made of others, or are about daemons."""
    before_moving: tuple[str, ...] = ()
    """Statements before and after rows are copied from SQLite: so that no rule refuses what is there."""
    after_moving: tuple[str, ...] = ()


class TransactionConnection:
    """Work in transactions on one connection, which is made anew when it was lost. Its methods block.

    A transaction whose COMMIT was not answered is settled by its number before anything else is done: it was kept, or
    it was not. `on_late_commit` is called when that could only be found out after it was told to have failed, and when
    it cannot be found out, as after a crash: numbers that were not written by then are given once more.
    """

    def __init__(
        self,
        server: DatabaseServer,
        tables: StoredTables,
        *,
        on_late_commit: Callable[[], object] = lambda: None,
        anew: bool = False,
    ) -> None:
        """Makes or migrates the tables; `anew` throws away what there is. Raises StorageError, StorageDamaged."""
        self.server = server
        self.tables = tables
        self.on_late_commit = on_late_commit
        self._connection: Connection[TupleRow] | None = None
        self._run = ""
        """Of the server, see `_RUN`."""
        self._unsettled: tuple[str, int, str] | None = None
        """Number of the transaction, process of the server that ran it, and which run of the server that was."""
        self._begin_write = (
            f"BEGIN; SELECT pg_advisory_xact_lock({tables.lock}); SELECT pg_current_xact_id()::text{_fence(server)}"
        ).encode()
        try:
            with server.errors():
                server.require_supported(self._connected())
            if anew:
                self.write(lambda db: db.execute(f"DROP SCHEMA IF EXISTS {tables.schema} CASCADE"))
            self.write(lambda db: bring_up_to_date(db, tables, where=server.name))
        except BaseException:
            self.close()
            raise

    @property
    def backend(self) -> int | None:
        """The process of the server that runs the work."""
        connection = self._connection
        return connection.info.backend_pid if connection is not None and not connection.closed else None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def read(self, work: Callable[[PostgresSession], T]) -> T:
        """Run `work` on one state of the tables. Raises StorageError."""
        with self.server.errors():
            connection, _ = self._begin(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                result = work(PostgresSession(connection))
                connection.execute(b"COMMIT", prepare=False)
            except BaseException:
                self._roll_back(connection)
                raise
            return result

    def write(self, work: Callable[[PostgresSession], T]) -> T:
        """Run `work` as one transaction, alone: all of it is kept, or nothing.

        Raises StorageError, Overlaps; SessionEnded before `work` is run.
        """
        with self.server.errors():
            connection, number = self._begin(self._begin_write)
            if not number:
                self._roll_back(connection)
                raise self.server.session_ended()
            try:
                result = work(PostgresSession(connection))
            except BaseException:
                self._roll_back(connection)
                raise
            self._commit(connection, number)
            return result

    def scrub(self) -> None:
        """Leave nothing of deleted rows in the files of the tables. Raises StorageError."""
        with self.server.errors():
            query = f"SELECT tablename FROM pg_tables WHERE schemaname='{self.tables.schema}'"
            for (name,) in self.read(lambda db: db.execute(query).fetchall()):
                self._connected().execute(f"VACUUM FULL {name}".encode())

    def _begin(self, statement: bytes) -> tuple[Connection[TupleRow], str]:
        """Begin a transaction; its number where it has one. Nothing is lost with a connection lost before that."""
        if self._unsettled is not None:
            self._settle()
        for is_last in (False, True):
            connection = self._connected()
            try:
                cursor = connection.execute(statement, prepare=False)
                while cursor.nextset():
                    pass
                row = cursor.fetchone() if cursor.description else None
            except BaseException as error:
                self._roll_back(connection)
                if is_last or self._connection is not None or not isinstance(error, _LOST):
                    raise
            else:
                return connection, row[0] if row else ""
        raise AssertionError("one of two attempts has returned or raised")

    def _connected(self) -> Connection[TupleRow]:
        if self._connection is None or self._connection.closed:
            self._connection = self.server.connect(self.tables.schema)
            ((self._run,),) = self._connection.execute(_RUN.encode(), prepare=False).fetchall()
        return self._connection

    def _roll_back(self, connection: Connection[TupleRow]) -> None:
        """Undo what was done, or drop a connection that was lost: then the server undoes it."""
        try:
            connection.execute(b"ROLLBACK", prepare=False)
        except psycopg.Error:
            self.close()

    def _commit(self, connection: Connection[TupleRow], number: str) -> None:
        backend = connection.info.backend_pid
        try:
            if connection.execute(b"COMMIT", prepare=False).statusmessage != "COMMIT":
                raise psycopg.InternalError("the transaction had failed before it was to be kept")
        except BaseException as error:
            if not connection.closed:  # the server has said no
                self._roll_back(connection)
                raise
            self.close()
            self._unsettled = number, backend, self._run
            if not self._settle(tries=_SETTLE_TRIES):
                message = f"{self.server.name} was lost before it had kept what was written"
                raise StorageError(message) from error

    def _settle(self, *, tries: int = 1) -> bool:
        """Find out whether the transaction whose COMMIT was not answered was kept. Raises psycopg.Error."""
        assert self._unsettled is not None
        number, backend, run = self._unsettled
        for attempt in range(tries):
            try:
                session = PostgresSession(self._connected())
                if run != self._run:
                    self._unsettled = None
                    self.on_late_commit()
                    return False
                (state,) = session.execute("SELECT pg_xact_status(CAST(? AS xid8))", (number,)).fetchone()
                if state != "in progress":
                    self._unsettled = None
                    if state == "committed" and tries == 1:
                        self.on_late_commit()
                    return bool(state == "committed")
                session.execute("SELECT pg_terminate_backend(CAST(? AS INTEGER), 1000)", (backend,))
            except psycopg.Error:
                self.close()
                if attempt == tries - 1:
                    raise
            time.sleep(_SETTLE_EVERY)
        raise psycopg.OperationalError("an earlier transaction is not settled yet")

    def mark_damaged(self) -> None:
        """Have the next start find the tables damaged. Raises StorageError."""
        self.write(lambda db: db.execute("UPDATE schema_version SET damaged=1"))


def bring_up_to_date(db: PostgresSession, tables: StoredTables, *, where: str) -> None:
    """Make the tables of the first schema of the search path, or migrate them to the newest one; in a transaction.

    Raises StorageUnusable, StorageDamaged.
    """
    version, is_damaged = _read_version(db, tables, where=where)
    if is_damaged:
        message = f"the tables of schema {tables.schema} in {where} were found damaged"
        raise StorageDamaged(message)
    known = len(tables.migrations)
    if version > known:
        message = (
            f"schema {tables.schema} in {where} was written by a newer busyd (schema {version}, this one knows {known})"
        )
        raise StorageUnusable(message, fix="install that version again, or put back a backup of the database")
    for migration in tables.migrations[version:]:
        migration(db)
    if version < known:
        db.execute("UPDATE schema_version SET version=?", (known,))


def _read_version(db: PostgresSession, tables: StoredTables, *, where: str) -> tuple[int, int]:
    if db.execute("SELECT to_regclass(?)", (f"{tables.schema}.schema_version",)).fetchone()[0] is None:
        if tables.is_kept:
            require_not_moved(db, tables.schema, where=where)
        db.execute(f"CREATE SCHEMA IF NOT EXISTS {tables.schema}")
        db.execute("CREATE TABLE schema_version (version BIGINT NOT NULL, damaged BIGINT NOT NULL DEFAULT 0)")
        db.execute("INSERT INTO schema_version (version) VALUES (0)")
    row: tuple[int, int] = db.execute("SELECT version, damaged FROM schema_version").fetchone()
    return row


def _fence(server: DatabaseServer) -> str:
    """What lets a transaction begin only while its session lives, and the session end only once it has ended."""
    if server.session is None:
        return ""
    alive = f"id={server.session} AND until>clock_timestamp() AND timeline={TIMELINE}"
    return f" FROM fleet.session WHERE {alive} FOR KEY SHARE"
