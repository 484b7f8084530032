"""calendar-query and its filter as values (RFC 4791 §7.8, §9.7 to §9.9), read from XML."""

import re
from calendar import timegm
from datetime import datetime
from typing import Final, Self

from lxml import etree
from msgspec import Struct

from busyd.dav import names
from busyd.dav.listing import zone_name_in
from busyd.dav.request import Selection, selected
from busyd.dav.xml import Element, text_of
from busyd.period import EARLIEST, LATEST, Instant, Period

ASCII_CASEMAP: Final = "i;ascii-casemap"
OCTET: Final = "i;octet"
COLLATIONS: Final = (ASCII_CASEMAP, OCTET)
"""RFC 4791 §7.5: those that every server has."""
_UTC: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")


class BadFilter(ValueError):
    """The filter is not valid, or asks for what is not there. `condition` is the precondition that says so."""

    def __init__(self, message: str, *, condition: str = names.VALID_FILTER) -> None:
        super().__init__(message)
        self.condition = condition


class TextMatch(Struct, frozen=True):
    """RFC 4791 §9.7.5: a part of a value."""

    text: str
    collation: str = ASCII_CASEMAP
    negated: bool = False

    def matches(self, value: str) -> bool:
        """The collation decides whether case counts, for ASCII letters alone (RFC 4790 §9.2)."""
        wanted = self.text
        if self.collation == ASCII_CASEMAP:
            wanted, value = _fold(wanted), _fold(value)
        return (wanted in value) is not self.negated


class ParamFilter(Struct, frozen=True):
    """RFC 4791 §9.7.3. `defined` False: the parameter must be missing."""

    name: str
    defined: bool = True
    text: TextMatch | None = None


class PropFilter(Struct, frozen=True):
    """RFC 4791 §9.7.2. `defined` False: the property must be missing."""

    name: str
    defined: bool = True
    text: TextMatch | None = None
    parameters: tuple[ParamFilter, ...] = ()


class CompFilter(Struct, frozen=True):
    """RFC 4791 §9.7.1. `defined` False: the component must be missing."""

    name: str
    defined: bool = True
    window: Period | None = None
    components: tuple["CompFilter", ...] = ()
    properties: tuple[PropFilter, ...] = ()


class CalendarQuery(Struct, frozen=True):
    """<!ELEMENT calendar-query ((DAV:allprop | DAV:propname | DAV:prop)?, filter, timezone?)>"""

    filter: CompFilter
    """That of VCALENDAR."""
    properties: tuple[str, ...]
    selection: Selection
    timezone: str | None = None
    """The zone in which floating times are read, as the query names it."""

    @classmethod
    def from_xml(cls, root: Element) -> Self:
        """Raises BadFilter."""
        found = root.find(f"{names.FILTER}/{names.COMP_FILTER}")
        if found is None:
            raise BadFilter("the query has no filter")
        calendar = _comp_filter(found, depth=0)
        if calendar.name != "VCALENDAR" or calendar.window is not None:
            raise BadFilter("the outermost filter must be that of VCALENDAR, without a time-range")
        zone = root.findtext(names.TIMEZONE_ID) or zone_name_in(root.findtext(names.TIMEZONE) or "")
        return cls(calendar, *selected(root), zone)


def free_busy_window(root: Element) -> Period:
    """<!ELEMENT free-busy-query (time-range)> (RFC 4791 §7.10): both ends are needed. Raises BadFilter."""
    return closed_window(root.find(names.TIME_RANGE))


def closed_window(element: Element | None) -> Period:
    """The time range of an element that must have both ends. Raises BadFilter."""
    if element is None or element.get("start") is None or element.get("end") is None:
        message = f"{etree.QName(element).localname if element is not None else 'time-range'} needs a start and an end"
        raise BadFilter(message)
    return _window(element)


def _comp_filter(element: Element, *, depth: int) -> CompFilter:
    name = element.get("name", "").upper()
    if not name:
        raise BadFilter("a comp-filter has no name")
    times = element.find(names.TIME_RANGE)
    window = _window(times) if times is not None else None
    if window is not None and (depth, name) not in ((0, "VCALENDAR"), (1, "VEVENT"), (1, "VTODO"), (1, "VJOURNAL")):
        message = f"a time-range of {name} is not supported"
        raise BadFilter(message, condition=names.SUPPORTED_FILTER)
    return CompFilter(
        name,
        element.find(names.IS_NOT_DEFINED) is None,
        window,
        tuple(_comp_filter(inner, depth=depth + 1) for inner in element.iterchildren(names.COMP_FILTER)),
        tuple(map(_prop_filter, element.iterchildren(names.PROP_FILTER))),
    )


def _prop_filter(element: Element) -> PropFilter:
    name = element.get("name", "").upper()
    if not name:
        raise BadFilter("a prop-filter has no name")
    if element.find(names.TIME_RANGE) is not None:
        message = f"a time-range of the property {name} is not supported"
        raise BadFilter(message, condition=names.SUPPORTED_FILTER)
    parameters = tuple(
        ParamFilter(inner.get("name", "").upper(), inner.find(names.IS_NOT_DEFINED) is None, _text_match(inner))
        for inner in element.iterchildren(names.PARAM_FILTER)
    )
    return PropFilter(name, element.find(names.IS_NOT_DEFINED) is None, _text_match(element), parameters)


def _text_match(element: Element) -> TextMatch | None:
    found = element.find(names.TEXT_MATCH)
    if found is None:
        return None
    collation = found.get("collation", ASCII_CASEMAP)
    if collation == "default":
        collation = ASCII_CASEMAP
    if collation not in COLLATIONS:
        message = f"the collation {collation[:40]} is not supported"
        raise BadFilter(message, condition=names.SUPPORTED_COLLATION)
    return TextMatch(text_of(found), collation, found.get("negate-condition", "no") == "yes")


def _window(element: Element) -> Period:
    """RFC 4791 §9.9: in UTC, open on the side that is missing, but not on both."""
    start, end = element.get("start"), element.get("end")
    if start is None and end is None:
        raise BadFilter("a time-range needs a start or an end")
    low = _instant(start) if start is not None else EARLIEST
    high = _instant(end) if end is not None else LATEST
    if high <= low:
        raise BadFilter("a time-range must end after it starts")
    return Period(low, high)


def _instant(text: str) -> Instant:
    try:
        if _UTC.fullmatch(text) is None:
            raise ValueError
        return Instant(timegm(datetime.strptime(text, "%Y%m%dT%H%M%S%z").timetuple()))
    except ValueError:
        message = f"a time-range must be in UTC, like 20261124T090000Z, and not {text[:40]!r}"
        raise BadFilter(message) from None


def _fold(text: str) -> str:
    return text.translate(_LOWER)


_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
