"""What RFC 5545 wants around the events of an object, and reports of iCloud leave out: VERSION, PRODID, VTIMEZONEs.

Apps need them: some read a time whose zone is not defined as floating, and servers refuse an object without them. The
rest of the bytes stays as it is, and the same object always becomes the same bytes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from busyd.ical.compose import PRODID
from busyd.ical.compose_zone import timezone_lines
from busyd.ical.zones import Zone, find_zone, zone_key

_BEGIN: Final = b"BEGIN:VCALENDAR\r\n"
_COMPONENT: Final = re.compile(rb"^BEGIN:(?!VCALENDAR)", re.MULTILINE)
_DEFINED: Final = re.compile(rb"\nTZID(?:;[^:\r\n]*)?:([^\r\n]+)")
_NAMED: Final = re.compile(rb";TZID=(\"[^\"\r\n]{1,99}\"|[^:;,\"\r\n]{1,99})")
"""Whatever may be the zone of a time: found much sooner than `_USED`."""
_USED: Final = re.compile(
    rb"^(?:DTSTART|DTEND|RECURRENCE-ID|RDATE|EXDATE)(?:;[^:\r\n]{0,99})?"
    rb";TZID=(\"[^\"\r\n]{1,99}\"|[^:;,\"\r\n]{1,99})[^:\r\n]{0,99}:(\d{4})",
    re.MULTILINE,
)
"""Bounded, since it tries every length of the parameters at every line."""
_RULE: Final = re.compile(rb"^RRULE[;:]", re.MULTILINE)
_LARGEST: Final = 256 * 1024
"""Bytes: it is read on the loop. A larger object stays as it is."""
_EARLIEST: Final = 1900
_LATEST: Final = 2300
_YEARS_OF_A_RULE: Final = 30
"""How far ahead of the last date that is written the changes of the clocks are told where a rule goes on."""


class Completed(NamedTuple):
    """An object with what it lacked, as far as it is known everywhere."""

    payload: bytes
    lacks_a_zone: bool
    """It has a time in a zone that it does not define, and nobody knows by its name."""


def completed(payload: bytes) -> Completed:
    """Complete an object. Line ends must be CRLF; a large one stays as it is."""
    if len(payload) > _LARGEST:
        return Completed(payload, False)
    used, years = _used(payload)
    zones = {tzid: find_zone(tzid) for tzid in used}
    lacks_a_zone = None in zones.values()
    first = _COMPONENT.search(payload)
    if first is None or not payload.startswith(_BEGIN) or payload.count(_BEGIN) > 1:
        return Completed(payload, lacks_a_zone)
    written = head = payload[len(_BEGIN) : first.start()]
    if not head.startswith(b"VERSION:") and b"\r\nVERSION:" not in payload:
        head = b"VERSION:2.0\r\n" + head
    if not head.startswith(b"PRODID") and b"\r\nPRODID" not in payload:
        head += f"PRODID:{PRODID}\r\n".encode()
    known = {tzid: zone for tzid, zone in zones.items() if zone is not None}
    if head is written and not known:
        return Completed(payload, lacks_a_zone)
    rest = payload[first.start() :]
    return Completed(b"".join((_BEGIN, head, *_definitions(payload, known, years=years), rest)), lacks_a_zone)


def _used(payload: bytes) -> tuple[list[str], list[int]]:
    """The zones that times name and nothing defines, and the years of all times in a zone."""
    named = set(_NAMED.findall(payload))
    spelled = set(_DEFINED.findall(payload)) if named else set()
    if named <= spelled:  # as in nearly every object
        return [], []
    defined = {_key(tzid) for tzid in spelled}
    if all(_key(tzid) in defined for tzid in named):
        return [], []
    written = _USED.findall(payload)
    tzids = dict.fromkeys(_text(tzid) for tzid, _ in written)
    return [tzid for tzid in tzids if zone_key(tzid) not in defined], [int(year) for _, year in written]


def _text(tzid: bytes) -> str:
    return tzid.decode("utf-8", "replace").strip('"')


def _key(tzid: bytes) -> str:
    return zone_key(_text(tzid))


def _definitions(payload: bytes, zones: Mapping[str, Zone], *, years: Sequence[int]) -> Iterator[bytes]:
    if not zones:
        return
    more = _YEARS_OF_A_RULE if _RULE.search(payload) else 1
    first, last = (min(max(year, _EARLIEST), _LATEST) for year in (min(years) - 1, max(years) + more))
    for tzid, zone in zones.items():
        yield timezone_lines(zone, tzid=tzid, first=first, last=last)
