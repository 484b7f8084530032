"""The tables of a store, served by one thread so that the event loop never waits for the server."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from busyd.store.errors import StorageDamaged, StorageError
from busyd.store.postgresql.connection import TransactionConnection
from busyd.store.postgresql.session import PostgresSession

T = TypeVar("T")


class PostgresDatabase:
    """A `Database` on a server."""

    def __init__(self, connection: TransactionConnection) -> None:
        """The connection is closed with this."""
        self.on_damage: Callable[[], object] = lambda: None
        self._connection = connection
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=connection.tables.schema)

    async def read(self, work: Callable[[PostgresSession], T]) -> T:
        """Run `work` on the store's thread, on one state of the tables. Raises StorageError."""
        return await self._run(lambda: self._connection.read(work))

    async def write(self, work: Callable[[PostgresSession], T]) -> T:
        """Run `work` on the store's thread as one transaction: all of it is kept, or nothing. Raises StorageError."""
        return await self._run(lambda: self._connection.write(work))

    def write_now(self, work: Callable[[PostgresSession], T]) -> T:
        """The same on the calling thread. Only before the loop serves, so that a start answers at once."""
        with self._unreadable():
            return self._connection.write(work)

    def read_now(self, work: Callable[[PostgresSession], T]) -> T:
        """`read` on the calling thread."""
        with self._unreadable():
            return self._connection.read(work)

    async def scrub(self) -> None:
        """Leave nothing of deleted rows in the files of the tables. Raises StorageError."""
        await self._run(self._connection.scrub)

    def close(self) -> None:
        """Finish what is queued, then close the connection."""
        self._thread.shutdown(wait=True)
        self._connection.close()

    async def _run(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            with self._unreadable():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    @contextlib.contextmanager
    def _unreadable(self) -> Iterator[None]:
        """Take for damage what nobody can have written so."""
        try:
            yield
        except (msgspec.MsgspecError, json.JSONDecodeError, UnicodeDecodeError) as error:
            with contextlib.suppress(StorageError):
                self._connection.mark_damaged()
            self.on_damage()
            schema, server = self._connection.tables.schema, self._connection.server
            message = f"the tables of schema {schema} in {server.name} are damaged ({error})"
            raise StorageDamaged(message) from error
