"""The connections of clients: how many there may be, how long each may dawdle. No requests, no answers but one 503.

aiohttp serves each connection; this file only counts them, and closes those that hold a place without using it.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from busyd.address import is_loopback
from busyd.http.crash import CrashLog
from busyd.http.parse_errors import problem_of
from busyd.http.problem import HttpProblem
from busyd.http.request_headers import ListenerContext, listener_names
from busyd.http.settings import EndpointSettings, Limits

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 1.0
_IDLE_ENOUGH: Final = 1.0
"""Seconds without a request after which a connection may be closed in favour of a new one."""
_READ_AT_ONCE: Final = 16 * 1024
_RESERVED_SECONDS: Final = 2.0
"""Until a connection on one of the reserved places must have sent its first request."""


class Connection(RequestHandler):
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
        """It got one of the last places: only for a token that was good before."""
        self.unread: tuple[float, int] | None = None
        """Since when, and how many bytes, an answer waits to be read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.since = self._loop.time()
        self.listener = self.gate.door_of(transport, site_is_local=self.site_is_local)
        peer = transport.get_extra_info("peername")
        self.client = str(peer[0]) if isinstance(peer, tuple) else "unix"
        if not self.gate.enter(self):
            self.close()
            if isinstance(transport, asyncio.Transport):
                self.transport = transport
                transport.write(_FULL)
            transport.close()
            return
        if hasattr(transport, "max_size"):
            # QUIRK(asyncio): it reads into 256 KiB at a time, which glibc maps and unmaps for every request; what fits
            # in its heap costs less. Other loops have no such attribute.
            transport.max_size = _READ_AT_ONCE
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.gate.leave(self)
        transport = self.transport
        super().connection_lost(exc)
        if transport is not None and hasattr(transport, "_read_ready_cb"):
            # QUIRK(asyncio): a transport refers to itself by this, and so stays, with its socket and all that hangs on
            # it, until the garbage collector comes by, which then has thousands of them to look through.
            transport._read_ready_cb = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp itself cannot make sense of; its own words would quote the request and fill the log."""
        del message
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has already begun")
        if status == 400:
            logger.debug("not HTTP from %s: %s", self.client, type(exc).__name__)
            problem = problem_of(exc, header_bytes=self.gate.limits.header_bytes)
        else:
            problem = self.gate.crashes.take(exc, self._loop.time())
        response = problem.response()
        response.force_close()
        return response


class CountingServer(web.Server):
    """aiohttp's server, with our connections."""

    def __init__(self, handler: Any, gate: "Gate", **options: Any) -> None:
        super().__init__(handler, **options)
        self.gate = gate

    def site(self, *, is_local: bool) -> Callable[[], RequestHandler]:
        """The protocol factory for an address that only this machine can reach, or for one that others reach, too.

        A connection cannot find that out: accepted on 0.0.0.0 from this machine, it is one from 127.0.0.1 to 127.0.0.1.
        """
        return partial(Connection, self, site_is_local=is_local, loop=self._loop, **self._kwargs)


class Gate:
    """All connections of the endpoint, on whatever address they came."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._doors: dict[tuple[object, bool, bool], ListenerContext] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.crashes = CrashLog()
        self.open: set[Connection] = set()
        self.refused = 0
        """Connections that found no place."""
        self.dropped = 0
        """Connections closed because they held a place without using it."""

    @property
    def limits(self) -> Limits:
        return self._settings.limits

    def door_of(self, transport: asyncio.BaseTransport, *, site_is_local: bool) -> ListenerContext:
        """The listener that connections like this one share."""
        sockname, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        address = sockname[:2] if isinstance(sockname, tuple) else "unix"
        near = is_loopback(str(peer[0])) if isinstance(peer, tuple) and peer else True
        key = (address, site_is_local, near)
        listener = self._doors.get(key)
        if listener is None:
            listener = self._doors[key] = ListenerContext(
                self._settings, listener_names(address), site_is_local and near, near
            )
        return listener

    def enter(self, connection: Connection) -> bool:
        """Give a place to a new connection, if need be that of one that idles; False when there is none."""
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
        return True

    def leave(self, connection: Connection) -> None:
        self.open.discard(connection)

    def start(self) -> None:
        """Begin to look after the connections; needs a running loop."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._look_after)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def sweep(self) -> None:
        """Drop the connections that had their time."""
        now = asyncio.get_running_loop().time()
        for connection in list(self.open):
            patience = _RESERVED_SECONDS if connection.reserved else self.limits.header_seconds
            silent = not connection.served and now - connection.since > patience
            if silent or self._does_not_read(connection, now):
                self._drop(connection)

    def _look_after(self) -> None:
        self.sweep()
        self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._look_after)

    def _does_not_read(self, connection: Connection, now: float) -> bool:
        transport = connection.transport
        size = transport.get_write_buffer_size() if transport is not None else 0
        if not size:
            connection.unread = None
        elif connection.unread is None or connection.unread[1] != size:
            connection.unread = (now, size)
        return connection.unread is not None and now - connection.unread[0] > self.limits.idle_seconds

    def _longest_idle(self) -> Connection | None:
        now = asyncio.get_running_loop().time()
        idle = [one for one in self.open if not one.handling and now - one.since > _IDLE_ENOUGH]
        return min(idle, key=lambda one: one.since, default=None)

    def _drop(self, connection: Connection) -> None:
        self.dropped += 1
        self.leave(connection)
        transport = connection.transport
        if transport is not None:
            transport.abort()


def _full() -> bytes:
    problem = HttpProblem("too-many-connections", 503, "all connections are taken", fix="try again in five seconds")
    body = problem.body()
    return (
        b"HTTP/1.1 503 Service Unavailable\r\nServer: busyd\r\nConnection: close\r\nRetry-After: 5\r\n"
        b"Content-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )


_FULL: Final = _full()
