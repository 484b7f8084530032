"""Somebody needs a connection polled now, and another daemon polls it: asked for in rows, and answered in the mirror.

That a request is done says that a poll has ended which began after it was asked for. What was found, and whether it is
proof enough, is read from the mirror, so that nothing depends on a request or an answer that gets lost.
"""

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import psycopg
from msgspec import Struct

from busyd.period import Instant
from busyd.store.errors import StorageError
from busyd.store.postgresql.fleet_connection import FleetConnection

_ASK: Final = """
WITH asked AS (
  INSERT INTO request (id, connection, newer_than, deadline, by_session)
  VALUES (?1, ?2, ?3, clock_timestamp() + make_interval(secs => ?4), ?5) ON CONFLICT (id) DO NOTHING)
SELECT session FROM lease WHERE connection=?2 AND session IS NOT NULL
"""
_ANSWERED: Final = "SELECT id, done FROM request WHERE by_session=? AND (done OR deadline<=clock_timestamp())"
_FORGET: Final = "DELETE FROM request WHERE id=ANY(?)"
_ASKED: Final = (
    "SELECT connection, MAX(newer_than), clock_timestamp() FROM request JOIN lease USING (connection)"
    " WHERE lease.session=? AND NOT done AND deadline>clock_timestamp() GROUP BY connection ORDER BY connection"
)
_DONE: Final = "UPDATE request SET done=TRUE WHERE connection=ANY(?) AND asked<=? AND NOT done RETURNING by_session"


class RequestedPoll(Struct, frozen=True):
    """A poll that others wait for."""

    newer_than: Instant
    """They need a proof that is newer than this."""
    read_at: datetime
    """When this was read, by the database: a poll that begins now is for all who have asked until then."""


class PollRequests:
    """What this daemon asks others for, and they it. Its methods block, and raise StorageError.

    To be used on the thread of the fleet, whose `wait` ends when there is something here, as a rule.
    """

    def __init__(self, fleet: FleetConnection) -> None:
        self._fleet = fleet

    def ask(self, connection: str, *, newer_than: Instant, within: float) -> int:
        """Ask whoever owns a connection, or will, for a poll within so many seconds. Raises SessionEnded."""
        number = secrets.randbits(63)
        try:
            owners = self._fleet.execute(_ASK, (number, connection, newer_than, within, self._fleet.server.session))
        except StorageError as error:
            if isinstance(error.__cause__, psycopg.errors.ForeignKeyViolation):
                raise self._fleet.server.session_ended() from error
            raise
        self._fleet.tell([owner for (owner,) in owners])
        return number

    def answered(self) -> frozenset[int]:
        """What this daemon has asked for and was done since this was asked last. What is too late is forgotten."""
        rows = self._fleet.execute(_ANSWERED, (self._fleet.server.session,))
        if rows:
            self._fleet.execute(_FORGET, ([number for number, _ in rows],))
        return frozenset(number for number, is_done in rows if is_done)

    def asked(self) -> dict[str, RequestedPoll]:
        """Connections of this daemon that are to be polled now, once for all who have asked."""
        rows = self._fleet.execute(_ASKED, (self._fleet.server.session,))
        return {connection: RequestedPoll(newer_than, at) for connection, newer_than, at in rows}

    def done(self, connections: Iterable[str], *, read_at: datetime) -> None:
        """Polls of these have ended that had begun after `read_at`, and what they have found is in the mirror."""
        rows = self._fleet.execute(_DONE, (list(connections), read_at))
        self._fleet.tell({session for (session,) in rows})
