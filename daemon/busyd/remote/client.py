"""The pump: carries a conversation out, request by request. It knows neither sockets nor calendars."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from msgspec import Struct

from busyd.dav.changes import SyncDelta, read_sync_report, sync_report
from busyd.dav.exchange import DavRequest, DavResponse, Operation
from busyd.dav.href import Href
from busyd.dav.objects import Fetched, distinct, multiget, read_multiget

T = TypeVar("T")

_LARGE: Final = 256 * 1024
"""Answers to any conversation beyond this many bytes are read in a thread, lest they hold up the loop."""
_LONG: Final = 8 * 1024
"""Bytes that take half a millisecond to read at most."""


class Reader(Protocol):
    """What takes long answers apart in another place, so that they do not hold up the loop."""

    async def read_multiget(self, asked: Sequence[Href], response: DavResponse) -> Fetched: ...

    async def read_sync_report(self, calendar: str, token: str | None, response: DavResponse) -> SyncDelta: ...


class Sender(Protocol):
    """What carries one request: `Transport`, or a stand-in in tests."""

    async def send(self, request: DavRequest) -> DavResponse: ...


class _Finished(Struct, Generic[T], frozen=True):
    value: T


class CaldavClient:
    """Runs conversations over one transport; any number of them at a time."""

    def __init__(self, transport: Sender, reader: Callable[[], Reader] | None = None) -> None:
        """`reader` is asked for when the first long answer comes; without one everything is read here."""
        self._transport = transport
        self._reader = reader

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
        reader = self._reader_of(response)
        return read_multiget(asked, response) if reader is None else await reader.read_multiget(asked, response)

    async def sync_collection(self, calendar: str, token: str | None) -> SyncDelta:
        """The conversation `sync_collection`, whose first answer lists all members."""
        response = await self._transport.send(sync_report(calendar, token))
        reader = self._reader_of(response)
        if reader is None:
            return read_sync_report(calendar, token, response)
        return await reader.read_sync_report(calendar, token, response)

    def _reader_of(self, response: DavResponse) -> Reader | None:
        """Who takes an answer apart; None for us."""
        is_long = response.status == 207 and len(response.body) > _LONG
        return self._reader() if is_long and self._reader is not None else None


def _advance(operation: Operation[T], response: DavResponse | None) -> DavRequest | _Finished[T]:
    try:
        return next(operation) if response is None else operation.send(response)
    except StopIteration as done:
        return _Finished(done.value)
