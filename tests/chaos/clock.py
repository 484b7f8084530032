"""Time that only passes when somebody sleeps or a test says so: hours of polling take as long as their requests."""

import asyncio

from busyd.period import Instant

START = Instant(1_780_272_000)
"""2026-06-01T00:00:00Z, a Monday."""


class VirtualClock:
    """Wall and monotonic time in one. `jump` moves the wall alone, as a wrong or corrected clock does."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._wall = float(START)
        self._until = float("inf")
        self._reached = asyncio.Event()

    def now(self) -> Instant:
        return Instant(int(self._wall + self.passed))

    def monotonic(self) -> float:
        return 1000.0 + self.passed

    async def sleep(self, seconds: float) -> None:
        """Time passes at once; but past the end of `run_for` nobody wakes up any more."""
        if self.passed + seconds > self._until:
            self._reached.set()
            await asyncio.Event().wait()
        self.passed += max(seconds, 0.0)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self.passed += seconds

    def jump(self, seconds: float) -> None:
        self._wall += seconds

    async def run_for(self, seconds: float, task: "asyncio.Task[None]") -> None:
        """Let a task that sleeps live so long, then end it."""
        self._until, self._reached = self.passed + seconds, asyncio.Event()
        reached = asyncio.create_task(self._reached.wait())
        await asyncio.wait([reached, task], return_when=asyncio.FIRST_COMPLETED)
        self.passed, self._until = self._until, float("inf")
        ended_by_itself = task.done()
        for one in (task, reached):
            one.cancel()
        await asyncio.gather(task, reached, return_exceptions=True)
        if ended_by_itself:
            task.result()
