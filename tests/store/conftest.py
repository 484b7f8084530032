"""A mirror on each engine."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from busyd.store.postgresql.connection import TransactionConnection
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.server import Server
from busyd.store.postgresql.session import PostgresSession
from busyd.store.sqlite.database import migrate, open_connection
from busyd.store.sqlite.schema import MIRROR_MIGRATIONS
from busyd.store.transaction import Transaction
from tests.postgres import PostgresServer, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server of these tests' own."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> Server:
    """A database with the tables of every store, which nobody fills."""
    database = postgres.new_database()
    TransactionConnection(database, MIRROR).close()
    return database


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
