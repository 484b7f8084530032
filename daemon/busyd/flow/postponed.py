"""Objects that could not be read because reading itself failed: a fault of this machine, not of the object.

Their time is unknown meanwhile. Nothing of it is stored, so that a start tries again; while the daemon runs they are
tried again after a while, each time twice as long.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from busyd.flow.slices import to_the_end
from busyd.flow.unfetched import outdated
from busyd.store import mirror, objects, occurrences
from busyd.store.database import StorageError
from busyd.store.occurrences import IndexEntry

if TYPE_CHECKING:
    from busyd.flow.mirroring import Changes, Mirroring

logger = logging.getLogger(__name__)

FIRST_RETRY: Final = 15.0
"""Seconds until an object is tried again; doubles with each failure."""
LONGEST_RETRY: Final = 3600.0
AT_ONCE: Final = 100
"""Objects that are tried in one go."""


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
        for number in [number for number, one in self._objects.items() if one.calendar not in calendars]:
            self.discard(number)

    def due(self, now: float) -> dict[int, list[int]]:
        """Calendar -> its objects that are to be tried now, those that failed least often first."""
        found: dict[int, list[int]] = {}
        for number, one in sorted(self._objects.items(), key=lambda item: item[1].failures):
            if one.due <= now:
                found.setdefault(one.calendar, []).append(number)
        return found

    def next_due(self) -> float:
        return min((one.due for one in self._objects.values()), default=float("inf"))

    def of(self, calendar: int) -> list[Postponed]:
        return [one for one in self._objects.values() if one.calendar == calendar]

    def take_untold(self, calendar: int) -> int:
        """How many of a calendar were added since this was last asked."""
        return self._untold.pop(calendar, 0)

    def note(self, calendar: int) -> str:
        """A sentence about a calendar for its owner; empty when all of it could be read."""
        found = self.of(calendar)
        if not found:
            return ""
        events = "1 object" if len(found) == 1 else f"{len(found)} objects"
        return (
            f"{events} of it could not be read, so its time counts as unavailable: {found[0].why}; busyd tries again "
            "by itself; if this stays so, look for the cause in busyd's log and at the memory limit of the service"
        )


async def retry_postponed(mirroring: "Mirroring") -> None:
    """Try again for ever, whenever something is due; ends only by being cancelled."""
    while True:
        try:
            await retry_when_due(mirroring)
        except StorageError as error:
            logger.error("what could not be read before could not be stored, trying again: %s", error)
            await mirroring.clock.sleep(FIRST_RETRY)


async def retry_when_due(mirroring: "Mirroring") -> None:
    """Wait until something is due, and try it once."""
    postponed, clock = mirroring.register.postponed, mirroring.clock
    while (wait := postponed.next_due() - clock.monotonic()) > 0:
        await postponed.added.wait()
        await clock.sleep(min(wait, FIRST_RETRY))  # what is added meanwhile may be due earlier
    await _read_due(mirroring, clock.monotonic())


async def _read_due(mirroring: "Mirroring", now: float) -> None:
    register = mirroring.register
    for calendar, numbers in register.postponed.due(now).items():
        while numbers:
            numbers = numbers[await _read_again(mirroring, calendar, numbers[:AT_ONCE]) :]
        rest = len(register.postponed.of(calendar))
        label = register.label_of(calendar)
        if rest:
            logger.warning("%s: %s", label, register.postponed.note(calendar))
        else:
            logger.info("%s: everything that could not be read before is read now", label)
    await mirroring.catch_up()


async def _read_again(mirroring: "Mirroring", calendar: int, numbers: Sequence[int]) -> int:
    """Try the first of these objects. How many."""
    register = mirroring.register
    tried = {number: register.postponed.get(number) for number in numbers}
    stored = await mirroring.database.read(lambda db: objects.read_objects_by_id(db, numbers))
    zones, span = mirroring.zones_of(calendar), mirroring.span
    for number in set(numbers) - stored.keys():
        register.postponed.discard(number)
    if not stored:
        return len(numbers)
    expanded = await mirroring.expansion.expand([one.payload for one in stored.values()], zones, span)
    async with mirroring.changing:
        if (zones, span) != (mirroring.zones_of(calendar), mirroring.span):
            return len(numbers)  # the next round does it
        read: dict[int, list[IndexEntry]] = {}
        uids: dict[int, str] = {}
        for (number, known), one in zip(stored.items(), expanded, strict=False):
            entries = one.entries(number, span)
            if register.postponed.get(number) is not tried[number]:
                continue  # there is another version of it by now
            if not any(entry.postponed for entry in entries):
                read[number], uids[number] = entries if known.etag else outdated(entries), one.uid
            else:
                mirroring.note_postponed(calendar, number, entries)

        withheld = register.is_beyond(calendar)

        def store(db: sqlite3.Connection) -> "Changes":
            objects.record_uids(db, uids)
            occurrences.replace_entries(db, read, withheld=withheld)
            mirror.advance_generation(db)
            return dict(read)

        if read:
            await to_the_end(mirroring.commit(calendar, store))
    return numbers.index(list(stored)[len(expanded) - 1]) + 1
