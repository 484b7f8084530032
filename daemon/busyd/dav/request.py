"""Request bodies as values, written and read: PROPFIND and the reports. No URLs, no headers."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Self

from msgspec import Struct

from busyd.dav import names
from busyd.dav.multistatus import Property
from busyd.dav.xml import Element, add_text, make, text_of, write_xml
from busyd.period import Instant, Period, to_rfc3339


class BadRequestBody(ValueError):
    """XML that is not the request it should be. The text says why."""


class Selection(StrEnum):
    """Which properties are asked for."""

    NAMED = "prop"
    ALL = "allprop"
    """All that RFC 4918 defines, and those named."""
    NAMES = "propname"
    """Only the names of all."""


class Propfind(Struct, frozen=True):
    """RFC 4918 §14.20; written with named properties alone, since iCloud answers allprop badly.

    <!ELEMENT propfind ( propname | (allprop, include?) | prop ) >
    """

    properties: tuple[str, ...]
    selection: Selection = Selection.NAMED

    def to_xml(self) -> bytes:
        return write_xml(make(names.PROPFIND, _prop(self.properties)))

    @classmethod
    def from_xml(cls, root: Element | None) -> Self:
        """No body at all asks for everything (RFC 4918 §9.1). Raises BadRequestBody."""
        if root is None:
            return cls((), Selection.ALL)
        if root.tag != names.PROPFIND:
            raise BadRequestBody("the body of a PROPFIND must be a propfind element")
        return cls(*selected(root))


class SyncCollection(Struct, frozen=True):
    """RFC 6578 §6.1, level 1; written without a limit (for which Apple's server refuses the whole report).

    <!ELEMENT sync-collection (sync-token, sync-level, limit?, prop)>
    """

    token: str | None
    """None requests everything."""
    properties: tuple[str, ...] = (names.GETETAG,)
    selection: Selection = Selection.NAMED
    limit: int | None = None
    infinite: bool = False
    """The level is not 1: members of members too."""

    def to_xml(self) -> bytes:
        token, level = make(names.SYNC_TOKEN, *([self.token] if self.token else [])), make(names.SYNC_LEVEL, "1")
        return write_xml(make(names.SYNC_COLLECTION, token, level, _prop(self.properties)))

    @classmethod
    def from_xml(cls, root: Element) -> Self:
        """QUIRK(apple): older bodies have no sync-level. Raises BadRequestBody."""
        token = (root.findtext(names.SYNC_TOKEN) or "").strip()
        level = (root.findtext(names.SYNC_LEVEL) or "1").strip()
        wanted = root.findtext(f"{names.LIMIT}/{names.NRESULTS}")
        limit = None
        if wanted is not None:
            if not (wanted.strip().isdecimal() and int(wanted.strip()[:9]) > 0):
                raise BadRequestBody("the limit of a sync-collection must be a positive number")
            limit = int(wanted.strip()[:9])
        return cls(token or None, *selected(root), limit, level != "1")


class CalendarMultiget(Struct, frozen=True):
    """RFC 4791 §9.10. Hrefs are paths: iCloud answers each absolute URL with 404.

    <!ELEMENT calendar-multiget ((DAV:allprop | DAV:propname | DAV:prop)?, DAV:href+)>
    """

    hrefs: tuple[str, ...]
    properties: tuple[str, ...] = (names.GETETAG, names.CALENDAR_DATA)
    selection: Selection = Selection.NAMED

    def to_xml(self) -> bytes:
        multiget = make(names.CALENDAR_MULTIGET, _prop(self.properties))
        for href in self.hrefs:
            add_text(multiget, names.HREF, text=href)
        return write_xml(multiget)

    @classmethod
    def from_xml(cls, root: Element) -> Self:
        """Raises BadRequestBody."""
        hrefs = tuple(text_of(href).strip() for href in root.iterchildren(names.HREF))
        if not hrefs:
            raise BadRequestBody("a calendar-multiget must name at least one href")
        return cls(hrefs, *selected(root))


class WindowQuery(Struct, frozen=True):
    """calendar-query (RFC 4791 §7.8) for the events that touch a window; `filter.py` reads such queries.

    iCloud takes no other form of it: VCALENDAR > VEVENT with one time-range, and no property filter.
    """

    window: Period
    properties: tuple[str, ...] = (names.GETETAG,)

    def to_xml(self) -> bytes:
        times = {"start": _utc(self.window.start), "end": _utc(self.window.end)}
        events = make(names.COMP_FILTER, make(names.TIME_RANGE, attributes=times), attributes={"name": "VEVENT"})
        calendar = make(names.COMP_FILTER, events, attributes={"name": "VCALENDAR"})
        return write_xml(make(names.CALENDAR_QUERY, _prop(self.properties), make(names.FILTER, calendar)))


class PropertyUpdate(Struct, frozen=True):
    """<!ELEMENT propertyupdate (remove | set)+ > (RFC 4918 §14.19)"""

    changes: Mapping[str, Property | None]
    """Name -> what it shall be; None for a property to be removed. Of two for one name, the later counts."""

    @classmethod
    def from_xml(cls, root: Element | None) -> Self:
        """Raises BadRequestBody."""
        if root is None or root.tag != names.PROPERTYUPDATE:
            raise BadRequestBody("the body of a PROPPATCH must be a propertyupdate element")
        changes: dict[str, Property | None] = {}
        for step in root.iterchildren(names.SET, names.REMOVE):
            for prop in step.iterchildren(names.PROP):
                for element in prop.iterchildren("{*}*"):
                    changes[str(element.tag)] = Property.from_xml(element) if step.tag == names.SET else None
        if not changes:
            raise BadRequestBody("the propertyupdate changes nothing")
        return cls(changes)


def _utc(instant: Instant) -> str:
    return to_rfc3339(instant).replace("-", "").replace(":", "")


def _prop(properties: Iterable[str]) -> Element:
    return make(names.PROP, *(make(name) for name in properties))


def selected(root: Element) -> tuple[tuple[str, ...], Selection]:
    """What is asked for below a request; without anything, all."""
    prop = root.find(names.PROP)
    if prop is not None:
        return tuple(str(child.tag) for child in prop.iterchildren("{*}*")), Selection.NAMED
    if root.find(names.PROPNAME) is not None:
        return (), Selection.NAMES
    include = root.find(names.INCLUDE)
    included = include.iterchildren("{*}*") if include is not None else ()
    return tuple(str(child.tag) for child in included), Selection.ALL
