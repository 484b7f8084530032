"""An event loop in which time passes only when nobody has anything to do. Hours take as long as what is done in them.

What would be done on a thread is done at once, so that a run is the same each time.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from busyd.period import Instant
from tests.chaos.clock import START


class _Idle(selectors.DefaultSelector):
    """Lets time pass in place of waiting."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        if timeout is None:
            message = "everybody waits, and nothing will ever happen"
            raise AssertionError(message)
        self.passed += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """It is its own clock, too."""

    def __init__(self) -> None:
        self._idle = _Idle()
        super().__init__(self._idle)

    def time(self) -> float:
        return self._idle.passed

    def now(self) -> Instant:
        return Instant(START + int(self.time()))

    def monotonic(self) -> float:
        return self.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def run_in_executor(  # type: ignore[override]
        self,
        executor: Executor | None,  # noqa: ARG002
        func: Callable[..., Any],
        *arguments: Any,
    ) -> asyncio.Future[Any]:
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(func(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done

    def end(self) -> None:
        """Cancel what is under way, as the end of a process does, and close."""
        left = asyncio.all_tasks(self)
        for task in left:
            task.cancel()
        self.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.close()
