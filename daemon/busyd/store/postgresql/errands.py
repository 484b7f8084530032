"""What one daemon has another one do: packed work, which the owner of a connection takes once, and its outcome.

An errand that was taken is never taken again: whoever gave it and hears nothing knows nothing of what came of it.
"""

from collections.abc import Mapping
from typing import Final

from busyd.store.postgresql.fleet_connection import FleetConnection

_GIVE: Final = (
    "INSERT INTO errand (connection, by_session, deadline, work)"
    " SELECT ?, id, clock_timestamp() + make_interval(secs => ?), ? FROM session WHERE id=? AND until>clock_timestamp()"
    " RETURNING id, (SELECT session FROM lease WHERE lease.connection=errand.connection)"
)
_OUTCOMES: Final = (
    "DELETE FROM errand WHERE by_session=? AND (outcome IS NOT NULL OR deadline<=clock_timestamp())"
    " RETURNING id, outcome"
)
_TAKE: Final = (
    "UPDATE errand SET is_taken=TRUE FROM lease WHERE lease.connection=errand.connection AND lease.session=?"
    " AND NOT is_taken AND deadline>clock_timestamp() RETURNING errand.id, work"
)
_FINISH: Final = "UPDATE errand SET outcome=? WHERE id=? RETURNING by_session"


class Errands:
    """What this daemon has others do, and they it. Its methods block, and raise StorageError.

    To be used on the thread of the fleet, whose `wait` ends when there is something here, as a rule.
    """

    def __init__(self, fleet: FleetConnection) -> None:
        self._fleet = fleet

    def give(self, connection: str, work: bytes, *, within: float) -> int:
        """Have the owner of a connection do something, begun within so many seconds. Raises SessionEnded."""
        rows = self._fleet.execute(_GIVE, (connection, within, work, self._fleet.server.session))
        if not rows:
            raise self._fleet.server.session_ended()
        ((number, owner),) = rows
        self._fleet.tell([] if owner is None else [owner])
        return int(number)

    def outcomes(self) -> Mapping[int, bytes | None]:
        """What came of errands that this daemon has given; None where that is not known in time."""
        return dict(self._fleet.execute(_OUTCOMES, (self._fleet.server.session,)))

    def take(self) -> Mapping[int, bytes]:
        """Errands that are this daemon's to do; nobody else does them any more."""
        return dict(self._fleet.execute(_TAKE, (self._fleet.server.session,)))

    def finish(self, errand: int, outcome: bytes) -> None:
        """Say what came of one."""
        self._fleet.tell([session for (session,) in self._fleet.execute(_FINISH, (outcome, errand))])
