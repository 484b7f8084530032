"""What one of several daemons does for all of them: it tells webhooks."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

logger = logging.getLogger(__name__)


class SharedDuties:
    """The duties, while they are this daemon's."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._task = asyncio.create_task(self._work(), name="duties of one daemon")

    def keep(self) -> None:
        """Begin them again when they have ended by themselves."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            logger.error("telling webhooks ended unexpectedly and is begun again", exc_info=self._task.exception())
            self.begin()

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
