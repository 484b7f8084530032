"""Daemons on one database without network: each with its session, its memory and its part in following the others."""

from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from busyd.availability.profile import Profile
from busyd.connection import Connection, RemoteCalendar
from busyd.flow.backend import Backend
from busyd.index.changes import ChangeRecorder
from busyd.index.publisher import SnapshotPublisher
from busyd.index.restore import Restore
from busyd.index.writer import IndexWriter
from busyd.period import EARLIEST, Instant
from busyd.service.fleet import FleetMember
from busyd.service.polling import Polling
from busyd.service.session import DaemonSession
from busyd.service.shared_parts import SharedParts
from busyd.state.links import remembered_by_profile
from busyd.state.state import State
from busyd.store.ledger_thread import LedgerThread
from busyd.store.mirror import AccountRecord
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.storage import PostgresStorage
from busyd.store.transaction import Transaction
from tests.index.inside import ANNA, Inside, StoppedClock


class SharingDaemon(Inside):
    """One of them. What it puts into calendars is what it has polled."""

    def __init__(
        self,
        database: DatabaseServer,
        folder: Path,
        clock: StoppedClock,
        *,
        profiles: Iterable[Profile],
        connections: Sequence[Connection] = (ANNA,),
        time_zones: dict[str, str] | None = None,
    ) -> None:
        self.clock = clock
        storage = PostgresStorage(database, beside=folder / "none")
        self.session = DaemonSession(storage, name=folder.name, address="")
        self._opened = storage.open_ledger()
        self.ledger = LedgerThread(self._opened)
        self.store = storage.open_mirror()
        self.changes = storage.open_change_log(now=clock.now())
        self.session.begin_following()
        self.state = State(connections, profiles, machine_zone="UTC")
        self.state.own_zones = time_zones or {}
        self.state.remembered = remembered_by_profile(self._opened.resolved_links(), self.state.profiles)
        self.state.own.take(self._opened.outbox(lambda outbox: outbox.unsettled(EARLIEST)))
        recorder = ChangeRecorder(self.changes, self.state, clock=clock, store=self.store)
        self.publisher = SnapshotPublisher(self.store, self.state, clock=clock, changes=recorder)
        self.writer = IndexWriter(self.store, self.state, clock=clock, publisher=self.publisher)
        others = {connection.name for connection in connections}
        self.restore = Restore(self.writer, others=others, hear=self.session.clock.hear)
        self.backend = Backend(self.state, self.writer, ledger=self.ledger, clock=clock, changes=self.changes)
        self.backend.reloads.started()
        self.restore.take_snapshots()
        self.polling = Polling(self.writer, self.ledger, clock=clock, folder=folder, on_change=lambda: None)

        async def no_duties() -> None:
            pass

        parts = SharedParts(self.polling, self.backend, self.writer, self.ledger, self.changes, recorder, no_duties)
        self.member = FleetMember(self.session, parts)

    async def begin(self) -> None:
        """As after a start: what is stored is in memory."""
        await self.restore.load_tables()

    async def show(
        self,
        *calendars: RemoteCalendar,
        connection: str = "anna",
        username: str = ANNA.username,
        addresses: tuple[str, ...] = (),
    ) -> None:
        """The server of a connection lists these."""
        account = AccountRecord(connection, ANNA.url, username, "/1/", ("/1/calendars/",), addresses, False, Instant(0))

        def take(tx: Transaction) -> None:
            tx.record_account(account)
            tx.record_listing(connection, calendars, at=self.clock.now())

        await self.store.transaction(take)
        self.state.connections[connection].listed = True
        self.state.take_calendars(await self.store.read_calendars())
        await self.restore.load_tables()

    async def follow(self) -> None:
        """One look at what others have written."""
        await self.member._follow()

    async def close_all(self) -> None:
        await self.writer.close()
        self.changes.close()
        self.store.close()
        self.ledger.close()
        await self.session.close()


class Daemons:
    """Those of a test, closed at its end."""

    def __init__(self, database: DatabaseServer, folder: Path, stack: AsyncExitStack) -> None:
        self.database = database
        self._folder, self._stack = folder, stack
        self._count = 0

    async def begin(self, clock: StoppedClock, *, profiles: Iterable[Profile], **more: object) -> SharingDaemon:
        """Start one."""
        self._count += 1
        folder = self._folder / f"daemon-{self._count}"
        folder.mkdir()
        daemon = SharingDaemon(self.database, folder, clock, profiles=profiles, **more)  # type: ignore[arg-type]
        self._stack.push_async_callback(daemon.close_all)
        await daemon.begin()
        return daemon
