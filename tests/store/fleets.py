"""What tests of several daemons on one database have in common."""

import contextlib
from collections.abc import Callable

from busyd.store.postgresql.connection import StoredTables, TransactionConnection
from busyd.store.postgresql.fleet import Fleet
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.server import DatabaseServer

Begin = Callable[[str], Fleet]


def opened_by(fleet: Fleet, tables: StoredTables = MIRROR) -> contextlib.closing[TransactionConnection]:
    return contextlib.closing(TransactionConnection(fleet.server, tables))


def let_expire(fleet: Fleet) -> None:
    """As if the database's clock had gone on by more than a lease."""
    with contextlib.closing(fleet.server.connect("fleet")) as other:
        past = "UPDATE session SET until=clock_timestamp() - interval '1 s' WHERE id=%s"
        other.execute(past, (fleet.server.session,))


def until_waiting(server: DatabaseServer, count: int) -> None:
    """Return once so many statements wait for a lock that another one has."""
    query = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname=current_database() AND wait_event_type='Lock'"
    with contextlib.closing(server.connect("fleet")) as other:
        for _ in range(20_000):  # else a statement has failed, and its test says how
            if other.execute(query).fetchone() == (count,):
                break
