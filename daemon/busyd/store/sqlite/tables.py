"""The tables of a file, as they are copied to and from those of another engine."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

from busyd.store.table_copy import AT_ONCE, Rows, Table


class SqliteTables:
    """`StoreTables` on a connection, within a transaction."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self.name = name

    def describe(self) -> Mapping[str, Table]:
        query = "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'"
        return {name: self._table(name) for (name,) in self._connection.execute(query).fetchall()}

    def _table(self, name: str) -> Table:
        described = self._connection.execute(f"PRAGMA table_xinfo({name})").fetchall()
        columns = {column for _, column, *_ in described}
        computed = {row[1] for row in described if row[6] in (2, 3)}
        numbered = any(row[5] and row[2] == "INTEGER" for row in described)  # then `rowid` is another name of that
        hidden = frozenset() if numbered else frozenset({"rowid"})
        parents = {row[2] for row in self._connection.execute(f"PRAGMA foreign_key_list({name})")}
        return Table(frozenset(columns) | hidden, frozenset(computed), hidden, frozenset(parents))

    def count_rows(self, table: str) -> int:
        count: int = self._connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
        return count

    def read_rows(self, table: str, columns: Sequence[str]) -> Iterator[Rows]:
        found = self._connection.execute(f"SELECT {', '.join(columns)} FROM {table}")
        while rows := found.fetchmany(AT_ONCE):
            yield rows

    def insert(self, table: str, rows: Iterable[Rows], *, columns: Sequence[str]) -> None:
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        for some in rows:
            self._connection.executemany(statement, some)

    def begin_filling(self) -> None:
        """Have the new tables empty, and no rule that refuses what was there."""
        for name in self.describe():
            self._connection.execute(f"DELETE FROM {name}")
        query = "SELECT name, sql FROM sqlite_master WHERE type='trigger'"
        self._rules = self._connection.execute(query).fetchall()
        for name, _ in self._rules:
            self._connection.execute(f"DROP TRIGGER {name}")

    def end_filling(self) -> None:
        """Have the rules again."""
        for _, rule in self._rules:
            self._connection.execute(rule)
