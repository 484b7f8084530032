"""Redacts exchanges with a server, so that they keep their form and can be replayed. Pure.

Everything that is not known to be harmless is replaced. Equal texts get equal placeholders, so that an href in a
listing is the href that is fetched later. The style of the XML stays byte for byte, since parsers may depend on it.
"""

import re
from html import unescape
from typing import Final
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from busyd.dav.xml import NotXml, parse_xml
from busyd.remote.ical_redaction import LEFT_OUT, redact_icalendar, words

_ICLOUD: Final = re.compile(r"(?:p\d{1,3}-)?caldav\.icloud\.com(?:\.cn)?", re.ASCII)
_TOKEN: Final = re.compile(r"""<!\[CDATA\[.*?\]\]>|<!--.*?-->|<(?:"[^"]*"|'[^']*'|[^>"'])*>|[^<]+""", re.DOTALL)
_TAG: Final = re.compile(r"<(/?)([^\s/>]+)")
_ATTRIBUTE: Final = re.compile(r"""([^\s=<>"'/]+)(\s*=\s*)("[^"]*"|'[^']*')""")
_OBJECT: Final = re.compile(r"[^/]+\.ics", re.IGNORECASE)

_PLACES: Final = words(
    "calendars calendar principal principals users inbox outbox notification notifications dropbox freebusy home "
    "work tasks caldav dav dav.php cal.php remote.php .well-known __uids__ caldav.php"
)
"""Path segments that name a kind of resource, not a person."""
_TEXTS: Final = words(
    "status sync-level getcontenttype getcontentlength getlastmodified creationdate calendar-color calendar-order "
    "calendar-timezone-id max-resource-size max-instances max-attendees-per-instance min-date-time max-date-time "
    "quota-used-bytes quota-available-bytes xmpp-heartbeat-minutes pushkey-refresh"
)
"""Elements whose text says nothing about a person."""
_ATTRIBUTES: Final = frozenset({"name", "version", "content-type", "preferred", "collation", "start", "end", "type"})
_HEADERS: Final = words(
    "accept accept-encoding allow content-type dav date depth if-none-match last-modified retry-after server "
    "user-agent www-authenticate x-apple-request-uuid x-apple-user-partition x-apple-edge-response-time"
)
_ADDRESSES: Final = frozenset({"location", "content-location"})
_ETAGS: Final = frozenset({"etag", "if-match", "schedule-tag"})
_DROPPED: Final = frozenset({"content-length", "content-encoding", "transfer-encoding", "connection", "keep-alive"})
"""These describe the bytes on the wire, not the redacted ones."""

Headers = tuple[tuple[str, str], ...]


class WireRedactor:
    """Redacts the exchanges of one account; keeps its placeholders from one to the next."""

    def __init__(self) -> None:
        self._stand_ins: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    def url(self, text: str) -> str:
        """An absolute URL, a path, or any other URI a server writes into an href."""
        bare = text.strip()
        scheme = bare.partition(":")[0].lower()
        if bare.startswith("/"):
            return self._path(bare)
        if scheme == "mailto":
            return f"mailto:{self._person(bare)}"
        if scheme in ("http", "https"):
            try:
                parts = urlsplit(bare)
                port = f":{parts.port}" if parts.port and _ICLOUD.fullmatch(parts.hostname or "") else ""
            except ValueError:
                return LEFT_OUT
            host = self.host(parts.hostname or "", parts.port)
            return f"{scheme}://{host}{port}{self._path(parts.path)}"
        return self._stand_in("urn", bare, form="urn:uuid:00000000-0000-4000-8000-{:012}") if bare else ""

    def host(self, name: str, port: int | None = None) -> str:
        """iCloud's own hosts stay, all others are replaced by reserved names (RFC 2606)."""
        if _ICLOUD.fullmatch(name.lower()):
            return name.lower()
        return self._stand_in("host", f"{name.lower()}:{port or ''}", form="server-{}.example")

    def headers(self, headers: Headers) -> Headers:
        """Headers without personal data, and without those that describe the bytes on the wire."""
        return tuple(
            (name, self._header(name.lower(), value)) for name, value in headers if name.lower() not in _DROPPED
        )

    def body(self, body: bytes) -> bytes:
        """XML and iCalendar redacted in their own form; of anything else, only the size."""
        if not body.strip():
            return body
        if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:15].upper() == b"BEGIN:VCALENDAR":
            return redact_icalendar(body.decode("utf-8", "replace"), self._person, uid=self._uid).encode()
        try:
            parse_xml(body)
            text = body.decode("utf-8")
        except (NotXml, UnicodeDecodeError):
            return f"({len(body)} bytes left out)".encode()
        return self._xml(text).encode()

    def _xml(self, text: str) -> str:
        out: list[str] = []
        open_elements = [""]
        for token in _TOKEN.findall(text):
            if token.startswith("<![CDATA["):
                out.append(f"<![CDATA[{self._text(open_elements[-1], token[9:-3])}]]>")
            elif token.startswith("<?xml"):
                out.append(token)
            elif token.startswith(("<!", "<?")):
                continue
            elif token.startswith("<"):
                out.append(_ATTRIBUTE.sub(_attribute, token))
                match = _TAG.match(token)
                if match is not None and match[1]:
                    open_elements.pop()
                elif match is not None and not token.endswith("/>"):
                    open_elements.append(match[2].rpartition(":")[2])
            else:
                out.append(token if not token.strip() else escape(self._text(open_elements[-1], unescape(token))))
        return "".join(out)

    def _text(self, element: str, text: str) -> str:
        bare = text.strip()
        if not bare or element in _TEXTS:
            return text
        if element in ("calendar-data", "calendar-timezone"):
            return redact_icalendar(text, self._person, uid=self._uid)
        return text.replace(bare, self._short_text(element, bare))

    def _short_text(self, element: str, text: str) -> str:
        match element:
            case "href":
                return self.url(text)
            case "displayname":
                return self._stand_in("name", text, form="Name {}")
            case "sync-token" | "getctag":
                return self._token(text)
            case "getetag" | "schedule-tag":
                return self._etag(text)
        return LEFT_OUT

    def _header(self, name: str, value: str) -> str:
        if name in _ADDRESSES:
            return self.url(value)
        if name in _ETAGS:
            return self._etag(value)
        if name == "host":
            host, _, port = value.partition(":")
            return self.host(host, int(port) if port.isdigit() else None)
        if name == "www-authenticate":
            return re.sub(r'realm="(?!MMCalDav")[^"]*"', f'realm="{LEFT_OUT}"', value)
        return value if name in _HEADERS else LEFT_OUT

    def _path(self, path: str) -> str:
        return "/".join(self._segment(segment) for segment in path.partition("?")[0].split("/"))

    def _segment(self, segment: str) -> str:
        plain = unquote(segment)
        if not plain or plain.lower() in _PLACES:
            return segment
        if plain.isdigit():
            return self._stand_in("number", plain, form="10000000{}")
        if _OBJECT.fullmatch(plain):
            return self._stand_in("object", plain, form="object-{}.ics")
        return self._stand_in("segment", plain, form="collection-{}")

    def _person(self, address: str) -> str:
        bare = re.sub(r"^mailto:", "", address.strip(), flags=re.IGNORECASE).lower()
        if "@" not in bare:
            return self.url(address) if bare.startswith(("/", "http", "urn:")) else LEFT_OUT
        return self._stand_in("person", bare, form="person-{}@example.com")

    def _uid(self, uid: str) -> str:
        return self._stand_in("uid", uid, form="uid-{}")

    def _etag(self, etag: str) -> str:
        weak, quoted = etag.startswith("W/"), etag.endswith('"')
        made = self._stand_in("etag", etag, form="etag-{}")
        return f"{'W/' if weak else ''}{chr(34) + made + chr(34) if quoted else made}"

    def _token(self, token: str) -> str:
        made = self._stand_in("token", token, form="token-{}")
        return f"data:,{made}" if token.startswith("data:") else made

    def _stand_in(self, kind: str, text: str, *, form: str) -> str:
        if (kind, text) not in self._stand_ins:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._stand_ins[kind, text] = form.format(self._counts[kind])
        return self._stand_ins[kind, text]


def _attribute(match: re.Match[str]) -> str:
    name = match[1]
    local = name.rpartition(":")[2].lower()
    if name == "xmlns" or name.startswith("xmlns:") or local in _ATTRIBUTES:
        return match[0]
    if local == "symbolic-color" or name in ("encoding", "standalone"):
        return match[0]
    return f"{name}{match[2]}{match[3][0]}{LEFT_OUT}{match[3][0]}"
