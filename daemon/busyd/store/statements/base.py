"""What every group of statements has: its session, and what is said of the store as a whole."""

from collections.abc import Mapping, Sequence
from typing import Final

from busyd.store.engine import SqlSession

_LAST: Final = "\U0010ffff"
"""Sorts after every other character."""


class Statements:
    """Statements in one session, to be run on the store's thread. They raise what the engine does."""

    def __init__(self, db: SqlSession) -> None:
        self._db = db
        self.has_changed_members = False
        """Collections that busyd serves have other members now, or versions of them."""
        self.index_version = ""
        """What entries are made with that are put here, see `IndexStatements.keeps_index`; empty: whatever there is."""

    def ping(self) -> None:
        """Do nothing but answer."""
        self._db.execute("SELECT 1")

    def generation_of(self, calendar: int) -> int:
        """Another number, never used before, after each change of what a calendar says of time; 0 before the first."""
        row = self._db.execute("SELECT generation FROM calendar WHERE id=?", (calendar,)).fetchone()
        return row[0] if row else 0

    def generations(self) -> Mapping[int, int]:
        """The same of all calendars."""
        return dict(self._db.execute("SELECT id, generation FROM calendar"))

    def advance_generation(self, calendar: int) -> None:
        """What a calendar says of time has changed. Ids may come again, generations do not."""
        self._db.execute("UPDATE meta SET value=CAST(value AS BIGINT)+1 WHERE name='generation'")
        self._db.execute(
            "UPDATE calendar SET generation=(SELECT CAST(value AS BIGINT) FROM meta WHERE name='generation')"
            " WHERE id=?",
            (calendar,),
        )

    def read_meta(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return row[0] if row else None

    def read_metas(self, beginning: str) -> dict[str, str]:
        """Name -> value of all names that begin so."""
        query = "SELECT name, value FROM meta WHERE name>=? AND name<?"
        return dict(self._db.execute(query, (beginning, beginning + _LAST)).fetchall())

    def record_meta(self, name: str, value: str) -> None:
        self._db.execute(upsert("meta", ("name", "value")), (name, value))


def upsert(table: str, columns: Sequence[str], *, keys: int = 1) -> str:
    """Insert a row, or replace the one with the same key, which is the first column or the first so many."""
    values = ", ".join("?" * len(columns))
    changes = ", ".join(f"{name}=excluded.{name}" for name in columns[keys:])
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"
        f" ON CONFLICT ({', '.join(columns[:keys])}) DO UPDATE SET {changes}"
    )
