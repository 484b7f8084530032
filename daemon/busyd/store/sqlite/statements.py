"""What every group of statements has: its connection, and what is said of the store as a whole."""

import sqlite3


class Statements:
    """Statements on one connection, to be run on the store's thread. They raise sqlite3.Error."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def ping(self) -> None:
        """Do nothing but answer."""
        self._db.execute("SELECT 1")

    def generation(self) -> int:
        """Grows with each change of what could change an answer."""
        return int(self._db.execute("SELECT value FROM meta WHERE name='generation'").fetchone()[0])

    def advance_generation(self) -> None:
        self._db.execute("UPDATE meta SET value=CAST(value AS INTEGER)+1 WHERE name='generation'")

    def read_meta(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return row[0] if row else None

    def record_meta(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?,?)", (name, value))
