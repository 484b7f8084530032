"""The pump: carries a conversation out, request by request. It knows neither sockets nor calendars."""

import asyncio
import contextlib
from typing import Final, Generic, Protocol, TypeVar

from msgspec import Struct

from busyd.dav.exchange import DavRequest, DavResponse, Operation

T = TypeVar("T")

_LARGE: Final = 256 * 1024
"""Answers beyond this many bytes are read in a thread: a listing of thousands must not hold up the loop."""


class Sender(Protocol):
    """What carries one request: `Transport`, or a stand-in in tests."""

    async def send(self, request: DavRequest) -> DavResponse: ...


class _Finished(Struct, Generic[T], frozen=True):
    value: T


class CaldavClient:
    """Runs conversations over one transport; any number of them at a time."""

    def __init__(self, transport: Sender) -> None:
        self._transport = transport

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


def _advance(operation: Operation[T], response: DavResponse | None) -> DavRequest | _Finished[T]:
    try:
        return next(operation) if response is None else operation.send(response)
    except StopIteration as done:
        return _Finished(done.value)
