"""Multistatus answers (RFC 4918 §13, §14.16) as values, read from XML and written.

What they mean is for the operations, and for the CalDAV server.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final, Self

from lxml import etree
from msgspec import Struct

from busyd.dav import names
from busyd.dav.href import Href, normalise_href, spelling_of
from busyd.dav.xml import Element, NotXml, clean_text, make, parse_rows, text_of

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

    @classmethod
    def from_xml(cls, element: Element) -> Self:
        children = tuple(cls.from_xml(child) for child in element.iterchildren("{*}*")) if len(element) else ()
        attributes = tuple(sorted((str(name), str(value)) for name, value in element.attrib.items()))
        return cls(str(element.tag), "" if children else text_of(element), children, attributes)

    def to_xml(self) -> Element:
        element = make(self.name, *(child.to_xml() for child in self.children))
        if self.text:
            element.text = clean_text(self.text)
        for name, value in self.attributes:
            element.set(name, clean_text(value))
        return element


class PropStat(Struct, frozen=True):
    """Properties that share a status (RFC 4918 §14.22). `status` is None when the status line is empty or invalid."""

    status: int | None
    properties: tuple[Property, ...] = ()
    condition: str = ""
    """Written into DAV:error: why the status is what it is. Not read."""

    @property
    def is_found(self) -> bool:
        """A missing status counts as 404. QUIRK(icloud): an empty status line was seen once."""
        return self.status is not None and 200 <= self.status < 300

    def to_xml(self) -> Element:
        prop = make(names.PROP, *(prop.to_xml() for prop in self.properties))
        element = make(names.PROPSTAT, prop, make(names.STATUS, status_line(self.status or 404)))
        if self.condition:
            element.append(make(names.ERROR, make(self.condition)))
        return element


class MemberResponse(Struct, frozen=True):
    """The response for one resource (RFC 4918 §14.24): a status for it as a whole, or one per group of properties."""

    href: Href
    propstats: tuple[PropStat, ...] = ()
    status: int | None = None
    """The response-level status: 404 marks a vanished member (RFC 6578 §3.5.2), 507 a truncated answer (§3.6)."""
    spelling: str = ""
    """The path as the server spells it, for requests; some servers know no other spelling."""
    condition: str = ""
    """Written into DAV:error: why the status is what it is. Not read."""

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

    def to_xml(self) -> Element:
        """A response with a status of its own has no propstats (RFC 4918 §14.24)."""
        element = make(names.RESPONSE, make(names.HREF, self.spelling or self.href))
        if self.status is not None:
            element.append(make(names.STATUS, status_line(self.status)))
        else:
            element.extend(propstat.to_xml() for propstat in self.propstats)
        if self.condition:
            element.append(make(names.ERROR, make(self.condition)))
        return element


class Multistatus(Struct, frozen=True):
    """A whole multistatus."""

    responses: tuple[MemberResponse, ...] = ()
    sync_token: str | None = None
    """RFC 6578 §6.4; opaque, trimmed, a direct child at any position."""

    @classmethod
    def from_xml(cls, document: bytes, base: str = "") -> Self:
        """Parse a complete document, the response of the URL `base`. Raises NotXml when it is not a multistatus."""
        rows = list(read_rows(document, base))
        tokens = [row.token for row in rows if isinstance(row, SyncToken)]
        return cls(tuple(row for row in rows if isinstance(row, MemberResponse)), tokens[0])


class SyncToken(Struct, frozen=True):
    """What stands at the end of a multistatus: the token for what it says, if it has one."""

    token: str | None


def read_rows(document: bytes, base: str = "") -> "Iterator[MemberResponse | SyncToken]":
    """The same one after the other, and last of all the token. What is wrong with it may show only at the end."""
    for element in parse_rows(document, names.MULTISTATUS, row=names.RESPONSE):
        if element.tag == names.RESPONSE:
            yield from _members_from_xml(element, base)
        else:
            token = element.findtext(names.SYNC_TOKEN)
            yield SyncToken((token.strip() or None) if token else None)


def multistatus_head() -> bytes:
    """How a document begins; `response_bytes` and, last, `multistatus_tail` follow."""
    nsmap = " ".join(f'xmlns:{prefix}="{namespace}"' for prefix, namespace in names.PREFIXES.items())
    return f'<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus {nsmap}>'.encode()


def response_bytes(response: MemberResponse) -> bytes:
    """One response of a document."""
    return _REPEATED.sub(b"", etree.tostring(response.to_xml(), encoding="utf-8"), count=1)


def multistatus_tail(sync_token: str | None) -> bytes:
    """How a document ends."""
    token = b""
    if sync_token is not None:
        token = _REPEATED.sub(b"", etree.tostring(make(names.SYNC_TOKEN, sync_token), encoding="utf-8"), count=1)
    return token + b"</D:multistatus>\n"


_REPEATED: Final = re.compile(
    b"".join(f' xmlns:{prefix}="{re.escape(namespace)}"'.encode() for prefix, namespace in names.PREFIXES.items())
)
"""The namespaces as lxml declares them on every root; here the root declares them for all."""


def status_line(status: int) -> str:
    """RFC 9112 §4, as DAV:status has it."""
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"


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
        Property.from_xml(child) for prop in element.iterchildren(names.PROP) for child in prop.iterchildren("{*}*")
    )
    return PropStat(parse_status(element.findtext(names.STATUS)), properties)


def parse_status(line: str | None) -> int | None:
    """The number in `HTTP/1.1 404 Not Found`, or None."""
    match = _STATUS_LINE.match(line or "")
    return int(match[1]) if match else None
