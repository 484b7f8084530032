"""When a connection is polled: on and on, earlier when somebody asks, later when its server wants peace.

One poll at a time; who asks during one waits for it. Whatever one poll runs into, the next one comes: one of four
places that catch every exception, with the answer to a request (`http/app.py`), the carrying of an appointment
(`flow/book.py`) and the last resort (`cli/run.py`).
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

from msgspec.structs import replace

from busyd.connection import FEEDS
from busyd.dav.errors import LoginRefused
from busyd.dav.href import host_of
from busyd.errors import BusydError, RemoteError
from busyd.flow.poll import poll_connection
from busyd.period import Instant
from busyd.progress import Progress, Report
from busyd.remote.backoff import CHECK_EVERY, ConnectionBackoff, after_failure, after_success, next_poll_at
from busyd.remote.client import CaldavClient
from busyd.remote.errors import NOTHING_SENT
from busyd.service.trouble import begin_trouble, end_trouble
from busyd.sync.context import PollContext
from busyd.sync.timing import SECRET_CHECK

logger = logging.getLogger(__name__)

NEVER: Final = float("inf")


class LoginMemory(Protocol):
    """What outlives the daemon of a refused login."""

    async def recall(self) -> ConnectionBackoff | None:
        """How things stood before; None when the login was not refused, or is another one now."""

    async def remember(self, backoff: ConnectionBackoff) -> None:
        """Keep it for the next start; without refusals, forget it."""


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
        self._has_another_password = has_another_password
        self._on_change = on_change
        self._after_poll = after_poll
        self._backoff = ConnectionBackoff()
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
        self._memory = memory
        self._recalling, self._is_recalled = asyncio.Lock(), False
        self._is_stopped = False
        self._is_extra = False
        """The poll under way, or the last one, is one that a person added to those of a refused login."""

    @property
    def is_refused(self) -> bool:
        """Whether the login was refused at the last try."""
        return self._backoff.refusals > 0

    @contextlib.asynccontextmanager
    async def undisturbed(self) -> AsyncIterator[CaldavClient]:
        """The client of the connection, while no poll is under way."""
        async with self._turn:
            yield self.context.client

    async def run(self) -> None:
        """Poll for ever; ends only by being cancelled."""
        while True:
            await self.poll_now()
            await self._rest()

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

    async def stop(self) -> None:
        """Cancel a poll under way, and begin none any more; what it has committed stays."""
        self._is_stopped = True
        if self._running is not None and not self._running.done():
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._telling is not None:
            await asyncio.gather(self._telling, return_exceptions=True)

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
        await self.context.writer.publisher.tell_changes((self.context.name,))
        if self._after_poll is not None and not is_awaited:
            await self._after_poll(self.context.name)

    async def _poll_connection(self, *, is_awaited: bool) -> bool:
        clock, name = self.context.clock, self.context.name
        self._began = clock.monotonic()
        self._is_extra = self.is_refused and self._began < self._backoff.not_before
        if self._is_extra:
            self._backoff = self._backoff.with_extra(clock.now())
            await self._remember()  # before anything is sent: whatever ends the daemon now, it counts
        self.context.connection_state.login_accepted = False
        is_thorough = self.context.connection_state.thorough
        try:
            asked = await poll_connection(self.context, self._report, is_awaited=is_awaited)
        except BusydError as error:
            self._failed(error)
            if isinstance(error, LoginRefused) and not isinstance(error, NOTHING_SENT):
                await self._remember()
            return False
        except Exception as error:
            logger.exception("polling %s failed with an internal error", name)
            fault = f"internal error in busyd ({type(error).__name__}): see its log, and please report it"
            self._failed(RemoteError(fault))
            return False
        finally:
            self._ended = clock.monotonic()
            self.context.connection_state.polls.count(self._ended - self._began)
        was_refused, self._backoff = self.is_refused, after_success(self._backoff)
        if was_refused:
            await self._remember()
        self.context.connection_state.has_other_password = False
        if is_thorough:
            self.context.connection_state.thorough = False
        end_trouble(self.context)
        if asked:
            self.context.connection_state.last_poll = clock.now()
        self._on_change()
        return True

    def _failed(self, error: BusydError) -> None:
        connection_state, clock = self.context.connection_state, self.context.clock
        known = error if isinstance(error, RemoteError) else RemoteError(str(error))
        if connection_state.login_accepted:
            # What is refused after that says nothing about the password: only refusals in a row count.
            self._backoff = replace(self._backoff, refusals=0)
            known = RemoteError(str(error)) if isinstance(error, LoginRefused) else known
        before, now = self._backoff, clock.monotonic()
        self._backoff = after_failure(before, known, now=now, wall=clock.now(), chance=random.random())
        if self._is_extra or (self._backoff.yields and now < before.not_before):
            self._backoff = before  # who asks out of turn does not make the wait longer
        self._tell(error)
        self._report(Progress(self.context.name, "", "failed", detail=connection_state.trouble))

    def _tell(self, error: BusydError) -> None:
        """Show what is wrong to whoever asks, and once to the log."""
        begin_trouble(self.context, error, locked_out=self._backoff.is_locked_out)
        self._on_change()

    async def _may_try(self, *, by_hand: bool) -> bool:
        async with self._recalling:
            await self._recall()
        await self._forgive_another_password()
        clock, backoff = self.context.clock, self._backoff
        if clock.monotonic() >= backoff.not_before:
            return True
        if backoff.refusals:
            return by_hand and backoff.may_be_added(clock.now())
        return backoff.may_be_hurried(clock.monotonic(), last=self._ended)

    async def _recall(self) -> None:
        """Go on as before a restart: a daemon that is started over and over tries a refused login no more often."""
        if self._memory is None or self._is_recalled:
            return
        self._is_recalled, backoff = True, await self._memory.recall()
        if backoff is None:
            return
        self._backoff, connection_state = backoff, self.context.connection_state
        self._tell(LoginRefused(host_of(connection_state.connection.url)))

    async def _remember(self) -> None:
        if self._memory is not None:
            await self._memory.remember(self._backoff)

    async def _forgive_another_password(self) -> None:
        """Start afresh when the password that was refused has been replaced."""
        if not self._backoff.refusals:
            return
        try:
            replaced = await self._has_another_password()
        except BusydError as error:
            logger.debug("%s: the password cannot be read at the moment: %s", self.context.name, error)
            return
        if replaced:
            self._backoff = ConnectionBackoff(slow_until=self._backoff.slow_until, extras=self._backoff.extras)

    async def _rest(self) -> None:
        """Wait until the next poll is due. Once a login was refused, another password ends the waiting."""
        clock, connection_state = self.context.clock, self.context.connection_state
        while True:
            due = next_poll_at(
                self._backoff, connection_state.connection.poll, last=self._began, chance=random.random()
            )
            wait = due - clock.monotonic()
            if wait <= 0:
                return
            look = self._until_second_look()
            if look < wait and not self._backoff.refusals and self._backoff.not_before <= clock.monotonic():
                connection_state.next_poll = Instant(clock.now() + int(look))
                await clock.sleep(look)
                return
            connection_state.next_poll = Instant(clock.now() + int(wait))
            if not self._backoff.refusals:
                await clock.sleep(wait)
                continue
            await clock.sleep(min(wait, SECRET_CHECK))
            await self._forgive_another_password()
            if not self._backoff.refusals:
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
