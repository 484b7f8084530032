"""The values of the mirror: accounts, calendars and calendar objects as their servers last had them.

All of it can be read from the servers again.
"""

from collections.abc import Mapping
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
    """Href -> when it was first found gone, for what is not yet believed to be."""
    validators: Mapping[str, str] = field(default_factory=dict)
    earlier_token: str | None = None
    """While `look_again` is set: a token from which the next look sees the last one's changes too."""
    look_again: Instant | None = None
    """When to look although nothing seems to have changed."""

    @property
    def label(self) -> str:
        """How a person names it: CONNECTION/NAME, or the connection alone for a feed."""
        shown = self.remote.name or self.remote.id
        return self.connection if self.remote.kind == "feed" else f"{self.connection}/{shown}"


class SyncMark(Struct, frozen=True):
    """Where a calendar's mirror stands after a sync: committed together with the objects it speaks of."""

    ctag: str | None
    sync_token: str | None
    as_of: Instant
    reconciled: Instant | None = None
    """Set when this sync compared everything, so that the daily comparison can wait."""
    held: Mapping[str, Instant] = field(default_factory=dict)
    validators: Mapping[str, str] = field(default_factory=dict)
    earlier_token: str | None = None
    look_again: Instant | None = None


class StoredObject(Struct, frozen=True):
    """One calendar object resource as mirrored (RFC 4791 §4.1)."""

    href: str
    etag: str
    uid: str
    payload: bytes
