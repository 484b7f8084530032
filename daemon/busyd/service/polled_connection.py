"""One connection under polling: what it is asked with, when, and how its feeds are read."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from busyd.config import ConnectionConfig
from busyd.connection import Connection, ConnectionKind
from busyd.credentials import Secret
from busyd.errors import BusydError
from busyd.remote.feed import FeedAnswer, FeedRequest, UserAgents, fetch_feed
from busyd.remote.transport import Transport
from busyd.remote.wire import SUBSCRIPTION_LIMITS, limits_of
from busyd.service.first_polls import FirstPoll
from busyd.service.schedule import PollSchedule


class PolledConnection:
    """One connection under polling: its transport, its schedule and the task that runs it."""

    def __init__(
        self,
        settings: ConnectionConfig,
        transport: Transport,
        *,
        schedule: PollSchedule,
        kept: str,
        first: FirstPoll,
    ) -> None:
        self.settings = settings
        self.transport = transport
        self.schedule = schedule
        self.kept = kept
        """What is stored of its events."""
        self.task = asyncio.create_task(schedule.run(first), name=f"schedule {settings.connection.name}")

    def halt(self) -> None:
        """Begin no poll and no write any more; a poll under way is broken off, what it committed stays."""
        self.task.cancel()
        self.schedule.halt()

    async def close(self) -> None:
        """The same, and return once all has ended."""
        self.halt()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.schedule.stop()
        await self.transport.close()
        await self.schedule.written()  # it is in the mirror, before another daemon may write there

    async def try_another_password(self) -> None:
        """Poll at once, with a password that has just been stored."""
        with contextlib.suppress(BusydError):  # the poll tells why there is no password
            await self.transport.has_changed_password()
        await self.schedule.poll_now(by_hand=True)


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
