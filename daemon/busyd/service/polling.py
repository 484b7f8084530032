"""The polling of all connections: makes what each needs, starts it, and follows a changed configuration.

Imported only once the daemon answers: it brings lxml and the HTTP client.
"""

import asyncio
import contextlib
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from busyd.advice.errors import describe_error
from busyd.clock import Clock
from busyd.config import ConnectionConfig
from busyd.connection import Connection, ConnectionKind
from busyd.cooperative import Turns
from busyd.credentials import FromCommand, FromCredential, PasswordSource, Secret, read_password
from busyd.credentials.store import CredentialStore
from busyd.errors import BusydError, UserError
from busyd.flow.poll_now import PollNow
from busyd.index.privacy import follow_privacy
from busyd.index.writer import IndexWriter
from busyd.log import hide_secret
from busyd.own_thread import in_own_thread
from busyd.remote.client import CaldavClient
from busyd.remote.feed import feed_address
from busyd.remote.transport import Transport
from busyd.service.first_polls import AT_ONCE, FirstPoll, FirstPolls
from busyd.service.polled_connection import FeedReader, PolledConnection
from busyd.service.refused_logins import RefusedLogin, RefusedLogins
from busyd.service.schedule import PollSchedule
from busyd.state.privacy import kept_mark
from busyd.store.errors import StorageError
from busyd.store.ledger_thread import LedgerThread
from busyd.sync.context import PollContext
from busyd.sync.timing import APART, TOGETHER

logger = logging.getLogger(__name__)


class PasswordNews(Struct, frozen=True):
    """What came of reading passwords again."""

    changed: tuple[str, ...]
    """Connections that have another one now."""
    unreadable: tuple[str, ...]
    """A sentence for each that has none."""


class Polling:
    """All polled connections. `schedules` is what the backend asks for a poll at once."""

    def __init__(
        self,
        writer: IndexWriter,
        ledger: LedgerThread,
        *,
        clock: Clock,
        folder: Path,
        credentials: CredentialStore | None = None,
        look_for_secrets: Callable[[], Awaitable[None]] | None = None,
        on_change: Callable[[], None],
        after_poll: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.schedules: dict[str, PollNow] = {}
        self.stand_in: Callable[[str], PollNow] | None = None
        """What takes the place of the schedule of a connection that another daemon polls."""
        self.on_polled: Callable[[str], object] = lambda _: None
        """Called with a connection whenever something new is known of its health."""
        self._polled: dict[str, PolledConnection] = {}
        self._writer = writer
        self._ledger = ledger
        self._clock = clock
        self._folder = folder
        self._credentials = credentials
        self._look_for_secrets = look_for_secrets
        """Has `credentials` follow what was just stored, where they are in memory."""
        self._on_change = on_change
        self._after_poll = after_poll
        self._configured: Mapping[str, ConnectionConfig] = {}
        self._own: Collection[str] | None = None
        """The connections that are for this daemon to poll; None where it has all to itself."""
        self._following = asyncio.Lock()
        self._turns = Turns()
        self._logins = RefusedLogins(folder)
        self._first_polls = FirstPolls(clock)
        self._renewed: set[str] = set()
        """Connections with another password than at their last poll."""
        self._trying: set[asyncio.Task[None]] = set()

    async def follow(self, connections: Mapping[str, ConnectionConfig]) -> None:
        """Poll exactly these connections: what is new starts, what changed starts anew, what is gone stops.

        Of those, the ones that are for this daemon to poll (`own`); the others have their stand-ins.
        """
        self._configured = connections
        if self._look_for_secrets is not None:
            with contextlib.suppress(StorageError):  # then as they were read before
                await self._look_for_secrets()
        await self._follow()

    async def own(self, names: Collection[str]) -> None:
        """Poll only these, the new ones in their turn."""
        gained = set(names).difference(self._own or ())
        self._own = names
        await self._follow(gained)

    def halt(self) -> None:
        """Have nothing be this daemon's any more, at once; `own` waits for the end of what is under way."""
        self._own = ()
        for polled in self._polled.values():
            polled.halt()

    async def settle(self) -> None:
        """Return once no work about others waits for a store."""
        # What the threads of the stores had to do before is over even when the database cannot be used.
        await asyncio.gather(self._writer.store.ping(), self._ledger.revision(), return_exceptions=True)

    async def _follow(self, gained: Collection[str] = ()) -> None:
        async with self._following:
            own = {
                name: settings for name, settings in self._configured.items() if self._own is None or name in self._own
            }
            ended = {
                name: polled
                for name, polled in self._polled.items()
                if own.get(name) != polled.settings or polled.kept != kept_mark(self._writer.state, name)
            }
            for polled in ended.values():
                polled.halt()  # all of them, before any is waited for
            for name, polled in ended.items():
                await polled.close()
                del self._polled[name], self.schedules[name]
            for name in self.schedules.keys() - self._configured.keys():
                del self.schedules[name]
            if self.stand_in is not None:
                for name in self._configured.keys() - own.keys() - self.schedules.keys():
                    self.schedules[name] = self.stand_in(name)
            await follow_privacy(self._writer, own)
            for name, settings in own.items():
                if name not in self._polled and (self._own is None or name in self._own):  # it may just have gone
                    first = self._first_poll(name) if name in gained else AT_ONCE
                    try:
                        self._polled[name] = polled = self._open(settings, first)
                    except UserError as error:
                        self._writer.state.connections[name].trouble = f"{error}; {error.fix}"
                        self._writer.state.publish(connections=(name,))
                        logger.warning("%s: %s; %s", name, error, error.fix)
                        continue
                    self.schedules[name] = polled.schedule
                    if len(self._polled) > TOGETHER:
                        await asyncio.sleep(APART if first is AT_ONCE else 0)

    async def read_passwords(self) -> PasswordNews:
        """Read the passwords again, but for those that a command prints, which may ask a person.

        Polls read them as well: this is for whoever wants to know what came of a change.
        """
        changed, unreadable = [], []
        for name, polled in list(self._polled.items()):
            if polled.settings.password is None or isinstance(polled.settings.password, FromCommand):
                continue
            try:
                if await polled.transport.has_changed_password():
                    changed.append(name)
            except BusydError as error:
                unreadable.append(f"connection {name}: {describe_error(error)}")
        self._renewed |= set(changed)
        return PasswordNews(tuple(changed), tuple(unreadable))

    async def read_what_is_new(self) -> None:
        """Poll at once where a calendar was linked that has never been read, a login was refused, or a password is new.

        After a reload nobody should wait for the next round.
        """
        state = self._writer.state
        renewed, self._renewed = self._renewed, set()
        waiting = [
            polled.schedule
            for name, polled in self._polled.items()
            if polled.schedule.is_refused
            or name in renewed
            or not all(record.complete for record in state.linked_calendars(name))
        ]
        await asyncio.gather(*(schedule.poll_now(by_hand=True) for schedule in waiting))

    def take_secrets(self, names: Collection[str]) -> None:
        """Stored secrets of these names have changed: poll at once what logs in with one of them."""
        for polled in self._polled.values():
            source = polled.settings.password
            if isinstance(source, FromCredential) and source.name in names:
                trying = asyncio.create_task(polled.try_another_password(), name="try another password")
                self._trying.add(trying)
                trying.add_done_callback(self._trying.discard)

    async def close(self) -> None:
        """Stop all."""
        for trying in self._trying:
            trying.cancel()
        await asyncio.gather(*(polled.close() for polled in self._polled.values()))

    def _first_poll(self, name: str) -> FirstPoll:
        """Of a connection that another daemon has polled so far, if any has."""
        state, other = self._writer.state, self.schedules.get(name)
        linked = state.linked_calendars(name)
        return self._first_polls.of(state.connections[name], linked, is_refused=other is not None and other.is_refused)

    def _open(self, settings: ConnectionConfig, first: FirstPoll) -> PolledConnection:
        connection = settings.connection
        password = functools.partial(self._password, settings)
        transport = Transport(_reachable(connection), password, clock=self._clock)
        feeds = FeedReader(connection, password)
        context = PollContext(
            connection_state=self._writer.state.connections[connection.name],
            client=CaldavClient(transport, lambda: self._writer.expansion.worker, turns=self._turns),
            read_feed=feeds.read,
            writer=self._writer,
            ledger=self._ledger,
            clock=self._clock,
        )

        def on_change() -> None:
            context.connection_state.requests = transport.requests_sent + feeds.requests_sent
            self._on_change()
            self.on_polled(connection.name)

        schedule = PollSchedule(
            context,
            has_another_password=transport.has_another_password,
            on_change=on_change,
            after_poll=self._after_poll,
            memory=RefusedLogin(connection, transport, logins=self._logins, clock=self._clock),
        )
        kept = kept_mark(self._writer.state, connection.name)
        return PolledConnection(settings, transport, schedule=schedule, kept=kept, first=first)

    async def _password(self, settings: ConnectionConfig) -> Secret | None:
        if settings.password is None:
            return None
        source = settings.password
        secret = await in_own_thread(lambda: self._read(source), name="read a password")
        hide_secret(secret, settings.connection.username)
        return secret

    def _read(self, source: PasswordSource) -> Secret:
        return read_password(source, self._folder, environment=os.environ, store=self._credentials)


def _reachable(connection: Connection) -> Connection:
    """The connection with its address as it is asked on the wire: `webcal` means https."""
    if connection.kind is not ConnectionKind.ICS:
        return connection
    return replace(connection, url=str(feed_address(connection.url)))
