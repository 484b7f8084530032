"""A connection for what daemons share: statements that are each kept as they end, and hints to look again."""

import contextlib
import socket
from collections.abc import Iterable, Sequence
from multiprocessing.connection import wait
from typing import Any, Final

import psycopg
from psycopg import Connection, RawCursor
from psycopg.rows import TupleRow

from busyd.store.errors import StorageError
from busyd.store.postgresql.fleet_schema import FLEET
from busyd.store.postgresql.ledger_schema import BOOKINGS_CHANGED
from busyd.store.postgresql.server import APPLICATION, DatabaseServer
from busyd.store.postgresql.session import numbered

_TRY: Final = """
DO $$ BEGIN
  CREATE TABLE tried AS SELECT repeat('x', 1000) FROM generate_series(1, 64);
  RAISE SQLSTATE 'BD001';
EXCEPTION WHEN SQLSTATE 'BD001' THEN NULL;
END $$
"""
_TIMEOUT: Final = "3s"
"""For a statement: a session has to be renewed in time."""


class FleetConnection:
    """Runs statements and hears hints, on one thread; it is made anew when it was lost.

    A hint may be lost, so whoever waits for one looks again after some time.
    """

    def __init__(self, server: DatabaseServer) -> None:
        self.server = server
        self._connection: Connection[TupleRow] | None = None
        self._waker, self._waking = socket.socketpair()
        for one in (self._waker, self._waking):
            one.setblocking(False)

    def close(self) -> None:
        self._drop()
        self._waker.close()
        self._waking.close()

    def use(self, server: DatabaseServer) -> None:
        """Connect with this session from now on."""
        self._drop()
        self.server = server

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run one statement, and once more when the connection turns out to be lost. Raises StorageError.

        It may have been carried out the first time: it has to do no harm, and to tell enough, when it is repeated.
        """
        with self.server.errors():
            try:
                return self._execute(statement, values)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                if self._connection is not None and not self._connection.closed:
                    raise
                return self._execute(statement, values)

    def try_to_write(self) -> None:
        """See whether there is space for some pages, and leave nothing of them. Raises StorageError."""
        self.execute(_TRY)

    def tell(self, sessions: Iterable[int]) -> None:
        """Give sessions a hint: in a statement of its own, as whoever does so waits for all others that do."""
        told = list(sessions)
        if not told:
            return
        with contextlib.suppress(StorageError):
            self.execute(f"SELECT pg_notify('{APPLICATION}:' || id, '') FROM unnest(?) AS told (id)", (told,))

    def wait(self, seconds: float) -> bool:
        """Wait that long, for a hint or for `wake`; whether there was one. The loss of the connection is one, too."""
        connection = self._connection
        heard = connection is not None and self._hear(connection)
        if not heard:
            listening = [] if connection is None else [connection.fileno()]
            wait([*listening, self._waking.fileno()], seconds)  # `select` knows no number above 1023
            heard = connection is not None and self._hear(connection)
        with contextlib.suppress(BlockingIOError):
            heard |= bool(self._waking.recv(4096))
        return heard

    def wake(self) -> None:
        """Let `wait` return, now or the next time. From any thread."""
        with contextlib.suppress(BlockingIOError):  # it has been called often enough
            self._waker.send(b"x")

    def _execute(self, statement: str, values: Sequence[Any]) -> list[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = self.server.connect(FLEET.schema, statement_timeout=_TIMEOUT)
            if self.server.session is not None:
                self._connection.execute(f'LISTEN "{self.server.application}"; LISTEN {BOOKINGS_CHANGED}'.encode())
        cursor = RawCursor(self._connection).execute(numbered(statement), values, binary=True)
        return cursor.fetchall() if cursor.description else []

    def _hear(self, connection: Connection[TupleRow]) -> bool:
        """Whether there was a hint; the loss of the connection is one."""
        try:
            return bool(list(connection.notifies(timeout=0)))
        except psycopg.Error:
            self._drop()
            return True

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
