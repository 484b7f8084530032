"""The tables of the ledger, as numbered migrations. A migration is never edited once released; a new one is added."""

import sqlite3
from typing import Final

from busyd.store.sqlite.bookings import index_times, make_outbox
from busyd.store.sqlite.connection import Migration


def _create(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE token (id TEXT PRIMARY KEY, profile TEXT NOT NULL, scopes TEXT NOT NULL,"
        " details INTEGER NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER, last_used INTEGER,"
        " digest BLOB NOT NULL) STRICT"
    )
    connection.execute("CREATE TABLE link (reference TEXT PRIMARY KEY, href TEXT NOT NULL) STRICT")


def _remember_feeds(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE feed (token TEXT PRIMARY KEY REFERENCES token ON DELETE CASCADE, tag TEXT NOT NULL,"
        " changed INTEGER NOT NULL) STRICT"
    )


def _accept_problems(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE acceptance (id TEXT PRIMARY KEY, calendar TEXT NOT NULL, href TEXT NOT NULL, uid TEXT NOT NULL,"
        " reason TEXT NOT NULL, at INTEGER NOT NULL) STRICT"
    )


def _make_properties(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE property (owner TEXT NOT NULL, resource TEXT NOT NULL, name TEXT NOT NULL, xml BLOB NOT NULL,"
        " PRIMARY KEY (owner, resource, name)) STRICT"
    )


def _make_traits(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE server_trait (connection TEXT PRIMARY KEY, account TEXT NOT NULL, record TEXT NOT NULL) STRICT"
    )


def _make_webhooks(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE webhook (id TEXT PRIMARY KEY, profile TEXT NOT NULL, url TEXT NOT NULL, events TEXT NOT NULL,"
        " private INTEGER NOT NULL, created INTEGER NOT NULL, generation INTEGER NOT NULL, rotated INTEGER,"
        " digest BLOB NOT NULL, asked INTEGER, cursor INTEGER, ended TEXT NOT NULL DEFAULT '', failing_since INTEGER,"
        " failed_for INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, detail TEXT NOT NULL DEFAULT '',"
        " delivered INTEGER) STRICT"
    )


LEDGER_MIGRATIONS: Final[tuple[Migration, ...]] = (
    _create,
    _remember_feeds,
    _accept_problems,
    make_outbox,
    _make_properties,
    _make_traits,
    _make_webhooks,
    index_times,
)
"""In the order in which they were introduced: a file has the first so many of them."""
NEWEST_SCHEMA: Final = len(LEDGER_MIGRATIONS)
