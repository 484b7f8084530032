"""Requests of a connection as they go out, and what becomes of every way an exchange can go."""

import asyncio
import hashlib
import logging
import re
from contextlib import AsyncExitStack

import pytest

from busyd.connection import Connection, ConnectionKind
from busyd.credentials import Secret
from busyd.dav.errors import LoginRefused
from busyd.dav.exchange import DavRequest
from busyd.errors import RemoteError
from busyd.remote.errors import TooManyRedirects, Unreachable, UnsafeRedirect
from busyd.remote.transport import Transport
from busyd.remote.wire import USER_AGENT
from tests.remote.stage import (
    PASSWORD,
    PROPFIND,
    QUICK,
    TOKEN,
    RawServer,
    Request,
    StoppedClock,
    ask,
    fault,
    raw_server,
    reply,
    transport_to,
)


async def test_the_login_goes_out_unasked_and_each_header_once() -> None:
    async with raw_server(reply(207, b"<x/>")) as server, transport_to(server.url) as transport:
        await transport.send(PROPFIND)
        (request,) = server.requests
        assert dict(request.headers) == {
            "Host": f"127.0.0.1:{server.port}",
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Content-Type": "application/xml; charset=utf-8",
            "Depth": "0",
            "Authorization": f"Basic {TOKEN.decode()}",
            "Content-Length": "4",
        }
        assert len(request.headers) == 8
        assert (request.method, request.path, request.body) == ("PROPFIND", "/c/", b"<x/>")


async def test_a_write_has_one_content_type_and_no_depth() -> None:
    put = DavRequest("PUT", "/c/a.ics", headers=(("Content-Type", "text/calendar; charset=utf-8"),), body=b"x")
    async with raw_server(reply(201)) as server, transport_to(server.url) as transport:
        await transport.send(put)
        await transport.send(DavRequest("DELETE", "/c/a.ics"))
        assert server.requests[0].all("Content-Type") == ["text/calendar; charset=utf-8"]
        assert server.requests[1].all("Content-Type") == server.requests[1].all("Depth") == []


async def test_an_open_server_is_sent_no_login() -> None:
    async with raw_server(reply(207)) as server, transport_to(server.url, username="") as transport:
        await transport.send(PROPFIND)
        assert server.requests[0].all("Authorization") == []


async def test_a_path_goes_out_byte_for_byte() -> None:
    async with raw_server(reply(207)) as server, transport_to(server.url) as transport:
        await transport.send(DavRequest("GET", "/c/a%40b%2Fc%2e%zz.ics?x=%20"))
        assert server.requests[0].path == "/c/a%40b%2Fc%2e%zz.ics?x=%20"


async def test_the_answer_keeps_its_status_repeated_headers_and_address() -> None:
    response = await ask(reply(401, b"", 'WWW-Authenticate: Basic realm="MMCalDav"', "WWW-Authenticate: X-Token"))
    assert response.status == 401
    assert [value for key, value in response.headers if key == "WWW-Authenticate"] == [
        'Basic realm="MMCalDav"',
        "X-Token",
    ]
    assert response.url.endswith("/c/")


async def test_cookies_are_not_kept() -> None:
    async with raw_server(reply(207, b"", "Set-Cookie: a=b")) as server, transport_to(server.url) as transport:
        await transport.send(PROPFIND)
        await transport.send(PROPFIND)
        assert server.requests[1].all("Cookie") == []
        assert server.connections == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_write_goes_out_on_a_connection_of_its_own(method: str) -> None:
    async with raw_server(reply(204)) as server, transport_to(server.url) as transport:
        await transport.send(PROPFIND)
        for _ in range(2):
            await transport.send(DavRequest(method, f"{server.url}/c/1.ics", body=b"x"))
        await transport.send(PROPFIND)
        assert [request.method for request in server.requests] == ["PROPFIND", method, method, "PROPFIND"]
        assert server.connections == 3


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_keeps_method_body_and_login(status: int) -> None:
    async with AsyncExitStack() as stack:
        shard = await stack.enter_async_context(raw_server(reply(207, b"<x/>")))
        moved = reply(status, b"", f"Location: {shard.url}/c/?y")
        start = await stack.enter_async_context(raw_server(moved))
        allow = (start.url, shard.url)
        transport = await stack.enter_async_context(transport_to(start.url, kind=ConnectionKind.ICLOUD, allow=allow))
        response = await transport.send(PROPFIND)
        (request,) = shard.requests
        assert (request.method, request.path, request.body) == ("PROPFIND", "/c/?y", b"<x/>")
        assert request.all("Authorization") == [f"Basic {TOKEN.decode()}"]
        assert (response.status, response.url, transport.requests_sent) == (207, f"{shard.url}/c/?y", 2)
        await transport.send(DavRequest("GET", "/later"))
        assert shard.requests[1].path == "/later"


async def test_a_redirect_out_of_the_connection_is_refused_and_its_path_not_repeated() -> None:
    error = await fault(reply(302, b"", "Location: https://portal.example/login?secret=1"))
    assert isinstance(error, UnsafeRedirect)
    assert error.target == "https://portal.example" and "secret" not in str(error)


@pytest.mark.parametrize("location", ["/c/", "/next"])
async def test_redirects_without_an_end_are_left(location: str) -> None:
    hops = iter(range(100))

    def lead_on(_: Request) -> bytes:
        return reply(301, b"", f"Location: {location}{'' if location == '/c/' else next(hops)}")

    async with raw_server(lead_on) as server, transport_to(server.url) as transport:
        with pytest.raises(TooManyRedirects) as caught:
            await transport.send(PROPFIND)
        assert ("in a circle" in str(caught.value)) is (location == "/c/")
        assert len(server.requests) <= QUICK.hops + 1


def wanting_digest(request: Request) -> bytes:
    """A server that offers Digest alone, and believes an answer with the right user name, path and response."""
    given = request.all("Authorization")
    if not given or not given[0].startswith("Digest "):
        return reply(401, b"", 'WWW-Authenticate: Digest realm="dav", nonce="n1", qop="auth", algorithm=MD5')
    fields = dict(re.findall(r'(\w+)="?([^",]*)"?', given[0].removeprefix("Digest ")))
    inner = hashlib.md5(f"anna:dav:{PASSWORD}".encode()).hexdigest()
    asked = hashlib.md5(f"{request.method}:{request.path}".encode()).hexdigest()
    text = f"{inner}:n1:{fields['nc']}:{fields['cnonce']}:auth:{asked}"
    right = hashlib.md5(text.encode()).hexdigest() == fields["response"]
    return (
        reply(207)
        if right and fields["uri"] == request.path
        else reply(401, b"", 'WWW-Authenticate: Digest realm="dav", nonce="n1", qop="auth"')
    )


async def test_a_server_that_wants_digest_gets_it() -> None:
    async with raw_server(wanting_digest) as server, transport_to(server.url) as transport:
        assert (await transport.send(PROPFIND)).status == 207
        assert (await transport.send(DavRequest("PUT", "/c/a.ics", body=b"x"))).status == 207
        assert server.requests[-1].body == b"x"
        before = len(server.requests)
        assert (await transport.send(DavRequest("GET", "/c/ü?a=b%2F"))).status == 207
        assert len(server.requests) == before + 1  # what was agreed is used again
    async with raw_server(wanting_digest) as server, transport_to(server.url, username="berta") as transport:
        assert (await transport.send(PROPFIND)).status == 401
        assert len(server.requests) < 8


async def test_a_server_that_takes_basic_is_not_asked_for_digest() -> None:
    refusal = reply(401, b"", 'WWW-Authenticate: Digest realm="a", nonce="b"', 'WWW-Authenticate: Basic realm="a"')
    async with raw_server(refusal) as server, transport_to(server.url) as transport:
        assert (await transport.send(PROPFIND)).status == 401
        assert all(request.all("Authorization") == [f"Basic {TOKEN.decode()}"] for request in server.requests)


async def test_a_write_is_not_sent_on_to_another_path() -> None:
    response = await ask(reply(301, b"", "Location: /c/a.ics/"), DavRequest("PUT", "/c/a.ics", body=b"x"))
    assert response.status == 301


async def test_a_redirect_without_a_location_is_an_answer_like_any_other() -> None:
    assert (await ask(reply(301))).status == 301


@pytest.mark.parametrize("status", [401, 404, 421])
async def test_what_a_shard_refuses_the_generic_host_decides_and_that_is_told_once(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "busyd")
    clock = StoppedClock()
    async with AsyncExitStack() as stack:
        shard = await stack.enter_async_context(raw_server(reply(status)))
        generic = await stack.enter_async_context(raw_server(reply(207)))
        allow = (generic.url, shard.url)
        transport = await stack.enter_async_context(
            transport_to(generic.url, kind=ConnectionKind.ICLOUD, allow=allow, clock=clock)
        )
        request = DavRequest("PROPFIND", f"{shard.url}/300/calendars/", "1")
        for _ in range(3):
            assert (await transport.send(request)).url == f"{generic.url}/300/calendars/"
        assert (len(shard.requests), len(generic.requests)) == (1, 3)
        await clock.sleep(3600)
        await transport.send(request)
        assert len(shard.requests) == 2
    assert caplog.messages == ["127.0.0.1 does not serve this account now, 127.0.0.1 does"]


async def test_a_shard_that_is_down_is_passed_by_and_a_write_with_it() -> None:
    async with AsyncExitStack() as stack:
        generic = await stack.enter_async_context(raw_server(reply(207)))
        async with raw_server(reply(207)) as closing:
            gone = closing.url
        transport = await stack.enter_async_context(
            transport_to(generic.url, kind=ConnectionKind.ICLOUD, allow=(generic.url, gone))
        )
        for method in ("PROPFIND", "PUT"):
            assert (await transport.send(DavRequest(method, f"{gone}/x"))).status == 207


async def test_a_404_is_a_404_when_both_hosts_say_so_and_the_shard_stays_in_use() -> None:
    async with AsyncExitStack() as stack:
        shard = await stack.enter_async_context(raw_server(reply(404)))
        generic = await stack.enter_async_context(raw_server(reply(404)))
        transport = await stack.enter_async_context(
            transport_to(generic.url, kind=ConnectionKind.ICLOUD, allow=(generic.url, shard.url))
        )
        for _ in range(2):
            assert (await transport.send(DavRequest("GET", f"{shard.url}/x.ics"))).status == 404
        assert len(shard.requests) == 2


async def test_a_404_of_a_shard_proves_nothing_while_the_generic_host_is_down() -> None:
    async with AsyncExitStack() as stack:
        shard = await stack.enter_async_context(raw_server(reply(404)))
        async with raw_server(reply(207)) as closing:
            gone = closing.url
        transport = await stack.enter_async_context(
            transport_to(gone, kind=ConnectionKind.ICLOUD, allow=(gone, shard.url))
        )
        with pytest.raises(Unreachable):
            await transport.send(DavRequest("GET", f"{shard.url}/x.ics"))


async def test_at_most_two_requests_are_under_way_and_each_is_counted() -> None:
    under_way: list[int] = [0, 0]

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        under_way[0] += 1
        under_way[1] = max(under_way)
        await asyncio.sleep(0.01)
        under_way[0] -= 1
        writer.write(reply(207, b"", "Connection: close"))
        writer.close()

    running = await asyncio.start_server(slow, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"
    async with running, transport_to(url) as transport:
        await asyncio.gather(*(transport.send(DavRequest("GET", "/x")) for _ in range(10)))
        assert (under_way[1], transport.requests_sent) == (2, 10)


@pytest.mark.parametrize(("kind", "seconds"), [(ConnectionKind.ICLOUD, 60.0), (ConnectionKind.CALDAV, 0.0)])
async def test_a_long_run_of_requests_to_icloud_is_spread_over_time(kind: ConnectionKind, seconds: float) -> None:
    clock = StoppedClock()
    async with raw_server(reply(207)) as server, transport_to(server.url, kind=kind, clock=clock) as transport:
        for _ in range(300):
            await transport.send(DavRequest("GET", "/x"))
    assert clock.passed == pytest.approx(seconds)


async def test_a_changed_password_is_used_at_once_after_a_refusal() -> None:
    passwords = iter(["old", "old", "new"])
    current = ["old"]

    async def password() -> Secret:
        current[0] = next(passwords, "new")
        return Secret(current[0])

    def check(request: Request) -> bytes:
        return reply(207 if request.all("Authorization") == ["Basic YW5uYTpuZXc="] else 401)

    async with raw_server(check) as server:
        transport = Transport(
            Connection("t", ConnectionKind.CALDAV, server.url, "anna"), password, clock=StoppedClock(), limits=QUICK
        )
        assert (await transport.send(PROPFIND)).status == 401
        assert len(server.requests) == 1
        assert await transport.has_another_password()
        assert (await transport.send(PROPFIND)).status == 207
        await transport.close()


async def test_a_changed_password_is_used_before_the_old_one_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "busyd")
    passwords = iter(["old", "new"])
    clock = StoppedClock()
    async with raw_server(reply(207)) as server:
        account = Connection("t", ConnectionKind.CALDAV, server.url, "anna")
        transport = Transport(account, lambda: Secret(next(passwords)), clock=clock, limits=QUICK)
        await transport.send(PROPFIND)
        clock.passed += 60.0
        await transport.send(PROPFIND)
        assert [request.all("Authorization") for request in server.requests] == [
            ["Basic YW5uYTpvbGQ="],
            ["Basic YW5uYTpuZXc="],
        ]
        await transport.close()
    assert "t: its password was changed, and the new one is used from now on" in caplog.messages


async def test_a_refused_password_stays_known_as_such() -> None:
    async with raw_server(reply(401)) as server, transport_to(server.url) as transport:
        assert (await transport.send(PROPFIND)).status == 401
        assert not await transport.has_another_password()
        assert len(server.requests) == 1


async def test_without_a_password_nothing_is_sent() -> None:
    async with raw_server(reply(207)) as server:
        transport = Transport(
            Connection("t", ConnectionKind.CALDAV, server.url, "anna"), lambda: None, clock=StoppedClock(), limits=QUICK
        )
        with pytest.raises(LoginRefused, match="no password"):
            await transport.send(PROPFIND)
        assert server.requests == []


async def test_no_log_and_no_error_holds_the_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    for answer in (
        b"",
        None,
        reply(401),
        reply(207, b"cut", length=99),
        b"nonsense\r\n\r\n",
        reply(301, b"", "Location: x:y"),
    ):
        for method in ("PROPFIND", "PUT"):
            try:
                await ask(answer, DavRequest(method, "/c/", body=b"x"))
            except RemoteError as error:
                seen: BaseException | None = error
                while seen is not None:
                    texts += [str(seen), repr(seen), repr(vars(seen))]
                    seen = seen.__cause__ or seen.__context__
    assert texts
    for secret in (PASSWORD, TOKEN.decode()):
        assert secret not in caplog.text
        assert not any(secret in text for text in texts)


def test_nothing_is_opened_before_the_first_request() -> None:
    server = RawServer(lambda _: b"")
    Transport(Connection("t", ConnectionKind.CALDAV, "http://127.0.0.1:9/"), lambda: None, clock=StoppedClock())
    assert server.connections == 0
