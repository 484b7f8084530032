"""The daemon's tasks as one group: all run until the stop, and the first that fails ends the others."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from busyd.clock import Clock
from busyd.store.errors import StorageError

logger = logging.getLogger(__name__)

RETRY_EVERY: Final = 30.0
"""Seconds between two tries of what the disk does not let us do."""


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


async def patiently(work: Callable[[], Awaitable[object]], clock: Clock, *, failure: str) -> None:
    """Do it until the disk lets us; until then busyd answers from what it has."""
    while True:
        try:
            await work()
        except StorageError as error:
            logger.error("%s: %s; trying again in %g seconds", failure, error, RETRY_EVERY)
            await clock.sleep(RETRY_EVERY)
        else:
            return


@contextmanager
def without_collections() -> Iterator[None]:
    """No garbage collection meanwhile, and none later of what is there at the end: it stays, and each look through all
    of it holds every thread up, for a tenth of a second where there is much."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """uvloop where the user has installed it."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
