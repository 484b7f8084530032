"""Letting others run while something long happens on the event loop, and finishing what must not be left half done.

Long pure work is a generator that yields after each small step, and `in_slices` runs it half a millisecond at a time: a
thread would fight for the interpreter lock. A loop that awaits anyway calls `let_others_run` between its steps.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from busyd.errors import BusydError, UserError

logger = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")

SLICE_SECONDS: Final = 0.0005


async def let_others_run() -> None:
    """Give every other task that is ready its turn."""
    await asyncio.sleep(0)


async def in_slices(work: Generator[None, None, T]) -> T:
    """Run a generator to its end, letting others run whenever half a millisecond is used up."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SLICE_SECONDS
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: T = done.value
            return result
        if loop.time() >= until:
            await let_others_run()
            until = loop.time() + SLICE_SECONDS


def in_one_go(work: Generator[None, None, T]) -> T:
    """Run a generator to its end without a break: for little work, where nothing may come in between."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: T = done.value
            return result


def apply(function: Callable[[S], T], values: Iterable[S]) -> Generator[None, None, list[T]]:
    """What a function makes of each value, for `in_slices`."""
    made: list[T] = []
    for value in values:
        made.append(function(value))
        yield
    return made


class Turns:
    """Gives tasks that need a few milliseconds each a turn of the loop of their own, so that many at once do not add up
    to a stall."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def own(self) -> AsyncIterator[None]:
        """Run the block in a turn in which no other block of these runs."""
        async with self._lock:
            yield
            await let_others_run()


async def to_the_end(work: Coroutine[object, object, T]) -> T:
    """Run what must not stop halfway: when we are cancelled it is finished first, and then we stop.

    If it fails then, nobody waits for the error any more, so it is logged.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.add_done_callback(_tell_failure)
        await asyncio.wait([task])
        raise
    return task.result()


def _tell_failure(task: "asyncio.Task[T]") -> None:
    if task.cancelled() or (error := task.exception()) is None:
        return
    message = "what was finished after its caller had been cancelled has failed: %s"
    if isinstance(error, UserError):
        logger.debug(message, error)
    elif isinstance(error, BusydError):
        logger.warning(message, error)
    else:
        logger.error(message, error, exc_info=error)
