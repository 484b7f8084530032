"""Objects that could not be read because reading itself failed: a fault of this machine, not of the object.

Their time is unknown meanwhile. Nothing of it is stored, so that a start tries again; while the daemon runs they are
tried again after a while, each time twice as long (`index/retry.py`).
"""

import asyncio
from collections.abc import Collection
from typing import Final

from msgspec import Struct

FIRST_RETRY: Final = 15.0
"""Seconds until an object is tried again; doubles with each failure."""
LONGEST_RETRY: Final = 3600.0


class Postponed(Struct, frozen=True):
    """One object that was not read."""

    calendar: int
    why: str
    failures: int
    due: float
    """Monotonic seconds at which it is tried again."""


class PostponedObjects:
    """All of them, by their ids."""

    def __init__(self) -> None:
        self._objects: dict[int, Postponed] = {}
        self._untold: dict[int, int] = {}
        self.added = asyncio.Event()
        """Set while there are any."""

    def get(self, number: int) -> Postponed | None:
        """What is known of one object; another value each time it was tried."""
        return self._objects.get(number)

    def add(self, number: int, calendar: int, *, why: str, now: float) -> None:
        """Note that an object was not read, once more."""
        known = self._objects.get(number)
        failures = known.failures + 1 if known is not None else 1
        pause = min(FIRST_RETRY * 2.0 ** min(failures - 1, 16), LONGEST_RETRY)
        self._objects[number] = Postponed(calendar, why, failures, now + pause)
        if known is None:
            self._untold[calendar] = self._untold.get(calendar, 0) + 1
        self.added.set()

    def discard(self, number: int) -> None:
        """The object was read, or is gone."""
        self._objects.pop(number, None)
        if not self._objects:
            self.added.clear()

    def keep(self, calendars: Collection[int]) -> None:
        """Let go of the objects of all other calendars."""
        for number in [number for number, known in self._objects.items() if known.calendar not in calendars]:
            self.discard(number)

    def due(self, now: float) -> dict[int, list[int]]:
        """Calendar -> its objects that are to be tried now, those that failed least often first."""
        due: dict[int, list[int]] = {}
        for number, known in sorted(self._objects.items(), key=lambda item: item[1].failures):
            if known.due <= now:
                due.setdefault(known.calendar, []).append(number)
        return due

    def next_due(self) -> float:
        return min((known.due for known in self._objects.values()), default=float("inf"))

    def of(self, calendar: int) -> list[Postponed]:
        return [known for known in self._objects.values() if known.calendar == calendar]

    def take_untold(self, calendar: int) -> int:
        """How many of a calendar were added since this was last asked."""
        return self._untold.pop(calendar, 0)

    def note(self, calendar: int) -> str:
        """A sentence about a calendar for its owner; empty when all of it could be read."""
        unread = self.of(calendar)
        if not unread:
            return ""
        events = "1 object" if len(unread) == 1 else f"{len(unread)} objects"
        return (
            f"{events} of it could not be read, so its time counts as unavailable: {unread[0].why}; busyd tries again "
            "by itself; if this stays so, look for the cause in busyd's log and at the memory limit of the service"
        )
