"""The session of this daemon in a database that several share: while it is renewed, the daemon lives.

Once it has ended, nothing that is still under way here can be written (`store/postgresql/fleet_schema.py`).
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, NoReturn, TypeVar

from busyd.credentials.key import StoreKey
from busyd.flow.following import FOLLOWED_FOR
from busyd.period import Instant
from busyd.service.seen_database import SeenDatabase
from busyd.store.bookings import Booking
from busyd.store.errors import SessionEnded, StorageError
from busyd.store.postgresql.database_clock import DatabaseClock, since_boot
from busyd.store.postgresql.fleet import RENEW_EVERY, Fleet
from busyd.store.postgresql.other_daemons import Followed, FollowedFrom, OtherDaemons
from busyd.store.postgresql.restoring import SeenState, adopt_put_back
from busyd.store.postgresql.secrets import FollowedSecrets
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.storage import PostgresStorage

logger = logging.getLogger(__name__)

T = TypeVar("T")

DROP_AFTER: Final = 25.0
"""Seconds after the last renewal after which nothing is polled any more: soon another daemon will do that."""
_RETRY_EVERY: Final = 2.0


def _adopt_put_back(server: DatabaseServer, seen: SeenState | None) -> None:
    if (rows := adopt_put_back(server, followed_for=FOLLOWED_FOR, seen=seen)) is not None:
        logger.warning(
            "%s was put back to an earlier state, or moved: %d appointments and blocks are looked at once each, and"
            " nothing is created, moved or deleted by itself",
            server.name,
            rows,
        )


class DaemonSession:
    """The session, with the two threads on which the database is asked about other daemons."""

    def __init__(self, storage: PostgresStorage, *, name: str, address: str) -> None:
        """Begin it; the stores that are opened from now on belong to it. Blocks. Raises StorageError."""
        self.name = name
        self.fleet = Fleet(storage.server)
        self._seen = SeenDatabase(storage.beside.parent)
        try:
            _adopt_put_back(storage.server, self._seen.read())
            self.fleet.begin(name, address)
            storage.server = self.fleet.server
            renewal = self.fleet.renew()
        except BaseException:
            self.fleet.close()
            raise
        self.clock = DatabaseClock(renewal)
        self._is_serving = threading.Event()
        self._others: OtherDaemons | None = None
        self._secrets: FollowedSecrets | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fleet")
        self._reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="follow")
        self._is_waiting = False
        """Whether the thread of the fleet does nothing but wait for a hint."""
        self._starting = threading.Thread(target=self._renew_while_starting, name="start", daemon=True)
        self._starting.start()
        self.trouble = ""
        """Why the database cannot be used; empty while it can."""

    def begin_following(self) -> None:
        """What is written from now on is followed: to be called before the stores are read. Raises StorageError."""
        self._others = OtherDaemons(self.fleet.server)
        self._others.begin()

    def follow_secrets(self, key: StoreKey) -> FollowedSecrets:
        """The secrets as they are now; `look_for_secrets` has them follow what is changed on any machine. Blocks.

        Raises StorageError; CredentialStoreUnreadable where none of them opens with this key.
        """
        self._secrets = self._thread.submit(FollowedSecrets, self.fleet, key).result()
        return self._secrets

    async def look_for_secrets(self) -> None:
        """See whether secrets were changed. Raises StorageError."""
        assert self._secrets is not None
        await self.run(self._secrets.look)

    def take_changed_secrets(self) -> frozenset[str]:
        """The names of those that were seen to have changed, since this was asked last."""
        assert self._secrets is not None
        return self._secrets.take_changed()

    def _renew_while_starting(self) -> None:
        """Until `renew` does: with thousands of connections a start takes longer than a session lives."""
        while not self._is_serving.wait(RENEW_EVERY):
            with contextlib.suppress(StorageError):  # `renew` will tell
                self.clock.note(self._thread.submit(self.fleet.renew).result())

    async def renew(self) -> None:
        """Keep it alive. Ends by SessionEnded: everything is to be begun anew."""
        self._is_serving.set()
        while True:
            try:
                self.clock.note(await self.run(self.fleet.renew))
            except SessionEnded:
                await self.end()
            except StorageError as error:
                self.note_trouble(error)
                await self.clock.sleep(_RETRY_EVERY)
            else:
                self.note_recovery()
                await self.clock.sleep(RENEW_EVERY)

    async def end(self) -> NoReturn:
        """It has ended. Raises SessionEnded once another one can be begun: until then, memory has the answers."""
        while True:
            try:
                await self.run(self.fleet.try_to_write)
            except StorageError as error:
                self.note_trouble(error)
                await self.clock.sleep(_RETRY_EVERY)
            else:
                raise self.fleet.server.session_ended()

    @property
    def is_late(self) -> bool:
        """Whether another daemon may soon take over what is this one's."""
        return since_boot() - self.clock.renewal.sent > DROP_AFTER

    async def run(self, work: Callable[[], T]) -> T:
        """Run something on the thread of the fleet, at once, though it may wait for a hint. Raises StorageError."""
        if self._is_waiting:
            self.fleet.wake()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def wait(self, seconds: float) -> None:
        """Wait so long, or until there is a hint."""
        self._is_waiting = True
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self.fleet.wait, seconds)
        except asyncio.CancelledError:
            self.fleet.wake()  # the thread waits on
            raise
        finally:
            self._is_waiting = False

    async def read(self, known: FollowedFrom) -> Followed:
        """What other daemons have written since it was last taken. Raises StorageError."""
        assert self._others is not None
        others = self._others

        def read() -> Followed:
            followed = others.read(known)
            self._seen.note(SeenState(others.here, followed.newest))
            return followed

        found = await asyncio.get_running_loop().run_in_executor(self._reading, read)
        for moved in found.connections.values():
            for record in moved.calendars:
                if record.as_of is not None:
                    self.clock.hear(record.as_of)
        return found

    async def read_rows(self) -> list[Booking]:
        """Rows of the outbox that they have written since then. Raises StorageError."""
        assert self._others is not None
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._others.read_rows)

    @property
    def rows_upto(self) -> int:
        """The number of the newest row of the outbox that is in memory as others have written it."""
        assert self._others is not None
        return self._others.rows_upto

    def take(self, followed: Followed) -> None:
        """All of it is in memory."""
        assert self._others is not None
        self._others.take(followed)

    async def forget(self, *, before: Instant) -> None:
        """Let go of deletions that every daemon has seen by now. Raises StorageError."""
        assert self._others is not None
        await asyncio.get_running_loop().run_in_executor(self._reading, partial(self._others.forget, before=before))

    async def close(self) -> None:
        """End the session. Nothing may be under way any more."""
        self._is_serving.set()
        self._starting.join()
        try:
            await self.run(self.fleet.end)
        except StorageError as error:
            logger.warning("the session in the database could not be ended, and expires by itself: %s", error)
        self._thread.shutdown(wait=True)
        self._reading.shutdown(wait=True)
        self.fleet.close()
        if self._others is not None:
            self._others.close()

    def note_trouble(self, error: StorageError) -> None:
        """Say it once that the database cannot be used."""
        if not self.trouble:
            logger.error("%s; busyd answers from what it has, and tries again by itself", error)
        self.trouble = str(error)

    def note_recovery(self) -> None:
        """It can be used."""
        if self.trouble:
            logger.info("the database can be used again")
            self.trouble = ""
