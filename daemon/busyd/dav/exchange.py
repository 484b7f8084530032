"""Requests, responses, and the errors that statuses stand for. Operations are made of these; no bytes move here.

An operation is a generator: it yields requests, is sent their responses, and returns a value. A status is data until
an operation decides about it; only the absence of a response is raised, by whoever carries the bytes.
"""

import re
from collections.abc import Generator, Iterable, Iterator
from typing import Final, NoReturn, TypeVar

from lxml import etree
from msgspec import Struct

from busyd.dav import names
from busyd.dav.errors import (
    DavError,
    Forbidden,
    LoginRefused,
    LoginUnsupported,
    MalformedResponse,
    NotFound,
    PreconditionFailed,
    ServerFault,
    TooManyRequests,
)
from busyd.dav.href import host_of
from busyd.dav.multistatus import MemberResponse, Multistatus, SyncToken, read_rows
from busyd.dav.request import CalendarMultiget, Propfind, SyncCollection, WindowQuery
from busyd.dav.xml import NotXml, looks_like_xml, parse_xml

T = TypeVar("T")

_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_SCHEME: Final = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9._-]*)(?=\s*(?:,|$)|\s+[A-Za-z0-9])")
_KNOWN: Final = frozenset({"basic", "digest"})
_DESCRIPTIONS: Final = frozenset(
    {names.dav("responsedescription"), "{http://twistedmatrix.com/xml_namespace/dav/}error-description"}
)
"""What servers put beside the precondition, or instead of it: a sentence."""
_XML_TYPE: Final = "application/xml; charset=utf-8"


class LongAnswer(Struct, frozen=True):
    """Marks a request whose response may be long, and holds all that parsing it needs besides the response itself.

    Whoever carries out the operation may parse such a response elsewhere, in another process for instance, and hand
    the value back in `DavResponse.parsed`. When that is empty the operation parses the body itself.
    """


class DavRequest(Struct, frozen=True):
    """A request. `target` is an absolute URL, or a path on the host that answered last."""

    method: str
    target: str
    depth: str | None = None
    """`0` or `1`; None sends no Depth header (iCloud refuses a DELETE with one)."""
    headers: tuple[tuple[str, str], ...] = ()
    """In addition to Depth and those that the transport adds; never Authorization."""
    body: bytes = b""
    answer: LongAnswer | None = None


class DavResponse(Struct, frozen=True):
    """A response. `url` is the absolute URL that answered, after redirects; `body` is complete and decompressed."""

    status: int
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    """In order, with repetitions: iCloud sends two WWW-Authenticate lines."""
    body: bytes = b""
    parsed: object = None
    """What was made of the body elsewhere (see `LongAnswer`)."""

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    @property
    def host(self) -> str:
        return host_of(self.url)


Operation = Generator[DavRequest, DavResponse, T]


def propfind(target: str, *, depth: str, properties: tuple[str, ...]) -> DavRequest:
    """RFC 4918 §9.1."""
    return DavRequest("PROPFIND", target, depth, (("Content-Type", _XML_TYPE),), Propfind(properties).to_xml())


def report(
    target: str, *, depth: str, body: SyncCollection | CalendarMultiget | WindowQuery, answer: LongAnswer | None = None
) -> DavRequest:
    """RFC 3253 §3.6."""
    return DavRequest("REPORT", target, depth, (("Content-Type", _XML_TYPE),), body.to_xml(), answer)


def read_multistatus(response: DavResponse) -> Multistatus:
    """The multistatus of a 207, whatever its content type; any other status is raised as the error it stands for."""
    if response.status != 207:
        raise_for_status(response)
    try:
        return Multistatus.from_xml(response.body, response.url)
    except NotXml as error:
        raise MalformedResponse(response.host, str(error), status=response.status) from None


def read_members(response: DavResponse) -> Iterator[MemberResponse | SyncToken]:
    """The same one row after the other, for what may be long. What is wrong with it may be raised only at the end."""
    if response.status != 207:
        raise_for_status(response)
    try:
        yield from read_rows(response.body, response.url)
    except NotXml as error:
        raise MalformedResponse(response.host, str(error), status=response.status) from None


def preconditions(response: DavResponse) -> frozenset[str]:
    """The qualified names in a DAV:error body (RFC 4918 §16); empty for HTML, which most error responses contain."""
    if not looks_like_xml(response.body):
        return frozenset()
    try:
        root = parse_xml(response.body)
    except NotXml:
        return frozenset()
    if root.tag != names.ERROR:
        return frozenset()
    return frozenset(str(child.tag) for child in root.iterchildren("{*}*"))


def raise_for_status(response: DavResponse) -> NoReturn:
    """Raise the error that an unexpected response stands for."""
    raise failure(response)


def failure(response: DavResponse) -> DavError:
    """The error that an unexpected response stands for."""
    host, status = response.host, response.status
    if status == 401:
        schemes = offered_schemes(response.headers)
        return LoginUnsupported(host, ", ".join(schemes)) if schemes and not _KNOWN & {*schemes} else LoginRefused(host)
    if status == 403:
        return Forbidden(host, precondition=first_precondition(response))
    if status in (404, 410):
        return NotFound(host, status=status)
    if status in (409, 412):
        return PreconditionFailed(host, status=status, precondition=first_precondition(response))
    retry_after = response.header("Retry-After")
    if status == 429 or (status == 503 and retry_after is not None):
        return TooManyRequests(host, status=status, retry_after=retry_after)
    if 200 <= status < 300:
        return MalformedResponse(host, f"unexpected status {status}", status=status)
    return ServerFault(host, status)


def offered_schemes(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The ways to log in that an answer offers (RFC 9110 §11.6.1), in lower case; several may share a header."""
    found: dict[str, None] = {}
    for name, value in headers:
        if name.lower() == "www-authenticate":
            bare = _QUOTED.sub('""', value)
            found.update(dict.fromkeys(scheme.lower() for scheme in _SCHEME.findall(bare)))
    return tuple(found)


def first_precondition(response: DavResponse) -> str | None:
    """The local name of a precondition, for a message: `no-uid-conflict`, or None."""
    conditions = sorted(preconditions(response) - _DESCRIPTIONS)
    return etree.QName(conditions[0]).localname if conditions else None
