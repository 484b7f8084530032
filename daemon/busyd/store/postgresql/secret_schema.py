"""The table of sealed secrets, as numbered migrations. What opens them is never in the database."""

from typing import Final

from busyd.store.postgresql.connection import StoredTables
from busyd.store.postgresql.schema import TEXT
from busyd.store.postgresql.session import PostgresSession


def _first(db: PostgresSession) -> None:
    for statement in (
        # Taken anew by whatever is written, one transaction after the other: the highest one tells daemons to look.
        "CREATE SEQUENCE moved",
        f"CREATE TABLE secret (name {TEXT} PRIMARY KEY, sealed BYTEA NOT NULL,"
        " moved BIGINT NOT NULL DEFAULT nextval('moved'))",
    ):
        db.execute(statement)


SECRETS: Final = StoredTables("secrets", (_first,), lock=0x62757379_05, is_kept=True)
