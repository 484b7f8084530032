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
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Final

import msgspec

from busyd.period import Instant, Period
from busyd.store.changes import ChangeEntry, ChangeEvent, NewEntry, NumberGone, ToldAppointment, ToldState
from busyd.store.engine import Database, SqlSession
from busyd.store.errors import StorageDamaged
from busyd.store.sqlite.change_log_schema import CHANGE_LOG_MIGRATIONS
from busyd.store.sqlite.database import SqliteDatabase, set_aside
from busyd.store.statements.base import upsert

logger = logging.getLogger(__name__)

CHANGES_FILE: Final = "changes.sqlite3"
DAY: Final = 86_400
KEPT_DAYS: Final = 7
"""So long every entry is kept."""
LONGEST_DAYS: Final = 30
MOST_ENTRIES: Final = 100_000
"""Of entries older than `KEPT_DAYS` so many are kept at most, the younger ones counted, and for `LONGEST_DAYS`."""
_PRUNE_EVERY: Final = 3600
_IN_MEMORY: Final = 1000
"""Entries that are read without the disk: enough for everybody who follows."""
_AT_ONCE: Final = 500
_COLUMNS: Final = "number, at, event, profiles, body, token, origin, starts, ends"
_PER_SECOND: Final = 100
"""A log that begins anew in place of a damaged one starts at a number that the old one cannot have reached."""


def begin_after(path: Path, *, now: Instant) -> None:
    """Begin a log in place of one that is elsewhere or lost, with numbers that it cannot have reached.

    Raises StorageError.
    """
    ChangeLog(open_changes(path), least=now * _PER_SECOND).close()


class ChangeLog:
    """The open log. Its coroutines raise StorageError."""

    def __init__(self, database: Database, *, least: int = 0) -> None:
        self._database = database
        self._recent: deque[ChangeEntry] = deque(maxlen=_IN_MEMORY)
        self._appended = asyncio.Event()
        self._pruned: Instant | None = None
        self.oldest, self.newest = database.write_now(functools.partial(_begin, least=least))
        """The numbers of the first entry that is kept, or else of the next one; and of the last ever written."""
        self.is_new = database.write_now(_is_new)
        """Whether nothing was ever told, so that everything may have been told by an earlier log."""

    @classmethod
    def open_or_begin_anew(cls, path: Path, *, now: Instant) -> "ChangeLog":
        """Open or create the file; a damaged one is set aside beside it, with a warning. Raises StorageError."""
        try:
            return cls(open_changes(path))
        except StorageDamaged as error:
            logger.warning("%s; it is kept as %s, and the log of changes begins anew", error, set_aside(path).name)
            return cls(open_changes(path), least=now * _PER_SECOND)

    def close(self) -> None:
        """Finish what is queued, then close the file."""
        self._database.close()

    async def append(self, changes: Sequence[NewEntry], told: ToldState, *, now: Instant) -> None:
        """Add entries and what is now told, all of it or nothing, and wake those who follow."""
        prune = self._pruned is None or not 0 <= now - self._pruned < _PRUNE_EVERY
        entries, oldest = await self._database.write(
            lambda db: (_append(db, changes, told=told, now=now), _prune(db, now) if prune else self.oldest)
        )
        self.oldest = oldest
        if prune:
            self._pruned = now
        if entries:
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
            return list(islice(self._recent, first, first + _AT_ONCE))
        return await self._database.read(
            lambda db: _read(db, "WHERE number>? ORDER BY number LIMIT ?", number, _AT_ONCE)
        )

    async def last_entries(self, wanted: Callable[[ChangeEntry], bool], count: int) -> list[ChangeEntry]:
        """The last entries that are wanted, at most so many, in order."""
        return await self._database.read(lambda db: _read_last(db, wanted, count=count))

    async def entries_touching(self, profile: str, moment: Instant, *, most: int) -> list[ChangeEntry]:
        """The last entries of a profile that are about a moment, or about all time, at most so many, in order."""
        return await self._database.read(lambda db: _read_touching(db, profile, moment=moment, most=most))

    async def known_since(self, profile: str) -> Instant | None:
        """From when on the log tells everything of a profile; None while it tells nothing of it."""
        return await self._database.read(lambda db: _known_since(db, profile))

    async def number_before(self, moment: Instant) -> int:
        """The number after which everything that is kept was written at this moment or later."""
        first = await self._database.read(
            lambda db: db.execute("SELECT MIN(number) FROM entry WHERE at>=?", (moment,)).fetchone()[0]
        )
        return self.newest if first is None else int(first) - 1

    async def note_hours(self, hours: Mapping[str, str], *, now: Instant) -> None:
        """Remember the working hours of profiles, as text, where they are others than those that were noted last."""
        await self._database.write(lambda db: _note_hours(db, hours, now=now))

    async def read_hours(self, profile: str) -> list[tuple[Instant, str]]:
        """The working hours that a profile had, and since when each, in order; those of the last `LONGEST_DAYS`."""
        query = "SELECT at, hours FROM hours WHERE profile=? ORDER BY at"
        return await self._database.read(lambda db: db.execute(query, (profile,)).fetchall())

    async def read_told(self, profiles: Collection[str]) -> dict[str, bytes]:
        """Profile -> the packed snapshot that its entries amount to, of those of which anything was ever told."""
        return await self._database.read(lambda db: _read_told(db, profiles))

    async def keep_told(self, *, profiles: Container[str], connections: Container[str]) -> set[str]:
        """Forget what was told of all other profiles and connections; the connections whose failure was told last."""
        return await self._database.write(lambda db: _keep_told(db, profiles, connections=connections))


def open_changes(path: Path) -> Database:
    """The file, created or brought to the newest schema. Raises StorageError, StorageDamaged."""
    return SqliteDatabase(path, CHANGE_LOG_MIGRATIONS, journal="WAL", synchronous="FULL")


def _is_new(db: SqlSession) -> bool:
    row = db.execute("SELECT 1 FROM told UNION ALL SELECT 1 FROM told_appointment LIMIT 1").fetchone()
    return row is None


def _begin(db: SqlSession, *, least: int) -> tuple[int, int]:
    if least:
        db.execute("UPDATE counter SET newest=?", (least,))
    return _oldest(db), db.execute("SELECT newest FROM counter").fetchone()[0]


def _oldest(db: SqlSession) -> int:
    query = "SELECT COALESCE((SELECT MIN(number) FROM entry), (SELECT newest + 1 FROM counter))"
    number: int = db.execute(query).fetchone()[0]
    return number


def _append(db: SqlSession, changes: Sequence[NewEntry], *, told: ToldState, now: Instant) -> list[ChangeEntry]:
    entries = []
    for change in (*changes, *_take_appointments(db, told, now=now)):
        names = " ".join(sorted(change.profiles))
        (number,) = db.execute("UPDATE counter SET newest=newest+1 RETURNING newest").fetchone()
        db.execute(
            f"INSERT INTO entry ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)",
            (number, now, change.event, names, change.body, change.token, change.origin, *_edges(change.span)),
        )
        entries.append(ChangeEntry(number, now, change))
    db.execute("UPDATE told SET since=? WHERE since IS NULL", (now,))
    db.executemany(
        "INSERT INTO told (profile, snapshot, since) VALUES (?,?,?)"
        " ON CONFLICT (profile) DO UPDATE SET snapshot=excluded.snapshot",
        [(*one, now) for one in told.snapshots],
    )
    failing = [(name,) for name in told.failing]
    db.executemany("INSERT INTO failing (name) VALUES (?) ON CONFLICT (name) DO NOTHING", failing)
    db.executemany("DELETE FROM failing WHERE name=?", [(name,) for name in told.recovered])
    return entries


def _edges(span: Period | None) -> tuple[int | None, int | None]:
    return (span.start, span.end) if span is not None else (None, None)


def _take_appointments(db: SqlSession, told: ToldState, *, now: Instant) -> list[NewEntry]:
    """Remember appointments as they are told now; the entries that tell those that were told otherwise, or not yet."""
    entries = []
    for one in told.appointments:
        row = db.execute("SELECT told FROM told_appointment WHERE id=?", (one.id,)).fetchone()
        before = msgspec.json.decode(row[0], type=ToldAppointment) if row is not None else None
        if before != one:
            text = msgspec.json.encode(one).decode()
            db.execute(upsert("told_appointment", ("id", "told")), (one.id, text))
            if not told.is_silent:
                entries.append(one.entry_after(before, at=now))
    return entries


def _prune(db: SqlSession, now: Instant) -> int:
    """Drop what is too old, from the oldest on and without leaving a gap; the oldest number that is kept."""
    dropped = db.execute(
        "DELETE FROM entry WHERE number < (SELECT COALESCE(MIN(number), ?) FROM entry WHERE at > ?"
        " OR (at > ? AND number > (SELECT MAX(number) FROM entry) - ?)) RETURNING at",
        (2**62, now - KEPT_DAYS * DAY, now - LONGEST_DAYS * DAY, MOST_ENTRIES),
    ).fetchall()
    if dropped:
        db.execute("UPDATE counter SET dropped=?", (max(at for (at,) in dropped),))
    return _oldest(db)


def _read(db: SqlSession, rest: str, *values: object) -> list[ChangeEntry]:
    rows = db.execute(f"SELECT {_COLUMNS} FROM entry {rest}", values)
    return [
        ChangeEntry(
            number,
            at,
            NewEntry(
                ChangeEvent(event),
                frozenset(profiles.split()),
                body,
                token=token,
                span=Period(start, end) if start is not None else None,
                origin=origin,
            ),
        )
        for number, at, event, profiles, body, token, origin, start, end in rows
    ]


def _read_touching(db: SqlSession, profile: str, *, moment: Instant, most: int) -> list[ChangeEntry]:
    named = f"% {profile.replace('_', '!_')} %"
    rest = "AND ' '||profiles||' ' LIKE ? ESCAPE '!' ORDER BY number DESC LIMIT ?"
    touching = _read(db, f"WHERE starts<=? AND ends>? {rest}", moment, moment, named, most)
    touching += _read(db, f"WHERE starts IS NULL {rest}", named, most)
    return sorted(touching, key=attrgetter("number"))[-most:]


def _known_since(db: SqlSession, profile: str) -> Instant | None:
    row = db.execute("SELECT since, dropped FROM told CROSS JOIN counter WHERE profile=?", (profile,)).fetchone()
    return Instant(max(row[0], row[1] or 0)) if row is not None and row[0] is not None else None


def _read_last(db: SqlSession, wanted: Callable[[ChangeEntry], bool], *, count: int) -> list[ChangeEntry]:
    found: list[ChangeEntry] = []
    before = 2**62
    while len(found) < count:
        some = _read(db, "WHERE number<? ORDER BY number DESC LIMIT ?", before, _AT_ONCE)
        if not some:
            break
        before = some[-1].number
        found += filter(wanted, some)
    return found[:count][::-1]


def _note_hours(db: SqlSession, hours: Mapping[str, str], *, now: Instant) -> None:
    query = "SELECT hours, at FROM hours WHERE profile=? ORDER BY at DESC LIMIT 1"
    for profile, text in hours.items():
        row = db.execute(query, (profile,)).fetchone()
        if row is None or row[0] != text:
            # Others within the same second, or after the clock was set back, come after all the same.
            at = now if row is None else max(now, row[1] + 1)
            db.execute(upsert("hours", ("profile", "at", "hours"), keys=2), (profile, at, text))
    # The last that were noted before then still say how it was then.
    older = "SELECT MAX(at) FROM hours AS one WHERE one.profile=hours.profile AND at<=?"
    db.execute(f"DELETE FROM hours WHERE at<({older})", (now - LONGEST_DAYS * DAY,))


def _keep_told(db: SqlSession, profiles: Container[str], *, connections: Container[str]) -> set[str]:
    for table, column, kept in (("told", "profile", profiles), ("failing", "name", connections)):
        others = [row for row in db.execute(f"SELECT {column} FROM {table}").fetchall() if row[0] not in kept]
        db.executemany(f"DELETE FROM {table} WHERE {column}=?", others)
    return {name for (name,) in db.execute("SELECT name FROM failing")}


def _read_told(db: SqlSession, profiles: Collection[str]) -> dict[str, bytes]:
    found = {}
    for name in profiles:
        row = db.execute("SELECT snapshot FROM told WHERE profile=?", (name,)).fetchone()
        if row is not None:
            found[name] = row[0]
    return found
