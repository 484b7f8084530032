"""The server's side of a TCP connection: which one it is, how often it was used, and its early death when idle."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage

from tests.icloud.delivery import AppleResponse, apple_headers

_numbers = itertools.count(1)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    """One connection. `served` counts the requests before the present one."""

    number = 0
    served = 0
    _idle_timer: asyncio.TimerHandle | None = None

    def begin_request(self) -> None:
        if not self.number:
            self.number = next(_numbers)
        if self._idle_timer is not None:
            self._idle_timer.cancel()

    def end_request(self, idle_seconds: float) -> None:
        """iCloud closes idle connections early and without notice; the next write on them fails."""
        self.served += 1
        if idle_seconds > 0:
            self._idle_timer = asyncio.get_running_loop().call_later(idle_seconds, self._close_idle)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """QUIRK(icloud): a second Content-Type line is "not implemented"."""
        if isinstance(exc, BadHttpMessage) and "Duplicate 'Content-Type'" in exc.message:
            response = AppleResponse(status=501)
            for name, value in apple_headers("shard"):
                response.headers.add(name, value)
            response.content_length = 0
            response.force_close()
            return response
        return super().handle_error(request, status, exc, message)

    def _close_idle(self) -> None:
        if self.transport is not None:
            self.transport.close()


class Listener(web.Server):
    """An aiohttp server whose connections are `Connection`s."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler)

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop)


def connection_of(request: web.BaseRequest) -> Connection:
    protocol = request.protocol
    if not isinstance(protocol, Connection):
        raise TypeError(type(protocol))
    return protocol
