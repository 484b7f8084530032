"""The values of the mirror: accounts, calendars and calendar objects as their servers last had them.

All of it can be read from the servers again.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from busyd.connection import RemoteCalendar
from busyd.period import Instant

MIRROR_FILE: Final = "mirror.sqlite3"


class AccountRecord(Struct, frozen=True):
    """What discovery found behind a connection; asked for again when it is old or answers 404."""

    connection: str
    root: str
    """The bootstrap URL it was discovered from; with another one, or another user, it is another account."""
    username: str
    principal: str
    homes: tuple[str, ...]
    """The collections in which its calendars are."""
    addresses: tuple[str, ...]
    """calendar-user-address-set (RFC 6638 §2.4.1), as sent."""
    single: bool
    """The home is itself the one calendar."""
    discovered: Instant
    partial: str = ""
    """Why there may be calendars that its last listing did not show; empty when it showed all."""


class DoubtKind(StrEnum):
    """In which way a server contradicts itself, or what is known, about one object."""

    GONE = "gone"
    """The newest listing or delta lacks it."""
    UNLISTED = "unlisted"
    """The newest listing lacks it, and yet it is handed out."""
    UNREAD = "unread"
    """Listed, but not handed out."""
    OUTDATED = "outdated"
    """Listed with one ETag and handed out with another, or as it was before."""


class ObjectDoubt(Struct, frozen=True, omit_defaults=True):
    """What there is to doubt about one object, for as long as there is."""

    kind: DoubtKind
    since: Instant
    """When the contradiction was first seen."""
    asked: int = 0
    """How many GETs of its own have confirmed the contradiction; for UNREAD only those answered 404 or 410."""
    last: Instant | None = None
    """When it was last asked for by a GET of its own."""
    proved: Instant | None = None
    """When its own 404 confirmed that it is GONE."""
    etag: str = ""
    """As it was listed, for UNREAD and OUTDATED."""
    uid: str = ""
    """Of what the mirror has of it, for GONE."""


class CalendarRecord(Struct, frozen=True):
    """A calendar of a connection, and how far the mirror follows it."""

    id: int
    connection: str
    remote: RemoteCalendar
    """As last listed; its ctag and sync_token are the listing's, not the mirror's."""
    missing_since: Instant | None = None
    """When a complete listing first came without it."""
    gone: bool = False
    """Missing for a good while and then asked for directly: its server no longer knew it."""
    ctag: str | None = None
    sync_token: str | None = None
    as_of: Instant | None = None
    reconciled: Instant | None = None
    complete: bool = False
    held: Mapping[str, Instant] = field(default_factory=dict)
    """Of a feed: href -> when it was first found gone, for what is not yet believed to be."""
    doubts: Mapping[str, ObjectDoubt] = field(default_factory=dict)
    """Of a collection: href -> what there is to doubt about it."""
    listed_token: str | None = None
    """The sync token of the listing by which the mirror was last read; a server may list others than it answers."""
    validators: Mapping[str, str] = field(default_factory=dict)
    earlier_token: str | None = None
    """While `look_again` is set: a token from which the next look sees the last one's changes too."""
    next_earlier_token: str | None = None
    """While `look_again` is set: the token from which the look after that one starts, unless nothing came since."""
    look_again: Instant | None = None
    """When to look although nothing seems to have changed."""

    @property
    def is_read(self) -> bool:
        """Whether it was ever read as a whole, so that what the mirror has proves something."""
        return self.complete and self.as_of is not None

    @property
    def label(self) -> str:
        """How a person names it: CONNECTION/NAME, or the connection alone for a feed."""
        shown = self.remote.name or self.remote.id
        return self.connection if self.remote.kind == "feed" else f"{self.connection}/{shown}"


class SyncMark(Struct, frozen=True):
    """Where a calendar's mirror stands after a sync: committed together with the objects it speaks of."""

    ctag: str | None
    sync_token: str | None
    as_of: Instant | None
    """None: what was seen is no proof of the whole, the last one grows old."""
    reconciled: Instant | None = None
    """Set when this sync compared everything, so that the daily comparison can wait."""
    held: Mapping[str, Instant] = field(default_factory=dict)
    doubts: Mapping[str, ObjectDoubt] = field(default_factory=dict)
    listed_token: str | None = None
    validators: Mapping[str, str] = field(default_factory=dict)
    earlier_token: str | None = None
    look_again: Instant | None = None
    next_earlier_token: str | None = None


UNREAD_ETAG: Final = ""
"""The ETag of an object that is listed but could not be had as listed."""
NO_ETAG: Final = "*"
"""The ETag of an object of which its server names none."""
GHOST_ETAG: Final = "ghost"
"""The ETag of an object that has been listed for long, and answered 404 each time; no server sends it so."""


def other_version_of(href: str) -> str:
    """Where a second version of an object is mirrored, while it is not known which is current. No href has a `#`."""
    return f"{href}#other"


def is_other_version(href: str) -> bool:
    """Whether this names the second version of an object."""
    return href.endswith("#other")


class StoredObject(Struct, frozen=True):
    """One calendar object resource as mirrored (RFC 4791 §4.1)."""

    href: str
    etag: str
    uid: str
    payload: bytes
