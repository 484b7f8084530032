"""What is to be seen of the daemons on a database. Needs no session of its own, and changes nothing."""

from typing import Final

from msgspec import Struct

from busyd.period import Instant
from busyd.store.postgresql.fleet_connection import FleetConnection

_DAEMONS: Final = """
SELECT name, address, CAST(floor(extract(epoch FROM until)) AS BIGINT),
  CAST(floor(extract(epoch FROM until - clock_timestamp())) AS BIGINT),
  (SELECT COUNT(*) FROM lease WHERE session=session.id AND connection<>''), id,
  COALESCE(to_jsonb(session)->>'config_digest', '')
FROM session ORDER BY name, begun
"""
_OLDEST_WRITE: Final = (
    "SELECT CAST(COALESCE(MAX(extract(epoch FROM clock_timestamp() - xact_start)), 0) AS DOUBLE PRECISION)"
    " FROM pg_stat_activity WHERE datname=current_database() AND backend_xid IS NOT NULL AND pid<>pg_backend_pid()"
)


class SeenDaemon(Struct, frozen=True):
    """A daemon with a session: one that has expired is there until another daemon has ended it."""

    name: str
    address: str
    until: Instant
    """When the session ends unless it is renewed, by the database's clock."""
    left: int
    """Seconds until then; negative when it has expired."""
    connections: int
    """How many it polls."""
    session: int
    config_digest: str
    """Of the configuration that it answers by; empty until it has said so, and before the tables were migrated."""


def read_daemons(connection: FleetConnection) -> list[SeenDaemon]:
    """All of them, by name. Raises StorageError."""
    return [SeenDaemon(*row) for row in connection.execute(_DAEMONS)]


def read_time(connection: FleetConnection) -> Instant:
    """What time it is by the database. Raises StorageError."""
    return Instant(connection.execute("SELECT CAST(floor(extract(epoch FROM clock_timestamp())) AS BIGINT)")[0][0])


def oldest_write(connection: FleetConnection) -> float:
    """For how many seconds the oldest transaction that writes this database has run; 0 when none does.

    All that write wait for it where it holds what they need. Of another user's, nothing is known without more rights.
    Raises StorageError.
    """
    return float(connection.execute(_OLDEST_WRITE)[0][0])
