"""Polls that daemons ask of one another: of the connections that they need anew and that another one polls."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Container
from datetime import datetime
from typing import TYPE_CHECKING, Any

from busyd.errors import BusydError
from busyd.flow.looks import PROVE_WITHIN
from busyd.store.postgresql.database_clock import DatabaseClock
from busyd.store.postgresql.poll_requests import PollRequests

if TYPE_CHECKING:
    from busyd.service.polling import Polling

logger = logging.getLogger(__name__)

InFleet = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs something on the thread of the fleet, at once."""


class PollForwarding:
    """What this daemon asks of others, and they of it."""

    def __init__(self, requests: PollRequests, in_fleet: InFleet, *, clock: DatabaseClock) -> None:
        self._requests = requests
        self._in_fleet = in_fleet
        self._clock = clock
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._answered: set[int] = set()
        """What was done, and is not followed yet."""
        self._serving: dict[str, asyncio.Task[None]] = {}
        """Connections that are polled because others have asked."""

    @property
    def is_waiting(self) -> bool:
        """Whether something is asked of another daemon."""
        return bool(self._asked)

    async def ask(self, connection: str) -> bool:
        """Have a connection polled by whoever owns it, and wait for it: whether that is in memory, in time.

        Raises StorageError.
        """
        asking = functools.partial(self._requests.ask, connection, newer_than=self._clock.now(), within=PROVE_WITHIN)
        number = await self._in_fleet(asking)
        self._asked[number] = asked = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(PROVE_WITHIN):
                await asked
            return True
        except TimeoutError:
            logger.debug("%s was not polled in time by the daemon that owns it", connection)
            return False
        finally:
            self._asked.pop(number, None)

    async def following(self, follow: Callable[[], Awaitable[None]]) -> None:
        """Follow what others have written, and let those go on who have waited for it."""
        answered = await self._in_fleet(self._requests.answered) if self._asked else frozenset()
        self._answered |= answered & self._asked.keys()
        await follow()
        for number in self._answered:
            if (one := self._asked.get(number)) is not None and not one.done():
                one.set_result(None)
        self._answered.clear()

    async def serve(
        self, polling: "Polling", *, owned: Container[str], report: Callable[[str], Awaitable[bool]]
    ) -> None:
        """Poll what others need polled, of what is this daemon's. `report` tells them how it went.

        It returns whether the connection is in trouble.
        """
        for name, asked in (await self._in_fleet(self._requests.asked)).items():
            self._clock.hear(asked.newer_than)  # else what is proved now could be dated before it
            if name in owned and name not in self._serving:
                work = self._poll(polling, name, read_at=asked.read_at, report=report)
                self._serving[name] = asyncio.create_task(work, name=f"poll {name} for others")

    async def _poll(
        self, polling: "Polling", name: str, *, read_at: datetime, report: Callable[[str], Awaitable[bool]]
    ) -> None:
        try:
            schedule = polling.schedules.get(name)
            is_read = schedule is not None and await schedule.look(is_awaited=False)
            # Else nobody has polled it, as it changes hands: whoever takes it over does.
            if await report(name) or is_read:
                await self._in_fleet(functools.partial(self._requests.done, [name], read_at=read_at))
        except BusydError as error:
            logger.debug("%s could not be polled for another daemon: %s", name, error)
        finally:
            del self._serving[name]

    async def close(self) -> None:
        """End all that is under way. Whoever waits for another daemon is told that it did not poll."""
        for one in self._serving.values():
            one.cancel()
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(TimeoutError())
        await asyncio.gather(*self._serving.values(), return_exceptions=True)
