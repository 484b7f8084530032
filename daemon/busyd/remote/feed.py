"""Calendars published as a file: one conditional GET. Parsing the file and scheduling are done elsewhere."""

import base64
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from aiohttp import DigestAuthMiddleware as Digest
from msgspec import Struct

from busyd.credentials import Secret
from busyd.dav.errors import MalformedResponse, TooManyRequests
from busyd.dav.exchange import offered_schemes
from busyd.errors import UserError
from busyd.ical.lines import UTF_16
from busyd.ical.unfolding import is_wide, narrow
from busyd.remote.allowlist import Address, Origin, UnsafeUrl, to_ascii
from busyd.remote.errors import FeedIsWebPage, FeedRefused, TooManyRedirects, Trouble, Unreachable, UnsafeRedirect
from busyd.remote.pages import is_web_page
from busyd.remote.public import is_for_nobody, is_public
from busyd.remote.wire import USER_AGENT, Answer, TransferLimits, exchange, open_session

logger = logging.getLogger(__name__)

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_ANSWERS: Final = frozenset({304, 401, 407, 429, 503, 511})
"""Statuses of a host that would say the same to a browser."""
BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_BEGIN: Final = re.compile(rb"^[ \t]*BEGIN:VCALENDAR", re.IGNORECASE | re.MULTILINE)
_END: Final = re.compile(rb"^[ \t]*END:VCALENDAR[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_TAIL: Final = 4096
_WHOLE_EVENT: Final = re.compile(rb"^[ \t]*END:(?:VEVENT|VFREEBUSY|VAVAILABILITY)", re.IGNORECASE | re.MULTILINE)


class FeedContent(Struct, frozen=True):
    """The current feed, with the validators for the next request."""

    payload: bytes
    etag: str | None = None
    last_modified: str | None = None
    is_cut: bool = False
    """Its last END:VCALENDAR is missing: what comes behind the last event may be lost."""


class NotModified(Struct, frozen=True):
    """304: the feed has not changed. Holds the validators that the answer renewed."""

    etag: str | None = None
    last_modified: str | None = None


FeedAnswer = FeedContent | NotModified


class UserAgents:
    """How the host of a feed is asked: as busyd, and where that is answered with a page, as a browser asks."""

    def __init__(self, own: str = "") -> None:
        """`own` is what the configuration says; then nothing else is tried."""
        self.in_turn: tuple[str, ...] = (own,) if own else (USER_AGENT, BROWSER)

    def worked(self, agent: str, host: str) -> None:
        """From now on the host is asked like this first."""
        if agent != self.in_turn[0]:
            logger.info("%s serves its feed only to browsers: it is asked as one (see user_agent)", host)
            self.in_turn = (agent, *(other for other in self.in_turn if other != agent))


class FeedRequest(Struct, frozen=True):
    """A feed as it is to be asked for."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    is_configured: bool = False
    """The URL is a person's own: its host may be anywhere, also in the local network."""
    allow_private: bool = False
    """Whatever it redirects to may be in the local network as well."""
    username: str = ""
    password: Secret | None = None
    """Those of an `ics` connection itself, never those of the account that subscribed."""


async def fetch_feed(
    request: FeedRequest,
    *,
    agents: UserAgents | None = None,
    limits: TransferLimits | None = None,
    ssl_context: Any = True,
    on_request: Callable[[], None] = lambda: None,
) -> FeedAnswer:
    """GET a feed if it has changed since the validators were issued.

    `webcal` means https. The login is sent only to the feed's own origin. Redirects are followed, but not from https to
    http, nor to a private address where only the configured host may be; `on_request` is called before each request.
    Raises UserError for an unusable URL, FeedRefused, TooManyRequests, MalformedResponse when it is not a complete
    calendar, and what `wire.exchange` raises.
    """
    feed = _Feed(request, limits=limits or TransferLimits(), ssl_context=ssl_context, on_request=on_request)
    agents = agents or UserAgents()
    for agent in agents.in_turn:
        answer, origin = await feed.get(agent)
        if answer.status in _ANSWERS or not is_web_page(answer.body):
            agents.worked(agent, origin.host)
            break
    return _read(answer, origin, was_browser=len(agents.in_turn) > 1)


class _Feed:
    """The exchanges for one feed, with their redirects."""

    def __init__(
        self, request: FeedRequest, *, limits: TransferLimits, ssl_context: Any, on_request: Callable[[], None]
    ) -> None:
        self._request = request
        self._address = feed_address(request.url)
        self._limits = limits
        self._ssl_context = ssl_context
        self._on_request = on_request
        self._own: set[str] = set()
        """Where the configured host was found."""

    async def get(self, agent: str) -> tuple[Answer, Origin]:
        """The answer that is no redirect any more, and whose it is."""
        address, seen = self._address, {self._address}
        for _ in range(self._limits.hops + 1):
            try:
                answer = await self._exchange(address, agent=agent)
            except MalformedResponse as error:
                raise _malformed(error.host, error.reason, status=error.status) from None
            location = answer.header("Location")
            if answer.status not in _REDIRECTS or not location:
                return answer, address.origin
            address = _redirected(address, location)
            if address in seen:
                raise TooManyRedirects(self._address.origin.host, in_a_circle=True)
            seen.add(address)
        raise TooManyRedirects(self._address.origin.host)

    async def _exchange(self, address: Address, *, agent: str) -> Answer:
        request, own = self._request, self._address.origin
        headers = [("User-Agent", agent), ("Accept", "text/calendar, */*;q=0.5"), ("Accept-Encoding", "gzip")]
        headers += [("If-None-Match", request.etag)] if request.etag else []
        headers += [("If-Modified-Since", request.last_modified)] if request.last_modified else []
        may_connect = self._may_connect_own if address.origin.host == own.host else self._may_connect_other
        login = list(_login(request)) if address.origin == own else []
        async with open_session(self._limits, may_connect=may_connect, ssl_context=self._ssl_context) as session:

            async def ask(login: Sequence[tuple[str, str]], digest: Digest | None) -> Answer:
                self._on_request()
                return await exchange(
                    session,
                    "GET",
                    address=address,
                    headers=[*headers, *login],
                    body=b"",
                    limits=self._limits,
                    digest=digest,
                )

            answer = await ask(login, None)
            schemes = offered_schemes(answer.headers) if answer.status == 401 else ()
            if login and request.password is not None and "digest" in schemes and "basic" not in schemes:
                answer = await ask((), Digest(request.username, request.password.reveal()))
            return answer

    def _may_connect_own(self, ip: str) -> bool:
        """The configured host may be anywhere, but only an address itself, no name, leads to a cloud's metadata."""
        if not self._request.is_configured:
            return self._may_connect_other(ip)
        is_meant = not is_for_nobody(ip) or ip == self._address.origin.host.strip("[]")
        if is_meant:
            self._own.add(ip)
        return is_meant

    def _may_connect_other(self, ip: str) -> bool:
        return is_public(ip) or ip in self._own or (self._request.allow_private and not is_for_nobody(ip))


def feed_address(url: str) -> Address:
    """The address behind a feed's URL as a person or a server writes it. Raises UserError."""
    text = re.sub(r"^webcals?://", "https://", url.strip(), flags=re.IGNORECASE)
    try:
        return Address.parse(to_ascii(re.sub(r"^(https?)", lambda match: match[1].lower(), text, flags=re.IGNORECASE)))
    except UnsafeUrl:
        raise UserError(
            "the address of a calendar feed is not a plain web address",
            fix="use the form https://example.org/calendar.ics; user name and password have their own keys",
        ) from None


def _login(request: FeedRequest) -> Iterator[tuple[str, str]]:
    if request.username and request.password is not None:
        token = base64.b64encode(f"{request.username}:{request.password.reveal()}".encode()).decode("ascii")
        yield "Authorization", f"Basic {token}"


def _redirected(address: Address, location: str) -> Address:
    try:
        target = address.join(location)
    except UnsafeUrl:
        raise UnsafeRedirect(address.origin.host, "an invalid address") from None
    if address.origin.scheme == "https" and target.origin.scheme != "https":
        raise UnsafeRedirect(address.origin.host, f"{target.origin.host} without encryption")
    return target


def _read(answer: Answer, origin: Origin, *, was_browser: bool) -> FeedAnswer:
    if answer.status == 304:
        return NotModified(answer.header("ETag"), answer.header("Last-Modified"))
    if answer.status in (407, 511):
        raise Unreachable(origin.host, Trouble.PROXY)
    if answer.status in (429, 503):
        raise TooManyRequests(origin.host, status=answer.status, retry_after=answer.header("Retry-After"))
    if answer.status != 200:
        raise FeedRefused(origin.host, answer.status)
    if is_web_page(answer.body):
        raise FeedIsWebPage(origin.host, was_browser=was_browser)
    payload = narrow(answer.body).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not _BEGIN.search(payload):
        raise _malformed(origin.host, "it is not iCalendar")
    is_cut = not _has_end(payload)
    if is_cut and not _WHOLE_EVENT.search(payload):
        raise _malformed(origin.host, "the iCalendar data is cut short")
    if is_wide(answer.body):
        payload = _BEGIN.sub(lambda match: match[0] + f"\r\n{UTF_16}".encode(), payload, count=1)
    return FeedContent(payload, answer.header("ETag"), answer.header("Last-Modified"), is_cut=is_cut)


def _has_end(payload: bytes) -> bool:
    """Whether the last calendar has its end. Nearly every feed ends with it: to look for it in 20 MB takes long."""
    tail = max(len(payload) - _TAIL, 0)
    if _END.search(payload, max(tail, payload[tail:].upper().rfind(b"BEGIN:VCALENDAR") + tail)):
        return True
    return _END.search(payload, max(payload.upper().rfind(b"BEGIN:VCALENDAR"), 0)) is not None


def _malformed(host: str, reason: str, *, status: int | None = 200) -> MalformedResponse:
    return MalformedResponse(host, reason, status=status, wanted="calendar feed")
