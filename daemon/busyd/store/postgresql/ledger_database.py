"""The ledger on a server, and how a change of tokens by another process is heard of."""

import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Final, TypeVar

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from busyd.store.postgresql.connection import TransactionConnection
from busyd.store.postgresql.ledger_schema import LEDGER, LEDGER_CHANGED
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession

T = TypeVar("T")

UNHEARD: Final = 900.0
"""Seconds for which tokens are honoured as they were read last while the server is away: none can be revoked then."""
_LISTEN_AGAIN: Final = 1.0
_ROUND: Final = 5.0
"""Seconds after which the server is asked whether it is still there."""


class LedgerTables:
    """A `LedgerDatabase` on a server.

    What another process changes of tokens is heard of a moment later. Without the server tokens are as they were for
    `UNHEARD` seconds, and then not known.
    """

    may_lag = True

    def __init__(self, server: DatabaseServer, *, on_late_commit: Callable[[], object] = lambda: None) -> None:
        """Raises StorageError: damaged tables are never replaced by empty ones."""
        self._server = server
        self._connection = TransactionConnection(server, LEDGER, on_late_commit=on_late_commit)
        self._changes = 0
        """Changes of tokens that were heard of, and times when some may have gone unheard."""
        self._read: int | None = None
        """What `_changes` was when the tokens were read last."""
        self._heard = time.monotonic()
        self._closing = threading.Event()
        self._waker, self._waking = socket.socketpair()
        try:
            with server.errors():
                listening = self._begin_listening()
        except BaseException:
            for one in (self._waker, self._waking, self._connection):
                one.close()
            raise
        self._listener = threading.Thread(target=self._listen, args=(listening,), name="tokens", daemon=True)
        self._listener.start()

    def close(self) -> None:
        self._closing.set()
        self._waker.send(b"x")
        self._listener.join()
        for one in (self._waker, self._waking, self._connection):
            one.close()

    def is_current(self) -> bool:
        return self._read == self._changes and time.monotonic() - self._heard < UNHEARD

    def read_tokens(self, work: Callable[[PostgresSession], T]) -> T:
        changes = self._changes  # first: what changes meanwhile is then seen as a change
        result = self._connection.read(work)
        self._heard = time.monotonic()
        self._read = changes
        return result

    def read(self, work: Callable[[PostgresSession], T]) -> T:
        return self._connection.read(work)

    def write(self, work: Callable[[PostgresSession], T]) -> T:
        try:
            return self._connection.write(work)
        finally:
            self._read = None  # not only once it is heard

    def write_beside_tokens(self, work: Callable[[PostgresSession], T]) -> T:
        return self._connection.write(work)

    def _begin_listening(self) -> Connection[TupleRow]:
        connection = self._server.connect(LEDGER.schema)
        connection.execute(f"LISTEN {LEDGER_CHANGED}".encode())
        return connection

    def _listen(self, connection: Connection[TupleRow] | None) -> None:
        while not self._closing.is_set():
            try:
                with connection or self._begin_listening() as listening:
                    if connection is None:
                        self._changes += 1  # some may have gone unheard
                    self._hear(listening)
            except psycopg.Error:
                connection = None
                self._closing.wait(_LISTEN_AGAIN)

    def _hear(self, connection: Connection[TupleRow]) -> None:
        while not self._closing.is_set():
            wait([connection.fileno(), self._waking.fileno()], _ROUND)  # `select` knows no number above 1023
            own = self._connection.backend  # what it has changed was noted when it did
            self._changes += sum(notice.pid != own for notice in connection.notifies(timeout=0))
            connection.execute(b"SELECT 1", prepare=False)  # else a server that says nothing would count as heard
            self._heard = time.monotonic()
