"""A calendar object -> the same without anything but what says when its events are, for `privacy: busy`.

What is left is written from what the parser of the busy engine has found, so it is read as the whole object is.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Set
from typing import Final

from busyd.ical.compose import clean_text, fold
from busyd.ical.facts import addresses_of
from busyd.ical.limits import MAX_OBJECT_BYTES
from busyd.ical.lines import (
    ODDITIES,
    OF_ONE,
    CalendarText,
    Component,
    Property,
    all_properties,
    read_calendars,
    read_parameters,
)

_GUESTS: Final = frozenset({"ATTENDEE", "ORGANIZER"})
_PARAMETERS: Final = ("TZID", "VALUE", "RANGE", "FBTYPE")
_OF_ZONE: Final = frozenset({
    "BEGIN", "END", "TZID", "DTSTART", "RRULE", "RDATE", "TZOFFSETFROM", "TZOFFSETTO", "X-LIC-LOCATION"
})  # fmt: skip
_QUOTED: Final = re.compile(r"[,;:]")
_CUT: Final = "BEGIN:X-BUSYD-CUT"
"""Left open inside a component, it says that the component had no end."""


def reduce_object(payload: bytes, own: Set[str]) -> bytes:
    """The object without titles, places, texts, alarms and guests; of the guests those with an address in `own` stay.

    `own` holds addresses as `normalise_address` gives them. A short checksum of the whole text stays, so that another
    version is told from the same one. Never raises; what cannot be reduced safely becomes an object that nobody can
    read, whose time is then not known.
    """
    if not payload:
        return payload
    checksum = f"X-BUSYD-CHECKSUM:{zlib.crc32(payload) & 0xFFFF:04X}"
    found = read_calendars(payload) if len(payload) <= MAX_OBJECT_BYTES else []
    try:
        kept = [_reduced(calendar, own) for calendar in found]
    except _NotReducible:
        return _write([checksum])
    events = [component for calendar in kept for component in calendar.components]
    if len(events) == 1 and events[0].name == "VEVENT":  # what tells versions of one event apart is not even read
        events[0].properties = {name: lines for name, lines in events[0].properties.items() if name in OF_ONE}
    reduced = _write(line for calendar in kept for line in _lines_of(calendar, checksum))
    return reduced if kept and _is_same(kept, read_calendars(reduced)) else _write([checksum])


class _NotReducible(Exception):
    """What is left of a line would say something else."""


def _reduced(calendar: CalendarText, own: Set[str]) -> CalendarText:
    return CalendarText(
        _kept(calendar.properties, own),
        [_reduced_component(component, own) for component in calendar.components],
        [_zone(zone) for zone in calendar.zones],
        calendar.closed,
        calendar.strays,
        calendar.oddities,
    )


def _reduced_component(component: Component, own: Set[str]) -> Component:
    inside = [_reduced_component(inner, own) for inner in component.inside]
    return Component(component.name, _kept(component.properties, own), inside, component.closed)


def _kept(properties: dict[str, list[Property]], own: Set[str]) -> dict[str, list[Property]]:
    kept = {}
    for name, lines in properties.items():
        if name in _GUESTS:
            left = [_guest(line, address) for line in lines if (address := _own_address(line, own))]
        else:
            left = [(_parameters(parameters), value) for parameters, value in lines]
        if left:
            kept[name] = left
    return kept


def _zone(block: str) -> str:
    """The lines of a VTIMEZONE that are read of it, as they are read: without parameters."""
    return "".join(f"\n{name}:{value}" for name, _, value in all_properties(block) if name in _OF_ZONE)


def _parameters(text: str) -> str:
    """Parameters as they are read. Raises _NotReducible."""
    named = read_parameters(text)
    left = "".join(
        f';{name}="{named[name]}"' if _QUOTED.search(named[name]) else f";{name}={named[name]}"
        for name in _PARAMETERS
        if name in named
    )
    if _meaning(left) != _meaning(text):
        raise _NotReducible
    return left


def _meaning(text: str) -> tuple[object, ...]:
    """What the busy engine sees in parameters, however they are written."""
    named = read_parameters(text)
    names_zone = bool(named.get("TZID")) or "TZID" in text
    return (*map(named.get, _PARAMETERS), names_zone, "THISANDFUTURE" in text.upper())


def _own_address(line: Property, own: Set[str]) -> str:
    return next((address for address in addresses_of(line) if address in own), "")


def _guest(line: Property, address: str) -> Property:
    answer = re.sub(r"[^A-Z-]", "", read_parameters(line[0]).get("PARTSTAT", "").upper())
    return f";PARTSTAT={answer}" if answer else "", address


def _is_same(kept: list[CalendarText], again: list[CalendarText]) -> bool:
    """Whether the busy engine finds in the reduced text what it found in the whole one."""
    return len(kept) == len(again) and all(
        (one.components, one.zones, one.closed, one.strays, one.oddities)
        == (other.components, other.zones, other.closed, other.strays, other.oddities)
        and one.properties.items() <= other.properties.items()
        for one, other in zip(kept, again, strict=True)
    )


def _lines_of(calendar: CalendarText, checksum: str) -> Iterator[str]:
    yield from ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//busyd//reduced//EN", checksum)
    yield from (mark for mark, told in ODDITIES.items() if told in calendar.oddities)
    yield from _properties(calendar.properties)
    if calendar.strays and "DTSTART" not in calendar.properties:
        yield "DTSTART:"
    for zone in calendar.zones:
        yield from ("BEGIN:VTIMEZONE", *zone.split("\n")[1:], "END:VTIMEZONE")
    for component in calendar.components:
        yield f"BEGIN:{component.name}"
        yield from _properties(component.properties)
        for inner in component.inside:
            yield from (f"BEGIN:{inner.name}", *_properties(inner.properties))
            yield from ([f"END:{inner.name}"] if inner.closed else [])
        yield from ([] if component.closed else [_CUT])
        yield f"END:{component.name}"
    if calendar.closed:
        yield "END:VCALENDAR"


def _properties(properties: dict[str, list[Property]]) -> Iterator[str]:
    return (f"{name}{parameters}:{value}" for name, lines in properties.items() for parameters, value in lines)


def _write(lines: Iterable[str]) -> bytes:
    return "".join(f"{fold(clean_text(line))}\r\n" for line in lines).encode()
