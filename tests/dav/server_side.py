"""The directions of the protocol that only a server needs: requests read, and multistatus responses written."""

from http import HTTPStatus

from lxml import etree

from busyd.dav import names
from busyd.dav.href import normalise_href
from busyd.dav.multistatus import MemberResponse, Multistatus, Property
from busyd.dav.request import CalendarMultiget, Propfind, SyncCollection
from busyd.dav.xml import Element, NotXml, make, parse_xml, write_xml


def read_propfind(document: bytes) -> Propfind:
    """Raises NotXml for anything but a propfind with a prop element."""
    return Propfind(_named_properties(_root(document, names.PROPFIND)))


def read_sync_collection(document: bytes) -> SyncCollection:
    root = _root(document, names.SYNC_COLLECTION)
    return SyncCollection((root.findtext(names.SYNC_TOKEN) or "").strip() or None, _named_properties(root))


def read_multiget(document: bytes) -> CalendarMultiget:
    root = _root(document, names.CALENDAR_MULTIGET)
    hrefs = tuple(normalise_href(href.text or "") for href in root.iterchildren(names.HREF))
    return CalendarMultiget(hrefs, _named_properties(root))


def write_multistatus(value: Multistatus) -> bytes:
    """The document, prefixed, responses first and the token last as RFC 6578 §3.8 shows it."""
    root = make(names.MULTISTATUS)
    root.extend(_member_to_xml(member) for member in value.responses)
    if value.sync_token is not None:
        etree.SubElement(root, names.SYNC_TOKEN).text = value.sync_token
    return write_xml(root)


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


def _member_to_xml(member: MemberResponse) -> Element:
    element = make(names.RESPONSE)
    etree.SubElement(element, names.HREF).text = member.href
    if member.status is not None:
        etree.SubElement(element, names.STATUS).text = _status_line(member.status)
    for propstat in member.propstats:
        wire = etree.SubElement(element, names.PROPSTAT)
        etree.SubElement(wire, names.PROP).extend(_property_to_xml(found) for found in propstat.properties)
        if propstat.status is not None:
            etree.SubElement(wire, names.STATUS).text = _status_line(propstat.status)
    return element


def _property_to_xml(found: Property) -> Element:
    element = make(found.name)
    for name, value in found.attributes:
        element.set(name, value)
    element.extend(_property_to_xml(child) for child in found.children)
    if not found.children and found.text:
        element.text = found.text
    return element


def _status_line(status: int) -> str:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    return f"HTTP/1.1 {status} {phrase}"
