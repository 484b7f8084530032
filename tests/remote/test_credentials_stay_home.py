"""Redirect chains through real sockets: the password reaches the connection's own servers and nobody else."""

import random
from contextlib import AsyncExitStack

import pytest

from busyd.connection import ConnectionKind
from busyd.dav.exchange import DavRequest
from busyd.errors import RemoteError
from tests.remote.stage import TOKEN, RawServer, Request, raw_server, reply, transport_to

CHAINS = 2000


def strange_location(chance: random.Random, own: list[RawServer], *, canaries: list[RawServer], path: str) -> str:
    """A Location for the next hop: often honest, often hostile."""
    good, other = chance.choice(own), chance.choice(canaries)
    own_host, bad_host = good.url.removeprefix("http://"), other.url.removeprefix("http://")
    forms = [
        f"{good.url}{path}",
        path,
        f"HTTP://{own_host}{path}",
        f"{other.url}{path}",
        f"//{bad_host}{path}",
        f"http://{own_host}@{bad_host}{path}",
        f"http://{bad_host}\\@{own_host}{path}",
        f"http://{own_host}\t@{bad_host}{path}",
        f"http:/{bad_host}{path}",
        f"http:\\\\{bad_host}{path}",
        f"https://{bad_host}{path}",
        f"http://127.2:{other.port}{path}",
        f"http://2130706434:{other.port}{path}",
        f"http://[::ffff:127.0.0.2]:{other.port}{path}",
        f"http://127.0.0.1.:{good.port}{path}",
        f"http://localhost:{good.port}{path}",
        f"http://127.0.0.1:{other.port}{path}",
        f"http://127.0.0.1%2e:{other.port}{path}",
        f"http://0x7f.1:{other.port}{path}",
    ]
    return chance.choice(forms[:3] if chance.random() < 0.5 else forms)


async def test_two_thousand_redirect_chains_leak_no_credential() -> None:
    chance = random.Random(9)
    async with AsyncExitStack() as stack:
        own: list[RawServer] = []
        canaries: list[RawServer] = []

        def lead_on(request: Request) -> bytes:
            chain, _, hop = request.path.removeprefix("/").partition("/")
            if int(hop) == 3:
                return reply(207)
            location = strange_location(chance, own, canaries=canaries, path=f"/{chain}/{int(hop) + 1}")
            return reply(chance.choice([301, 302, 307, 308]), b"", f"Location: {location}")

        own += [await stack.enter_async_context(raw_server(lead_on)) for _ in range(2)]
        hosts = ("127.0.0.1", "127.0.0.1", "127.0.0.2", "::1")
        canaries += [await stack.enter_async_context(raw_server(reply(207), host)) for host in hosts]
        allow = tuple(server.url for server in own)
        transport = await stack.enter_async_context(transport_to(own[0].url, kind=ConnectionKind.ICLOUD, allow=allow))
        arrived = refused = 0
        for chain in range(CHAINS):
            method = chance.choice(["PROPFIND", "REPORT", "GET", "PUT", "DELETE"])
            try:
                response = await transport.send(DavRequest(method, f"{own[0].url}/{chain}/0", body=b"x"))
                arrived += response.status == 207
            except RemoteError as error:
                refused += 1
                assert TOKEN.decode() not in str(error)
        assert arrived > 20 and refused > 100
        assert all(server.bytes_seen == b"" for server in canaries)
        names = {server.url.removeprefix("http://") for server in own}
        assert all(request.all("Host")[0] in names for server in own for request in server.requests)


@pytest.mark.parametrize("target", ["http://127.0.0.2:{port}/x", "http://localhost:{port}/x"])
async def test_an_href_to_another_host_is_refused_before_anything_is_sent(target: str) -> None:
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(raw_server(reply(207)))
        canary = await stack.enter_async_context(raw_server(reply(207), "127.0.0.2"))
        transport = await stack.enter_async_context(transport_to(own.url))
        with pytest.raises(RemoteError, match="does not trust"):
            await transport.send(DavRequest("PROPFIND", target.format(port=canary.port)))
        assert own.connections == canary.connections == transport.requests_sent == 0
