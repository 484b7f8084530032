"""The values of the outbox: what busyd was asked to write, and how far that has come. Kept in the ledger."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from busyd.period import Instant, Period


class BookingKind(StrEnum):
    """What a row of the outbox is for."""

    APPOINTMENT = "appointment"
    CLAIM = "claim"
    """An event that keeps the new time of an appointment while that is being moved there."""
    BLOCK = "block"
    HOLD = "hold"


class BookingState(StrEnum):
    """How far a row has come. What may follow what is `booking/transitions.py`."""

    PENDING = "pending"
    """Accepted; nothing was sent."""
    SENDING = "sending"
    """Committed before the first byte of a PUT: what came of it is not known until it is seen."""
    CONFIRMED = "confirmed"
    """It is on the server; the second look is to come."""
    BOOKED = "booked"
    """The second look was clean; of what is local only, that it is in force."""
    MOVING = "moving"
    YIELDING = "yielding"
    """The second look saw somebody else's event in the span: ours is to go."""
    CANCELLING = "cancelling"
    """To be removed, and not yet proved absent."""
    CANCELLED = "cancelled"
    REFUSED = "refused"
    REMOVED = "removed"
    """A person deleted it. busyd never makes it again."""
    ATTENTION = "attention"
    """A person has to decide: a version of it stays on the server."""
    ATTENTION_RESTORED = "attention:restored"
    """The ledger was restored from a backup; the event is wanted and not there."""
    CLAIMED = "claimed"
    """Of a claim: it is on the server, and its second look was clean."""


BLOCKS_NOTHING: Final = frozenset({BookingState.CANCELLED, BookingState.REFUSED, BookingState.REMOVED})
"""In every other state a row keeps its span, and the span it is to be moved to."""


class Guest(Struct, frozen=True):
    """Somebody who is to come."""

    email: str
    name: str = ""


class Details(Struct, frozen=True):
    """What a row says, as it is written and told again."""

    summary: str = ""
    description: str = ""
    location: str = ""
    url: str = ""
    reminders: tuple[int, ...] = ()
    """Seconds before the start."""
    classification: str = ""
    """RFC 5545 §3.8.1.3 CLASS in upper case; empty when none was asked for."""
    tentative: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Stays here."""
    guests: tuple[Guest, ...] = ()


class WantedChange(Struct, frozen=True):
    """What an appointment is to become, until the server has it or it is refused."""

    details: Details
    body: bytes
    sequence: int
    fbtype: int = 0
    """Another `FbType` of the time; 0: as before."""
    invites: bool = False
    """Only the guests are new."""
    key: str = ""
    """The Idempotency-Key under which it was asked for."""


class Booking(Struct, frozen=True):
    """One row of the outbox."""

    id: str
    kind: BookingKind
    profile: str
    state: BookingState
    span: Period
    """The time that was told."""
    created: Instant
    target: Period | None = None
    """The time to which it is being moved."""
    calendar: str = ""
    """Where it is written, as `calendar_key`; empty for what is local only."""
    counts: tuple[str, ...] = ()
    """The calendars, likewise, whose own rows it must not overlap: all that count for its profile."""
    uid: str = ""
    href: str = ""
    parent: str = ""
    """Of a claim: the appointment that is being moved."""
    reason: str = ""
    """Why it was refused, or needs attention."""
    body: bytes = b""
    """Rendered once, without the mark of a PUT."""
    etag: str = ""
    """Of the version that is known to be on the server; empty when none is."""
    marks: tuple[str, ...] = ()
    """Of PUTs of which it is not known what they came to, and which were never seen on the server."""
    mark: str = ""
    """Of the PUT that made the known version; empty when a person did, or a DELETE may be under way."""
    touched: bool = False
    """A person has changed it, or brought it back."""
    conflict: bool = False
    """Somebody else's event overlaps it, and that was told."""
    restored: int = 0
    """1: the row comes from a backup and was not looked at since. 2: it is there, and a fence is to be written."""
    watch_until: Instant | None = None
    """Of what is cancelled or refused: until when a late PUT of ours is deleted if it turns up."""
    forced: bool = False
    """It may overlap others: whoever asked had the right to say so."""
    fbtype: int = 3
    """`FbType` of the time it takes."""
    expires: Instant | None = None
    """Of a hold."""
    settled: Instant | None = None
    """When it was cancelled, used up or expired."""
    token: str = ""
    """The id of the token by which it was asked for."""
    details: Details = Details()
    sequence: int = 0
    """RFC 5545 §3.8.7.4 SEQUENCE."""
    wanted: WantedChange | None = None
    """What a change asks for that is not on the server yet."""
    hold: str = ""
    """The hold that it used up."""
    overrides: tuple[str, ...] = ()
    """The rules of `/slots` that were lifted for it."""
    before: Mapping[str, Instant] = field(default_factory=dict)
    """Calendar -> when it was confirmed last before the event was written."""
    after: Mapping[str, Instant] = field(default_factory=dict)
    """The same for the second look."""
    organizer: str = ""
    """The address by which guests are invited; empty when nobody is."""
    invited: str = ""
    """`pending`, `sent`, or `gone` when the event has lost the guests that were written; empty: nobody is invited."""
    changed_elsewhere: str = ""
    """What a person did to it last: `moved`, `edited` or `restored`."""

    @property
    def blocks(self) -> bool:
        return self.state not in BLOCKS_NOTHING

    @property
    def spans(self) -> tuple[Period, ...]:
        """What nothing else of busyd's own may take."""
        if not self.blocks:
            return ()
        return (self.span,) if self.target is None else (self.span, self.target)


def calendar_key(connection: str, href: str) -> str:
    """Names a calendar for good, whatever it is called."""
    return f"{connection} {href}"


def connection_of(key: str) -> str:
    """The connection in the key of a calendar."""
    return key.partition(" ")[0]
