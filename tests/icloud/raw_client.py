"""A bare client for the self-tests: sends what it is told, follows nothing, and keeps every header line."""

import io
from dataclasses import dataclass

import aiohttp
from lxml import etree
from multidict import CIMultiDictProxy

from tests.icloud.accounts import Account
from tests.icloud.xml import CALDAV, DAV, clark

PROPFIND_PROLOGUE = (
    '<d:propfind xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" '
    'xmlns:cs="http://calendarserver.org/ns/" xmlns:i="http://apple.com/ns/ical/">'
)
QUERY = '<c:calendar-query xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">'
MULTIGET = '<c:calendar-multiget xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">'


class ConnectionLost(Exception):
    """There was no whole answer, or no connection at all."""


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from silently sending a PUT or DELETE a second time when the connection breaks."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as fault:
        raise ConnectionLost from fault


def open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=10), middlewares=(_send_once,), skip_auto_headers=("Content-Type",)
    )


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: CIMultiDictProxy[str]
    raw: bytes

    @property
    def text(self) -> str:
        return self.raw.decode()

    @property
    def root(self) -> etree._Element:
        return etree.fromstring(self.raw)

    @property
    def hrefs(self) -> list[str]:
        """Of the responses, in order."""
        return [node.findtext(clark(DAV, "href")) or "" for node in self.root.iter(clark(DAV, "response"))]

    @property
    def sync_token(self) -> str:
        return self.root.findtext(clark(DAV, "sync-token")) or ""

    def response(self, href: str) -> etree._Element:
        return next(
            node for node in self.root.iter(clark(DAV, "response")) if node.findtext(clark(DAV, "href")) == href
        )

    def status_of(self, href: str) -> str:
        """The response-level status, empty where there are propstats instead."""
        return self.response(href).findtext(clark(DAV, "status")) or ""

    def props(self, href: str, status: str = "200 OK") -> dict[str, etree._Element]:
        """The properties of one response in the propstat of that status."""
        return {
            str(prop.tag): prop
            for stat in self.response(href).iter(clark(DAV, "propstat"))
            if (stat.findtext(clark(DAV, "status")) or "").endswith(status)
            for prop in stat.iterfind(f"{clark(DAV, 'prop')}/*")
        }

    def data(self, href: str) -> str:
        return (self.props(href)[clark(CALDAV, "calendar-data")].text or "").lstrip()


@dataclass(slots=True)
class RawClient:
    """`origin` has no trailing slash; `path` is sent as it is."""

    session: aiohttp.ClientSession
    origin: str
    user: str
    password: str

    async def ask(self, method: str, path: str, *, body: str | bytes = b"", **headers: str) -> Reply:
        """Header names are given with underscores; an empty `Authorization` leaves it out."""
        sent = {"Authorization": aiohttp.encode_basic_auth(self.user, self.password)}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in sent.items() if value}
        url = path if path.startswith("http") else self.origin + path
        data = io.BytesIO(body.encode() if isinstance(body, str) else body)
        async with self.session.request(method, url, data=data, headers=sent, allow_redirects=False) as reply:
            try:
                return Reply(reply.status, reply.headers, await reply.read())
            except aiohttp.ClientError as fault:
                raise ConnectionLost from fault

    async def propfind(self, path: str, *props: str, depth: str = "0") -> Reply:
        """`props` like `d:getetag`, `c:`, `cs:` or `i:` ones."""
        inside = "".join(f"<{prop}/>" for prop in props)
        body = f"{PROPFIND_PROLOGUE}<d:prop>{inside}</d:prop></d:propfind>"
        return await self.ask("PROPFIND", path, body=body, Depth=depth, Content_Type="application/xml; charset=utf-8")

    async def report(self, path: str, body: str, *, depth: str = "1") -> Reply:
        return await self.ask("REPORT", path, body=body, Depth=depth, Content_Type="application/xml; charset=utf-8")

    async def sync(self, path: str, token: str = "", *props: str, depth: str = "1") -> Reply:
        inside = "".join(f"<{prop}/>" for prop in props or ("d:getetag",))
        body = (
            '<d:sync-collection xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">'
            f"<d:sync-token>{token}</d:sync-token><d:sync-level>1</d:sync-level><d:prop>{inside}</d:prop>"
            "</d:sync-collection>"
        )
        return await self.report(path, body, depth=depth)

    async def multiget(self, path: str, *hrefs: str) -> Reply:
        asked = "".join(f"<d:href>{href}</d:href>" for href in hrefs)
        return await self.report(
            path, f"{MULTIGET}<d:prop><d:getetag/><c:calendar-data/></d:prop>{asked}</c:calendar-multiget>"
        )

    async def query(self, path: str, filters: str, *, props: str = "<d:getetag/><c:calendar-data/>") -> Reply:
        return await self.report(
            path, f"{QUERY}<d:prop>{props}</d:prop><c:filter>{filters}</c:filter></c:calendar-query>"
        )

    async def put(self, path: str, text: str, **headers: str) -> Reply:
        return await self.ask(
            "PUT", path, body=text.encode(), **({"Content_Type": "text/calendar; charset=utf-8"} | headers)
        )


def client_for(session: aiohttp.ClientSession, account: Account, *, origin: str) -> RawClient:
    return RawClient(session, origin, account.user, account.password)
