"""How what is stored could not be read or written lately.

What worked meanwhile says little: on a full disk one row still finds a place where another does not.
"""

from collections import Counter
from typing import Final

from msgspec import Struct

from busyd.errors import BusydError
from busyd.period import Instant
from busyd.store.errors import OutOfSpace, StorageError

LATELY: Final = 120
"""Seconds for which a failure is shown: something is stored more often than that."""


class StorageFailure(Struct, frozen=True):
    """One failure."""

    at: Instant
    detail: str
    """With the path or the name of what has failed: for administrators."""
    fix: str
    is_full: bool
    """Whether there is no space left."""


class StorageHealth:
    """The last failure, and how many there were."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        """`out-of-space` and `unavailable` -> how many since the start."""
        self._last: StorageFailure | None = None

    def note(self, error: BusydError, *, now: Instant) -> StorageFailure | None:
        """Note that something could not be stored or read; None for an error of another kind."""
        if not isinstance(error, StorageError):
            return None
        is_full = isinstance(error, OutOfSpace)
        self.failures["out-of-space" if is_full else "unavailable"] += 1
        self._last = StorageFailure(now, str(error), error.fix, is_full)
        return self._last

    def lately(self, now: Instant) -> StorageFailure | None:
        """The last failure, while it is worth being shown."""
        return self._last if self._last is not None and abs(now - self._last.at) <= LATELY else None
