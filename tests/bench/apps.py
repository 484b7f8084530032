"""Calendar apps on the CalDAV server: what it costs to hear that nothing is new, and what a large calendar takes."""

import asyncio
import re
import time
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Final

from busyd.dav.request import SyncCollection
from tests.bench.figures import Figure, count, ratio, spread
from tests.bench.load import Connection, question
from tests.bench.processes import Server
from tests.bench.seed import seed_objects, spread_objects
from tests.bench.workshop import Workshop, busyd

CLIENTS: Final = 4
OBJECTS: Final = 10_000
HOME: Final = "/dav/anna/"
_QUERY: Final = (
    b'<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/><C:calendar-data/>'
    b'</D:prop><C:filter><C:comp-filter name="VCALENDAR"/></C:filter></C:calendar-query>'
)


def measure_apps(workshop: Workshop) -> list[Figure]:
    """Calendar apps: a sync without news beside a /freebusy answer, and memory for a calendar of 10,000 objects."""
    household = workshop.household("apps", lambda made: seed_objects(made, spread_objects(OBJECTS, 5)))
    token = household.make_token("freebusy", "details")
    fresh, same, nothing_new = [], [], []
    with busyd(household) as server:
        asyncio.run(_calendar(server.port, token))  # what is loaded at the first request is loaded
        for number in range(workshop.rounds):
            fresh.append(asyncio.run(_cost(server, _ask_fresh(number), token=token, seconds=workshop.seconds)))
            same.append(asyncio.run(_cost(server, _ask_same(), token=token, seconds=workshop.seconds)))
            nothing_new.append(asyncio.run(_cost(server, _ask_for_news(), token=token, seconds=workshop.seconds)))
        for name, values in (("fresh window", fresh), ("same window", same), ("sync, nothing new", nothing_new)):
            workshop.say(f"  {name}: {spread(values, 'us CPU a request')}")
        grown = _growth(server, token)
    return [
        ratio(
            20,
            "CPU of a sync with nothing new, of a /freebusy answer",
            values=[one / other for one, other in zip(nothing_new, fresh, strict=True)],
            at_most=1.5,
        ),
        count(20, "memory grown by sending 10,000 objects, MB", value=grown, at_most=8),
    ]


Asking = Callable[[Connection], Awaitable[Callable[[], Awaitable[bytes]]]]
"""Prepares a client; what it returns asks one question."""


async def _cost(server: Server, asking: Asking, *, token: str, seconds: float) -> float:
    """Microseconds of the server's CPU for a request."""
    connections = [await Connection.open(server.port, token) for _ in range(CLIENTS)]
    asks = [await asking(connection) for connection in connections]
    before, until, requests = server.cpu, time.monotonic() + seconds, 0

    async def client(ask: Callable[[], Awaitable[bytes]]) -> None:
        nonlocal requests
        while time.monotonic() < until:
            await ask()
            requests += 1

    await asyncio.gather(*map(client, asks))
    used = server.cpu - before
    for connection in connections:
        connection.close()
    return used / requests * 1e6


def _ask_fresh(number: int) -> Asking:
    at = int(time.time()) + number

    async def prepare(connection: Connection) -> Callable[[], Awaitable[bytes]]:
        def ask() -> Awaitable[bytes]:
            nonlocal at
            at += 1
            return connection.get(question(at, 7 * 86_400))

        return ask

    return prepare


def _ask_same() -> Asking:
    path = question(int(time.time()), 7 * 86_400)

    async def prepare(connection: Connection) -> Callable[[], Awaitable[bytes]]:
        return lambda: connection.get(path)

    return prepare


def _ask_for_news() -> Asking:
    async def prepare(connection: Connection) -> Callable[[], Awaitable[bytes]]:
        path = await _find_calendar(connection)
        found = await connection.ask("PROPFIND", path, _TOKEN, status=207, depth=0)
        token = re.search(rb"<D:sync-token>([^<]+)<", found)
        assert token is not None
        body = SyncCollection(token[1].decode()).to_xml()
        assert b"<D:response>" not in await connection.ask("REPORT", path, body, status=207)
        return lambda: connection.ask("REPORT", path, body, status=207)

    return prepare


_TOKEN: Final = b'<D:propfind xmlns:D="DAV:"><D:prop><D:sync-token/></D:prop></D:propfind>'


async def _find_calendar(connection: Connection) -> str:
    listed = await connection.ask("PROPFIND", HOME, _TOKEN, status=207, depth=1)
    (path,) = set(re.findall(rb"<D:href>(/dav/anna/[0-9a-f]{16}/)</D:href>", listed))
    return str(path.decode())


async def _calendar(port: int, token: str) -> str:
    connection = await Connection.open(port, token)
    try:
        return await _find_calendar(connection)
    finally:
        connection.close()


def _growth(server: Server, token: str) -> float:
    """Megabytes at the highest while a whole calendar is sent, beyond what the server had before."""
    url = f"http://127.0.0.1:{server.port}{asyncio.run(_calendar(server.port, token))}"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/xml"}
    before, rows = server.memory("VmHWM"), 0
    with urllib.request.urlopen(urllib.request.Request(url, _QUERY, headers, method="REPORT")) as answer:
        while piece := answer.read(65_536):
            rows += piece.count(b"BEGIN:VEVENT")
    assert rows >= OBJECTS * 0.99
    return server.memory("VmHWM") - before
