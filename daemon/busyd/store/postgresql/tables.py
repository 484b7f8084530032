"""The tables of a schema, as they are copied to and from those of another engine."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from busyd.store.errors import StorageDamaged, StorageUnusable
from busyd.store.postgresql.connection import StoredTables
from busyd.store.postgresql.session import PostgresSession
from busyd.store.table_copy import AT_ONCE, Rows, Table

_VERSION: Final = "schema_version"
"""What SQLite has in the header of the file."""


class PostgresTables:
    """`StoreTables` in a session, within a transaction."""

    def __init__(self, db: PostgresSession, stored: StoredTables, *, name: str) -> None:
        self._db = db
        self._stored = stored
        self.name = name

    def require_sound(self) -> None:
        """Raises StorageDamaged, and StorageUnusable where the tables are not of the newest schema."""
        version, is_damaged = self._db.execute(
            f"SELECT version, damaged FROM {self._stored.schema}.{_VERSION}"
        ).fetchone()
        newest = len(self._stored.migrations)
        if is_damaged:
            message = f"the tables of {self.name} were found damaged"
            raise StorageDamaged(message, fix="start busyd where it is, which repairs what it can")
        if version != newest:
            age, fix = (
                ("a newer", "use that version")
                if version > newest
                else ("an older", "start this version once where it is, which brings it up to date")
            )
            message = f"{self.name} was written by {age} busyd (schema {version}, this one knows {newest})"
            raise StorageUnusable(message, fix=fix)

    def describe(self) -> Mapping[str, Table]:
        columns: dict[str, set[str]] = defaultdict(set)
        computed: dict[str, set[str]] = defaultdict(set)
        for table, column, is_computed in self._db.execute(_COLUMNS, (self._stored.schema,)):
            if {table, f"{table}.{column}"}.isdisjoint({_VERSION, *self._stored.only_here}):
                columns[table].add(column)
                if is_computed:
                    computed[table].add(column)
        parents: dict[str, set[str]] = defaultdict(set)
        for table, parent in self._db.execute(_PARENTS, (self._stored.schema,)):
            parents[table].add(parent)
        return {
            name: Table(frozenset(found), frozenset(computed[name]), parents=frozenset(parents[name]))
            for name, found in columns.items()
        }

    def count_rows(self, table: str) -> int:
        count: int = self._db.execute(f"SELECT COUNT(*) FROM {self._stored.schema}.{table}").fetchone()[0]
        return count

    def read_rows(self, table: str, columns: Sequence[str]) -> Iterator[Rows]:
        query = f"SELECT {', '.join(columns)} FROM {self._stored.schema}.{table}"
        self._db.execute(f"DECLARE rows_of_{table} CURSOR FOR {query}")
        while rows := self._db.execute(f"FETCH {AT_ONCE} FROM rows_of_{table}").fetchall():
            yield rows
        self._db.execute(f"CLOSE rows_of_{table}")

    def insert(self, table: str, rows: Iterable[Rows], *, columns: Sequence[str]) -> None:
        places = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {self._stored.schema}.{table} ({', '.join(columns)}) VALUES ({places})"
        for some in rows:
            self._db.executemany(statement, some)

    def begin_filling(self) -> None:
        """Have the new tables empty, and no rule that refuses what was there."""
        for name in self.describe():
            self._db.execute(f"DELETE FROM {self._stored.schema}.{name}")
        for statement in self._stored.before_moving:
            self._db.execute(statement)

    def end_filling(self) -> None:
        """Have the rules again, and ids that were never used; and let the server know how much there is."""
        for statement in self._stored.after_moving:
            self._db.execute(statement)
        for table, column in self._db.execute(_COUNTERS, (self._stored.schema,)).fetchall():
            name = f"{self._stored.schema}.{table}"
            self._db.execute(
                f"SELECT setval(pg_get_serial_sequence('{name}', '{column}'), last)"
                f" FROM (SELECT MAX({column}) AS last FROM {name}) AS used WHERE last IS NOT NULL"
            )
        for name in self.describe():
            self._db.execute(f"ANALYZE {self._stored.schema}.{name}")


_COLUMNS: Final = (
    "SELECT CAST(relname AS text), CAST(attname AS text), attgenerated <> '' FROM pg_class"
    " JOIN pg_namespace ON pg_namespace.oid=relnamespace JOIN pg_attribute ON attrelid=pg_class.oid"
    " WHERE nspname=? AND relkind='r' AND attnum > 0 AND NOT attisdropped ORDER BY relname, attname"
)
_PARENTS: Final = (
    "SELECT CAST(child.relname AS text), CAST(parent.relname AS text) FROM pg_constraint"
    " JOIN pg_class child ON child.oid=conrelid JOIN pg_class parent ON parent.oid=confrelid"
    " JOIN pg_namespace ON pg_namespace.oid=connamespace WHERE contype='f' AND nspname=?"
)
_COUNTERS: Final = (
    "SELECT CAST(relname AS text), CAST(attname AS text) FROM pg_class"
    " JOIN pg_namespace ON pg_namespace.oid=relnamespace JOIN pg_attribute ON attrelid=pg_class.oid"
    " WHERE nspname=? AND relkind='r' AND attidentity <> ''"
)
