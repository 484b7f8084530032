"""The facts that an event states. What they mean for a person's time is decided in `availability/policy.py`."""

from enum import StrEnum
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from msgspec import Struct

from busyd.ical.limits import MAX_ATTENDEES, MAX_LENGTH
from busyd.ical.lines import Component, Property, read_parameters
from busyd.ical.values import BadValue, read_duration
from busyd.period import FbType


class Attendee(Struct, frozen=True):
    """One ATTENDEE line: all its addresses (normalised), and its reply."""

    addresses: tuple[str, ...]
    partstat: str
    """Upper case; NEEDS-ACTION where the parameter is missing (RFC 5545 §3.2.12)."""


class Facts(Struct, frozen=True):
    """The facts of one component that matter for busy time. Small; equal ones are shared, and they are stored."""

    transp: str | None = None
    """OPAQUE, TRANSPARENT, or None when the line is missing or says neither."""
    status: str | None = None
    """STATUS in upper case, or None."""
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
    """Set for a stored VFREEBUSY period, to which no rules apply."""
    unknown: str = ""
    """Not empty: this span could not be understood, for the reason stated here. It blocks as BUSY-UNAVAILABLE."""


class ProblemKind(StrEnum):
    """Stable names for the kinds of problems of an object, by which they can be grouped."""

    UNREADABLE = "unreadable"
    UNKNOWN_ZONE = "unknown-zone"
    BAD_RULE = "bad-rule"
    BAD_TIME = "bad-time"
    TOO_MUCH = "too-much"
    DUPLICATE_UID = "duplicate-uid"
    """Several events have one UID; all of them count."""
    FORGIVEN = "forgiven"
    """Written otherwise than the RFCs say, and understood all the same: nothing is lost by it."""
    GHOST = "ghost"


HARMLESS: Final = frozenset({ProblemKind.FORGIVEN, ProblemKind.DUPLICATE_UID})
"""Kinds that leave nothing unknown."""


class Problem(Struct, frozen=True):
    """Something in an object that could not be used as written."""

    kind: ProblemKind
    uid: str
    """UID of the event, empty when there is none."""
    reason: str
    """A sentence for the owner of the calendar; quotes at most a short excerpt of the line in question."""


def normalise_address(text: str) -> str:
    """A calendar user address in its form for comparison: lower case, no `mailto:`, no escapes, no trailing slash.

    RFC 6638 §2.4.1 addresses are URIs; iCloud writes `mailto:`, `urn:uuid:`, and principal paths with and without
    a trailing slash; the same principal may be named as a path and as a URL on any of its hosts.
    """
    address = text.strip().strip('"').lower()
    if "%" in address:
        address = unquote(address).lower()
    scheme, separator, rest = address.partition("://")
    if separator and scheme in ("http", "https"):
        address = "/" + rest.partition("/")[2]
    return address.removeprefix("mailto:").strip().rstrip("/") or address


@lru_cache(maxsize=256)
def normalise_addresses(addresses: tuple[str, ...]) -> frozenset[str]:
    """The same of several, without those that are empty: asked for in every answer, and nearly always of the same."""
    return frozenset(normalise_address(address) for address in addresses if address)


def facts_of(component: Component, *, all_day: bool, cancelled: bool = False) -> Facts:
    """The facts of a component. An override inherits nothing from its master (RFC 5545 §3.8.4.4).

    `cancelled` is METHOD:CANCEL of its calendar. Invalid travel times count as none: see `odd_travel_time`.
    """
    properties = component.properties
    status = "CANCELLED" if cancelled else _word(properties.get("STATUS"))
    transp = _word(properties.get("TRANSP"))
    if transp not in ("OPAQUE", "TRANSPARENT"):
        transp = None
    busystatus = _word(properties.get("X-MICROSOFT-CDO-BUSYSTATUS")) or _word(properties.get("X-APPLE-EWS-BUSYSTATUS"))
    before = after = 0
    if _TRAVEL_BEFORE in properties or _TRAVEL_AFTER in properties:
        before, after = _travel(component, _TRAVEL_BEFORE), _travel(component, _TRAVEL_AFTER)
    attendees = properties.get("ATTENDEE")
    if not attendees:
        # The organizer matters only if there are attendees.
        return _shared_facts(transp, status, busystatus=busystatus, all_day=all_day, before=before, after=after)
    organizer = properties.get("ORGANIZER")
    return Facts(
        transp,
        status,
        busystatus,
        all_day,
        before,
        after,
        addresses_of(organizer[0]) if organizer else (),
        tuple([_attendee(line) for line in attendees[:MAX_ATTENDEES]]),
    )


def odd_travel_time(component: Component) -> str:
    """The first invalid travel time, or an empty text."""
    for name in (_TRAVEL_BEFORE, _TRAVEL_AFTER):
        text = component.value(name)
        if text:
            try:
                read_duration(text)
            except BadValue:
                return text[:40]
    return ""


_TRAVEL_BEFORE: Final = "X-APPLE-TRAVEL-DURATION"
_TRAVEL_AFTER: Final = "X-APPLE-TRAVEL-RETURN-DURATION"


def _word(lines: list[Property] | None) -> str | None:
    """The value in upper case; None where there is none, and where lines contradict each other: nothing frees then."""
    if not lines:
        return None
    word = lines[0][1].strip().upper()
    if len(lines) > 1 and any(value.strip().upper() != word for _, value in lines):
        return None
    return word or None


@lru_cache(maxsize=512)
def _shared_facts(
    transp: str | None, status: str | None, *, busystatus: str | None, all_day: bool, before: int, after: int
) -> Facts:
    return Facts(transp, status, busystatus, all_day, before, after)


@lru_cache(maxsize=1024)
def _attendee(line: Property) -> Attendee:
    partstat = read_parameters(line[0]).get("PARTSTAT", "").upper()
    return Attendee(addresses_of(line), partstat or "NEEDS-ACTION")


@lru_cache(maxsize=1024)
def addresses_of(line: Property) -> tuple[str, ...]:
    """The value and the EMAIL parameter (RFC 7986 §6.2), since iCloud puts principal paths into the value."""
    address = normalise_address(line[1])
    email = normalise_address(read_parameters(line[0]).get("EMAIL", ""))
    if not email or email == address:
        return (address,) if address else ()
    return (address, email) if address else (email,)


def _travel(component: Component, name: str) -> int:
    text = component.value(name)
    try:
        return min(max(read_duration(text).total, 0), MAX_LENGTH) if text else 0
    except BadValue:
        return 0
