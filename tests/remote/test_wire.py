"""Every way an exchange can go wrong: named, bounded in time and size, and a write never sent twice."""

import asyncio
import gzip
from datetime import timedelta

import pytest

from busyd.connection import Connection, ConnectionKind
from busyd.dav.errors import MalformedResponse
from busyd.dav.exchange import DavRequest
from busyd.remote.errors import AnswerTooLarge, Trouble, Unreachable, WriteOutcomeUnknown
from busyd.remote.wire import TransferLimits, limits_of
from tests.remote.stage import PROPFIND, Reply, Request, ask, fault, raw_server, reply, transport_to


def dropping(first: int) -> tuple[list[int], object]:
    """An answer function that answers once, then drops `first` requests without a word, then answers again."""
    count = [0]

    def answer(_: Request) -> bytes:
        count[0] += 1
        return b"" if 1 < count[0] <= 1 + first else reply(207)

    return count, answer


@pytest.mark.parametrize("method", ["PROPFIND", "REPORT", "GET"])
async def test_a_safe_request_on_a_dropped_connection_is_repeated_once(method: str) -> None:
    _, answer = dropping(1)
    async with raw_server(answer) as server, transport_to(server.url) as transport:  # type: ignore[arg-type]
        await transport.send(PROPFIND)
        assert (await transport.send(DavRequest(method, "/c/"))).status == 207
        assert (len(server.requests), transport.requests_sent) == (3, 3)


async def test_a_safe_request_dropped_twice_is_given_up() -> None:
    _, answer = dropping(2)
    async with raw_server(answer) as server, transport_to(server.url) as transport:  # type: ignore[arg-type]
        await transport.send(PROPFIND)
        with pytest.raises(Unreachable) as caught:
            await transport.send(PROPFIND)
        assert caught.value.kind is Trouble.RESET


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("answer", [b"", None, reply(201, b"cut", length=9), b"HTTP/1.1 2"])
async def test_a_write_without_an_answer_is_sent_once_and_its_outcome_unknown(method: str, answer: Reply) -> None:
    async with raw_server(answer) as server, transport_to(server.url) as transport:
        with pytest.raises(WriteOutcomeUnknown) as caught:
            await transport.send(DavRequest(method, "/c/a.ics", body=b"x"))
        assert (len(server.requests), caught.value.method) == (1, method)


async def test_a_write_that_never_left_is_not_in_doubt() -> None:
    async with raw_server(reply()) as closing:
        gone = closing.url
    async with transport_to(gone) as transport:
        with pytest.raises(Unreachable) as caught:
            await transport.send(DavRequest("PUT", "/c/a.ics", body=b"x"))
        assert (caught.value.kind, caught.value.sent) == (Trouble.REFUSED, False)


async def test_a_silent_server_is_given_up() -> None:
    error = await fault(None)
    assert isinstance(error, Unreachable) and error.kind is Trouble.TIMEOUT


async def test_a_server_that_drips_is_given_up_in_the_end() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply(207, b"", length=1_000_000))
        try:
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"
    async with running, transport_to(url, limits=TransferLimits(idle=0.2, total=0.5)) as transport:
        with pytest.raises(Unreachable) as caught:
            await transport.send(DavRequest("GET", "/x"))
        assert caught.value.kind is Trouble.TIMEOUT


async def test_a_body_may_take_longer_than_the_wait_for_its_first_byte_while_bytes_flow() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply(207, b"", length=8))
        for _ in range(8):
            await asyncio.sleep(0.25)
            writer.write(b"x")
        await writer.drain()
        writer.close()

    running = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"
    async with running, transport_to(url, limits=TransferLimits(idle=1.5)) as transport:
        assert (await transport.send(DavRequest("GET", "/x"))).body == b"x" * 8


@pytest.mark.parametrize("kind", [ConnectionKind.CALDAV, ConnectionKind.ICS])
def test_a_server_has_a_minute_for_its_first_byte_or_what_its_connection_says(kind: ConnectionKind) -> None:
    usual = limits_of(Connection("a", kind, "https://x.test/"))
    patient = limits_of(Connection("a", kind, "https://x.test/", timeout=timedelta(minutes=20)))
    assert (usual.idle, usual.total) == (60, 600)
    assert patient.idle == 1200
    assert patient.total >= 1200


@pytest.mark.parametrize(
    "answer",
    [
        reply(207, b"<multistatus", "Connection: close", length=4000),
        b"HTTP/1.1 207 X\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\n<mult\r\n",
        b"HTTP/1.1 207 X\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n<mult\r\n",
    ],
)
async def test_a_body_cut_short_is_no_answer(answer: bytes) -> None:
    assert isinstance(await fault(answer), Unreachable)


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 207 X\r\nX-Y: " + b"y" * 100_000 + b"\r\n\r\n", b"\x15\x03\x01"]
)
async def test_what_is_not_http_is_no_answer(answer: bytes) -> None:
    assert isinstance(await fault(answer + b"Connection: close"), Unreachable)


async def test_a_chunked_body_and_a_body_until_the_end_are_read_whole() -> None:
    chunked = b"HTTP/1.1 207 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n<x/\r\n1\r\n>\r\n0\r\n\r\n"
    assert (await ask(chunked)).body == b"<x/>"
    assert (await ask(b"HTTP/1.1 207 X\r\nConnection: close\r\n\r\n<x/>")).body == b"<x/>"


async def test_a_compressed_body_nobody_asked_for_is_read() -> None:
    packed = gzip.compress(b"<x/>" * 1000)
    assert (await ask(reply(207, packed, "Content-Encoding: gzip"))).body == b"<x/>" * 1000


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(207, gzip.compress(b"\0" * 30_000_000), "Content-Encoding: gzip"), AnswerTooLarge),
        (reply(207, b"x" * 2000), AnswerTooLarge),
        (reply(207, b"x", "Connection: close", length=10**12), AnswerTooLarge),
        (reply(207, b"<x/>", "Content-Encoding: gzip"), MalformedResponse),
        (reply(207, gzip.compress(b"x" * 99)[:-4], "Content-Encoding: gzip"), MalformedResponse),
        (reply(207, b"x", "Content-Encoding: br"), MalformedResponse),
    ],
    ids=["bomb", "more-than-the-wire-limit", "announced-too-long", "not-gzip", "gzip-cut-short", "unknown-coding"],
)
async def test_a_body_beyond_the_limits_or_undecodable_is_dropped(answer: bytes, error: type[Exception]) -> None:
    wire = 1000 if answer == reply(207, b"x" * 2000) else 100_000
    limits = TransferLimits(idle=0.3, total=2.0, wire_bytes=wire, inflated_bytes=1_000_000)
    assert isinstance(await fault(answer, limits=limits), error)


@pytest.mark.parametrize("status", [407, 511])
async def test_a_proxy_or_a_login_page_in_between_is_named(status: int) -> None:
    error = await fault(reply(status))
    assert isinstance(error, Unreachable) and error.kind is Trouble.PROXY
