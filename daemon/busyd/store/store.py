"""Storage of the mirror and its index behind one object: named methods, and no word of SQL above it.

Everything in it can be read from the servers again.
"""

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Self, TypeVar

from busyd.connection import RemoteCalendar
from busyd.period import Instant, Period
from busyd.store.engine import Database, SqlSession
from busyd.store.errors import StorageDamaged
from busyd.store.members import CollectionMark, Member, MemberChange, MemberContent, MirroredMember
from busyd.store.mirror import AccountRecord, CalendarRecord, StoredObject
from busyd.store.occurrences import IndexEntry, RowCounts
from busyd.store.sqlite.connection import has_unwritten_log, open_unlocked, storage_errors
from busyd.store.sqlite.database import SqliteDatabase, set_aside
from busyd.store.sqlite.schema import MIRROR_MIGRATIONS
from busyd.store.transaction import Transaction

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Store:
    """The open store. Its work runs on a thread of its own; every method but `transaction_now` leaves the loop free.

    All of them raise StorageError.
    """

    def __init__(self, database: Database, *, is_shared: bool = False) -> None:
        """`is_shared`: other daemons write it too."""
        self._database = database
        self._is_shared = is_shared
        self.members_revision = 0
        """Grows with every change of the members of served collections."""
        self.index_version = ""
        """What this daemon makes an index with. Where another one has made the stored index otherwise, none is kept."""

    @classmethod
    def open(cls, path: Path, *, synchronous: str = "NORMAL") -> Self:
        """Open or create the file, brought to the newest schema. Raises StorageError, StorageDamaged."""
        return cls(SqliteDatabase(path, MIRROR_MIGRATIONS, journal="WAL", synchronous=synchronous, sealed=True))

    @classmethod
    def open_or_begin_anew(cls, path: Path) -> Self:
        """The same; a damaged file is set aside beside it, with a warning. Raises StorageError."""
        try:
            return cls.open(path)
        except StorageDamaged as error:
            logger.warning("%s; it is kept as %s, and everything is read anew", error, set_aside(path).name)
            return cls.open(path)

    def call_on_damage(self, callback: Callable[[], object]) -> None:
        """Have this called, on any thread, when the file turns out to be damaged while it is used."""
        self._database.on_damage = callback

    def close(self) -> None:
        """Finish what is queued, then close the file."""
        self._database.close()

    async def transaction(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on the store's thread as one transaction: all of it is kept, or nothing."""
        return await self._database.write(self._noting(work))

    def transaction_now(self, work: Callable[[Transaction], T]) -> T:
        """The same on the calling thread. Only before the loop serves, so that a start answers at once."""
        return self._database.write_now(self._noting(work))

    def read_now(self, work: Callable[[Transaction], T]) -> T:
        """Run `work`, which changes nothing, on the calling thread, likewise."""
        return self._database.read_now(lambda db: work(Transaction(db)))

    async def ping(self) -> None:
        """Return once the store's thread has answered."""
        await self._read(lambda tx: tx.ping())

    async def scrub(self) -> None:
        """Leave nothing in the files of what was forgotten."""
        await self._database.scrub()

    # Single reads and writes; the docstrings are those of `Transaction`.

    async def generation_of(self, calendar: int) -> int:
        return await self._read(lambda tx: tx.generation_of(calendar))

    async def read_meta(self, name: str) -> str | None:
        return await self._read(lambda tx: tx.read_meta(name))

    async def read_metas(self, beginning: str) -> dict[str, str]:
        return await self._read(lambda tx: tx.read_metas(beginning))

    async def read_account(self, connection: str) -> AccountRecord | None:
        return await self._read(lambda tx: tx.read_account(connection))

    async def read_calendars(self, connection: str | None = None) -> list[CalendarRecord]:
        return await self._read(lambda tx: tx.read_calendars(connection))

    async def record_listing(self, connection: str, calendars: Iterable[RemoteCalendar], *, at: Instant) -> None:
        await self.transaction(lambda tx: tx.record_listing(connection, calendars, at=at))

    async def record_listed(self, connection: str, remote: RemoteCalendar) -> None:
        await self.transaction(lambda tx: tx.record_listed(connection, remote))

    async def record_gone(self, calendar: int) -> None:
        await self.transaction(lambda tx: tx.record_gone(calendar))

    async def confirm_calendars(self, calendars: Iterable[int], at: Instant) -> None:
        await self.transaction(lambda tx: tx.confirm_calendars(calendars, at))

    async def read_etags(self, calendar: int, hrefs: Iterable[str] | None = None) -> dict[str, str]:
        return await self._read(lambda tx: tx.read_etags(calendar, hrefs))

    async def read_names(self, calendar: int) -> tuple[dict[str, str], dict[str, str]]:
        """The ETags and the spellings of its objects, by href."""
        return await self._read(lambda tx: (tx.read_etags(calendar), tx.read_spellings(calendar)))

    async def read_spellings(self, calendar: int) -> dict[str, str]:
        return await self._read(lambda tx: tx.read_spellings(calendar))

    async def read_uids(self, calendar: int, hrefs: Iterable[str]) -> dict[str, str]:
        return await self._read(lambda tx: tx.read_uids(calendar, hrefs))

    async def read_payloads(self, calendar: int, hrefs: Iterable[str]) -> dict[str, StoredObject]:
        return await self._read(lambda tx: tx.read_payloads(calendar, hrefs))

    async def read_objects(self, calendar: int) -> list[StoredObject]:
        return await self._read(lambda tx: tx.read_objects(calendar))

    async def objects_that_say(self, calendar: int, text: bytes) -> dict[str, str]:
        return await self._read(lambda tx: tx.objects_that_say(calendar, text))

    async def read_objects_by_id(self, numbers: Iterable[int]) -> Mapping[int, StoredObject]:
        return await self._read(lambda tx: tx.read_objects_by_id(numbers))

    async def read_marks(self, calendars: Iterable[int]) -> dict[int, CollectionMark]:
        return await self._read(lambda tx: tx.read_marks(calendars))

    async def read_members(self, calendar: int) -> list[Member]:
        return await self._read(lambda tx: tx.read_members(calendar))

    async def member_names(self, calendar: int, numbers: Iterable[int] | None = None) -> list[str]:
        return await self._read(lambda tx: tx.member_names(calendar, numbers))

    async def read_contents(self, calendar: int, names: Iterable[str], *, most: int) -> dict[str, MemberContent | None]:
        return await self._read(lambda tx: tx.read_contents(calendar, names, most=most))

    async def read_changes(self, calendar: int, *, after: int, limit: int) -> tuple[CollectionMark, list[MemberChange]]:
        return await self._read(lambda tx: tx.read_changes(calendar, after=after, limit=limit))

    async def read_member(self, calendar: int, name: str) -> MirroredMember | None:
        return await self._read(lambda tx: tx.read_member(calendar, name))

    async def names_with_uid(self, calendar: int, uid: str) -> list[str]:
        return await self._read(lambda tx: tx.names_with_uid(calendar, uid))

    async def touch_member(self, calendar: int, name: str) -> None:
        await self.transaction(lambda tx: tx.touch_member(calendar, name))

    async def follow_made(
        self, owner: str, tags: Mapping[str, str], *, at: Instant
    ) -> tuple[CollectionMark, dict[str, str]]:
        """The mark, and the salts of `read_salts`."""
        return await self.transaction(lambda tx: (tx.follow_made(owner, tags, at=at), tx.read_salts(owner)))

    async def touch_made(self, owner: str, name: str) -> None:
        await self.transaction(lambda tx: tx.touch_made(owner, name))

    async def read_made_changes(self, owner: str, *, after: int, upto: int, limit: int) -> list[MemberChange]:
        return await self._read(lambda tx: tx.read_made_changes(owner, after=after, upto=upto, limit=limit))

    async def shared_uids(self) -> list[tuple[int, str, int, str]]:
        return await self._read(lambda tx: tx.shared_uids())

    async def keeps_index(self) -> bool:
        return not self._is_shared or await self._read(lambda tx: tx.keeps_index)

    async def count_rows(self, calendar: int) -> RowCounts:
        return await self._read(lambda tx: tx.count_rows(calendar))

    async def read_entries(self, calendar: int, zone: str, *, after: int = 0) -> list[tuple[str, str, IndexEntry]]:
        return await self._read(lambda tx: tx.read_entries(calendar, zone, after=after))

    async def entries_of(self, number: int) -> list[IndexEntry]:
        return await self._read(lambda tx: tx.entries_of(number))

    async def read_recurring(self, calendar: int, zone: str, *, after: int = 0) -> list[tuple[IndexEntry, bytes, str]]:
        return await self._read(lambda tx: tx.read_recurring(calendar, zone, after=after))

    async def objects_to_expand(
        self, calendar: int, zone: str, *, span: Period, after: int = 0
    ) -> list[tuple[int, bytes, str, str]]:
        return await self._read(lambda tx: tx.objects_to_expand(calendar, zone, span=span, after=after))

    async def put_entries(
        self, entries: Collection[IndexEntry], *, of: Mapping[int, tuple[bytes, str]]
    ) -> Collection[int]:
        """Of objects that still have these payloads and ETags; those."""

        def put(tx: Transaction) -> Collection[int]:
            there = tx.still_there(of)
            tx.put_entries(entry for entry in entries if entry.object in there)
            return there

        return await self.transaction(put)

    async def forget_withheld(self, calendar: int) -> None:
        await self.transaction(lambda tx: tx.forget_withheld(calendar))

    async def record_snapshot(self, profile: str, key: str, *, body: bytes) -> None:
        await self.transaction(lambda tx: tx.record_snapshot(profile, key, body=body))

    def _noting(self, work: Callable[[Transaction], T]) -> Callable[[SqlSession], T]:
        """The work, with its changes of members counted on the store's thread: before anybody can read them there."""

        def noted(db: SqlSession) -> T:
            tx = self._begun(db)
            try:
                return work(tx)
            finally:
                self.members_revision += tx.has_changed_members

        return noted

    async def _read(self, work: Callable[[Transaction], T]) -> T:
        return await self._database.read(lambda db: work(self._begun(db)))

    def _begun(self, db: SqlSession) -> Transaction:
        tx = Transaction(db)
        tx.index_version = self.index_version if self._is_shared else ""
        return tx


def read_calendars_of_stopped(path: Path) -> list[CalendarRecord] | None:
    """The calendars in the file of a daemon that does not run; None when it ended before everything was written there.

    Nothing is changed or locked. Raises StorageError, also when a daemon has begun to write meanwhile.
    """
    if has_unwritten_log(path):
        return None
    connection = open_unlocked(path)
    with contextlib.closing(connection), storage_errors(path):
        return Transaction(connection).read_calendars()
