"""Long pure work on the event loop, half a millisecond at a time: a thread would fight for the interpreter lock."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Final, TypeVar

T = TypeVar("T")

SLICE_SECONDS: Final = 0.0005


async def in_slices(work: Generator[None, None, T]) -> T:
    """Run a generator to its end, letting everybody else run whenever half a millisecond is used up."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SLICE_SECONDS
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: T = done.value
            return result
        if loop.time() >= until:
            await asyncio.sleep(0)
            until = loop.time() + SLICE_SECONDS


async def to_the_end(work: Coroutine[object, object, T]) -> T:
    """Run what must not stop halfway: when we are cancelled it is finished first, and then we stop."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
