"""The only source of "now". Everything that needs the time is given a `Clock`; tests give a stopped one."""

import asyncio
import time
from typing import Protocol

from msgspec import Struct

from busyd.period import Instant


class Now(Struct, frozen=True):
    """One moment by both clocks."""

    wall: Instant
    monotonic: float


class Clock(Protocol):
    """Wall time dates data; monotonic time measures waiting (a changed wall clock must not stop or flood polling)."""

    def now(self) -> Instant:
        """Whole seconds of UTC since 1970."""

    def monotonic(self) -> float:
        """Seconds that only ever grow."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long by the monotonic clock."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> Instant:
        return Instant(int(time.time()))

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def sleep_unless(event: asyncio.Event, seconds: float, *, clock: Clock) -> None:
    """Wait that long, or until the event is set."""
    waiting = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(seconds))]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
