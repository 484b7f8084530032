"""Multistatus answers (RFC 4918 §13, §14.16) as values, read from XML. What they mean is for the operations."""

import re
from collections.abc import Iterator
from typing import Final, Self

from lxml import etree
from msgspec import Struct

from busyd.dav import names
from busyd.dav.href import Href, normalise_href, spelling_of
from busyd.dav.xml import Element, NotXml, parse_xml, text_of

_STATUS_LINE: Final = re.compile(r"\s*HTTP/[0-9.]+\s+([1-5][0-9]{2})(?![0-9])")


class Property(Struct, frozen=True):
    """A property, or an element inside one: text or children, never both (white space between children is dropped)."""

    name: str
    """Clark notation."""
    text: str = ""
    """Verbatim; callers trim it, since calendar-data must not be trimmed."""
    children: tuple["Property", ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()

    def child(self, name: str) -> "Property | None":
        return next((child for child in self.children if child.name == name), None)

    def hrefs(self) -> tuple[str, ...]:
        """The non-empty texts of the DAV:href children."""
        texts = (child.text.strip() for child in self.children if child.name == names.HREF)
        return tuple(text for text in texts if text)


class PropStat(Struct, frozen=True):
    """Properties that share a status (RFC 4918 §14.22). `status` is None when the status line is empty or invalid."""

    status: int | None
    properties: tuple[Property, ...] = ()

    @property
    def is_found(self) -> bool:
        """A missing status counts as 404. QUIRK(icloud): an empty status line was seen once."""
        return self.status is not None and 200 <= self.status < 300


class MemberResponse(Struct, frozen=True):
    """The response for one resource (RFC 4918 §14.24): a status for it as a whole, or one per group of properties."""

    href: Href
    propstats: tuple[PropStat, ...] = ()
    status: int | None = None
    """The response-level status: 404 marks a vanished member (RFC 6578 §3.5.2), 507 a truncated answer (§3.6)."""
    spelling: str = ""
    """The path as the server spells it, for requests; some servers know no other spelling."""

    def find(self, name: str) -> Property | None:
        """The property, if the server has it; the empty elements of a 404 propstat are never returned."""
        for propstat in self.propstats:
            if propstat.is_found:
                for prop in propstat.properties:
                    if prop.name == name:
                        return prop
        return None

    def text(self, name: str) -> str | None:
        """The property's trimmed text, or None when it is missing or empty."""
        prop = self.find(name)
        return (prop.text.strip() or None) if prop is not None else None


class Multistatus(Struct, frozen=True):
    """A whole multistatus."""

    responses: tuple[MemberResponse, ...] = ()
    sync_token: str | None = None
    """RFC 6578 §6.4; opaque, trimmed, a direct child at any position."""

    @classmethod
    def from_xml(cls, document: bytes, base: str = "") -> Self:
        """Parse a complete document, the response of the URL `base`. Raises NotXml when it is not a multistatus."""
        root = parse_xml(document)
        if root.tag != names.MULTISTATUS:
            message = f"the root element is <{etree.QName(root).localname}>, not <multistatus>"
            raise NotXml(message)
        elements = root.iterchildren(names.RESPONSE)
        responses = tuple(member for element in elements for member in _members_from_xml(element, base))
        token = root.findtext(names.SYNC_TOKEN)
        return cls(responses, (token.strip() or None) if token else None)


def _members_from_xml(element: Element, base: str) -> Iterator[MemberResponse]:
    hrefs = [href.text or "" for href in element.iterchildren(names.HREF)]
    if not any(href.strip() for href in hrefs):
        raise NotXml("a <response> has no <href>")
    status_line = element.findtext(names.STATUS)
    propstats = tuple(_propstat_from_xml(propstat) for propstat in element.iterchildren(names.PROPSTAT))
    status = parse_status(status_line)
    for href in hrefs:
        if href.strip():
            spelling = spelling_of(href, base)
            yield MemberResponse(normalise_href(spelling), propstats, status, spelling)


def _propstat_from_xml(element: Element) -> PropStat:
    properties = tuple(
        _property_from_xml(child) for prop in element.iterchildren(names.PROP) for child in prop.iterchildren("{*}*")
    )
    return PropStat(parse_status(element.findtext(names.STATUS)), properties)


def _property_from_xml(element: Element) -> Property:
    children = tuple(_property_from_xml(child) for child in element.iterchildren("{*}*")) if len(element) else ()
    attributes = tuple(sorted((str(name), str(value)) for name, value in element.attrib.items()))
    return Property(str(element.tag), "" if children else text_of(element), children, attributes)


def parse_status(line: str | None) -> int | None:
    """The number in `HTTP/1.1 404 Not Found`, or None."""
    match = _STATUS_LINE.match(line or "")
    return int(match[1]) if match else None
