"""The hardened XML parser, and the functions that build XML, always prefixed."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from lxml import etree

from busyd.dav import names

Element = etree._Element

_LOOKS_LIKE_XML: Final = re.compile(rb"^(\xef\xbb\xbf)?\s*<(?!(!doctype\s+)?html\b)", re.IGNORECASE)

_SETTINGS: Final[dict[str, Any]] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "huge_tree": False,
    "recover": False,
    "remove_comments": True,
    "remove_pis": True,
}
_AT_ONCE: Final = 64 * 1024
"""Bytes of a long document that are parsed at once."""
_NONE: Final[Mapping[str, str]] = {}
_ILLEGAL: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What is not a Char; the ranges that are take ten times as long to compile."""


class NotXml(ValueError):
    """The bytes are not one complete, acceptable XML document. The text says why."""


def parse_xml(document: bytes) -> Element:
    """The root of a complete document. Raises NotXml when it is truncated, malformed, or declares a DTD or entities.

    Nothing outside the bytes is ever read, and libxml2's limits on depth and text size stay in force.
    """
    try:
        root = etree.fromstring(document, etree.XMLParser(**_SETTINGS))
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise _not_well_formed(error) from None
    _refuse_doctype(root)
    return root


def parse_rows(document: bytes, root: str, *, row: str) -> Iterator[Element]:
    """The children of that name of a document whose root has this name, and then the root with what else is in it.

    A row is let go of when the next one is asked for, so that a long document is never held as a tree. Raises NotXml
    like `parse_xml`, maybe only at the end: before that, nothing of the document may be believed.
    """
    parser = etree.XMLPullParser(("start", "end"), tag=(root, row), **_SETTINGS)  # else every element is an event
    top: Element | None = None
    try:
        for at in range(0, max(len(document), 1), _AT_ONCE):
            parser.feed(document[at : at + _AT_ONCE])
            for event, found in parser.read_events():
                element = cast(Element, found)  # neither comments nor namespaces are asked for
                if top is None:
                    top = _checked_root(element, root)
                elif event == "end" and element.tag == row and element.getparent() is top:
                    yield element
                    top.remove(element)
        whole = parser.close()
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise error if isinstance(error, NotXml) else _not_well_formed(error) from None
    yield _checked_root(whole, root)


def _checked_root(element: Element, wanted: str) -> Element:
    """The root of a document, which the element is in. Raises NotXml when it is another than wanted."""
    top = element.getroottree().getroot()
    _refuse_doctype(top)
    if top.tag != wanted:
        message = f"the root element is <{etree.QName(top).localname}>, not <{etree.QName(wanted).localname}>"
        raise NotXml(message)
    return top


def _refuse_doctype(root: Element) -> None:
    # lxml does not load an external entity but accepts the document, so it is refused here.
    if root.getroottree().docinfo.internalDTD is not None:
        raise NotXml("it declares a DOCTYPE, which busyd does not accept")


def _not_well_formed(error: Exception) -> NotXml:
    return NotXml(f"not well-formed XML: {_first_line(error)}")


def looks_like_xml(body: bytes) -> bool:
    """False for empty bodies and HTML pages, which most error responses have, whatever their content type."""
    return bool(_LOOKS_LIKE_XML.match(body[:256]))


def write_xml(root: Element) -> bytes:
    """The document, starting with its declaration: iCloud answers 400 if even one byte precedes it."""
    etree.cleanup_namespaces(root, keep_ns_prefixes=["D", "C"])
    return etree.tostring(root, encoding="utf-8", xml_declaration=True)


def make(name: str, *children: "Element | str", attributes: Mapping[str, str] = _NONE) -> Element:
    """An element by its qualified name, prefixed, with its children or its text, and its attributes."""
    element = etree.Element(name, dict(attributes), nsmap=names.PREFIXES)
    for child in children:
        if isinstance(child, str):
            element.text = child
        else:
            element.append(child)
    return element


def add_text(parent: Element, name: str, *, text: str) -> None:
    """Add a child that has nothing but text: much cheaper than `make` where there are many."""
    etree.SubElement(parent, name).text = text


def clean_text(text: str) -> str:
    """The text without the characters that XML cannot hold (XML 1.0 §2.2), each replaced."""
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)


def error_body(condition: str, *children: Element) -> bytes:
    """RFC 4918 §16: the precondition that was not met, as the body of a refusal."""
    return write_xml(make(names.ERROR, make(condition, *children)))


def text_of(element: Element) -> str:
    """All text below an element, CDATA or not."""
    return "".join(str(text) for text in element.itertext()) if len(element) else element.text or ""


def _first_line(error: Exception) -> str:
    return (getattr(error, "msg", str(error)).splitlines() or [type(error).__name__])[0][:200]
