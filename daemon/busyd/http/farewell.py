"""How a connection is ended that gets one answer whatever it asks: so that the client reads the answer."""

import asyncio
from typing import Final

from busyd.http.aiohttp_internals import release

_SECONDS: Final = 1.0
"""A client has so long to read it."""
_MOST: Final = 256
"""Connections that are being ended at a time; beyond these the client may see a reset instead of the answer."""


class Farewells:
    """Ends connections with an answer.

    Closed at once with a request unread, a connection is reset, and the answer is lost (RFC 9112 §9.6). So our half is
    closed first, and what still comes is thrown away until the client closes the other one.
    """

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._open: set[asyncio.Transport] = set()

    def begin(self, transport: asyncio.Transport) -> None:
        """Send the answer and end the connection, within a second."""
        transport.write(self._answer)
        if len(self._open) >= _MOST or not transport.can_write_eof():
            transport.close()
            return
        self._open.add(transport)
        transport.set_protocol(_Discarding(self._open, transport))
        try:
            transport.write_eof()
        except OSError:  # the client has reset the connection meanwhile
            transport.abort()


class _Discarding(asyncio.Protocol):
    """Reads without looking, until the client has closed its half."""

    def __init__(self, transports: set[asyncio.Transport], transport: asyncio.Transport) -> None:
        self._open = transports
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(_SECONDS, transport.abort)

    def eof_received(self) -> None:
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._timer.cancel()
        self._open.discard(self._transport)
        release(self._transport)
        del self._transport
