"""The log of changes, and what it has told: a file of its own, `changes.sqlite3`.

Not in the mirror, which is thrown away when it is damaged, as all of it can be read again; and not in the ledger, which
the command line opens too, so that each change there would make the daemon read its tokens anew. Only the daemon opens
this file. It is synchronous: a number that somebody was told must not come again after a power failure.
"""

import asyncio
import functools
import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Final

from busyd.period import Instant
from busyd.store.changes import ChangeEntry, NewEntry, NumberGone, ToldState
from busyd.store.engine import Database
from busyd.store.errors import StorageDamaged
from busyd.store.sqlite.change_log_schema import CHANGE_LOG_MIGRATIONS
from busyd.store.sqlite.database import SqliteDatabase, set_aside
from busyd.store.statements.changes import (
    AT_ONCE,
    append,
    begin_numbers,
    first_number,
    is_new,
    keep_told,
    note_hours,
    prune,
    read_known_since,
    read_last,
    read_next,
    read_told,
    read_touching,
    reset_all,
)

logger = logging.getLogger(__name__)

CHANGES_FILE: Final = "changes.sqlite3"
_PRUNE_EVERY: Final = 3600
_IN_MEMORY: Final = 1000
"""Entries that are read without the disk: enough for everybody who follows."""


class ChangeLog:
    """The open log. Its coroutines raise StorageError."""

    def __init__(self, database: Database, *, least: int = 0) -> None:
        self._database = database
        self._recent: deque[ChangeEntry] = deque(maxlen=_IN_MEMORY)
        self._appended = asyncio.Event()
        self._pruned: Instant | None = None
        self.oldest, self.newest = database.write_now(functools.partial(begin_numbers, least=least))
        """The numbers of the first entry that is kept, or else of the next one; and of the last ever written."""
        self.is_new = database.write_now(is_new)
        """Whether nothing was ever told, so that everything may have been told by an earlier log."""

    @classmethod
    def open_or_begin_anew(cls, path: Path, *, now: Instant) -> "ChangeLog":
        """Open or create the file; a damaged one is set aside beside it, with a warning. Raises StorageError."""
        try:
            return cls(open_changes(path))
        except StorageDamaged as error:
            logger.warning("%s; it is kept as %s, and the log of changes begins anew", error, set_aside(path).name)
            return cls.begin_after(open_changes(path), now=now)

    @classmethod
    def begin_after(cls, database: Database, *, now: Instant) -> "ChangeLog":
        """A log in place of one that is elsewhere or lost: its numbers are such as that cannot have reached."""
        return cls(database, least=first_number(now))

    def reset_now(self, profiles: Iterable[str], *, now: Instant) -> None:
        """After a restore: tell everybody that what was known of these profiles, and of all in the log, is not so.

        Only before the loop serves. Raises StorageError.
        """
        self._database.write_now(functools.partial(reset_all, profiles=profiles, now=now))

    def close(self) -> None:
        """Finish what is queued, then close the file."""
        self._database.close()

    async def append(self, changes: Sequence[NewEntry], told: ToldState, *, now: Instant) -> None:
        """Add entries and what is now told, all of it or nothing, and wake those who follow."""
        is_due = self._pruned is None or not 0 <= now - self._pruned < _PRUNE_EVERY
        entries, oldest = await self._database.write(
            lambda db: (
                append(db, changes, told=told, now=now),
                prune(db, now) if is_due else self.oldest,
            )
        )
        self.oldest = oldest
        if is_due:
            self._pruned = now
        self._take(entries)

    async def catch_up(self) -> None:
        """Take what another daemon has added, and wake those who follow."""
        while True:
            entries, self.oldest = await self._database.read(functools.partial(read_next, after=self.newest))
            self._take(entries)
            if len(entries) < AT_ONCE:
                return

    def _take(self, entries: Sequence[ChangeEntry]) -> None:
        # What this daemon adds, `catch_up` may have found already, and the other way round.
        if entries := [entry for entry in entries if entry.number > self.newest]:
            self._recent.extend(entries)
            self.newest = entries[-1].number
            appended, self._appended = self._appended, asyncio.Event()
            appended.set()

    async def appended(self) -> None:
        """Return when something is added after this call."""
        await self._appended.wait()

    async def entries_after(self, number: int) -> Sequence[ChangeEntry]:
        """The next entries, some at a time; none when `number` is the newest. Raises NumberGone."""
        if number == self.newest:
            return ()
        if not self.oldest - 1 <= number < self.newest:
            raise NumberGone
        if self._recent and self._recent[0].number - 1 <= number:
            first = bisect_right(self._recent, number, key=attrgetter("number"))
            return list(islice(self._recent, first, first + AT_ONCE))
        return (await self._database.read(functools.partial(read_next, after=number)))[0]

    async def last_entries(self, wanted: Callable[[ChangeEntry], bool], count: int) -> list[ChangeEntry]:
        """The last entries that are wanted, at most so many, in order."""
        return await self._database.read(lambda db: read_last(db, wanted, count=count))

    async def entries_touching(self, profile: str, moment: Instant, *, most: int) -> list[ChangeEntry]:
        """The last entries of a profile that are about a moment, or about all time, at most so many, in order."""
        return await self._database.read(lambda db: read_touching(db, profile, moment=moment, most=most))

    async def known_since(self, profile: str) -> Instant | None:
        """From when on the log tells everything of a profile; None while it tells nothing of it."""
        return await self._database.read(lambda db: read_known_since(db, profile))

    async def number_before(self, moment: Instant) -> int:
        """The number after which everything that is kept was written at this moment or later."""
        first = await self._database.read(
            lambda db: db.execute("SELECT MIN(number) FROM entry WHERE at>=?", (moment,)).fetchone()[0]
        )
        return self.newest if first is None else int(first) - 1

    async def note_hours(self, hours: Mapping[str, str], *, now: Instant) -> None:
        """Remember the working hours of profiles, as text, where they are others than those that were noted last."""
        await self._database.write(lambda db: note_hours(db, hours, now=now))

    async def read_hours(self, profile: str) -> list[tuple[Instant, str]]:
        """The working hours that a profile had, and since when each, in order; those of the last `LONGEST_DAYS`."""
        query = "SELECT at, hours FROM hours WHERE profile=? ORDER BY at"
        return await self._database.read(lambda db: db.execute(query, (profile,)).fetchall())

    async def read_told(self, profiles: Collection[str]) -> dict[str, bytes]:
        """Profile -> the packed snapshot that its entries amount to, of those of which anything was ever told."""
        return await self._database.read(lambda db: read_told(db, profiles))

    async def keep_told(self, *, profiles: Container[str], connections: Container[str]) -> set[str]:
        """Forget what was told of all other profiles and connections; the connections whose failure was told last."""
        return await self._database.write(lambda db: keep_told(db, profiles, connections=connections))


def open_changes(path: Path) -> Database:
    """The file, created or brought to the newest schema. Raises StorageError, StorageDamaged."""
    return SqliteDatabase(path, CHANGE_LOG_MIGRATIONS, journal="WAL", synchronous="FULL")
