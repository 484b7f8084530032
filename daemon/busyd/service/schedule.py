"""When a connection is polled: on and on, earlier when somebody asks, later when its server wants peace.

One poll at a time; who asks during one waits for it. Whatever a poll or the work after it runs into, the next comes.
These are two of six places that catch every exception; the others are the answer to a request (`http/app.py`), the
carrying of an appointment (`flow/book.py`), a turn among daemons (`service/fleet.py`), the last resort (`cli/run.py`).
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable

from busyd.connection import FEEDS
from busyd.dav.errors import LoginRefused
from busyd.dav.href import host_of
from busyd.errors import BusydError, RemoteError
from busyd.flow.poll import poll_connection
from busyd.period import Instant
from busyd.progress import Progress, Report
from busyd.remote.backoff import CHECK_EVERY, next_poll_at
from busyd.remote.client import CaldavClient
from busyd.remote.errors import NOTHING_SENT
from busyd.service.first_polls import AT_ONCE, NEVER, FirstPoll
from busyd.service.kept_backoff import KeptBackoff, LoginMemory
from busyd.service.trouble import begin_trouble, end_trouble
from busyd.sync.context import PollContext
from busyd.sync.timing import SECRET_CHECK

logger = logging.getLogger(__name__)


class PollSchedule:
    """The polling of one connection."""

    def __init__(
        self,
        context: PollContext,
        *,
        has_another_password: Callable[[], Awaitable[bool]],
        on_change: Callable[[], None] = lambda: None,
        after_poll: Callable[[str], Awaitable[None]] | None = None,
        memory: LoginMemory | None = None,
    ) -> None:
        self.context = context
        self._kept = KeptBackoff(
            context.name, clock=context.clock, has_another_password=has_another_password, memory=memory
        )
        self._on_change = on_change
        self._after_poll = after_poll
        self._running: asyncio.Task[bool] | None = None
        self._is_only_awaited = False
        """Whoever waits for the poll under way sees to what `after_poll` does."""
        self._telling: asyncio.Task[None] | None = None
        """What follows from the last poll is told."""
        self._turn = asyncio.Lock()
        """Held by a poll, or by a write."""
        self._listeners: list[Report] = []
        self._began = self._ended = -NEVER
        """When the last poll did (monotonic)."""
        self._not_before = -NEVER
        self._is_stopped = False

    @property
    def is_refused(self) -> bool:
        """Whether the login was refused at the last try."""
        return self._kept.is_refused

    @contextlib.asynccontextmanager
    async def undisturbed(self) -> AsyncIterator[CaldavClient]:
        """The client of the connection, while no poll is under way.

        Raises RemoteError once polling has stopped: another daemon may write there.
        """
        async with self._turn:
            if self._is_stopped:
                message = f"{self.context.name} is not used by this daemon any more"
                raise RemoteError(message)
            yield self.context.client

    async def run(self, first: FirstPoll = AT_ONCE) -> None:
        """Poll for ever; ends only by being cancelled."""
        self._began, self._not_before = max(self._began, first.last), first.not_before
        while True:
            await self._rest()
            await self.poll_now()

    async def poll_now(self, report: Report | None = None, *, by_hand: bool = False) -> bool:
        """Poll once, or join the poll under way. True when the connection could be read.

        With `report`, somebody waits for everything to be asked anew; a poll under way that began without that does
        not do. While its server has asked for peace nothing is sent: False. Our own caution after a failure gives way
        to who asks, every few seconds; a refused login is tried out of turn only for a person (`report` or `by_hand`),
        and seldom.
        """
        connection_state = self.context.connection_state
        if report is not None:
            self._listeners.append(report)
            self.context.backoff.end_all()
            connection_state.thorough, connection_state.wanted = True, self.context.clock.now()
        try:
            while True:
                good = await self._join(by_hand=by_hand or report is not None)
                if report is None or not good or not connection_state.thorough:
                    return good
        finally:
            if report is not None:
                self._listeners.remove(report)

    async def check_now(self) -> bool:
        """The same for a client that wants a younger proof: one poll for all that ask, and one in some seconds."""
        return await self._join(by_hand=False, apart=CHECK_EVERY)

    async def look(self, *, is_awaited: bool = True) -> bool:
        """The same for a booking, by a poll that begins from now on: one under way may have passed what is sought.

        `is_awaited`: somebody waits for what comes of it, and sees to what `after_poll` does.
        """
        if self._running is not None:
            await asyncio.wait({self._running})
        return await self._join(by_hand=False, is_awaited=is_awaited)

    async def _join(self, *, by_hand: bool, apart: float = 0.0, is_awaited: bool = False) -> bool:
        """Wait for the poll under way, or for one that begins `apart` seconds after the last at the earliest."""
        if not self._is_polling:
            may_try = await self._may_try(by_hand=by_hand)
            if not self._is_polling:  # nobody else was quicker
                if self._is_stopped:
                    return False
                if not may_try:
                    self._report(
                        Progress(self.context.name, "", "failed", detail=self.context.connection_state.trouble)
                    )
                    return False
                wait = self._began + apart - self.context.clock.monotonic()
                poll = self._poll(max(wait, 0.0), is_awaited=is_awaited)
                self._running = asyncio.create_task(poll, name=f"poll {self.context.name}")
                self._is_only_awaited = is_awaited
        assert self._running is not None
        self._is_only_awaited = self._is_only_awaited and is_awaited
        running, this = self._running, asyncio.current_task()
        try:
            good = await asyncio.shield(running)
            if not is_awaited and self._telling is not None:
                await asyncio.shield(self._telling)
            return good
        except asyncio.CancelledError:
            if running.cancelled() and this is not None and not this.cancelling():
                return False  # the connection was taken away, not whoever asks
            raise

    @property
    def _is_polling(self) -> bool:
        return self._running is not None and not self._running.done()

    def halt(self) -> None:
        """Break off a poll under way, and begin no poll and no write any more; what was committed stays."""
        self._is_stopped = True
        if self._running is not None:
            self._running.cancel()

    async def stop(self) -> None:
        """The same, and return once the poll has ended and what follows from it was told."""
        self.halt()
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)
        if self._telling is not None:
            await asyncio.gather(self._telling, return_exceptions=True)

    async def written(self) -> None:
        """Return once no write is under way, of those that had begun before `stop`."""
        async with self._turn:
            pass

    async def _poll(self, wait: float, *, is_awaited: bool) -> bool:
        """One poll, and whatever comes of it, what has changed is told, which nobody waits for who wants to book."""
        try:
            if wait > 0:
                await self.context.clock.sleep(wait)
            async with self._turn:
                return await self._poll_connection(is_awaited=is_awaited)
        finally:
            telling = self._tell_changes(self._telling, is_awaited=self._is_only_awaited)
            self._telling = asyncio.create_task(telling, name=f"tell of {self.context.name}")

    async def _tell_changes(self, earlier: asyncio.Task[None] | None, *, is_awaited: bool) -> None:
        if earlier is not None:
            await asyncio.wait({earlier})
        name = self.context.name
        try:
            await self.context.writer.publisher.tell_changes((name,))
            if self._after_poll is not None and not is_awaited:
                await self._after_poll(name)
        except BusydError as error:
            logger.warning("the work after polling %s failed: %s", name, error)
        except Exception:
            logger.exception("the work after polling %s failed with an internal error", name)

    async def _poll_connection(self, *, is_awaited: bool) -> bool:
        clock, name = self.context.clock, self.context.name
        self._began = clock.monotonic()
        await self._kept.begin()
        self.context.connection_state.login_accepted = False
        is_thorough = self.context.connection_state.thorough
        try:
            asked = await poll_connection(self.context, self._report, is_awaited=is_awaited)
        except BusydError as error:
            self._failed(error)
            if isinstance(error, LoginRefused) and not isinstance(error, NOTHING_SENT):
                await self._kept.remember()
            return False
        except Exception as error:
            logger.exception("polling %s failed with an internal error", name)
            fault = f"internal error in busyd ({type(error).__name__}): see its log, and please report it"
            self._failed(RemoteError(fault))
            return False
        finally:
            self._ended = clock.monotonic()
            if (sent := self.context.connection_state.asked) is not None:
                self._began = max(self._began, sent.monotonic)  # later, where it had to wait before it asked
            self.context.connection_state.polls.count(self._ended - self._began)
        await self._kept.succeed()
        self.context.connection_state.has_other_password = False
        if is_thorough:
            self.context.connection_state.thorough = False
        end_trouble(self.context)
        if asked:
            self.context.connection_state.last_poll = clock.now()
        self._on_change()
        return True

    def _failed(self, error: BusydError) -> None:
        connection_state = self.context.connection_state
        self._kept.fail(error, login_accepted=connection_state.login_accepted)
        self._tell(error)
        self._report(Progress(self.context.name, "", "failed", detail=connection_state.trouble))

    def _tell(self, error: BusydError) -> None:
        """Show what is wrong to whoever asks, and once to the log."""
        begin_trouble(self.context, error, locked_out=self._kept.backoff.is_locked_out)
        self._on_change()

    async def _may_try(self, *, by_hand: bool) -> bool:
        if await self._kept.recall():
            self._tell(LoginRefused(host_of(self.context.connection_state.connection.url)))
        return await self._kept.may_try(by_hand=by_hand, last=self._ended)

    async def _rest(self) -> None:
        """Wait until the next poll is due. Once a login was refused, another password ends the waiting."""
        clock, connection_state = self.context.clock, self.context.connection_state
        while True:
            due = next_poll_at(
                self._kept.backoff, connection_state.connection.poll, last=self._began, chance=random.random()
            )
            wait = max(due, self._not_before) - clock.monotonic()
            if wait <= 0:
                return
            look = self._until_second_look()
            if look < wait and not self._kept.backoff.refusals and self._kept.backoff.not_before <= clock.monotonic():
                connection_state.next_poll = Instant(clock.now() + int(look))
                await clock.sleep(look)
                return
            connection_state.next_poll = Instant(clock.now() + int(wait))
            if not self._kept.backoff.refusals:
                await clock.sleep(wait)
                continue
            await clock.sleep(min(wait, SECRET_CHECK))
            await self._kept.forgive_another_password()
            if not self._kept.backoff.refusals:
                return

    def _until_second_look(self) -> float:
        """Seconds until a second look at a feed is due that a poll in its own time would take too late."""
        now = self.context.clock.now()
        linked = self.context.state.linked_calendars(self.context.name)
        looks = [record.look_again for record in linked if record.remote.kind in FEEDS]
        return min((look - now for look in looks if look is not None and look > now), default=NEVER)

    def _report(self, progress: Progress) -> None:
        for listener in self._listeners:
            listener(progress)
