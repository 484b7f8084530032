"""Secrets as a table, while they are moved: opened with the key of this machine, and compared as such."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from busyd.store.table_copy import AT_ONCE, Rows, Table

_COLUMNS: Final = ("name", "secret")


class SecretTables:
    """`StoreTables` with one table, in memory."""

    def __init__(self, name: str, texts: Mapping[str, str]) -> None:
        self.name = name
        self.texts = dict(texts)

    def describe(self) -> Mapping[str, Table]:
        return {"secret": Table(frozenset(_COLUMNS))}

    def count_rows(self, table: str) -> int:
        del table
        return len(self.texts)

    def read_rows(self, table: str, columns: Sequence[str]) -> Iterator[Rows]:
        assert tuple(columns) == _COLUMNS, table
        rows = list(self.texts.items())
        yield from (rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE))

    def insert(self, table: str, rows: Iterable[Rows], *, columns: Sequence[str]) -> None:
        assert tuple(columns) == _COLUMNS, table
        for some in rows:
            self.texts.update((str(name), str(secret)) for name, secret in some)
