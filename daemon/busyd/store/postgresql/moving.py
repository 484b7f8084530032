"""The schemas of a database as a place that stores are moved to and from: see `store/moving.py`."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

import psycopg
from msgspec.structs import replace
from psycopg import Connection
from psycopg.rows import TupleRow

from busyd.credentials.key import StoreKey
from busyd.credentials.sealed_secrets import SealedSecrets
from busyd.errors import TryAgain
from busyd.store.moving import SECRETS, Form
from busyd.store.postgresql.change_log_schema import CHANGE_LOG
from busyd.store.postgresql.connection import StoredTables, TransactionConnection
from busyd.store.postgresql.forms import MOVING, aside_as, has_schema, set_aside_as
from busyd.store.postgresql.ledger_schema import LEDGER
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.secret_schema import SECRETS as SECRET_TABLES
from busyd.store.postgresql.secrets import SealedTable, put_records, read_records
from busyd.store.postgresql.server import APPLICATION, DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from busyd.store.postgresql.tables import PostgresTables
from busyd.store.secret_tables import SecretTables
from busyd.store.table_copy import StoreTables

T = TypeVar("T")

_TRIES: Final = 20
_PAUSE: Final = 0.05
_STORED: Final[Mapping[str, StoredTables]] = {
    "mirror": MIRROR,
    "changes": CHANGE_LOG,
    SECRETS: SECRET_TABLES,
    "ledger": LEDGER,
}


class StoreDatabase:
    """A `StorePlace`, on one connection while it is held: when that is lost nothing more is changed."""

    def __init__(self, server: DatabaseServer, *, key: StoreKey | None = None) -> None:
        """`key` is that of the stored passwords; without it a database that has some is not moved."""
        self._server = server = replace(server, is_patient=True)
        self._secrets = SealedSecrets(SealedTable(server), key) if key is not None else None
        self.name = server.name
        self._connection: Connection[TupleRow] | None = None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        with contextlib.ExitStack() as opened:
            with self._server.errors():
                self._connection = opened.enter_context(contextlib.closing(self._server.connect("pg_catalog")))
                self._server.require_supported(self._connection)
                # What every transaction that writes takes first: also who starts meanwhile has to wait.
                for stored in _STORED.values():
                    self._db.execute("SELECT pg_advisory_lock(?)", (stored.lock,))
                users = self._find_users()
            if users:
                processes = ", ".join(map(str, users))
                message = f"busyd uses {self.name} (connections {processes} of its server), so nothing was moved"
                raise TryAgain(message, fix="stop every busyd that uses it first, on each machine")
            yield

    def _find_users(self) -> list[int]:
        """The processes of the server for other connections; one that was closed is there for a moment longer."""
        for _ in range(_TRIES):
            users = [pid for (pid,) in self._db.execute(_OTHERS, (APPLICATION,))]
            if not users:
                break
            time.sleep(_PAUSE)
        return users

    @property
    def _db(self) -> PostgresSession:
        assert self._connection is not None, "the place is held"
        return PostgresSession(self._connection)

    def has(self, store: str, form: Form) -> bool:
        with self._server.errors():
            schema = self._schema(store, form)
            return schema is not None and has_schema(self._db, schema)

    def has_stamp(self, stamp: str) -> bool:
        with self._server.errors():
            return any(
                has_schema(self._db, aside_as(stored.schema, form, stamp=stamp))
                for stored in _STORED.values()
                for form in (Form.MOVED, Form.REPLACED)
            )

    def read(self, store: str, form: Form, *, work: Callable[[StoreTables], T]) -> T:
        with self._server.errors(), self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            schema = self._schema(store, form)
            assert schema is not None
            stored = replace(_STORED[store], schema=schema)
            tables = PostgresTables(self._db, stored, name=f"schema {schema} in {self.name}")
            tables.require_sound()
            if store == SECRETS:
                assert self._secrets is not None, "who moves passwords has their key"
                texts = self._secrets.open(read_records(self._db, schema)).require_sound()
                return work(SecretTables(tables.name, texts))
            return work(tables)

    def fill(self, store: str, *, work: Callable[[StoreTables], T]) -> T:
        stored = _STORED[store]
        # Another lock: that of the store is held.
        staged = replace(stored, schema=stored.schema + MOVING, lock=-stored.lock)

        def fill(db: PostgresSession) -> T:
            if store == SECRETS:
                return self._fill_secrets(db, work)
            tables = PostgresTables(db, staged, name=f"schema {stored.schema} in {self.name}")
            tables.begin_filling()
            result = work(tables)
            tables.end_filling()
            return result

        with contextlib.closing(TransactionConnection(self._server, staged)) as connection:
            return connection.write(fill)

    def _fill_secrets(self, db: PostgresSession, work: Callable[[StoreTables], T]) -> T:
        assert self._secrets is not None, "who moves passwords has their key"
        tables = SecretTables(f"schema secrets in {self.name}", {})
        result = work(tables)
        put_records(db, self._secrets.seal_all(tables.texts))
        return result

    def forget_moving(self) -> None:
        with self._server.errors():
            for stored in _STORED.values():
                self._db.execute(f"DROP SCHEMA IF EXISTS {stored.schema}{MOVING} CASCADE")

    def set_aside(self, form: Form, stamp: str) -> list[str]:
        names = {
            stored.schema: aside_as(stored.schema, form, stamp=stamp)
            for store, stored in _STORED.items()
            if self.has(store, Form.LIVE)
        }
        self._rename(names)
        return list(names.values())

    def take_over(self) -> None:
        self._rename(
            {stored.schema + MOVING: stored.schema for store, stored in _STORED.items() if self.has(store, Form.MOVING)}
        )

    def _rename(self, names: Mapping[str, str]) -> None:
        """All at once."""
        with self._server.errors(), self._transaction("BEGIN"):
            for old, new in names.items():
                self._db.execute(f"ALTER SCHEMA {old} RENAME TO {new}")

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self._db.execute(begin)
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(psycopg.Error):  # a lost connection has undone it
                self._db.execute("ROLLBACK")
            raise

    def _schema(self, store: str, form: Form) -> str | None:
        schema = _STORED[store].schema
        match form:
            case Form.LIVE:
                return schema
            case Form.MOVING:
                return schema + MOVING
        aside = set_aside_as(self._db, schema, form=form)
        return aside[-1] if aside else None


_OTHERS: Final = (
    "SELECT pid FROM pg_stat_activity WHERE datname=current_database() AND application_name LIKE ? || '%'"
    " AND pid <> pg_backend_pid() ORDER BY pid"
)
