"""What other daemons have written since it was looked at last, on a connection of its own.

Every row that is followed has a number from a sequence, anew whenever it is written. One transaction at a time writes
each schema, and takes its numbers while nobody else can, so the order of the numbers is that of the commits: what is
numbered later than the last row that was seen is all that was not seen yet.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct

from busyd.period import Instant, Period
from busyd.store.acceptances import Acceptance
from busyd.store.bookings import Booking
from busyd.store.mirror import AccountRecord, CalendarRecord
from busyd.store.occurrences import IndexEntry
from busyd.store.postgresql.connection import TransactionConnection
from busyd.store.postgresql.following import accounts_moved, calendars_moved, forget_deletions, objects_moved
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from busyd.store.transaction import Transaction

_ROWS: Final = "SELECT moved, record FROM ledger.booking WHERE moved>? OR id=ANY(?) ORDER BY moved"
_MOST_OBJECTS: Final = 500
"""Of one calendar; where more have changed it is read as a whole, in parts."""
_HEALTH: Final = (
    "SELECT connection, health FROM fleet.lease WHERE health<>''"
    " AND (?=0 OR reported>clock_timestamp() - make_interval(secs => ?))"
)
_REPORTED_WITHIN: Final = 30.0
"""Seconds within which a report that was made is seen, whenever its transaction ended."""
_ACCEPTED: Final = "SELECT id, calendar, href, uid, reason, at FROM ledger.acceptance"
_NAMES: Final = "SELECT id, href, etag FROM object WHERE id=ANY(?)"
_INCOMPLETE: Final = (
    "SELECT 1 FROM busy_index WHERE object=ANY(?) AND rows>0 AND length(occurrences)=0"
    " OR object=ANY(?) AND recurring<>0 AND (span_start<>? OR span_end<>?) LIMIT 1"
)


class ObjectsMoved(Struct, frozen=True):
    """Objects of one calendar as they are now."""

    entries: Mapping[int, list[IndexEntry] | None]
    """One a reading zone; None for an object that is gone."""
    names: Mapping[int, tuple[str, str]]
    """Href and ETag of those that are there."""


class CalendarMoved(Struct, frozen=True):
    """A calendar of which something has changed."""

    id: int
    generation: int
    """Of its index."""
    objects: ObjectsMoved | None
    """None when it is to be read as a whole."""


class ConnectionMoved(Struct, frozen=True):
    """A connection of which something has changed."""

    account: AccountRecord | None
    calendars: list[CalendarRecord]
    """All of them as they are now."""
    changed: list[CalendarMoved]


class Followed(Struct, frozen=True):
    """What was written."""

    connections: Mapping[str, ConnectionMoved]
    rows: list[Booking]
    """Of the outbox, as they are now."""
    health: Mapping[str, str]
    """The health of connections, as their owners have said lately."""
    accepted: Mapping[str, Acceptance]
    """What was accepted of objects that cannot be understood."""
    newest: int
    """The number of the newest entry in the log of changes."""
    mirror_upto: int
    rows_upto: int


class FollowedFrom(Struct, frozen=True):
    """What is known already, and of what."""

    is_own: Callable[[str], bool]
    """Whether a connection is written by this daemon, which has it in memory."""
    span: Period
    """What is kept expanded."""
    known: Mapping[int, str]
    """Calendar -> its connection, of those in memory."""
    unlisted: Sequence[str]
    """Connections of which it is not known what calendars they have: all of them are read, as after a reload."""
    rows: Sequence[str]
    """Rows of the outbox that are read in any case."""
    is_begun: bool
    """Whether this is not the first time."""
    index_version: str = ""
    """What this daemon makes an index with: entries that were made otherwise are not read."""


class OtherDaemons:
    """Reads it. Its methods block, and raise StorageError; for one thread at a time."""

    def __init__(self, server: DatabaseServer) -> None:
        self._connection = TransactionConnection(server, MIRROR)
        self._mirror = self.rows_upto = 0
        self.here = ""
        """Where the ledger is, as `place` has it."""

    def begin(self) -> None:
        """From now on, what is written is followed: to be called before anything is read into memory."""
        self._mirror, self.rows_upto, self.here = self._connection.read(_begin)

    def read(self, known: FollowedFrom) -> Followed:
        """What was written after what was taken last. All of it is of one moment."""
        return self._connection.read(partial(_read, known=known, mirror=self._mirror, rows=self.rows_upto))

    def read_rows(self) -> list[Booking]:
        """Rows of the outbox that were written after what was taken last, as they are by now. They are read again."""
        return self._connection.read(lambda db: [row for _, row in _read_rows(db, after=self.rows_upto)])

    def take(self, followed: Followed) -> None:
        """All of it is in memory: it need not be read again."""
        self._mirror, self.rows_upto = followed.mirror_upto, followed.rows_upto

    def forget(self, *, before: Instant) -> None:
        """Keep no longer what was deleted before this. Raises SessionEnded."""
        self._connection.write(lambda db: forget_deletions(db, before=before))

    def close(self) -> None:
        self._connection.close()


def _begin(db: PostgresSession) -> tuple[int, int, str]:
    (rows,) = db.execute("SELECT COALESCE(MAX(moved), 0) FROM ledger.booking").fetchone()
    return calendars_moved(db, 0).upto, rows, db.execute("SELECT here FROM ledger.place").fetchone()[0]


def _read(db: PostgresSession, known: FollowedFrom, *, mirror: int, rows: int) -> Followed:
    moved = calendars_moved(db, mirror)
    query = "SELECT id, connection FROM calendar WHERE id=ANY(?)"
    there = {**known.known, **dict(db.execute(query, (list(moved.written),)).fetchall())}
    unlisted = dict(db.execute("SELECT id, connection FROM calendar WHERE connection=ANY(?)", (list(known.unlisted),)))
    there |= unlisted
    written = set(there) if moved.is_whole else {*moved.written, *moved.deleted, *unlisted}
    accounts = accounts_moved(db, -1 if moved.is_whole else mirror, besides=known.unlisted)
    by_connection: dict[str, list[int]] = {name: [] for name in accounts if not known.is_own(name)}
    for calendar in written & there.keys():
        if not known.is_own(there[calendar]):
            by_connection.setdefault(there[calendar], []).append(calendar)
    found = _read_rows(db, after=rows, besides=known.rows)
    return Followed(
        {
            name: _read_connection(db, name, calendars=numbers, after=0 if moved.is_whole else mirror, known=known)
            for name, numbers in by_connection.items()
        },
        [row for _, row in found],
        dict(db.execute(_HEALTH, (int(known.is_begun), _REPORTED_WITHIN)).fetchall()),
        {row[0]: Acceptance(*row) for row in db.execute(_ACCEPTED).fetchall()},
        db.execute("SELECT newest FROM changes.counter").fetchone()[0],
        mirror_upto=moved.upto,
        rows_upto=max([rows, *(number for number, _ in found)]),
    )


def _read_rows(db: PostgresSession, *, after: int, besides: Sequence[str] = ()) -> list[tuple[int, Booking]]:
    rows = db.execute(_ROWS, (after, list(besides)))
    return [(number, msgspec.json.decode(record, type=Booking)) for number, record in rows]


def _read_connection(
    db: PostgresSession, name: str, *, calendars: Iterable[int], after: int, known: FollowedFrom
) -> ConnectionMoved:
    tx = Transaction(db)
    tx.index_version = known.index_version
    span = known.span if tx.keeps_index else None
    records = tx.read_calendars(name)
    there = {record.id for record in records}
    changed = [
        CalendarMoved(number, tx.generation_of(number), _read_objects(db, number, after=after, span=span))
        for number in sorted(there.intersection(calendars))
    ]
    return ConnectionMoved(tx.read_account(name), records, changed)


def _read_objects(db: PostgresSession, calendar: int, *, after: int, span: Period | None) -> ObjectsMoved | None:
    """None where entries alone do not say all: too many, withheld, over another span, not expanded, damaged; and where
    there is no `span`, as they are another daemon's reading."""
    moved = objects_moved(db, calendar, after=after)
    numbers = list(moved.written)
    if moved.is_whole or span is None or len(numbers) > _MOST_OBJECTS:
        return None
    if db.execute(_INCOMPLETE, (numbers, numbers, span.start, span.end)).fetchone() is not None:
        return None
    names = {number: (href, etag) for number, href, etag in db.execute(_NAMES, (numbers,)).fetchall()}
    tx = Transaction(db)
    try:
        entries: dict[int, list[IndexEntry] | None] = {number: tx.entries_of(number) for number in names}
    except msgspec.MsgspecError:
        return None  # whoever reads all of it finds the damage, and what is to be done about it
    if not all(entries.values()):
        return None
    return ObjectsMoved(dict.fromkeys(moved.deleted) | entries, names)
