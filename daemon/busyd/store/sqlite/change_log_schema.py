"""The tables of the log of changes, as numbered migrations. A migration is never edited once released; a new one is
added.
"""

import sqlite3
from typing import Final

from busyd.store.sqlite.connection import Migration


def _create(connection: sqlite3.Connection) -> None:
    for statement in (
        "CREATE TABLE entry (number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, event TEXT NOT NULL,"
        " profiles TEXT NOT NULL, body BLOB NOT NULL) STRICT",  # profiles: their names, with blanks between them
        "CREATE TABLE told (profile TEXT PRIMARY KEY, snapshot BLOB NOT NULL) STRICT",
        "CREATE TABLE failing (name TEXT PRIMARY KEY) STRICT",
    ):
        connection.execute(statement)


def _tell_of_appointments(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE entry ADD COLUMN token TEXT NOT NULL DEFAULT ''")
    connection.execute("CREATE TABLE told_appointment (id TEXT PRIMARY KEY, told TEXT NOT NULL) STRICT")


def _count(connection: sqlite3.Connection) -> None:
    for statement in (
        "CREATE TABLE counter (newest INTEGER NOT NULL) STRICT",  # the number of the last entry ever written
        "INSERT INTO counter (newest) SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name='entry'), 0)",
    ):
        connection.execute(statement)


def _tell_of_origins(connection: sqlite3.Connection) -> None:
    """Which time an entry is about, where it comes from, and from when on nothing is missing."""
    text = "CAST(body AS TEXT)"
    start, end = (f"CAST(strftime('%s', json_extract({text}, '$.{name}')) AS INTEGER)" for name in ("start", "end"))
    for statement in (
        "ALTER TABLE entry ADD COLUMN origin BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE entry ADD COLUMN starts INTEGER",
        "ALTER TABLE entry ADD COLUMN ends INTEGER",
        f"UPDATE entry SET starts={start}, ends={end} WHERE event IN ('busy', 'free', 'appointment')",
        "CREATE INDEX entry_span ON entry (starts, ends) WHERE starts IS NOT NULL",
        "CREATE INDEX entry_of_all_time ON entry (number) WHERE starts IS NULL",
        "ALTER TABLE told ADD COLUMN since INTEGER",  # of what was told when nothing was kept: at the next change
        "UPDATE told SET since=(SELECT MIN(at) FROM entry)",
        "ALTER TABLE counter ADD COLUMN dropped INTEGER",  # when the youngest entry was written that is not kept
    ):
        connection.execute(statement)


def _tell_of_hours(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE hours (profile TEXT NOT NULL, at INTEGER NOT NULL, hours TEXT NOT NULL,"
        " PRIMARY KEY (profile, at)) STRICT"
    )


CHANGE_LOG_MIGRATIONS: Final[tuple[Migration, ...]] = (
    _create,
    _tell_of_appointments,
    _count,
    _tell_of_origins,
    _tell_of_hours,
)
