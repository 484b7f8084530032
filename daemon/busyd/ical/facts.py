"""What an event says of itself. No opinion: what it means for a person's time is `availability/policy.py`."""

from dataclasses import dataclass
from enum import StrEnum

from busyd.period import FbType


@dataclass(frozen=True, slots=True)
class Attendee:
    """One ATTENDEE line: every address it can be known by (normalised), and its answer."""

    addresses: tuple[str, ...]
    partstat: str
    """Upper case; NEEDS-ACTION where the parameter is missing (RFC 5545 §3.2.12)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one component that decide about busy time. Small, equal ones are shared, and they are stored."""

    transp: str | None = None
    """OPAQUE, TRANSPARENT, or None when the line is missing or says neither."""
    status: str | None = None
    """STATUS in upper case as it stands, or None."""
    busystatus: str | None = None
    """X-MICROSOFT-CDO-BUSYSTATUS, else X-APPLE-EWS-BUSYSTATUS, in upper case."""
    all_day: bool = False
    """DTSTART is a DATE."""
    travel_before: int = 0
    """X-APPLE-TRAVEL-DURATION in seconds."""
    travel_after: int = 0
    """X-APPLE-TRAVEL-RETURN-DURATION in seconds."""
    organizer: tuple[str, ...] = ()
    """Addresses of the ORGANIZER, normalised like an attendee's."""
    attendees: tuple[Attendee, ...] = ()
    fbtype: FbType | None = None
    """Set for a stored VFREEBUSY period, which needs no further decision."""
    unknown: str = ""
    """Not empty: this span could not be understood, and this sentence says why. It blocks as BUSY-UNAVAILABLE."""


class ProblemKind(StrEnum):
    """Stable names for what can be wrong with an object, so that a log or a page can group them."""

    UNREADABLE = "unreadable"
    UNKNOWN_ZONE = "unknown-zone"
    BAD_RULE = "bad-rule"
    BAD_TIME = "bad-time"
    TOO_MUCH = "too-much"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in an object that could not be taken as it stands."""

    kind: ProblemKind
    uid: str
    """UID of the event, empty when there is none."""
    reason: str
    """A sentence for the owner of the calendar; quotes at most a short excerpt of the line in question."""


def normalise_address(text: str) -> str:
    """A calendar user address in the form in which two are compared: lower case, no `mailto:`, no final slash.

    RFC 6638 §2.4.1 addresses are URIs; iCloud writes `mailto:`, `urn:uuid:`, and principal paths with and without
    the final slash.
    """
    address = text.strip().strip('"').lower()
    return address.removeprefix("mailto:").rstrip("/") or address
