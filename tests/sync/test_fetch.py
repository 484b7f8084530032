"""Objects are fetched ahead of what is stored, within bounds, and no further once a server refuses."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import pytest

from busyd.dav.errors import LoginRefused
from busyd.dav.exchange import DavRequest, DavResponse
from busyd.dav.objects import FetchedObject
from busyd.dav.request import CalendarMultiget
from busyd.dav.xml import parse_xml
from busyd.remote.client import CaldavClient
from busyd.sync.fetch import AHEAD, BATCH, Batch, fetch

CALENDAR = "/1/calendars/work/"


class Server:
    """Answers multigets, with objects of a size that may depend on how many it has answered, or refuses one."""

    def __init__(self, *, size: Callable[[int], int] = lambda _: 100, refuses: int | None = None) -> None:
        self.asked: list[tuple[str, ...]] = []
        self._size, self._refuses = size, refuses
        self._gate = asyncio.Semaphore(2)
        """As a transport has one: so many requests at the same time."""

    async def send(self, request: DavRequest) -> DavResponse:
        hrefs = CalendarMultiget.from_xml(parse_xml(request.body)).hrefs
        async with self._gate:
            self.asked.append(hrefs)
            number = len(self.asked) - 1
            await asyncio.sleep(0)
        if number == self._refuses:
            raise LoginRefused("caldav.example", status=401)
        text = (
            "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:"
            + "x" * self._size(number)
            + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        )
        rows = "".join(
            f"<response><href>{href}</href><propstat><prop><getetag>1</getetag><C:calendar-data>{text}</C:calendar-data>"
            "</prop><status>HTTP/1.1 200 OK</status></propstat></response>"
            for href in hrefs
        )
        body = f'<multistatus xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">{rows}</multistatus>'
        return DavResponse(207, "https://caldav.example/", body=body.encode())


def hrefs(batches: int) -> list[str]:
    return [f"{CALENDAR}{number:05}.ics" for number in range(batches * BATCH)]


def fetched(server: Server, wanted: Sequence[str]) -> AsyncGenerator[Batch, None]:
    return fetch(CaldavClient(server), CALENDAR, hrefs=wanted, listed={}, spelled={})


async def at_rest(server: Server) -> int:
    """How many requests there were once nothing more comes by itself."""
    before = -1
    while before != (before := len(server.asked)):
        for _ in range(200):
            await asyncio.sleep(0)
    return before


async def test_some_batches_are_asked_for_while_one_is_stored() -> None:
    server = Server()
    async with aclosing(fetched(server, hrefs(10))) as batches:
        found: list[FetchedObject] = []
        for stored in range(1, 11):
            found += (await anext(batches)).objects
            assert await at_rest(server) <= stored + AHEAD
            assert stored < 4 or len(server.asked) == min(stored + AHEAD, 10)
        with pytest.raises(StopAsyncIteration):
            await anext(batches)
    assert [one.href for one in found] == hrefs(10)


async def test_of_large_objects_fewer_are_asked_for_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("busyd.sync.fetch._LARGE_BATCH", 20_000)
    server = Server(size=lambda _: 1000)
    async with aclosing(fetched(server, hrefs(10))) as batches:
        for stored in range(1, 8):
            await anext(batches)
            assert await at_rest(server) <= stored + 2


async def test_where_objects_become_large_fewer_are_asked_for_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("busyd.sync.fetch._LARGE_BATCH", 20_000)
    server = Server(size=lambda number: 1000 if number >= 3 else 100)
    async with aclosing(fetched(server, hrefs(20))) as batches:
        for stored in range(1, 12):
            await anext(batches)
            assert await at_rest(server) <= stored + (AHEAD if stored < 7 else 2)


async def test_nothing_more_is_asked_once_a_server_refuses() -> None:
    server = Server(refuses=5)
    stored = 0
    with pytest.raises(LoginRefused):
        async with aclosing(fetched(server, hrefs(20))) as batches:
            async for _ in batches:
                stored += 1
                await at_rest(server)
    assert stored == 5
    assert len(server.asked) <= 7  # one more may have been on its way
