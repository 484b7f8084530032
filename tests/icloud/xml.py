"""iCloud's XML: templated, default namespaces repeated on every element, mixed quotes, many blank lines.

Written as text on purpose, since no serialiser would produce it. What the properties say is `properties.py`.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from xml.sax.saxutils import escape

from lxml import etree

DAV = "DAV:"
CALDAV = "urn:ietf:params:xml:ns:caldav"
CALENDAR_SERVER = "http://calendarserver.org/ns/"
APPLE_ICAL = "http://apple.com/ns/ical/"

DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_BLANK = "\n\n\n\t\n"


class MalformedRequest(Exception):
    """The body is no XML: iCloud answers 400 with an HTML page and closes the connection."""


class Value(NamedTuple):
    """The inside of a property element, already escaped, and its attributes."""

    inner: str
    attributes: str = ""


EMPTY = Value("")


def clark(namespace: str, local: str) -> str:
    return f"{{{namespace}}}{local}"


def text(value: str) -> Value:
    return Value(escape(value))


def cdata(value: str) -> Value:
    return Value("<![CDATA[" + value.replace("]]>", "]]]]><![CDATA[>") + "]]>")


def href(path: str) -> str:
    """A DAV: href inside a property, with the redundant namespace."""
    return f'<href xmlns="DAV:">{escape(path)}</href>'


def element(name: str, value: Value = EMPTY) -> str:
    """One property element with its own default namespace; empty ones are self-closing."""
    namespace, _, local = name[1:].partition("}")
    opening = f'{local} xmlns="{namespace}"{value.attributes}'
    return f"<{opening}>{value.inner}</{local}>" if value.inner else f"<{opening}/>"


def response(path: str, found: Mapping[str, Value], *, missing: Iterable[str] = (), empty_status: bool = False) -> str:
    """One response: the 200 propstat first, then the 404 one with empty elements for what is not there.

    `empty_status` leaves the text of the 404 status out, which has been met once.
    """
    parts = [f' <response xmlns="DAV:">\n  <href>{escape(path)}</href>\n']
    parts.append(_propstat([element(name, value) for name, value in found.items()], "HTTP/1.1 200 OK"))
    absent = [element(name) for name in missing]
    if absent:
        parts.append(_propstat(absent, "" if empty_status else "HTTP/1.1 404 Not Found"))
    return "".join(parts) + " </response>\n"


def status_response(path: str, status: str) -> str:
    """A response-level status and no propstat: deleted members, missing objects, truncation."""
    return (
        f' <response xmlns="DAV:">\n  <href>{escape(path)}</href>\n  <status>HTTP/1.1 {status}</status>\n </response>\n'
    )


def multistatus(responses: Iterable[str], sync_token: str | None = None) -> str:
    token = f" <sync-token>{escape(sync_token)}</sync-token>\n" if sync_token is not None else ""
    return f'{DECLARATION}<multistatus xmlns="DAV:">{_BLANK}{_BLANK.join(responses)}{token}</multistatus>\n'


def error(precondition: str) -> str:
    return f"<?xml version='1.0' encoding='UTF-8'?><error xmlns='DAV:'>{precondition}</error>"


def read(body: bytes) -> etree._Element:
    """The root of a request body. A byte before `<?xml`, a DTD or broken XML raises `MalformedRequest`."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    try:
        return etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as fault:
        raise MalformedRequest(str(fault)) from fault


def children(node: etree._Element) -> list[etree._Element]:
    """The element children; comments and processing instructions are not elements."""
    return list(node.iterchildren("*"))


def asked_properties(node: etree._Element) -> dict[str, etree._Element]:
    """The properties named in the `prop` child, in order; empty for allprop and propname."""
    prop = node.find(clark(DAV, "prop"))
    return {} if prop is None else {str(child.tag): child for child in children(prop)}


def _propstat(elements: list[str], status: str) -> str:
    inside = "".join(f"\t{part}\n\n" for part in elements) or "\n"
    return f"  <propstat>\n  <prop>\n{inside}  </prop>\n  <status>{status}</status>\n  </propstat>\n"
