"""What becomes of an unexpected error: a line in the log with its traceback, and an answer without it."""

import logging
from collections import deque
from typing import Final

from busyd.http.problem import HttpProblem

logger = logging.getLogger(__name__)

LINES_A_MINUTE: Final = 10
"""A bug that every request runs into must not fill the disk."""
_MINUTE: Final = 60.0


class CrashLog:
    """Logs unexpected errors, but not every one of a flood."""

    def __init__(self) -> None:
        self._written: deque[float] = deque(maxlen=LINES_A_MINUTE)
        self.total = 0

    def take(self, error: BaseException | None, now: float) -> HttpProblem:
        """Log the error, unless ten were logged within the last minute (monotonic `now`); the answer to give."""
        self.total += 1
        if len(self._written) < LINES_A_MINUTE or now - self._written[0] >= _MINUTE:
            self._written.append(now)
            logger.error("a request failed unexpectedly (%d since the start)", self.total, exc_info=error)
        return HttpProblem(
            "crash",
            500,
            detail="busyd failed unexpectedly while answering",
            fix="the log of busyd has the details; please report it",
        )
