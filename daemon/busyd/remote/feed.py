"""Calendars published as a file: one conditional GET. Parsing the file and scheduling are done elsewhere."""

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec import Struct

from busyd.credentials import Secret
from busyd.dav.errors import MalformedResponse, TooManyRequests
from busyd.errors import UserError
from busyd.remote.allowlist import Address, Origin, UnsafeUrl, to_ascii
from busyd.remote.errors import FeedRefused, TooManyRedirects, Trouble, Unreachable, UnsafeRedirect
from busyd.remote.wire import USER_AGENT, Answer, TransferLimits, exchange, open_session

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_TAIL: Final = 4096


class FeedContent(Struct, frozen=True):
    """The current feed, with the validators for the next request."""

    payload: bytes
    etag: str | None = None
    last_modified: str | None = None


class NotModified(Struct, frozen=True):
    """304: the feed has not changed. Holds the validators that the answer renewed."""

    etag: str | None = None
    last_modified: str | None = None


FeedAnswer = FeedContent | NotModified


async def fetch_feed(
    url: str,
    *,
    etag: str | None = None,
    last_modified: str | None = None,
    allow_private: bool = False,
    username: str = "",
    password: Secret | None = None,
    limits: TransferLimits | None = None,
    user_agent: str = USER_AGENT,
    ssl_context: Any = True,
    on_request: Callable[[], None] = lambda: None,
) -> FeedAnswer:
    """GET a feed if it has changed since the validators were issued.

    `webcal` means https. `username` and `password` are those of an `ics` connection itself, never those of the
    account that subscribed; they are sent only to the feed's own origin. Redirects are followed, but not from https to
    http; `on_request` is called before each request. Unless `allow_private`, no connection is made to a private
    address. Raises UserError for an unusable URL, FeedRefused, TooManyRequests, MalformedResponse when it is not a
    complete calendar, and what `wire.exchange` raises.
    """
    limits = limits or TransferLimits()
    address = feed_address(url)
    own = address.origin
    headers = [("User-Agent", user_agent), ("Accept", "text/calendar, */*;q=0.5"), ("Accept-Encoding", "gzip")]
    headers += [("If-None-Match", etag)] if etag else []
    headers += [("If-Modified-Since", last_modified)] if last_modified else []
    async with open_session(limits, public_only=not allow_private, ssl_context=ssl_context) as session:
        for _ in range(limits.hops + 1):
            on_request()
            login = list(_login(username, password)) if address.origin == own else []
            try:
                answer = await exchange(
                    session, "GET", address=address, headers=headers + login, body=b"", limits=limits
                )
            except MalformedResponse as error:
                raise _malformed(error.host, error.reason, status=error.status) from None
            location = answer.header("Location")
            if answer.status not in _REDIRECTS or not location:
                return _read(answer, address.origin)
            address = _redirected(address, location)
    raise TooManyRedirects(own.host)


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


def _login(username: str, password: Secret | None) -> Iterator[tuple[str, str]]:
    if username and password is not None:
        token = base64.b64encode(f"{username}:{password.reveal()}".encode()).decode("ascii")
        yield "Authorization", f"Basic {token}"


def _redirected(address: Address, location: str) -> Address:
    try:
        target = address.join(location)
    except UnsafeUrl:
        raise UnsafeRedirect(address.origin.host, "an invalid address") from None
    if address.origin.scheme == "https" and target.origin.scheme != "https":
        raise UnsafeRedirect(address.origin.host, f"{target.origin.host} without encryption")
    return target


def _read(answer: Answer, origin: Origin) -> FeedAnswer:
    if answer.status == 304:
        return NotModified(answer.header("ETag"), answer.header("Last-Modified"))
    if answer.status in (407, 511):
        raise Unreachable(origin.host, Trouble.PROXY)
    if answer.status in (429, 503):
        raise TooManyRequests(origin.host, status=answer.status, retry_after=answer.header("Retry-After"))
    if answer.status != 200:
        raise FeedRefused(origin.host, answer.status)
    payload = answer.body.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not payload[:16].upper().startswith(b"BEGIN:VCALENDAR"):
        raise _malformed(origin.host, "it is not iCalendar")
    if b"END:VCALENDAR" not in payload[-_TAIL:].upper():
        raise _malformed(origin.host, "the iCalendar data is cut short")
    return FeedContent(payload, answer.header("ETag"), answer.header("Last-Modified"))


def _malformed(host: str, reason: str, *, status: int | None = 200) -> MalformedResponse:
    return MalformedResponse(host, reason, status=status, wanted="calendar feed")
