"""The pump carries an operation out and lets everything through."""

import threading
from collections.abc import Sequence

import pytest

from busyd.dav.changes import SyncDelta, read_sync_report, sync_collection
from busyd.dav.errors import MalformedResponse, ServerFault
from busyd.dav.exchange import DavRequest, DavResponse, Operation
from busyd.dav.href import Href
from busyd.dav.objects import Fetched, fetch_objects, read_multiget
from busyd.remote.client import CaldavClient
from busyd.remote.errors import Trouble, Unreachable
from tests.dav.script import etag, member, multistatus


class Echo:
    """Answers each request with its target as the body, `size` times over."""

    def __init__(self, size: int = 1) -> None:
        self.size = size

    async def send(self, request: DavRequest) -> DavResponse:
        if request.target == "/gone":
            raise Unreachable("example.org", Trouble.DNS)
        return DavResponse(200, request.target, body=request.target.encode() * self.size)


def conversation(*targets: str) -> Operation[tuple[list[bytes], set[int]]]:
    bodies: list[bytes] = []
    threads: set[int] = set()
    try:
        for target in targets:
            response = yield DavRequest("GET", target)
            bodies.append(response.body[:2])
            threads.add(threading.get_ident())
    finally:
        bodies.append(b"closed")
    return bodies, threads


async def test_answers_go_back_in_order_and_the_value_comes_out() -> None:
    bodies, threads = await CaldavClient(Echo()).run(conversation("/a", "/b"))
    assert bodies == [b"/a", b"/b", b"closed"]
    assert threads == {threading.get_ident()}


async def test_a_conversation_may_ask_nothing() -> None:
    assert (await CaldavClient(Echo()).run(conversation()))[0] == [b"closed"]


async def test_large_answers_are_read_off_the_loop() -> None:
    _, threads = await CaldavClient(Echo(200_000)).run(conversation("/a", "/b"))
    assert threading.get_ident() not in threads


async def test_an_error_of_the_network_comes_through_and_the_conversation_is_closed() -> None:
    running = conversation("/a", "/gone", "/c")
    with pytest.raises(Unreachable):
        await CaldavClient(Echo()).run(running)
    assert next(running, None) is None


async def test_an_error_of_the_conversation_comes_through_from_either_thread() -> None:
    def refuses() -> Operation[None]:
        yield DavRequest("GET", "/a")
        raise LookupError("not here")

    for size in (1, 100_000):
        with pytest.raises(LookupError, match="not here"):
            await CaldavClient(Echo(size)).run(refuses())


CALENDAR = "/1/work/"
HREFS = [Href(f"{CALENDAR}{number}.ics") for number in range(100)]


def calendar_data(name: Href) -> str:
    text = f"BEGIN:VCALENDAR\nX-NAME:{name}\nEND:VCALENDAR"
    return f'{etag("1")}<calendar-data xmlns="urn:ietf:params:xml:ns:caldav">{text}</calendar-data>'


LONG = multistatus(*(member(href, calendar_data(href)) for href in HREFS), token="7")
SHORT = multistatus(member(HREFS[0], calendar_data(HREFS[0])), token="7")


class Server:
    """Answers everything with one response."""

    def __init__(self, response: DavResponse) -> None:
        self._response = response

    async def send(self, request: DavRequest) -> DavResponse:
        return DavResponse(self._response.status, f"https://example.org{request.target}", body=self._response.body)


class OtherPlace:
    """Parses as the operations do, and notes what it was given."""

    def __init__(self) -> None:
        self.parsed: list[str] = []

    async def read_multiget(self, asked: Sequence[Href], response: DavResponse) -> Fetched:
        self.parsed.append("multiget")
        return read_multiget(asked, response)

    async def read_sync_report(self, calendar: str, token: str | None, *, response: DavResponse) -> SyncDelta:
        self.parsed.append("sync report")
        return read_sync_report(calendar, token, response=response)


async def test_long_answers_that_are_marked_are_parsed_elsewhere_with_the_same_outcome() -> None:
    elsewhere = OtherPlace()
    client, alone = CaldavClient(Server(LONG), lambda: elsewhere), CaldavClient(Server(LONG))
    fetched = await client.run(fetch_objects(CALENDAR, HREFS))
    delta = await client.run(sync_collection(CALENDAR, "6"))
    assert (len(fetched.objects), len(delta.changed), delta.token) == (100, 100, "7")
    assert fetched == await alone.run(fetch_objects(CALENDAR, HREFS))
    assert delta == await alone.run(sync_collection(CALENDAR, "6"))
    assert elsewhere.parsed == ["multiget", "sync report"]


async def test_short_answers_and_refusals_are_parsed_at_once() -> None:
    elsewhere = OtherPlace()
    client = CaldavClient(Server(SHORT), lambda: elsewhere)
    assert len((await client.run(fetch_objects(CALENDAR, HREFS[:1]))).objects) == 1
    with pytest.raises(ServerFault):
        await CaldavClient(Server(DavResponse(500, "", body=LONG.body)), lambda: elsewhere).run(
            sync_collection(CALENDAR, None)
        )
    assert not elsewhere.parsed


async def test_an_answer_that_cannot_be_parsed_elsewhere_either_is_told() -> None:
    broken = DavResponse(207, "", body=LONG.body[:-10])
    with pytest.raises(MalformedResponse):
        await CaldavClient(Server(broken), OtherPlace).run(fetch_objects(CALENDAR, HREFS))
