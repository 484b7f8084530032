"""What one transaction writes of a calendar: objects, what they say of time, and where its sync stands."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from busyd.index.placeholders import as_mirrored
from busyd.period import Instant, Period
from busyd.state.problems import version_of
from busyd.store.mirror import GHOST_ETAG, UNREAD_ETAG, StoredObject, SyncMark
from busyd.store.occurrences import IndexEntry
from busyd.store.transaction import Transaction

if TYPE_CHECKING:
    from busyd.index.expansion import Expanded

Version = tuple[str, str]
"""Href and ETag of an object; no ETag for what the server has in another version than the mirror."""
Changes = dict[int, list[IndexEntry] | None]
"""Object -> its new entries, one a reading zone; None when the object is gone."""


class Incoming(Struct, frozen=True):
    """An object as fetched, before it is stored."""

    href: str
    etag: str
    payload: bytes


class BatchEnd(Struct, frozen=True):
    """What is written together with the last of the objects."""

    gone: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    ghosts: tuple[str, ...] = ()
    spelled: Mapping[str, str] = field(default_factory=dict)
    mark: SyncMark | None = None


class CalendarBatch(Struct, frozen=True):
    """What one transaction writes."""

    calendar: int
    connection: str
    objects: "list[tuple[Incoming, Expanded]]"
    end: BatchEnd
    horizon: Period
    withheld: bool
    at: Instant
    versions: dict[int, Version] = field(default_factory=dict)
    """Those of the objects it changed, once it is committed."""
    deleted: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Id -> href and UID of those that it deleted, likewise."""

    def _version(self, href: str, etag: str) -> str:
        doubts = self.end.mark.doubts if self.end.mark is not None else {}
        return version_of(self.connection, href, etag=etag, doubts=doubts)

    def commit(self, tx: Transaction) -> Changes:
        """Write everything; the changes for the tables."""
        changes: Changes = {}
        versions = self.versions
        for fetched, expanded in self.objects:
            stored = StoredObject(fetched.href, fetched.etag, expanded.uid, fetched.payload)
            number = tx.put_object(self.calendar, stored)
            changes[number] = expanded.entries(number, self.horizon)
            versions[number] = fetched.href, self._version(fetched.href, fetched.etag)
        self.deleted.update(tx.forget_objects(self.calendar, self.end.gone, at=self.at))
        changes |= dict.fromkeys(self.deleted)
        for etag, marked in ((UNREAD_ETAG, self.end.unread), (GHOST_ETAG, self.end.ghosts)):
            for number, href in tx.mark_unread(self.calendar, marked, etag=etag).items():
                changes[number] = as_mirrored(number, (), etag=etag, span=self.horizon)
                versions[number] = href, self._version(href, etag)
            for number, href in tx.objects_with_payload(self.calendar, marked).items():
                known = changes.get(number) or tx.entries_of(number)
                # Without entries it is not known when it was.
                seen = etag if known else UNREAD_ETAG
                changes[number] = as_mirrored(number, known, etag=seen, span=self.horizon)
                versions[number] = href, self._version(href, etag)
        tx.record_spellings(self.calendar, self.end.spelled)
        there = {number: entries for number, entries in changes.items() if entries is not None}
        tx.replace_entries(there, withheld=self.withheld)
        if self.end.mark is not None:
            tx.record_sync(self.calendar, self.end.mark)
        if changes:
            tx.advance_generation(self.calendar)
        return changes
