"""Stores with rows in every table, of every kind that a column can have; and all that is in them, to compare."""

import contextlib
import random
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from busyd.store.change_log import CHANGES_FILE, open_changes
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.mirror import MIRROR_FILE
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from busyd.store.store import Store

FILES: Final = {"mirror": MIRROR_FILE, "changes": CHANGES_FILE, "ledger": LEDGER_FILE}
ONLY_IN_POSTGRESQL: Final = ("schema_version", "blocked", "deletion", "moved", "place")
"""Tables and columns."""
TEXTS: Final = (
    "",
    "a",
    "A",
    "\0",
    "\uf8ff",
    "\uf8ff0",
    "\uf8ff1\0",
    "ä",
    "a%b",
    "?1",
    "'",
    "\\x00",
    "\n\r\t",
    "z" * 3000,
)
NUMBERS: Final = (0, 1, -1, 2**31, -(2**40), 2**63 - 1, -(2**63))

Dump = Mapping[str, list[tuple[Any, ...]]]
"""`store.table` -> its rows in order, each column with its name."""


def make_stores(state: Path) -> None:
    """New stores, as a daemon makes them at its first start."""
    state.mkdir(exist_ok=True)
    Store.open(state / MIRROR_FILE).close()
    open_changes(state / CHANGES_FILE).close()
    Ledger.open(state / LEDGER_FILE).close()


def fill_stores(state: Path, seed: int, *, rows: int = 5) -> None:
    """Have some rows more in every table, always the same of a seed; no rule of the tables is asked."""
    make_stores(state)
    chance = random.Random(seed)
    for name in FILES.values():
        with contextlib.closing(sqlite3.connect(state / name)) as connection:
            _fill(connection, chance, rows=rows)
        (state / f"{name}.seal").unlink(missing_ok=True)  # it was another file that was closed in order


def _fill(connection: sqlite3.Connection, chance: random.Random, *, rows: int) -> None:
    rules = connection.execute("SELECT name, sql FROM sqlite_master WHERE type='trigger'").fetchall()
    for name, _ in rules:
        connection.execute(f"DROP TRIGGER {name}")
    query = "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    for (table,) in connection.execute(query).fetchall():
        parents = {row[3]: row[2] for row in connection.execute(f"PRAGMA foreign_key_list({table})")}
        described = [row for row in connection.execute(f"PRAGMA table_xinfo({table})") if row[6] == 0]
        for _ in range(rows):
            row = {column[1]: _value(connection, chance, column, of=parents.get(column[1], "")) for column in described}
            if table == "booking":
                _set_in_order(row, chance)
            columns, places = ", ".join(row), ", ".join("?" * len(row))
            connection.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({places})", [*row.values()])
        assert connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0], f"{table} is empty"
    for _, rule in rules:
        connection.execute(rule)
    connection.commit()


def _value(connection: sqlite3.Connection, chance: random.Random, column: tuple[Any, ...], *, of: str) -> object:
    """A value for a column, as `table_xinfo` describes it; of the key of another table where it refers to that."""
    _, name, kind, is_required, _, key, _ = column
    if of:
        key = _key(connection, of)
        return chance.choice(connection.execute(f"SELECT {key} FROM {of} ORDER BY {key}").fetchall())[0]
    if not is_required and not key and chance.random() < 0.3:
        return None
    if kind == "TEXT":
        return f"{chance.choice(TEXTS)}{chance.randrange(10**6) if key or chance.random() < 0.5 else ''}"
    if kind == "BLOB":
        return chance.choice([b"", b"\0", b"\0x\\", chance.randbytes(40), chance.randbytes(5000)])
    if key and kind == "INTEGER":
        return chance.randrange(1, 2**40)
    return chance.randrange(2**31) if name == "rows" else chance.choice([*NUMBERS, chance.randrange(10**10)])


def _key(connection: sqlite3.Connection, table: str) -> str:
    (name,) = [row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})") if row[5]]
    return str(name)


def _set_in_order(row: dict[str, Any], chance: random.Random) -> None:
    """A booking has spans that are not empty, and few values of what is compared."""
    for start, end in (("starts", "ends"), ("target_starts", "target_ends")):
        row[start] = chance.randrange(20)
        row[end] = row[start] + chance.randrange(1, 10)
    if chance.random() < 0.5:
        row["target_starts"] = row["target_ends"] = None
    row["state"] = chance.choice(["booked", "sending", "cancelled", "removed"])
    row["kind"] = chance.choice(["appointment", "claim", "block", "hold"])
    row["profile"] = chance.choice(["anna", "ben"])
    row["parent"] = chance.choice(["", row["parent"]])
    row["touched"], row["forced"] = chance.choice([(0, 0), (0, 0), (0, 1), (1, 0)])


def dump_files(state: Path) -> Dump:
    """All that is in the files, also the number of each row that has one of its own."""
    dump = {}
    for store, name in FILES.items():
        with contextlib.closing(sqlite3.connect(state / name)) as connection:
            query = "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'"
            for (table,) in connection.execute(query).fetchall():
                number = "rowid, " if table == "booking" else ""
                cursor = connection.execute(f"SELECT {number}* FROM {table}")
                dump[f"{store}.{table}"] = _sorted([one[0] for one in cursor.description], cursor)
    return dump


def dump_database(database: DatabaseServer) -> Dump:
    """The same of a database."""
    dump = {}
    with contextlib.closing(database.connect("pg_catalog")) as connection:
        query = b"SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('mirror', 'changes', 'ledger')"
        for store, table in connection.execute(query).fetchall():
            if table not in ONLY_IN_POSTGRESQL:
                cursor = connection.execute(f"SELECT * FROM {store}.{table} LIMIT 0".encode())
                names = [column.name for column in cursor.description or () if column.name not in ONLY_IN_POSTGRESQL]
                rows = PostgresSession(connection).execute(f"SELECT {', '.join(names)} FROM {store}.{table}")
                dump[f"{store}.{table}"] = _sorted(names, rows)
    return dump


def _sorted(names: list[str], rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted((tuple(sorted(zip(names, row, strict=True))) for row in rows), key=repr)


def what_is_blocked(database: DatabaseServer) -> set[tuple[Any, ...]]:
    """What the constraint of the ledger holds."""
    with contextlib.closing(database.connect("ledger")) as connection:
        query = "SELECT booking, family, profile, lower(span), upper(span) FROM blocked"
        return set(PostgresSession(connection).execute(query))
