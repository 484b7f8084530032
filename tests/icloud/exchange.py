"""One request and one answer, as plain values. Sockets are `delivery.py`; what to answer, `routes.py` decides."""

from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from multidict import CIMultiDictProxy

from tests.icloud import xml

APPLE_SERVER = "AppleHttpServer/2f080fc0ab12"

REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    412: "Precondition Failed",
    415: "Unsupported Media Type",
    421: "Misdirected Request",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    507: "Insufficient Storage",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it arrived; `path` is as sent, `segments` are decoded once."""

    origin: str
    host: str
    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(unquote(part) for part in self.path.split("/") if part)

    @property
    def depth(self) -> str | None:
        return self.headers.get("Depth")


_PLAIN = "!$&'()*+,;=:-._~"
"""What iCloud does not encode."""


@dataclass(slots=True)
class Answer:
    """What is to be sent back; `close` ends the connection afterwards, as iCloud does with its HTML error pages."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    close: bool = False


def empty(status: int, *headers: tuple[str, str]) -> Answer:
    """`Content-Length: 0`: iCloud seldom explains itself."""
    return Answer(status, headers=list(headers))


def html_page(status: int, reason: str = "") -> Answer:
    """The error page of Apple's edge, after which the connection is closed."""
    title = f"{status} {reason or REASONS.get(status, '')}".strip()
    page = (
        f'<html><head><title>{title}</title></head><body bgcolor="white"><center><h1>{title}</h1></center>'
        f"<hr><center>{APPLE_SERVER}</center></body></html>"
    )
    return Answer(status, page.encode(), "text/html", close=True)


def dav_error(status: int, precondition: str) -> Answer:
    """An error document in the single-quoted style; `precondition` is XML in the DAV: default namespace."""
    return Answer(status, xml.error(precondition).encode(), "text/xml")


def multistatus(*responses: str, sync_token: str | None = None) -> Answer:
    return Answer(207, xml.multistatus(responses, sync_token).encode(), "text/xml")


def member_href(home: str, name: str, *, spelled: str) -> str:
    """A member as reports and listings spell it: plain, needlessly encoded, on another host, or relative."""
    match spelled:
        case "encoded":
            return f"{home}%{ord(name[0]):02x}{quote(name[1:], safe=_PLAIN)}"
        case "absolute":
            return f"https://p99-caldav.icloud.com:443{home}{quote(name, safe=_PLAIN)}"
        case "relative":
            return quote(name, safe=_PLAIN)
        case _:
            return f"{home}{quote(name, safe=_PLAIN)}"


def href_of(*segments: str, collection: bool) -> str:
    """A bare absolute path, percent-encoded as iCloud does it (`@` becomes `%40`)."""
    path = "/" + "/".join(quote(segment, safe=_PLAIN) for segment in segments)
    return path + "/" if collection else path
