"""The connections of clients: how many there may be, and how slow each may be. No requests, no answers but one 503.

aiohttp serves each connection; this file only counts them, and closes those that are open without being used.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from aiohttp.web_protocol import RequestHandler

from busyd.address import is_loopback
from busyd.http import web
from busyd.http.aiohttp_internals import read_less_at_once, release
from busyd.http.crash import CrashLog
from busyd.http.farewell import Farewells
from busyd.http.parse_errors import problem_of
from busyd.http.problem import HttpProblem
from busyd.http.request_headers import ListenerContext, listener_names
from busyd.http.settings import EndpointSettings, Limits

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 1.0
_IDLE_ENOUGH: Final = 1.0
"""Seconds without a request after which a connection may be closed in favour of a new one."""
_RESERVED_SECONDS: Final = 2.0
"""Until one of the reserved connections must have sent its first request."""


class ClientConnection(RequestHandler):
    """One client connection."""

    __slots__ = ("client", "gate", "handling", "listener", "reserved", "served", "since", "site_is_local", "unread")

    def __init__(self, manager: "CountingServer", *, site_is_local: bool, **options: Any) -> None:
        super().__init__(manager, **options)
        self.gate = manager.gate
        self.site_is_local = site_is_local
        self.listener: ListenerContext
        self.client = ""
        """Address of the peer, without its port."""
        self.since = 0.0
        """When it was opened, or when its last request came (monotonic)."""
        self.served = 0
        self.handling = False
        self.reserved = False
        """It is one of the last that may be open: only for a token that was used before."""
        self.unread: tuple[float, int] | None = None
        """Since when, and how many bytes of, answers wait for the client to read them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.since = asyncio.get_running_loop().time()
        self.listener = self.gate.listener_of(transport, site_is_local=self.site_is_local)
        peer = transport.get_extra_info("peername")
        self.client = str(peer[0]) if isinstance(peer, tuple) else "unix"
        if not self.gate.enter(self):
            self.close()
            if isinstance(transport, asyncio.Transport):
                self.gate.farewells.begin(transport)
            else:
                transport.close()
            return
        read_less_at_once(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.gate.leave(self)
        transport = self.transport
        super().connection_lost(exc)
        release(transport)

    def handle_error(  # noqa: PLR0917 - aiohttp's own signature
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what aiohttp cannot parse; its own words would quote the request and fill the log."""
        del message
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has already begun")
        if status == 400:
            logger.debug("not HTTP from %s: %s", self.client, type(exc).__name__)
            problem = problem_of(exc, header_bytes=self.gate.limits.header_bytes)
        else:
            problem = self.gate.crashes.take(exc, asyncio.get_running_loop().time())
        response = problem.response()
        response.force_close()
        return response


class CountingServer(web.Server):
    """aiohttp's server, with our connections."""

    def __init__(self, handler: Any, gate: "Gate", **options: Any) -> None:
        super().__init__(handler, **options)
        self.gate = gate
        self._options = options

    def site(self, *, is_local: bool) -> Callable[[], RequestHandler]:
        """The protocol factory for an address that only this machine can reach, or for one that others can reach too.

        A connection cannot tell: accepted on 0.0.0.0 from this machine, it is one from 127.0.0.1 to 127.0.0.1.
        """
        loop = asyncio.get_running_loop()
        return partial(ClientConnection, self, site_is_local=is_local, loop=loop, **self._options)


class Gate:
    """All open connections, on all addresses, and their limits."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._listeners: dict[tuple[object, bool, bool], ListenerContext] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.crashes = CrashLog()
        self.farewells = Farewells(_FULL)
        self.open: set[ClientConnection] = set()
        self.streams: dict[ClientConnection, str] = {}
        """The connections with a stream of events, each with the id of its token; they are not among `open`."""
        self.refused = 0
        """Connections that were refused because there were too many."""
        self.dropped = 0
        """Connections that were closed because they were not used."""

    @property
    def limits(self) -> Limits:
        return self._settings.limits

    def take(self, settings: EndpointSettings) -> None:
        """Have other settings count, from the next request on also on connections that are open."""
        self._settings = settings
        for listener in self._listeners.values():
            listener.settings = settings
            listener.heads.clear()

    def close_when_answered(self) -> None:
        """Close every connection, after the answer that is under way on it; streams of events stay."""
        for connection in [*self.open]:
            connection.close()

    def listener_of(self, transport: asyncio.BaseTransport, *, site_is_local: bool) -> ListenerContext:
        """The listener that connections like this one share."""
        sockname, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        address = sockname[:2] if isinstance(sockname, tuple) else "unix"
        is_near = is_loopback(str(peer[0])) if isinstance(peer, tuple) and peer else True
        key = (address, site_is_local, is_near)
        listener = self._listeners.get(key)
        if listener is None:
            listener = self._listeners[key] = ListenerContext(
                self._settings, listener_names(address), site_is_local and is_near, is_near
            )
        return listener

    def enter(self, connection: ClientConnection) -> bool:
        """Count a new connection, if need be in place of one that idles; False when there are too many."""
        if len(self.open) >= self.limits.connections - self.limits.reserve:
            idle = self._longest_idle()
            if idle is not None:
                self._drop(idle)
            elif len(self.open) >= self.limits.connections:
                self.refused += 1
                return False
            else:
                connection.reserved = True
        self.open.add(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep_again)
        return True

    def leave(self, connection: ClientConnection) -> None:
        self.open.discard(connection)
        self.streams.pop(connection, None)

    def begin_stream(self, connection: ClientConnection, token: str) -> bool:
        """Count a connection as a stream from now on; False when there are too many, of this token or altogether."""
        limits, of_token = self.limits, list(self.streams.values()).count(token)
        if len(self.streams) >= limits.streams or of_token >= limits.streams_of_token:
            return False
        self.open.discard(connection)
        self.streams[connection] = token
        connection.reserved = False
        return True

    def end_stream(self, connection: ClientConnection) -> None:
        """Count it as any other connection again, until it is closed."""
        if self.streams.pop(connection, None) is not None and connection.transport is not None:
            self.open.add(connection)

    def stop(self) -> None:
        """Sweep no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def sweep(self) -> None:
        """Drop the connections that send no request, or do not read the answer."""
        now = asyncio.get_running_loop().time()
        for connection in [*self.open, *self.streams]:
            longest = _RESERVED_SECONDS if connection.reserved else self.limits.header_seconds
            is_silent = not connection.served and now - connection.since > longest
            if is_silent or self._does_not_read(connection, now):
                self._drop(connection)

    def _sweep_again(self) -> None:
        """Every second while there are connections; nobody is woken up for nothing."""
        self.sweep()
        is_used = bool(self.open or self.streams)
        self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep_again) if is_used else None

    def _does_not_read(self, connection: ClientConnection, now: float) -> bool:
        transport = connection.transport
        size = transport.get_write_buffer_size() if transport is not None else 0
        if not size:
            connection.unread = None
        elif connection.unread is None or connection.unread[1] != size:
            connection.unread = (now, size)
        return connection.unread is not None and now - connection.unread[0] > self.limits.idle_seconds

    def _longest_idle(self) -> ClientConnection | None:
        now = asyncio.get_running_loop().time()
        idle = [
            connection for connection in self.open if not connection.handling and now - connection.since > _IDLE_ENOUGH
        ]
        return min(idle, key=lambda connection: connection.since, default=None)

    def _drop(self, connection: ClientConnection) -> None:
        self.dropped += 1
        self.leave(connection)
        transport = connection.transport
        if transport is not None:
            transport.abort()


def _full() -> bytes:
    problem = HttpProblem(
        "too-many-connections", 503, detail="there are too many connections", fix="try again in five seconds"
    )
    body = problem.body()
    return (
        b"HTTP/1.1 503 Service Unavailable\r\nServer: busyd\r\nConnection: close\r\nRetry-After: 5\r\n"
        b"Content-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )


_FULL: Final = _full()
