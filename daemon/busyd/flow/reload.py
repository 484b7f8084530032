"""Reloads of the configuration as requests and outcomes: one queue for all, by signal or by HTTP."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from textwrap import shorten
from typing import Final, Literal, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from busyd.store.errors import StorageError

logger = logging.getLogger(__name__)

_LONGEST_REASON: Final = 160
RETRY_EVERY: Final = 30.0
"""Seconds until a reload that failed because of the disk is tried again."""


class ReloadFault(Struct, frozen=True):
    """One thing that is wrong with a configuration that was refused."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ReloadOutcome(Struct, frozen=True):
    """What a reload did. When it was refused, the old configuration stays in force as a whole."""

    outcome: Literal["applied", "refused", "restart-needed"]
    changed: tuple[str, ...] = ()
    """What is in force from now on, in a few words each: `connection anna: poll`."""
    needs_restart: tuple[str, ...] = ()
    """Keys whose new value takes effect only after a restart."""
    faults: tuple[ReloadFault, ...] = ()
    warnings: tuple[str, ...] = ()
    """Not wrong, but worth a look."""
    missing: tuple[str, ...] = ()
    """Those of the warnings about a calendar that is named and not there, or a password that cannot be read."""

    @property
    def reason(self) -> str:
        """Why it was refused, in a line: the first fault, and how many more there are."""
        if not self.faults:
            return ""
        first, more = self.faults[0], len(self.faults) - 1
        shown = replace(first, message=shorten(first.message, _LONGEST_REASON, placeholder=" …"))
        return f"{shown}{f' (and {more} more)' if more else ''}"


class ReloadRequests:
    """Reloads, one after the other. Requests during one share the next, which alone surely reads what they wrote."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[ReloadOutcome]] = []
        self._is_started, self._at_rest = asyncio.Event(), asyncio.Event()
        self._at_rest.set()
        self.outcomes: Counter[str] = Counter()
        """How many came to what, since the start."""
        self.last: ReloadOutcome | None = None

    def ask(self) -> None:
        """Have the configuration read again, without waiting for the outcome."""
        self._asked.set()

    async def outcome(self) -> ReloadOutcome:
        """The same, and wait. Raises StorageError when the disk does not allow the change; it is tried again later."""
        future: asyncio.Future[ReloadOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._asked.set()
        return await future

    def started(self) -> None:
        """The configuration of the start is in force, with a schedule for every connection that can be polled."""
        self._is_started.set()

    async def at_rest(self) -> None:
        """Wait for the end of the reload under way, or of the start, if there is one."""
        await self._is_started.wait()
        await self._at_rest.wait()

    async def serve(self, reload: Callable[[], Awaitable[ReloadOutcome]]) -> NoReturn:
        """Reload whenever it is asked for, forever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            waiting, self._waiting = self._waiting, []
            self._at_rest.clear()
            try:
                outcome = await reload()
            except StorageError as error:
                self._at_rest.set()
                logger.error("the configuration was not applied: %s; trying again in %g s", error, RETRY_EVERY)
                _fail(waiting, error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._asked.wait(), RETRY_EVERY)
                self._asked.set()
            else:
                self._at_rest.set()
                self.outcomes[outcome.outcome] += 1
                self.last = outcome
                for future in waiting:
                    if not future.done():  # the request may have been cancelled
                        future.set_result(outcome)


def _fail(waiting: Sequence[asyncio.Future[ReloadOutcome]], error: StorageError) -> None:
    for future in waiting:
        if not future.done():
            future.set_exception(error)
