"""How long a connection is left alone after failures; of a refused login that is kept over restarts.

A daemon that is started over and over must try a refused login no more often, or the account may be locked.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec.structs import replace

from busyd.clock import Clock
from busyd.dav.errors import LoginRefused
from busyd.errors import BusydError, RemoteError
from busyd.remote.backoff import ConnectionBackoff, after_failure, after_success

logger = logging.getLogger(__name__)


class LoginMemory(Protocol):
    """What outlives the daemon of a refused login."""

    async def recall(self) -> ConnectionBackoff | None:
        """How things stood before; None when the login was not refused, or is another one now."""

    async def remember(self, backoff: ConnectionBackoff) -> None:
        """Keep it for the next start; without refusals, forget it."""


class KeptBackoff:
    """The backoff of one connection."""

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        has_another_password: Callable[[], Awaitable[bool]],
        memory: LoginMemory | None,
    ) -> None:
        self.backoff = ConnectionBackoff()
        self._name = name
        self._clock = clock
        self._has_another_password = has_another_password
        self._memory = memory
        self._recalling, self._is_recalled = asyncio.Lock(), False
        self._is_extra = False
        """The poll under way, or the last one, is one that a person added to those of a refused login."""

    @property
    def is_refused(self) -> bool:
        """Whether the login was refused at the last try."""
        return self.backoff.refusals > 0

    async def recall(self) -> bool:
        """Go on as before a restart, once; True when the login was refused then."""
        async with self._recalling:
            if self._memory is None or self._is_recalled:
                return False
            self._is_recalled, backoff = True, await self._memory.recall()
            if backoff is not None:
                self.backoff = backoff
            return backoff is not None

    async def may_try(self, *, by_hand: bool, last: float) -> bool:
        """Whether somebody who asks has a poll begin now, after one that ended at `last` (monotonic)."""
        await self.forgive_another_password()
        now = self._clock.monotonic()
        if now >= self.backoff.not_before:
            return True
        if self.backoff.refusals:
            return by_hand and self.backoff.may_be_added(self._clock.now())
        return self.backoff.may_be_hurried(now, last=last)

    async def forgive_another_password(self) -> None:
        """Start afresh when the password that was refused has been replaced."""
        if not self.backoff.refusals:
            return
        try:
            replaced = await self._has_another_password()
        except BusydError as error:
            logger.debug("%s: the password cannot be read at the moment: %s", self._name, error)
            return
        if replaced:
            self.backoff = ConnectionBackoff(slow_until=self.backoff.slow_until, extras=self.backoff.extras)

    async def begin(self) -> None:
        """A poll begins: before anything is sent it counts, whatever ends the daemon now."""
        self._is_extra = self.is_refused and self._clock.monotonic() < self.backoff.not_before
        if self._is_extra:
            self.backoff = self.backoff.with_extra(self._clock.now())
            await self.remember()

    async def succeed(self) -> None:
        """The poll went well."""
        was_refused, self.backoff = self.is_refused, after_success(self.backoff)
        if was_refused:
            await self.remember()

    def fail(self, error: BusydError, *, login_accepted: bool) -> None:
        """The poll failed; `login_accepted`: only after the server had let it in."""
        known = error if isinstance(error, RemoteError) else RemoteError(str(error))
        if login_accepted:
            # What is refused after that says nothing about the password: only refusals in a row count.
            self.backoff = replace(self.backoff, refusals=0)
            known = RemoteError(str(error)) if isinstance(error, LoginRefused) else known
        before, now = self.backoff, self._clock.monotonic()
        self.backoff = after_failure(before, known, now=now, wall=self._clock.now(), chance=random.random())
        if self._is_extra or (self.backoff.yields and now < before.not_before):
            self.backoff = before  # who asks out of turn does not make the wait longer

    async def remember(self) -> None:
        """Keep it for the next start."""
        if self._memory is not None:
            await self._memory.remember(self.backoff)
