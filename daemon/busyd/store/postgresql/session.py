"""The statements of `busyd.store`, run by psycopg."""

import functools
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from psycopg import Connection, RawCursor
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int8BinaryDumper

from busyd.store.engine import Rows

_PLACE: Final = re.compile(r"\?([0-9]*)")
_ESCAPE: Final = "\uf8ff"


class PostgresSession:
    """A connection as the statements use it: a `SqlSession`."""

    def __init__(self, connection: Connection[TupleRow]) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        return RawCursor(self._connection).execute(numbered(statement), values, binary=True)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> Rows:
        cursor = RawCursor(self._connection)
        cursor.executemany(numbered(statement), rows)  # in a pipeline: one round trip, not one a row
        return cursor


@functools.lru_cache(maxsize=1024)
def numbered(statement: str) -> bytes:
    """A statement with PostgreSQL's places for values, $1 and so on, instead of `?` and `?1`."""
    count = itertools.count(1)
    return _PLACE.sub(lambda place: f"${place[1] or next(count)}", statement).encode()


class TextDumper(Dumper):
    """Text as UTF-8. PostgreSQL keeps no U+0000, which an iCalendar UID may have: it is written another way."""

    def dump(self, obj: str) -> Buffer:
        if "\0" in obj or _ESCAPE in obj:
            obj = obj.replace(_ESCAPE, f"{_ESCAPE}1").replace("\0", f"{_ESCAPE}0")
        return obj.encode()


class TextLoader(Loader):
    """Text as `TextDumper` has written it."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        text = bytes(data).decode()
        if _ESCAPE in text:
            text = text.replace(f"{_ESCAPE}0", "\0").replace(f"{_ESCAPE}1", _ESCAPE)
        return text


def adapt(connection: Connection[TupleRow]) -> None:
    """Have values of a connection go there and back as SQLite has them: integers of 64 bits, text, bytes, None."""
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    connection.adapters.register_dumper(str, TextDumper)
    connection.adapters.register_loader("text", TextLoader)
