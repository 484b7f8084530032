"""iCalendar as busyd publishes it: one VFREEBUSY, or a feed of blocked slots. Values in, bytes out.

This is a writer of our own because icalendar does not guarantee three requirements: the same bytes for the same content
in every version, no control characters (icalendar passes on NUL and U+2028), and thousands of slots within one request
without blocking the loop. In the tests, icalendar parses every line of the output.
"""

import re
from collections.abc import Generator, Iterable
from typing import Final

from msgspec import Struct

from busyd.period import FbType, Period, Span, to_rfc3339

PRODID: Final = "-//busyd//busyd//EN"
"""Without a version, so that an upgrade does not change a byte of a feed."""
REFRESH: Final = "PT15M"
_AT_ONCE: Final = 200
"""Slots written before yielding to the loop: well under a millisecond."""
_LONGEST: Final = 75
"""RFC 5545 §3.1: octets of a line without its line break."""

# RFC 5545 §3.1 allows no control character but TAB; parsers based on str.splitlines split at others and at U+2028/9.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_IN_TIMES = str.maketrans("", "", "-:")

_STATUS: Final = {FbType.BUSY: "CONFIRMED", FbType.BUSY_UNAVAILABLE: "CONFIRMED", FbType.BUSY_TENTATIVE: "TENTATIVE"}
_BUSYSTATUS: Final = {FbType.BUSY: "BUSY", FbType.BUSY_UNAVAILABLE: "OOF", FbType.BUSY_TENTATIVE: "TENTATIVE"}


class BlockedSlot(Struct, frozen=True):
    """One event of a feed."""

    uid: str
    start: int
    end: int
    fbtype: FbType
    stamp: int
    """DTSTAMP and LAST-MODIFIED."""
    summary: str = "Busy"
    location: str = ""


def compose_vfreebusy(window: Period, spans: Iterable[Span], *, uid: str, stamp: int) -> bytes:
    """RFC 5545 §3.6.4 as in RFC 4791 §7.10: no METHOD, all times in UTC, sorted, one FBTYPE per line."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:{PRODID}",
        "BEGIN:VFREEBUSY",
        f"UID:{uid}",
        f"DTSTAMP:{to_utc(stamp)}",
        f"DTSTART:{to_utc(window.start)}",
        f"DTEND:{to_utc(window.end)}",
    ]
    lines += [f"FREEBUSY;FBTYPE={FbType(kind).text}:{to_utc(start)}/{to_utc(end)}" for start, end, kind in spans]
    lines += ["END:VFREEBUSY", "END:VCALENDAR", ""]
    return "\r\n".join(lines).encode()


def compose_feed(
    name: str, zone: str, *, slots: Iterable[BlockedSlot], description: str = ""
) -> Generator[None, None, bytes]:
    """A calendar of blocked slots, without METHOD (it would make DTSTAMP the moment of writing, RFC 5545 §3.8.7.2).

    `zone` is an IANA name or empty; `description` is a sentence for who looks at the calendar, or empty. Yields between
    slices; returns the bytes.
    """
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:{PRODID}",
        "CALSCALE:GREGORIAN",
        fold(f"NAME:{escape_text(name)}"),
        fold(f"X-WR-CALNAME:{escape_text(name)}"),
    ]
    if description:
        lines.append(fold(f"X-WR-CALDESC:{escape_text(description)}"))
    if zone:
        lines.append(fold(f"X-WR-TIMEZONE:{escape_text(zone)}"))
    lines += [f"REFRESH-INTERVAL;VALUE=DURATION:{REFRESH}", f"X-PUBLISHED-TTL:{REFRESH}"]
    for number, slot in enumerate(slots, 1):
        lines.extend(_event(slot))
        if number % _AT_ONCE == 0:
            yield
    lines += ["END:VCALENDAR", ""]
    return "\r\n".join(lines).encode()


def compose_slot(slot: BlockedSlot) -> bytes:
    """One blocked slot as a calendar object resource (RFC 4791 §4.1)."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{PRODID}", *_event(slot), "END:VCALENDAR", ""]
    return "\r\n".join(lines).encode()


def _event(slot: BlockedSlot) -> Iterable[str]:
    stamp = to_utc(slot.stamp)
    yield "BEGIN:VEVENT"
    yield fold(f"UID:{escape_text(slot.uid)}")
    yield f"DTSTAMP:{stamp}"
    yield f"LAST-MODIFIED:{stamp}"
    yield "SEQUENCE:0"
    yield f"DTSTART:{to_utc(slot.start)}"
    yield f"DTEND:{to_utc(slot.end)}"
    yield fold(f"SUMMARY:{escape_text(slot.summary)}")
    if slot.location:
        yield fold(f"LOCATION:{escape_text(slot.location)}")
    yield f"STATUS:{_STATUS[slot.fbtype]}"
    yield "TRANSP:OPAQUE"
    yield f"X-MICROSOFT-CDO-BUSYSTATUS:{_BUSYSTATUS[slot.fbtype]}"
    yield "END:VEVENT"


def to_utc(instant: int) -> str:
    """`20261123T090000Z`, RFC 5545 §3.3.5 form 2."""
    return to_rfc3339(instant).translate(_NOT_IN_TIMES)


def clean_text(text: str) -> str:
    """The text without any character that could end or break a content line, except line feeds."""
    clean = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\x85", "\n"))
    return _LONE_SURROGATE.sub("\ufffd", clean)


def escape_text(text: str) -> str:
    """A value of type TEXT (RFC 5545 §3.3.11), without any character that could end or break a line."""
    return clean_text(text).replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def fold(line: str) -> str:
    """Fold a content line into pieces of at most 75 octets, never inside a UTF-8 character (RFC 5545 §3.1)."""
    if len(line) <= _LONGEST and line.isascii():
        return line
    raw = line.encode()
    pieces = []
    size = _LONGEST
    while len(raw) > size:
        cut = size
        while raw[cut] & 0xC0 == 0x80:  # the middle of a character
            cut -= 1
        pieces.append(raw[:cut])
        raw = raw[cut:]
        size = _LONGEST - 1  # the space that begins a continuation counts
    pieces.append(raw)
    return b"\r\n ".join(pieces).decode()
