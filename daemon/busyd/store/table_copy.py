"""Copying the tables of a store from one engine to the other, row by row, with ids and digests as they are.

What tables and columns there are is asked of both engines. What only one of them knows is an error, never left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Final, Protocol

from msgspec import Struct

from busyd.store.errors import StorageUnusable
from busyd.store.statements.digests import digest_of

AT_ONCE: Final = 100
"""Rows that are in memory together: some have megabytes."""
_DIGESTS: Final = 2**128

Rows = Sequence[tuple[object, ...]]


class Table(Struct, frozen=True):
    """What a table is made of, as its engine says."""

    columns: frozenset[str]
    computed: frozenset[str] = frozenset()
    """Of these, what the engine computes of others."""
    hidden: frozenset[str] = frozenset()
    """Of these, what the other engine need not know: the number that SQLite gives every row."""
    parents: frozenset[str] = frozenset()
    """The tables to which it refers."""


class CopyProgress(Struct, frozen=True):
    """How far the copy of a table has come, in rows."""

    table: str
    done: int
    total: int


Tell = Callable[[CopyProgress], None]


class StoreTables(Protocol):
    """The tables of one store, within a transaction."""

    name: str
    """As a person is told of the store."""

    def describe(self) -> Mapping[str, Table]:
        """Name -> table, of all that the other engine has to have too."""

    def count_rows(self, table: str) -> int: ...

    def read_rows(self, table: str, columns: Sequence[str]) -> Iterator[Rows]:
        """All rows, at most `AT_ONCE` at a time."""

    def insert(self, table: str, rows: Iterable[Rows], *, columns: Sequence[str]) -> None:
        """Add rows. None is refused, and nothing follows of it."""


class TableSum(Struct):
    """What the rows of a table are, in whatever order."""

    rows: int = 0
    digest: int = 0

    def add(self, rows: Rows) -> None:
        self.rows += len(rows)
        self.digest = (self.digest + sum(int.from_bytes(digest_of(row), "big") for row in rows)) % _DIGESTS


Sums = Mapping[str, TableSum]
"""Table -> what its rows are."""


def copy_tables(source: StoreTables, target: StoreTables, *, tell: Tell) -> Sums:
    """Copy all rows; what was read. Raises StorageError as the engines do, StorageUnusable as `plan_tables`."""
    tables = target.describe()
    return {
        name: _copy_table(source, target, table=name, columns=columns, computed=len(tables[name].computed), tell=tell)
        for name, columns in plan_tables(source, target).items()
    }


def _copy_table(
    source: StoreTables, target: StoreTables, *, table: str, columns: Sequence[str], computed: int, tell: Tell
) -> TableSum:
    """`computed` is how many columns, the last ones, are not inserted."""
    copied, count, given = TableSum(), source.count_rows(table), len(columns) - computed

    def rows() -> Iterator[Rows]:
        for some in source.read_rows(table, columns):
            copied.add(some)
            yield [row[:given] for row in some]
            tell(CopyProgress(table, copied.rows, count))

    target.insert(table, rows(), columns=columns[:given])
    return copied


def copy_and_compare(source: StoreTables, target: StoreTables) -> None:
    """Copy all rows, and read them again where they have arrived.

    Raises as `copy_tables`, and StorageUnusable where something has arrived otherwise than it was sent.
    """
    sent = copy_tables(source, target, tell=lambda _: None)
    arrived = sum_tables(target, source)
    if sent != arrived:
        message = f"what has arrived in {target.name} is not what {source.name} has ({differing(sent, arrived)})"
        raise StorageUnusable(message, fix="nothing was changed: try it again, and report it if it stays so")


def differing(left: Sums, right: Sums) -> str:
    """The names of the tables that differ."""
    return ", ".join(sorted(table for table in left if left[table] != right[table]))


def sum_tables(tables: StoreTables, other: StoreTables) -> Sums:
    """What the rows are, of all that `other` has to have too. Raises as `copy_tables`."""
    sums = {}
    for name, columns in plan_tables(other, tables).items():
        sums[name] = TableSum()
        for rows in tables.read_rows(name, columns):
            sums[name].add(rows)
    return sums


def plan_tables(source: StoreTables, target: StoreTables) -> dict[str, tuple[str, ...]]:
    """Table -> its columns, those that are computed last; each table after those to which it refers.

    Raises StorageUnusable with the names of the tables and columns that one of both does not know.
    """
    theirs, ours = source.describe(), target.describe()
    unknown = [f"{target.name} has no table {name}" for name in sorted(theirs.keys() - ours.keys())]
    unknown += [f"{source.name} has no table {name}" for name in sorted(ours.keys() - theirs.keys())]
    for name in sorted(theirs.keys() & ours.keys()):
        old, new = theirs[name], ours[name]
        unknown += [
            f"{target.name} has no column {name}.{one}" for one in sorted(old.columns - old.hidden - new.columns)
        ]
        unknown += [
            f"{source.name} has no column {name}.{one}" for one in sorted(new.columns - new.hidden - old.columns)
        ]
    if unknown:
        raise StorageUnusable("; ".join(unknown), fix="this busyd cannot move it: please report this")
    order = TopologicalSorter({name: theirs[name].parents - {name} for name in sorted(theirs)}).static_order()
    return {name: _columns(theirs[name], ours[name]) for name in order}


def _columns(old: Table, new: Table) -> tuple[str, ...]:
    return tuple(sorted(old.columns & new.columns, key=lambda column: (column in new.computed, column)))
