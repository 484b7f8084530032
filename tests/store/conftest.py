"""A mirror on each engine, and daemons on one database."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from psycopg import Connection, RawCursor
from psycopg.rows import TupleRow

from busyd.store.change_log import CHANGES_FILE, open_changes
from busyd.store.engine import Database, LedgerDatabase
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.postgresql.change_log_schema import CHANGE_LOG
from busyd.store.postgresql.connection import TransactionConnection
from busyd.store.postgresql.database import PostgresDatabase
from busyd.store.postgresql.fleet import Fleet
from busyd.store.postgresql.fleet_schema import FLEET
from busyd.store.postgresql.ledger_database import LedgerTables
from busyd.store.postgresql.ledger_schema import LEDGER
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from busyd.store.sqlite.connection import migrate, open_connection
from busyd.store.sqlite.ledger_file import LedgerFile
from busyd.store.sqlite.schema import MIRROR_MIGRATIONS
from busyd.store.transaction import Transaction
from tests.postgres import PostgresServer
from tests.store.fleets import Begin


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> DatabaseServer:
    """A database with the tables of every store. Whoever fills them undoes that."""
    return with_tables(postgres.new_database())


@pytest.fixture(scope="session")
def reusable(postgres: PostgresServer) -> tuple[DatabaseServer, Mapping[str, list[tuple[object, ...]]]]:
    """Another one, and the rows it has at first, by table."""
    database = with_tables(postgres.new_database())
    with contextlib.closing(database.connect("public")) as connection:
        return database, {name: rows for name in tables(connection) if (rows := every_row(connection, name))}


@pytest.fixture
def database(reusable: tuple[DatabaseServer, Mapping[str, list[tuple[object, ...]]]]) -> DatabaseServer:
    """A database with the tables of every store as they are at first, to be filled."""
    database, first = reusable
    with contextlib.closing(database.connect("public")) as connection:
        for name in tables(connection):
            connection.execute(f"DELETE FROM {name}".encode())
        for name, rows in first.items():
            for row in rows:
                values = ", ".join(f"${number}" for number in range(1, len(row) + 1))
                RawCursor(connection).execute(f"INSERT INTO {name} VALUES ({values})".encode(), row)
    return database


def with_tables(database: DatabaseServer) -> DatabaseServer:
    for stored in (MIRROR, LEDGER, CHANGE_LOG, FLEET):
        TransactionConnection(database, stored).close()
    return database


def tables(connection: Connection[TupleRow]) -> list[str]:
    query = (
        b"SELECT schemaname || '.' || tablename FROM pg_tables"
        b" WHERE schemaname IN ('mirror', 'ledger', 'changes', 'fleet')"
        b" ORDER BY tablename='deletion'"  # what the others leave when they are emptied
    )
    return [row[0] for row in connection.execute(query)]


def every_row(connection: Connection[TupleRow], table: str) -> list[tuple[object, ...]]:
    return connection.execute(f"SELECT * FROM {table}".encode()).fetchall()


@pytest.fixture
def begin(database: DatabaseServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Begins the session of a daemon of this name. It expires when a test lets it, however slow the machine is."""
    monkeypatch.setattr("busyd.store.postgresql.fleet.LEASE", 3600)
    monkeypatch.setattr("busyd.store.postgresql.fleet_connection._TIMEOUT", "60s")
    with contextlib.ExitStack() as opened:

        def begin_one(name: str) -> Fleet:
            fleet = opened.enter_context(contextlib.closing(Fleet(database)))
            fleet.begin(name, f"https://{name}.example")
            return fleet

        yield begin_one


@pytest.fixture(params=["sqlite", "postgresql"])
def tx(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transaction]:
    """An empty mirror on each engine."""
    if request.param == "sqlite":
        path = tmp_path / "mirror.sqlite3"
        with contextlib.closing(open_connection(path, journal="WAL", synchronous="OFF")) as connection:
            migrate(connection, path, migrations=MIRROR_MIGRATIONS)
            yield Transaction(connection)
    else:
        with contextlib.closing(request.getfixturevalue("migrated").connect(MIRROR.schema)) as connection:
            connection.execute("BEGIN")
            connection.execute("TRUNCATE calendar RESTART IDENTITY CASCADE")  # undone with the rest
            yield Transaction(PostgresSession(connection))


@pytest.fixture(params=["sqlite", "postgresql"])
def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    """Opens the same ledger, as another process would; closed at the end."""
    if request.param == "sqlite":
        make: Callable[[], LedgerDatabase] = partial(LedgerFile, tmp_path / LEDGER_FILE, busy_timeout=0.05)
    else:
        make = partial(LedgerTables, request.getfixturevalue("database"))
    with contextlib.ExitStack() as opened:

        def open_one() -> Ledger:
            ledger = Ledger(make())
            opened.callback(ledger.close)
            return ledger

        yield open_one


@pytest.fixture(params=["sqlite", "postgresql"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Database]:
    """Opens the tables of the same log of changes."""
    if request.param == "sqlite":
        return partial(open_changes, tmp_path / CHANGES_FILE)
    database = request.getfixturevalue("database")
    return lambda: PostgresDatabase(TransactionConnection(database, CHANGE_LOG))


def until_heard(ledger: Ledger) -> None:
    """Return once a change of tokens by another process is noticed: of a server it is heard a moment later."""
    while ledger.may_lag and ledger.is_current():
        time.sleep(0.01)
