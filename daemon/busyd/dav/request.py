"""Request bodies as values, built and read: PROPFIND and the reports busyd speaks. No URLs, no headers."""

from collections.abc import Iterable
from typing import Self

from msgspec import Struct

from busyd.dav import names
from busyd.dav.href import Href, normalise_href
from busyd.dav.xml import Element, NotXml, make, parse_xml, write_xml


class Propfind(Struct, frozen=True):
    """RFC 4918 §14.20, always with named properties: allprop is answered badly by iCloud.

    <!ELEMENT propfind ( propname | (allprop, include?) | prop ) >
    """

    properties: tuple[str, ...]

    def to_xml(self) -> bytes:
        return write_xml(make(names.PROPFIND, _prop(self.properties)))

    @classmethod
    def from_xml(cls, document: bytes) -> Self:
        """Raises NotXml for anything but a propfind with a prop element."""
        return cls(_named_properties(_root(document, names.PROPFIND)))


class SyncCollection(Struct, frozen=True):
    """RFC 6578 §6.1, level 1, without a limit (Apple's server refuses the whole report for one).

    <!ELEMENT sync-collection (sync-token, sync-level, limit?, prop)>
    """

    token: str | None
    """None asks for everything."""
    properties: tuple[str, ...] = (names.GETETAG,)

    def to_xml(self) -> bytes:
        token, level = make(names.SYNC_TOKEN, *([self.token] if self.token else [])), make(names.SYNC_LEVEL, "1")
        return write_xml(make(names.SYNC_COLLECTION, token, level, _prop(self.properties)))

    @classmethod
    def from_xml(cls, document: bytes) -> Self:
        root = _root(document, names.SYNC_COLLECTION)
        return cls((root.findtext(names.SYNC_TOKEN) or "").strip() or None, _named_properties(root))


class CalendarMultiget(Struct, frozen=True):
    """RFC 4791 §9.10. Hrefs are paths: iCloud answers 404 to each absolute URL.

    <!ELEMENT calendar-multiget ((DAV:allprop | DAV:propname | DAV:prop)?, DAV:href+)>
    """

    hrefs: tuple[Href, ...]
    properties: tuple[str, ...] = (names.GETETAG, names.CALENDAR_DATA)

    def to_xml(self) -> bytes:
        hrefs = (make(names.HREF, href) for href in self.hrefs)
        return write_xml(make(names.CALENDAR_MULTIGET, _prop(self.properties), *hrefs))

    @classmethod
    def from_xml(cls, document: bytes) -> Self:
        root = _root(document, names.CALENDAR_MULTIGET)
        hrefs = tuple(normalise_href(href.text or "") for href in root.iterchildren(names.HREF))
        return cls(hrefs, _named_properties(root))


def _prop(properties: Iterable[str]) -> Element:
    return make(names.PROP, *(make(name) for name in properties))


def _root(document: bytes, expected: str) -> Element:
    root = parse_xml(document)
    if root.tag != expected:
        message = f"its root is not {expected}"
        raise NotXml(message)
    return root


def _named_properties(root: Element) -> tuple[str, ...]:
    prop = root.find(names.PROP)
    if prop is None:
        raise NotXml("it names no properties")
    return tuple(str(element.tag) for element in prop.iterchildren("{*}*"))
