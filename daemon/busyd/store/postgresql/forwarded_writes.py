"""Writes that one daemon forwards to another: packed, taken once by the owner of the connection, and their outcomes.

A write that was taken is never taken by another daemon: whoever forwarded it and hears nothing knows nothing of what
came of it. Each statement may be repeated because its answer was lost. So whoever forwards a write numbers it, whoever
takes one records it, and an outcome stays until it was read. Their table is called `errand`.
"""

import secrets
from collections.abc import Mapping
from typing import Final

from busyd.store.postgresql.fleet_connection import FleetConnection

_FORWARD: Final = """
WITH own AS (SELECT id FROM session WHERE id=?1 AND until>clock_timestamp()),
  forwarded AS (
    INSERT INTO errand (id, connection, by_session, deadline, work)
    SELECT ?2, ?3, id, clock_timestamp() + make_interval(secs => ?4), ?5 FROM own ON CONFLICT (id) DO NOTHING)
SELECT (SELECT session FROM lease WHERE connection=?3) FROM own
"""
_OUTCOMES: Final = (
    "SELECT id, outcome FROM errand WHERE by_session=? AND (outcome IS NOT NULL OR deadline<=clock_timestamp())"
)
_FORGET: Final = "DELETE FROM errand WHERE id=ANY(?)"
_TAKE: Final = (
    "UPDATE errand SET taken_by=?1 FROM lease"
    " WHERE lease.connection=errand.connection AND lease.session=?1"
    " AND outcome IS NULL AND (taken_by IS NULL OR taken_by=?1) AND id<>ALL(?2) AND deadline>clock_timestamp()"
    " RETURNING id, work"
)
_FINISH: Final = "UPDATE errand SET outcome=? WHERE id=? RETURNING by_session"


class ForwardedWrites:
    """What this daemon forwards to others, and they to it. Its methods block, and raise StorageError.

    To be used on the thread of the fleet, whose `wait` ends when there is something here, as a rule.
    """

    def __init__(self, fleet: FleetConnection) -> None:
        self._fleet = fleet
        self._begun: set[int] = set()
        """What was handed out by `take`, until its outcome is in the database."""

    def forward(self, connection: str, work: bytes, *, within: float) -> int:
        """Have the owner of a connection do something, begun within so many seconds. Raises SessionEnded."""
        number, server = secrets.randbits(63), self._fleet.server
        rows = self._fleet.execute(_FORWARD, (server.session, number, connection, within, work))
        if not rows:
            raise server.session_ended()
        self._fleet.tell([owner for (owner,) in rows if owner is not None])
        return number

    def outcomes(self) -> Mapping[int, bytes | None]:
        """What came of writes that this daemon has forwarded; None where that is not known in time. Told once."""
        found = dict(self._fleet.execute(_OUTCOMES, (self._fleet.server.session,)))
        if found:
            self._fleet.execute(_FORGET, (list(found),))
        return found

    def take(self) -> Mapping[int, bytes]:
        """Writes that are this daemon's to do: nobody else does them any more, and none is handed out again."""
        taken = dict(self._fleet.execute(_TAKE, (self._fleet.server.session, list(self._begun))))
        self._begun |= taken.keys()
        return taken

    def finish(self, number: int, outcome: bytes) -> None:
        """Say what came of one."""
        self._fleet.tell([session for (session,) in self._fleet.execute(_FINISH, (outcome, number))])
        self._begun.discard(number)
