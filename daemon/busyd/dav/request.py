"""Request bodies as values: PROPFIND and the reports that busyd asks for. No URLs, no headers."""

from collections.abc import Iterable

from msgspec import Struct

from busyd.dav import names
from busyd.dav.xml import Element, make, write_xml


class Propfind(Struct, frozen=True):
    """RFC 4918 §14.20, always with named properties, since iCloud answers allprop badly.

    <!ELEMENT propfind ( propname | (allprop, include?) | prop ) >
    """

    properties: tuple[str, ...]

    def to_xml(self) -> bytes:
        return write_xml(make(names.PROPFIND, _prop(self.properties)))


class SyncCollection(Struct, frozen=True):
    """RFC 6578 §6.1, level 1, without a limit (for which Apple's server refuses the whole report).

    <!ELEMENT sync-collection (sync-token, sync-level, limit?, prop)>
    """

    token: str | None
    """None requests everything."""
    properties: tuple[str, ...] = (names.GETETAG,)

    def to_xml(self) -> bytes:
        token, level = make(names.SYNC_TOKEN, *([self.token] if self.token else [])), make(names.SYNC_LEVEL, "1")
        return write_xml(make(names.SYNC_COLLECTION, token, level, _prop(self.properties)))


class CalendarMultiget(Struct, frozen=True):
    """RFC 4791 §9.10. Hrefs are paths: iCloud answers each absolute URL with 404.

    <!ELEMENT calendar-multiget ((DAV:allprop | DAV:propname | DAV:prop)?, DAV:href+)>
    """

    hrefs: tuple[str, ...]
    properties: tuple[str, ...] = (names.GETETAG, names.CALENDAR_DATA)

    def to_xml(self) -> bytes:
        hrefs = (make(names.HREF, href) for href in self.hrefs)
        return write_xml(make(names.CALENDAR_MULTIGET, _prop(self.properties), *hrefs))


def _prop(properties: Iterable[str]) -> Element:
    return make(names.PROP, *(make(name) for name in properties))
