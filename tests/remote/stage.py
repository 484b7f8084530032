"""Support for these tests: a clock that moves only by sleeping, and servers that answer byte for byte."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest

from busyd.connection import Connection, ConnectionKind
from busyd.credentials import Secret
from busyd.dav.exchange import DavRequest, DavResponse
from busyd.errors import RemoteError
from busyd.period import Instant
from busyd.remote.transport import Transport
from busyd.remote.wire import TransferLimits

PASSWORD: Final = "abcd-efgh-wxyz-mnop"
TOKEN: Final = b"YW5uYTphYmNkLWVmZ2gtd3h5ei1tbm9w"
"""`anna:PASSWORD` as Basic sends it."""
QUICK: Final = TransferLimits(connect=2.0, idle=0.3, total=2.0)


class StoppedClock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> Instant:
        return Instant(1_700_000_000 + int(self.passed))

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)


@dataclass
class Request:
    """A request as it arrived."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


Reply = bytes | None
"""What to write: b"" closes without a word, None says nothing and waits."""


@dataclass
class RawServer:
    """A server on a loopback port; `answer` decides about each request, keep-alive unless the reply says close."""

    answer: Callable[[Request], Reply]
    host: str = "127.0.0.1"
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    bytes_seen: bytearray = field(default_factory=bytearray)
    connections: int = 0

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.bytes_seen += head
                line, *rest = head.decode("latin-1").split("\r\n")
                headers = [(key, value) for key, _, value in (one.partition(": ") for one in rest) if key]
                length = int({key.lower(): value for key, value in headers}.get("content-length", "0"))
                request = Request(line, headers, await reader.readexactly(length))
                self.requests.append(request)
                reply = self.answer(request)
                if reply is None:
                    await reader.read()
                    return
                writer.write(reply)
                await writer.drain()
                if not reply or b"Connection: close" in reply:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def raw_server(answer: Callable[[Request], Reply] | Reply, host: str = "127.0.0.1") -> AsyncIterator[RawServer]:
    """A running server that always gives one reply, or what the function gives."""
    decide = answer if callable(answer) else lambda _: answer
    server = RawServer(decide, host)
    running = await asyncio.start_server(server.serve, host, 0)
    server.port = running.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        running.close()


def reply(status: int = 200, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """An HTTP answer; `length` to lie about its length."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@asynccontextmanager
async def transport_to(
    url: str,
    *,
    kind: ConnectionKind = ConnectionKind.CALDAV,
    allow: tuple[str, ...] = (),
    username: str = "anna",
    limits: TransferLimits = QUICK,
    clock: StoppedClock | None = None,
) -> AsyncIterator[Transport]:
    """A transport of a connection to that URL, closed at the end."""
    connection = Connection("test", kind, url, username)
    transport = Transport(
        connection, lambda: Secret(PASSWORD), clock=clock or StoppedClock(), limits=limits, allow=allow
    )
    try:
        yield transport
    finally:
        await transport.close()


PROPFIND = DavRequest("PROPFIND", "/c/", "0", (("Content-Type", "application/xml; charset=utf-8"),), b"<x/>")


async def ask(answer: Reply, request: DavRequest = PROPFIND, *, limits: TransferLimits = QUICK) -> DavResponse:
    """One request to a server that answers so."""
    async with raw_server(answer) as server, transport_to(server.url, limits=limits) as transport:
        return await transport.send(request)


async def fault(answer: Reply, request: DavRequest = PROPFIND, *, limits: TransferLimits = QUICK) -> RemoteError:
    """The error that comes of such an answer."""
    with pytest.raises(RemoteError) as caught:
        await ask(answer, request, limits=limits)
    return caught.value
