"""Several daemons on one database: the session of this one, and which connections it owns.

Why it is right is in `fleet_schema.py`. Every change is a single statement, so a stopped daemon blocks nobody, and
repeating one whose answer was lost does no harm.
"""

import math
import secrets
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.period import Instant
from busyd.store.postgresql.connection import TIMELINE, TransactionConnection
from busyd.store.postgresql.database_clock import Renewal, since_boot
from busyd.store.postgresql.fleet_connection import FleetConnection
from busyd.store.postgresql.fleet_schema import FLEET
from busyd.store.postgresql.server import APPLICATION, DatabaseServer

LEASE: Final = 30
"""Seconds that a session lives after it was renewed."""
RENEW_EVERY: Final = 10
"""Seconds."""
SHARED_DUTIES: Final = ""
"""The connection that stands for what only one daemon may do: the log of changes, and webhooks."""
FREE_FOR_ALL: Final = 10.0
"""Seconds after which what nobody has claimed is claimed by whoever can, even beyond its share."""
_SLACK: Final = 1.1
"""A session hands nothing over until it owns more than this multiple of its share."""
_HANDED_OVER: Final = 0.05
"""The fraction of its connections that a session hands over in one go."""

_BEGIN: Final = (
    "INSERT INTO session (id, name, address, until)"
    " VALUES (?, ?, ?, clock_timestamp() + make_interval(secs => ?)) ON CONFLICT DO NOTHING"
)
_RENEW: Final = (
    "UPDATE session SET until=clock_timestamp() + make_interval(secs => ?) WHERE id=? AND until>clock_timestamp()"
    f" AND timeline={TIMELINE}"
    " RETURNING CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"
)
_END_BACKENDS: Final = (
    f"SELECT pg_terminate_backend(pid) FROM session JOIN pg_stat_activity ON application_name='{APPLICATION}:' || id"
    " WHERE until<clock_timestamp() AND usename=current_user AND pid<>pg_backend_pid()"
)
_TAKE_OVER: Final = """
WITH ended AS (SELECT id FROM session WHERE until<clock_timestamp() FOR UPDATE SKIP LOCKED),
  freed AS (
    SELECT connection FROM lease WHERE session IN (SELECT id FROM ended) ORDER BY connection FOR NO KEY UPDATE)
DELETE FROM session USING ended WHERE session.id=ended.id AND (SELECT COUNT(*) FROM freed)>=0 RETURNING name
"""
"""Here and in `_REPORT` leases are locked by name: a session that has expired may still be reporting."""
_COUNTS: Final = (
    "SELECT (SELECT COUNT(*) FROM lease), (SELECT COUNT(*) FROM session WHERE until>clock_timestamp()),"
    " (SELECT COUNT(*) FROM lease WHERE session=?)"
)
_CLAIM: Final = """
WITH own AS (SELECT id, name FROM session WHERE id=?1 AND until>clock_timestamp() FOR KEY SHARE),
  free AS (
    SELECT lease.connection FROM own JOIN declared ON declared.session=own.id JOIN lease USING (connection)
    WHERE lease.session IS NULL AND free_since<=clock_timestamp() - make_interval(secs => ?3)
    ORDER BY last_name=own.name DESC, connection LIMIT ?2 FOR UPDATE OF lease SKIP LOCKED)
UPDATE lease SET session=own.id, last_name=own.name FROM own, free WHERE lease.connection=free.connection
"""
_EXCESS: Final = """
WITH hungry AS (
  SELECT id FROM session WHERE id<>?1 AND until>clock_timestamp()
    AND (SELECT COUNT(*) FROM lease WHERE session=session.id)<?2)
SELECT connection FROM lease WHERE session=?1 AND connection<>?3
  AND EXISTS (SELECT FROM declared JOIN hungry ON session=id WHERE declared.connection=lease.connection)
ORDER BY connection DESC LIMIT ?4
"""
_RELEASE: Final = """
WITH own AS (SELECT id FROM session WHERE id=?1 AND until>clock_timestamp() FOR UPDATE)
UPDATE lease SET session=NULL FROM own WHERE lease.session=own.id AND connection=ANY(?2)
"""
_REPORT: Final = """
WITH told AS (SELECT * FROM unnest(CAST(?1 AS TEXT[]), CAST(?2 AS TEXT[])) AS told (connection, health)),
  own AS (
    SELECT connection FROM lease WHERE session=?3 AND connection=ANY(?1) ORDER BY connection FOR NO KEY UPDATE)
UPDATE lease SET health=told.health, reported=clock_timestamp() FROM own JOIN told USING (connection)
WHERE lease.connection=own.connection AND session=?3
"""
_OWNERS: Final = (
    "SELECT connection, COALESCE(name, ''), COALESCE(address, ''), CAST(floor(extract(epoch FROM until)) AS BIGINT)"
    " FROM lease LEFT JOIN session ON session.id=lease.session ORDER BY connection"
)


class ConnectionOwner(Struct, frozen=True):
    """Who polls a connection."""

    connection: str
    name: str
    """Of the daemon; empty when nobody does."""
    address: str
    until: Instant | None
    """When its session ends unless it is renewed, by the database's clock."""


class Fleet(FleetConnection):
    """The session of this process, and its leases. Its methods block, and raise StorageError.

    For one thread alone; only `wake` is for any other.
    """

    def __init__(self, server: DatabaseServer) -> None:
        """Makes the tables where there are none."""
        TransactionConnection(server, FLEET).close()
        super().__init__(server)

    def begin(self, name: str, address: str) -> int:
        """Begin a session; the one there was is left to end. `address` is where others reach this daemon.

        The stores that a daemon writes are opened with `server` as it is then.
        """
        session = secrets.randbits(63)
        self.use(replace(self.server, session=session))
        self.execute(_BEGIN, (session, name, address, float(LEASE)))
        return session

    def renew(self) -> Renewal:
        """Let the session live for `LEASE` seconds from now on. Raises SessionEnded: begin another one."""
        sent = since_boot()
        rows = self.execute(_RENEW, (float(LEASE), self.server.session))
        answered = since_boot()
        if not rows:
            raise self.server.session_ended()
        return Renewal(rows[0][0], sent, answered)

    def tell_config_digest(self, digest: str) -> None:
        """Tell the others by what configuration this daemon answers."""
        self.execute("UPDATE session SET config_digest=? WHERE id=?", (digest, self.server.session))

    def take_over(self) -> list[str]:
        """End sessions that have expired; the names of their daemons. One that cannot be ended yet is the next time."""
        self.execute(_END_BACKENDS)
        return [name for (name,) in self.execute(_TAKE_OVER)]

    def end(self) -> None:
        """End the session, when nothing is under way any more: what it owned can be claimed at once."""
        self.execute("DELETE FROM session WHERE id=?", (self.server.session,))

    def declare(self, connections: Iterable[str]) -> None:
        """These are in the configuration: they may be claimed. What no daemon has there any more is dropped.

        What is owned and no longer there has to be released. Raises SessionEnded.
        """
        names = sorted({*connections, SHARED_DUTIES})
        if not self.execute("SELECT declare_connections(?, ?)", (self.server.session, names))[0][0]:
            raise self.server.session_ended()

    def declared(self) -> frozenset[str]:
        """The connections that are in the configuration of any daemon that lives."""
        query = "SELECT DISTINCT connection FROM declared JOIN session ON id=session WHERE until>clock_timestamp()"
        return frozenset(name for (name,) in self.execute(query))

    def claim(self, most: int) -> frozenset[str]:
        """Claim what is free, up to this session's share and so many at once; all that it owns then."""
        share, mine = self._share()
        wanted = max(0, min(most, share - mine))
        for limit, free_for in ((wanted, 0.0), (most - wanted, FREE_FOR_ALL)):
            if limit:
                self.execute(_CLAIM, (self.server.session, limit, free_for))
        return self.owned()

    def owned(self) -> frozenset[str]:
        """The connections of this session."""
        return frozenset(
            name for (name,) in self.execute("SELECT connection FROM lease WHERE session=?", (self.server.session,))
        )

    def excess(self) -> list[str]:
        """What to hand over now to daemons that own less than their share and would take it."""
        share, mine = self._share()
        if mine <= share * _SLACK:
            return []
        limit = min(mine - share, max(1, int(mine * _HANDED_OVER)))
        return [name for (name,) in self.execute(_EXCESS, (self.server.session, share, SHARED_DUTIES, limit))]

    def release(self, connections: Iterable[str]) -> frozenset[str]:
        """Let others have these, as far as they are this session's; all that it still owns.

        To be called when no work about them is under way or can begin, and none waits for the thread of a store: such
        work would not be refused. Waits for transactions of the session that run.
        """
        self.execute(_RELEASE, (self.server.session, list(connections)))
        return self.owned()

    def report(self, health: Mapping[str, str]) -> None:
        """Tell the others the health of connections of this session."""
        self.execute(_REPORT, (list(health), list(health.values()), self.server.session))

    def owners(self) -> list[ConnectionOwner]:
        """Who polls what. Needs no session."""
        return [ConnectionOwner(*row) for row in self.execute(_OWNERS)]

    def _share(self) -> tuple[int, int]:
        """How many connections are this session's share, and how many it owns."""
        leases, sessions, mine = self.execute(_COUNTS, (self.server.session,))[0]
        return math.ceil(leases / max(1, sessions)), mine
