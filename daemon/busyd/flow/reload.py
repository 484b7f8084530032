"""A reload as those see it who ask for one: what came of it, and one queue for all who ask, by signal or by HTTP."""

import asyncio
import logging
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
"""Seconds until a reload that the disk did not let us finish is tried again."""


class ReloadFault(Struct, frozen=True):
    """One thing that is wrong with a configuration that was refused."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ReloadOutcome(Struct, frozen=True):
    """What a reload did. The old configuration stays as a whole when it was refused."""

    outcome: Literal["applied", "refused", "restart-needed"]
    changed: tuple[str, ...] = ()
    """What counts from now on, in a few words each: `connection anna: poll`."""
    needs_restart: tuple[str, ...] = ()
    """Keys whose new value counts only after a restart."""
    faults: tuple[ReloadFault, ...] = ()
    warnings: tuple[str, ...] = ()
    """Not wrong, but worth a look: among others each named calendar that is not there."""

    @property
    def reason(self) -> str:
        """Why it was refused, in a line: the first fault, and how many more there are."""
        if not self.faults:
            return ""
        first, more = self.faults[0], len(self.faults) - 1
        told = replace(first, message=shorten(first.message, _LONGEST_REASON, placeholder=" …"))
        return f"{told}{f' (and {more} more)' if more else ''}"


class ReloadRequests:
    """Reloads one after the other. Those who ask during one share the next: only that surely reads what they wrote."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[ReloadOutcome]] = []

    def ask(self) -> None:
        """Have the configuration read again; nobody waits for the outcome."""
        self._asked.set()

    async def outcome(self) -> ReloadOutcome:
        """Ask, and wait. Raises StorageError when the disk did not let the change be made; it is tried again."""
        future: asyncio.Future[ReloadOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._asked.set()
        return await future

    async def serve(self, reload: Callable[[], Awaitable[ReloadOutcome]]) -> NoReturn:
        """Reload whenever it is asked for, for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            waiting, self._waiting = self._waiting, []
            try:
                outcome = await reload()
            except StorageError as error:
                logger.error("the configuration was not applied: %s; trying again in %g s", error, RETRY_EVERY)
                _fail(waiting, error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._asked.wait(), RETRY_EVERY)
                self._asked.set()
            else:
                for future in waiting:
                    if not future.done():  # who asked may be gone
                        future.set_result(outcome)


def _fail(waiting: Sequence[asyncio.Future[ReloadOutcome]], error: StorageError) -> None:
    for future in waiting:
        if not future.done():
            future.set_exception(error)
