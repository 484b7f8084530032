"""Counts starts that ended early, and makes later ones wait.

The service manager starts busyd again at once, which is right after one crash, and fills the journal when every
start fails. The systemd of Debian 12 knows no longer pauses for that (RestartSteps= came with 254).
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from busyd.clock import Clock, sleep_unless
from busyd.errors import Misconfigured, TryAgain
from busyd.store.errors import StorageError, StorageUnusable
from busyd.systemd import ServiceManager

logger = logging.getLogger(__name__)

COUNTER_FILE: Final = "early-ends"
"""How many starts in a row ended early, and when the last of them began (seconds since 1970)."""
LONG_ENOUGH: Final = 60.0
"""Seconds after READY from which on an end is no longer early."""
_AT_ONCE: Final = 3
"""So many early ends bring no pause."""
_FIRST_PAUSE: Final = 10.0
_LONGEST_PAUSE: Final = 30.0
_OLD: Final = 900
"""Seconds after which a start cannot have been one of a row: it came from a person, or after a reboot."""
_MOST_BYTES: Final = 64


class CrashCounter:
    """The counter of one state directory, for one start.

    A start counts as ended early until it has lived long enough, was stopped, or found a fault that no start mends.
    Nothing is counted, and nothing waits, without a service manager: who starts busyd by hand wants it now.
    """

    def __init__(self, state: Path, manager: ServiceManager, *, clock: Clock) -> None:
        self._path = state / COUNTER_FILE
        self._manager = manager
        self._clock = clock
        self._counted = False

    async def run(
        self, *, prepare: Callable[[], object], start: Callable[[], Awaitable[int]], stop: asyncio.Event
    ) -> int:
        """Prepare the state directory, wait if need be, then start and see how it ends.

        Returns the exit status of `start`, or 0 when stopped before. Raises what `prepare` and `start` raise; a failure
        that could not be counted, such as of a missing disk, waits here for what the next start would have waited.
        """
        try:
            prepare()
            ends = self._count() if self._manager.present else 0
            if pause := pause_after(ends):
                why = f"the last {ends} starts ended early"
                logger.warning("%s: waiting %g seconds before this one", why, pause)
                await self._wait(pause, f"{why}: waiting {pause:g} s", stop=stop)
            status = 0 if stop.is_set() else await start()
        except (Misconfigured, StorageUnusable):
            self.forget()
            raise
        except (TryAgain, StorageError) as error:
            if self._manager.present and not self._counted:
                await self._wait(_FIRST_PAUSE, str(error), stop=stop)
            raise
        if status == 0:
            self.forget()
        return status

    async def forget_later(self) -> None:
        """Once ready: forget the early ends when this start turns out to be a good one."""
        await self._clock.sleep(LONG_ENOUGH)
        self.forget()

    def forget(self) -> None:
        """No early ends from here on."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _count(self) -> int:
        """Count this start; how many before it ended early. A counter that is damaged or cannot be kept is none."""
        now = int(self._clock.now())
        ends, began = self._read()
        if not 0 <= now - began < _OLD:
            ends = 0
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(self._path, flags, 0o600), "w") as file:
                file.write(f"{ends + 1} {now}\n")
            self._counted = True
        return ends

    def _read(self) -> tuple[int, int]:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                ends, began = file.read(_MOST_BYTES).split()
            return max(0, int(ends)), int(began)
        except (OSError, ValueError):
            return 0, 0

    async def _wait(self, seconds: float, why: str, *, stop: asyncio.Event) -> None:
        """Let time pass, or be stopped."""
        self._manager.starting_later(seconds, why)
        await sleep_unless(stop, seconds, clock=self._clock)


def pause_after(ends: int) -> float:
    """Seconds to wait before a start, after so many in a row that ended early."""
    if ends <= _AT_ONCE:
        return 0.0
    doublings = min(ends - _AT_ONCE - 1, 16)
    return float(min(_FIRST_PAUSE * 2**doublings, _LONGEST_PAUSE))
