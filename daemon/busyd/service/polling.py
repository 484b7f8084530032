"""The polling of all connections: makes what each needs, starts it, and follows a changed configuration.

Imported only once the daemon answers: it brings lxml and the HTTP client.
"""

import asyncio
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from busyd.advice.errors import describe_error
from busyd.clock import Clock
from busyd.config import ConnectionConfig
from busyd.connection import Connection, ConnectionKind
from busyd.credentials import FromCommand, PasswordSource, Secret, read_password
from busyd.errors import BusydError, UserError
from busyd.index.privacy import follow_privacy
from busyd.index.writer import IndexWriter
from busyd.log import hide_secret
from busyd.own_thread import in_own_thread
from busyd.remote.client import CaldavClient
from busyd.remote.feed import FeedAnswer, FeedRequest, UserAgents, feed_address, fetch_feed
from busyd.remote.transport import Transport
from busyd.remote.wire import SUBSCRIPTION_LIMITS, limits_of
from busyd.service.refused_logins import RefusedLogin, RefusedLogins
from busyd.service.schedule import PollSchedule
from busyd.state.privacy import kept_mark
from busyd.store.ledger_thread import LedgerThread
from busyd.sync.context import PollContext
from busyd.sync.timing import APART, TOGETHER

logger = logging.getLogger(__name__)


class PolledConnection:
    """One connection under polling: its transport, its schedule and the task that runs it."""

    def __init__(self, settings: ConnectionConfig, transport: Transport, *, schedule: PollSchedule, kept: str) -> None:
        self.settings = settings
        self.transport = transport
        self.schedule = schedule
        self.kept = kept
        """What is stored of its events."""
        self.task = asyncio.create_task(schedule.run(), name=f"schedule {settings.connection.name}")

    async def close(self) -> None:
        """Stop polling; a poll under way is broken off, what it committed stays."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.schedule.stop()
        await self.transport.close()


class PasswordNews(Struct, frozen=True):
    """What came of reading passwords again."""

    changed: tuple[str, ...]
    """Connections that have another one now."""
    unreadable: tuple[str, ...]
    """A sentence for each that has none."""


class FeedReader:
    """Reads the feeds of one connection, and counts the requests that takes."""

    def __init__(self, connection: Connection, password: Callable[[], Awaitable[Secret | None]]) -> None:
        self.requests_sent = 0
        self._connection = connection
        self._password = password
        self._agents: dict[str, UserAgents] = {}

    async def read(self, url: str, validators: Mapping[str, str]) -> FeedAnswer:
        """An `ics` connection may have a login of its own; a subscription never gets the account's."""
        connection = self._connection
        own = connection.kind is ConnectionKind.ICS
        request = FeedRequest(
            url,
            etag=validators.get("etag"),
            last_modified=validators.get("last_modified"),
            is_configured=own,
            allow_private=connection.allow_private,
            username=connection.username if own else "",
            password=await self._password() if own else None,
        )
        agents = self._agents.setdefault(url, UserAgents(connection.user_agent))
        return await fetch_feed(
            request,
            agents=agents,
            limits=limits_of(connection) if own else SUBSCRIPTION_LIMITS,
            on_request=self._count,
        )

    def _count(self) -> None:
        self.requests_sent += 1


class Polling:
    """All polled connections. `schedules` is what the backend asks for a poll at once."""

    def __init__(
        self,
        writer: IndexWriter,
        ledger: LedgerThread,
        *,
        clock: Clock,
        folder: Path,
        on_change: Callable[[], None],
        after_poll: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.schedules: dict[str, PollSchedule] = {}
        self._polled: dict[str, PolledConnection] = {}
        self._writer = writer
        self._ledger = ledger
        self._clock = clock
        self._folder = folder
        self._on_change = on_change
        self._after_poll = after_poll
        self._logins = RefusedLogins(folder)
        self._renewed: set[str] = set()
        """Connections with another password than at their last poll."""

    async def follow(self, connections: Mapping[str, ConnectionConfig]) -> None:
        """Poll exactly these connections: what is new starts, what changed starts anew, what is gone stops."""
        for name, polled in list(self._polled.items()):
            if connections.get(name) != polled.settings or polled.kept != kept_mark(self._writer.state, name):
                await polled.close()
                del self._polled[name], self.schedules[name]
        await follow_privacy(self._writer, connections)
        for name, settings in connections.items():
            if name not in self._polled:
                try:
                    self._polled[name] = polled = self._open(settings)
                except UserError as error:
                    self._writer.state.connections[name].trouble = f"{error}; {error.fix}"
                    self._writer.state.publish(connections=(name,))
                    logger.warning("%s: %s; %s", name, error, error.fix)
                    continue
                self.schedules[name] = polled.schedule
                if len(self._polled) > TOGETHER:
                    await asyncio.sleep(APART)

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
            schedule
            for name, schedule in self.schedules.items()
            if schedule.is_refused
            or name in renewed
            or not all(record.complete for record in state.linked_calendars(name))
        ]
        await asyncio.gather(*(schedule.poll_now(by_hand=True) for schedule in waiting))

    async def close(self) -> None:
        """Stop all."""
        await asyncio.gather(*(polled.close() for polled in self._polled.values()))

    def _open(self, settings: ConnectionConfig) -> PolledConnection:
        connection = settings.connection
        password = functools.partial(self._password, settings)
        transport = Transport(_reachable(connection), password, clock=self._clock)
        feeds = FeedReader(connection, password)
        context = PollContext(
            connection_state=self._writer.state.connections[connection.name],
            client=CaldavClient(transport, lambda: self._writer.expansion.worker),
            read_feed=feeds.read,
            writer=self._writer,
            ledger=self._ledger,
            clock=self._clock,
        )

        def on_change() -> None:
            context.connection_state.requests = transport.requests_sent + feeds.requests_sent
            self._on_change()

        schedule = PollSchedule(
            context,
            has_another_password=transport.has_another_password,
            on_change=on_change,
            after_poll=self._after_poll,
            memory=RefusedLogin(connection, transport, logins=self._logins, clock=self._clock),
        )
        kept = kept_mark(self._writer.state, connection.name)
        return PolledConnection(settings, transport, schedule=schedule, kept=kept)

    async def _password(self, settings: ConnectionConfig) -> Secret | None:
        if settings.password is None:
            return None
        source = settings.password
        secret = await in_own_thread(lambda: _read(source, self._folder), name="read a password")
        hide_secret(secret, settings.connection.username)
        return secret


def _reachable(connection: Connection) -> Connection:
    """The connection with its address as it is asked on the wire: `webcal` means https."""
    if connection.kind is not ConnectionKind.ICS:
        return connection
    return replace(connection, url=str(feed_address(connection.url)))


def _read(source: PasswordSource, folder: Path) -> Secret:
    return read_password(source, folder, environment=os.environ)
