"""A feed is fetched only when it changed, only whole, and never with anybody else's password."""

import gzip
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from busyd.credentials import Secret
from busyd.dav.errors import MalformedResponse, TooManyRequests
from busyd.errors import RemoteError, UserError
from busyd.ical.facts import ProblemKind
from busyd.ical.parse import parse_object
from busyd.ical.split import split_feed
from busyd.remote.errors import FeedIsWebPage, FeedRefused, PrivateAddress, UnsafeRedirect
from busyd.remote.feed import (
    BROWSER,
    FeedAnswer,
    FeedContent,
    FeedRequest,
    NotModified,
    UserAgents,
    feed_address,
    fetch_feed,
)
from tests.remote.stage import QUICK, Reply, Request, raw_server, reply

FEED = b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"
EVENT = b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20260601T090000Z\r\nEND:VEVENT\r\n"


async def fetch(answer: Reply) -> FeedAnswer:
    async with raw_server(answer) as server:
        return await fetch_feed(FeedRequest(f"{server.url}/f.ics", allow_private=True), limits=QUICK)


async def test_a_feed_comes_with_its_validators() -> None:
    answer = reply(200, FEED, 'ETag: W/"1"', "Last-Modified: Mon, 02 Nov 2026 10:00:00 GMT")
    assert await fetch(answer) == FeedContent(FEED, 'W/"1"', "Mon, 02 Nov 2026 10:00:00 GMT")


async def test_a_feed_is_asked_for_under_the_condition_that_it_changed() -> None:
    async with raw_server(reply(304, b"", 'ETag: "1"')) as server:
        asked = FeedRequest(f"{server.url}/f.ics", '"1"', "Mon, 02 Nov 2026 10:00:00 GMT", allow_private=True)
        answer = await fetch_feed(asked)
        (request,) = server.requests
    assert answer == NotModified('"1"', None)
    assert request.all("If-None-Match") == ['"1"']
    assert request.all("If-Modified-Since") == ["Mon, 02 Nov 2026 10:00:00 GMT"]
    assert request.all("Authorization") == request.all("Cookie") == []


async def test_a_compressed_feed_is_read_also_unasked() -> None:
    assert await fetch(reply(200, gzip.compress(FEED), "Content-Encoding: gzip")) == FeedContent(FEED)


async def test_white_space_and_a_byte_order_mark_before_the_calendar_are_dropped() -> None:
    assert await fetch(reply(200, b"\xef\xbb\xbf\r\n " + FEED)) == FeedContent(FEED)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Sign in</html>",
        b"<html>BEGIN:VCALENDAR\r\nEND:VCALENDAR",
        FEED[:20],
        b"BEGIN:VCALENDAR\r\nEND:VCAL",
        EVENT[:60],
        b"\x00" * 99,
    ],
)
async def test_what_is_not_a_whole_calendar_is_none(body: bytes) -> None:
    with pytest.raises(MalformedResponse, match="did not send a complete calendar feed"):
        await fetch(reply(200, body))


@pytest.mark.parametrize(
    ("body", "is_cut"),
    [
        (b"Notice: deprecated\n" + EVENT + b"END:VCALENDAR\n", False),
        (EVENT + b"END:VCALENDAR\n<!-- made in 0.2 s -->\n" + b"x" * 9999, False),
        (EVENT + b"END:VCALENDAR\n" + EVENT, True),
        (EVENT + b"end:vcalendar\n" + EVENT * 99 + b"End:VCalendar  \n", False),
        (EVENT + b"END:VCALENDAR\n" + EVENT * 99, True),
        (EVENT * 99 + b"X-END:VCALENDAR\n", True),
        (EVENT, True),
    ],
)
async def test_a_calendar_with_other_text_or_without_its_end_is_read(body: bytes, is_cut: bool) -> None:
    assert await fetch(reply(200, body)) == FeedContent(body, is_cut=is_cut)


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be"])
async def test_a_feed_in_utf_16_is_read(coding: str) -> None:
    text = (EVENT + b"END:VCALENDAR").decode()
    answer = await fetch(reply(200, text.encode(coding)))
    assert isinstance(answer, FeedContent) and answer.payload.decode().endswith(text[15:])
    (piece,) = split_feed(answer.payload)
    assert [problem.kind for problem in parse_object(piece.payload).problems] == [ProblemKind.FORGIVEN]


def only_for(agent: str, status: int = 200) -> Callable[[Request], bytes]:
    """A host that serves its feed to clients of one kind, and the others a page, as Outlook's does."""

    def answer(request: Request) -> bytes:
        if agent in request.all("User-Agent")[0]:
            return reply(200, FEED)
        return reply(302, b"", "Location: /error.html") if request.path != "/error.html" else reply(status, b"<html>x")

    return answer


@pytest.mark.parametrize("status", [200, 400, 404, 500])
async def test_a_host_that_answers_with_a_page_is_asked_once_more_as_a_browser_asks(status: int) -> None:
    async with raw_server(only_for("Mozilla/5.0", status)) as server:
        request, agents = FeedRequest(f"{server.url}/f.ics", is_configured=True), UserAgents()
        assert isinstance(await fetch_feed(request, agents=agents), FeedContent)
        assert [one.path for one in server.requests] == ["/f.ics", "/error.html", "/f.ics"]
        assert isinstance(await fetch_feed(request, agents=agents), FeedContent)
        assert server.requests[-1].all("User-Agent") == [BROWSER] and len(server.requests) == 4


async def test_a_page_for_everybody_is_told_with_what_was_tried() -> None:
    async with raw_server(only_for("curl")) as server:
        with pytest.raises(FeedIsWebPage, match="also to a client that calls itself a browser"):
            await fetch_feed(FeedRequest(f"{server.url}/f.ics", is_configured=True))
        assert len(server.requests) == 4
        with pytest.raises(FeedIsWebPage) as caught:
            await fetch_feed(FeedRequest(f"{server.url}/f.ics", is_configured=True), agents=UserAgents("mine"))
        assert "browser" not in str(caught.value)
        assert server.requests[-1].all("User-Agent") == ["mine"]


async def test_what_cannot_be_unpacked_is_no_feed_either() -> None:
    with pytest.raises(MalformedResponse, match="did not send a complete calendar feed"):
        await fetch(reply(200, b"no gzip", "Content-Encoding: gzip"))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(404), FeedRefused),
        (reply(401), FeedRefused),
        (reply(500), FeedRefused),
        (reply(204), FeedRefused),
        (reply(301), FeedRefused),
        (reply(429, b"", "Retry-After: 7"), TooManyRequests),
        (reply(503), TooManyRequests),
        (reply(301, b"", "Location: /f.ics"), UnsafeRedirect),
        (b"", RemoteError),
    ],
)
async def test_an_answer_without_the_feed_is_a_named_error(answer: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await fetch(answer)


async def test_a_private_address_is_not_contacted_unless_it_is_meant() -> None:
    async with raw_server(reply(200, FEED)) as server:
        for host in ("127.0.0.1", "localhost", "2130706433", "127.1"):
            with pytest.raises(RemoteError):
                await fetch_feed(FeedRequest(f"http://{host}:{server.port}/f.ics"), limits=QUICK)
        with pytest.raises(PrivateAddress):
            await fetch_feed(FeedRequest(f"{server.url}/f.ics"), limits=QUICK)
        assert server.connections == 0


async def test_a_redirect_to_another_host_takes_no_password_along() -> None:
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(raw_server(reply(200, FEED), "127.0.0.2"))
        moved = reply(302, b"", f"Location: {other.url}/g.ics")
        own = await stack.enter_async_context(raw_server(moved))
        request = FeedRequest(f"{own.url}/f.ics", allow_private=True, username="u", password=Secret("pw"))
        answer = await fetch_feed(request)
    assert isinstance(answer, FeedContent)
    assert own.requests[0].all("Authorization") == ["Basic dTpwdw=="]
    assert other.requests[0].all("Authorization") == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("webcal://example.org/a.ics", "https://example.org/a.ics"),
        ("WEBCAL://Example.org/a.ics", "https://example.org/a.ics"),
        ("webcals://example.org/a.ics", "https://example.org/a.ics"),
        ("http://example.org/a.ics?k=v", "http://example.org/a.ics?k=v"),
        (" HTTPS://example.org ", "https://example.org/"),
        ("https://kalender.müller.example/a b.ics", None),
        ("https://u:p@example.org/a.ics", None),
        ("file:///etc/passwd", None),
        ("example.org/a.ics", None),
    ],
)
def test_the_address_of_a_feed_is_read_or_refused(url: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(UserError):
            feed_address(url)
    else:
        assert str(feed_address(url)) == expected


async def test_a_feed_is_never_followed_from_https_to_http(monkeypatch: pytest.MonkeyPatch) -> None:
    from busyd.remote import feed
    from busyd.remote.wire import Answer

    async def moved(*_: object, **__: object) -> Answer:
        return Answer(301, (("Location", "http://example.org/a.ics"),), b"")

    monkeypatch.setattr(feed, "exchange", moved)
    with pytest.raises(UnsafeRedirect, match="without encryption"):
        await fetch_feed(FeedRequest("https://example.org/a.ics"))
