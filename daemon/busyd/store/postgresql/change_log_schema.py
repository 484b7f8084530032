"""The tables of the log of changes, as numbered migrations, with the columns of those of SQLite; see `schema.py`."""

from typing import Final

from busyd.store.postgresql.connection import StoredTables
from busyd.store.postgresql.schema import TEXT
from busyd.store.postgresql.session import PostgresSession


def _first(db: PostgresSession) -> None:
    for statement in (
        f"CREATE TABLE entry (number BIGINT PRIMARY KEY, at BIGINT NOT NULL, event {TEXT}, profiles {TEXT},"
        f" body BYTEA NOT NULL, token {TEXT} DEFAULT '', origin BYTEA NOT NULL DEFAULT '', starts BIGINT, ends BIGINT)",
        "CREATE INDEX entry_span ON entry (starts, ends) WHERE starts IS NOT NULL",
        "CREATE INDEX entry_of_all_time ON entry (number) WHERE starts IS NULL",
        f"CREATE TABLE told (profile {TEXT} PRIMARY KEY, snapshot BYTEA NOT NULL, since BIGINT)",
        f"CREATE TABLE failing (name {TEXT} PRIMARY KEY)",
        f"CREATE TABLE told_appointment (id {TEXT} PRIMARY KEY, told {TEXT})",
        "CREATE TABLE counter (newest BIGINT NOT NULL, dropped BIGINT)",
        "INSERT INTO counter (newest) VALUES (0)",
        f"CREATE TABLE hours (profile {TEXT}, at BIGINT NOT NULL, hours {TEXT}, PRIMARY KEY (profile, at))",
    ):
        db.execute(statement)


CHANGE_LOG: Final = StoredTables("changes", (_first,), lock=0x62757379_03)
