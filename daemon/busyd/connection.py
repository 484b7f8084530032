"""What the user has linked: connections, the calendars found behind them, and references that name one.

Pure values. How a calendar is read is `sync/`, what was last read of it is `store/`.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from busyd.errors import UserError


class ConnectionKind(StrEnum):
    """How a connection is spoken to."""

    ICLOUD = "icloud"
    CALDAV = "caldav"
    ICS = "ics"


ICLOUD_URL: Final = "https://caldav.icloud.com/"
"""The only bootstrap address of iCloud; shard hosts are hints that go stale (icloud.md 1.5)."""


class PasswordShape(StrEnum):
    """Which passwords may be sent to Apple."""

    APPLE = "apple"
    """Only those with the shape of an app-specific one."""
    ANY = "any"


class Privacy(StrEnum):
    """What is stored of the events of a connection."""

    FULL = "full"
    BUSY = "busy"
    """Only what says when they are: no titles, places, texts, alarms and guests."""


class Connection(Struct, frozen=True):
    """One account with its credential, or one feed.

    `username` is empty for a feed or an open server. The password is not here: `credentials/` fetches it when it is
    needed, so that a changed one is noticed.
    """

    name: str
    kind: ConnectionKind
    url: str
    username: str = ""
    poll: timedelta = timedelta(seconds=60)
    timeout: timedelta = timedelta(seconds=60)
    """To the first byte of an answer, and between two."""
    user_agent: str = ""
    """Empty for busyd's own; a feed that answers that with a web page is then asked once more as a browser asks."""
    allow_private: bool = False
    """Whether feeds may live on private addresses (a subscription must not scan the home network)."""
    allow_password_shape: PasswordShape = PasswordShape.APPLE
    privacy: Privacy = Privacy.FULL


class CalendarKind(StrEnum):
    """Where the events of a calendar come from."""

    OWN = "own"
    SHARED = "shared"
    """Shared to the account by somebody else."""
    SUBSCRIBED = "subscribed"
    """Listed by the server but empty there: the events are at `source`."""
    FEED = "feed"
    """An `ics` connection: one calendar, named like its connection."""


FEEDS: Final = frozenset({CalendarKind.FEED, CalendarKind.SUBSCRIBED})
"""Calendars that are read as one file, and never written to."""


class RemoteCalendar(Struct, frozen=True):
    """An event calendar as its server lists it. Reminders lists, inbox, outbox and notifications are never one."""

    href: str
    """Normalised path of the collection, ending in a slash; for a feed its URL."""
    name: str
    """The display name; empty when the server has none."""
    kind: CalendarKind = CalendarKind.OWN
    writable: bool = True
    transparent: bool = False
    """RFC 6638 §9.1 schedule-calendar-transp: the calendar as a whole does not affect availability."""
    source: str | None = None
    """Where the events of a subscribed calendar are."""
    timezone: str | None = None
    """IANA name of the calendar's own zone (RFC 4791 §5.2.2, RFC 7809 §5.2), when one is known."""
    color: str | None = None
    ctag: str | None = None
    sync_token: str | None = None
    spelling: str = ""
    """The href as its server writes it, where that is not the normalised form."""

    @property
    def target(self) -> str:
        """What requests to the collection are sent to."""
        return self.spelling or self.href

    @property
    def id(self) -> str:
        """The last path segment, which users may write in place of the name; for a feed the name of its connection."""
        return self.name if self.kind is CalendarKind.FEED else self.href.rstrip("/").rpartition("/")[2]

    @property
    def shown_href(self) -> str:
        """The href as it may leave busyd: whoever knows the whole address of a private feed can read it."""
        return shown_address(self.href) if self.kind is CalendarKind.FEED else self.href


def shown_address(url: str) -> str:
    """The address of a feed as it may leave busyd: its host alone."""
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    return f"{scheme}://{authority.rpartition('@')[2]}/…"


class CalendarReference(Struct, frozen=True):
    """`CONNECTION/CALENDAR` as written in the configuration; `CONNECTION` alone names a feed."""

    connection: str
    calendar: str
    """Display name, id or full href; `*` for all that count by default; empty for a feed."""

    @classmethod
    def parse(cls, text: str) -> "CalendarReference":
        """Split at the first slash. Raises UserError when there is no connection name in front of it."""
        connection, _, calendar = text.partition("/")
        if not connection:
            message = f"{text!r} does not name a calendar"
            raise UserError(message, fix="write CONNECTION/CALENDAR, for instance anna/Work")
        return cls(connection, calendar)

    @property
    def is_wildcard(self) -> bool:
        return self.calendar == "*"

    def __str__(self) -> str:
        return f"{self.connection}/{self.calendar}" if self.calendar else self.connection


class AmbiguousCalendar(UserError):
    """A reference that fits more than one calendar."""


def find_calendar(
    reference: CalendarReference, calendars: Sequence[RemoteCalendar], *, remembered: str | None = None
) -> RemoteCalendar | None:
    """The calendar a reference means, or None when there is none (yet).

    `remembered` is the href the same reference resolved to before: it wins over names, so that renaming a calendar on
    the phone, or creating a second one with the old name, does not move the link. Raises AmbiguousCalendar otherwise
    when two calendars bear the name.
    """
    if remembered is not None:
        kept = [calendar for calendar in calendars if calendar.href == remembered]
        if kept:
            return kept[0]
    wanted = reference.calendar
    if not wanted:
        return calendars[0] if calendars else None
    exact = [calendar for calendar in calendars if calendar.href.rstrip("/") == wanted.rstrip("/")]
    by_id = [calendar for calendar in calendars if calendar.id == wanted]
    by_name = [calendar for calendar in calendars if calendar.name == wanted]
    folded = [calendar for calendar in calendars if calendar.name.casefold() == wanted.casefold()]
    for matches in (exact, by_id, by_name, folded):
        if len(matches) == 1:
            return matches[0]
        if matches:
            ids = " and ".join(calendar.id for calendar in matches)
            message = f"{reference} names {len(matches)} calendars: their ids are {ids}"
            raise AmbiguousCalendar(
                message, fix=f"write one of them instead, for instance {reference.connection}/{matches[0].id}"
            )
    return None


def calendars_by_default(calendars: Sequence[RemoteCalendar], *, primary: str | None) -> list[RemoteCalendar]:
    """What `CONNECTION/*` stands for: neither marked transparent, nor subscribed, nor the primary (an href)."""
    return [
        calendar
        for calendar in calendars
        if not calendar.transparent and calendar.kind is not CalendarKind.SUBSCRIBED and calendar.href != primary
    ]
