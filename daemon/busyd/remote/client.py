"""The pump: carries out operations, request by request. It opens no socket, and decides nothing about an answer."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from busyd.cooperative import Turns
from busyd.dav.changes import SyncAnswer, SyncDelta
from busyd.dav.exchange import DavRequest, DavResponse, Operation
from busyd.dav.href import Href
from busyd.dav.objects import Fetched, MultigetAnswer
from busyd.errors import RemoteError

T = TypeVar("T")

_LARGE: Final = 256 * 1024
"""Bytes of a response from which on it is parsed in a thread, so that it does not hold up the loop."""
_SMALL: Final = 2 * 1024
"""Bytes of a response up to which parsing it takes no time worth speaking of."""
_LONG: Final = 8 * 1024
"""Bytes of a response from which on a parser elsewhere is asked: fewer take half a millisecond at most."""


class AnswerParser(Protocol):
    """Parses long responses in another process. Raises what the parsers of `dav` raise."""

    async def read_multiget(self, asked: Sequence[Href], response: DavResponse) -> Fetched: ...

    async def read_sync_report(self, calendar: str, token: str | None, *, response: DavResponse) -> SyncDelta: ...


class Sender(Protocol):
    """Carries one request: `Transport`, or a stand-in in tests."""

    async def send(self, request: DavRequest) -> DavResponse: ...


class _Done(Struct, Generic[T], frozen=True):
    value: T


class CaldavClient:
    """Runs operations over one transport; any number of them at a time."""

    def __init__(
        self, transport: Sender, parser: Callable[[], AnswerParser] | None = None, *, turns: Turns | None = None
    ) -> None:
        """`parser` is called when the first long response comes; without one, everything is parsed here, in `turns`."""
        self._transport = transport
        self._parser = parser
        self._turns = turns or Turns()

    async def run(self, operation: Operation[T]) -> T:
        """Send what the operation yields, hand back the responses, return its value.

        Whatever the transport, the parser or the operation raises comes through; what the transport raises, unless
        the operation has another way.
        """
        step: DavRequest | _Done[T] = _advance(operation, None)
        try:
            while isinstance(step, DavRequest):
                try:
                    response = await self._transport.send(step)
                except RemoteError as error:
                    step = _fail(operation, error)
                    continue
                if step.answer is not None and response.status == 207 and len(response.body) > _LONG:
                    response = await self._parse_elsewhere(step, response)
                if response.parsed is None and len(response.body) > _LARGE:
                    step = await asyncio.to_thread(_advance, operation, response)
                elif response.parsed is None and len(response.body) > _SMALL:
                    async with self._turns.own():
                        step = _advance(operation, response)
                else:
                    step = _advance(operation, response)
        finally:
            with contextlib.suppress(ValueError):  # a cancelled thread is still inside
                operation.close()
        return step.value

    async def _parse_elsewhere(self, request: DavRequest, response: DavResponse) -> DavResponse:
        """The response with its parsed value, or as it is when nobody else can parse it."""
        if self._parser is None:
            return response
        match request.answer:
            case MultigetAnswer(asked=asked):
                return replace(response, parsed=await self._parser().read_multiget(asked, response))
            case SyncAnswer(calendar=calendar, token=token):
                return replace(
                    response, parsed=await self._parser().read_sync_report(calendar, token, response=response)
                )
        return response


def _fail(operation: Operation[T], error: RemoteError) -> DavRequest | _Done[T]:
    try:
        return operation.throw(error)
    except StopIteration as done:
        return _Done(done.value)


def _advance(operation: Operation[T], response: DavResponse | None) -> DavRequest | _Done[T]:
    try:
        return next(operation) if response is None else operation.send(response)
    except StopIteration as done:
        return _Done(done.value)
