"""The pump: carries a conversation out, request by request. It knows neither sockets nor calendars."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from msgspec import Struct

from busyd.dav.exchange import DavRequest, DavResponse, Operation
from busyd.dav.href import Href
from busyd.dav.objects import Fetched, distinct, multiget, read_multiget

T = TypeVar("T")

_LARGE: Final = 256 * 1024
"""Answers beyond this many bytes are read in a thread: a listing of thousands must not hold up the loop."""


_LONG: Final = 8 * 1024
"""Bytes of objects that take less than a quarter of a millisecond to read."""

ReadMultiget = Callable[[Sequence[Href], DavResponse], Awaitable[Fetched]]
"""What `read_multiget` does."""


class Sender(Protocol):
    """What carries one request: `Transport`, or a stand-in in tests."""

    async def send(self, request: DavRequest) -> DavResponse: ...


class _Finished(Struct, Generic[T], frozen=True):
    value: T


class CaldavClient:
    """Runs conversations over one transport; any number of them at a time."""

    def __init__(self, transport: Sender, read_elsewhere: ReadMultiget | None = None) -> None:
        """`read_elsewhere` takes over the reading of long answers that are full of objects."""
        self._transport = transport
        self._read_elsewhere = read_elsewhere

    async def run(self, operation: Operation[T]) -> T:
        """Send what the conversation yields, hand back the answers, return its value.

        Whatever the transport or the conversation raises comes through.
        """
        step: DavRequest | _Finished[T] = _advance(operation, None)
        try:
            while isinstance(step, DavRequest):
                response = await self._transport.send(step)
                if len(response.body) > _LARGE:
                    step = await asyncio.to_thread(_advance, operation, response)
                else:
                    step = _advance(operation, response)
        finally:
            with contextlib.suppress(ValueError):  # a cancelled thread is still inside
                operation.close()
        return step.value

    async def multiget(self, calendar: str, hrefs: Iterable[Href]) -> Fetched:
        """The conversation `fetch_objects`, whose answer is the longest there is."""
        asked = distinct(hrefs)
        if not asked:
            return Fetched()
        response = await self._transport.send(multiget(calendar, asked))
        if self._read_elsewhere is not None and response.status == 207 and len(response.body) > _LONG:
            return await self._read_elsewhere(asked, response)
        return read_multiget(asked, response)


def _advance(operation: Operation[T], response: DavResponse | None) -> DavRequest | _Finished[T]:
    try:
        return next(operation) if response is None else operation.send(response)
    except StopIteration as done:
        return _Finished(done.value)
