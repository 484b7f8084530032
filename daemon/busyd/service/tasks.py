"""The daemon's tasks as one group: all run until the stop, and the first that fails ends the others."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

logger = logging.getLogger(__name__)


class _Stopped(Exception):
    """Ends the task group of `run_until_stopped`, and never leaves it."""


async def run_until_stopped(stop: asyncio.Event, work: Mapping[str, Coroutine[Any, Any, None]]) -> None:
    """Run all of it until the stop, and cancel it then; the names are those of the tasks.

    What returns early is done. The first to fail ends the others, and its error is raised as it is; what others run
    into while they end is logged.
    """

    async def wait_for_stop() -> None:
        await stop.wait()
        raise _Stopped

    try:
        async with asyncio.TaskGroup() as tasks:
            for name, coroutine in work.items():
                tasks.create_task(coroutine, name=name)
            tasks.create_task(wait_for_stop(), name="stop")
    except BaseExceptionGroup as group:
        first, *later = group.exceptions
        for error in later:
            if not isinstance(error, _Stopped):
                logger.error("while everything was stopped: %s", error, exc_info=error)
        if not isinstance(first, _Stopped):
            raise first from None


def loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """uvloop where the user has installed it."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
