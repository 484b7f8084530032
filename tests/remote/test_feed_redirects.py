"""Where a feed may lead: never to the local network, unless that is where a person has put it."""

import random
import sys
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest

from busyd.errors import RemoteError
from busyd.remote.errors import PrivateAddress, TooManyRedirects
from busyd.remote.feed import FeedContent, FeedRequest, fetch_feed
from tests.remote.stage import QUICK, RawServer, Request, raw_server, reply

REDIRECTS: Final = 2000
FEED: Final = b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"
FOREIGN: Final = (
    "127.0.0.2", "127.2", "2130706434", "0x7f.0.0.2", "0177.0.0.2", "[::1]", "[::ffff:127.0.0.2]", "[::127.0.0.2]",
    "169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "[fe80::1%25lo]", "10.0.0.1", "192.168.0.1",
    "172.16.3.4", "100.100.100.200", "192.0.0.192", "[fd00:ec2::254]", "[fec0::1]", "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a00:1]", "[3fff::1]", "0.0.0.0", "[::]", "224.0.0.1", "255.255.255.255", "[ff02::1]",
    "[2002:a00:1::1]",
)  # fmt: skip

connected: list[str] = []


def note_connect(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        connected.append(str(arguments[1][0]))


def strange_location(chance: random.Random, own: RawServer, other: RawServer) -> str:
    host, port = chance.choice(FOREIGN), chance.choice((other.port, own.port, 80, 443))
    forms = [
        f"http://{host}:{port}/x", f"//{host}:{port}/x", f"http://{host}/latest/meta-data/", f"HTTP://{host}:{port}",
        f"http://127.0.0.1@{host}:{port}/x", f"http://{host}:{port}\\@127.0.0.1/x", f"http:/{host}:{port}/x",
        f"http://127.0.0.1:{own.port}/hop", "/hop", f"http://localhost.:{other.port}/", f"https://{host}:{port}/x",
        f"http://{host}.:{port}/", f"webcal://{host}:{port}/x",
    ]  # fmt: skip
    return chance.choice(forms)


async def test_two_thousand_redirects_of_feeds_reach_nothing_that_is_not_configured() -> None:
    chance, allowed = random.Random(6), {"127.0.0.1"}
    async with AsyncExitStack() as stack:
        servers: list[RawServer] = []

        def lead_on(_: Request) -> bytes:
            location = strange_location(chance, servers[0], servers[1])
            return reply(chance.choice([301, 302, 303, 307, 308]), b"", f"Location: {location}")

        servers.append(await stack.enter_async_context(raw_server(lead_on)))
        servers.append(await stack.enter_async_context(raw_server(reply(200, FEED), "127.0.0.2")))
        sys.addaudithook(note_connect)
        connected.clear()
        for _ in range(REDIRECTS):
            with pytest.raises(RemoteError):
                await fetch_feed(FeedRequest(f"{servers[0].url}/f.ics", is_configured=True), limits=QUICK)
        assert len(servers[0].requests) >= REDIRECTS
        assert servers[1].connections == 0
        assert set(connected) == allowed


async def test_what_a_person_allows_and_what_is_on_their_own_host_is_followed() -> None:
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(raw_server(reply(200, FEED), "127.0.0.2"))
        away = await stack.enter_async_context(raw_server(reply(302, b"", f"Location: {other.url}/g.ics")))
        second = await stack.enter_async_context(raw_server(reply(200, FEED)))
        same = await stack.enter_async_context(
            raw_server(reply(302, b"", f"Location: http://localhost:{second.port}/g.ics"))
        )
        with pytest.raises(PrivateAddress):
            await fetch_feed(FeedRequest(f"{away.url}/f.ics", is_configured=True), limits=QUICK)
        assert other.connections == 0
        allowed = FeedRequest(f"{away.url}/f.ics", is_configured=True, allow_private=True)
        assert isinstance(await fetch_feed(allowed, limits=QUICK), FeedContent)
        own = FeedRequest(f"{same.url}/f.ics", is_configured=True)
        assert isinstance(await fetch_feed(own, limits=QUICK), FeedContent)


async def test_a_feed_that_redirects_in_a_circle_is_said_to() -> None:
    async with raw_server(lambda request: reply(302, b"", f"Location: /{'b' if request.path == '/a' else 'a'}")) as one:
        with pytest.raises(TooManyRedirects, match="in a circle"):
            await fetch_feed(FeedRequest(f"{one.url}/a", is_configured=True), limits=QUICK)
