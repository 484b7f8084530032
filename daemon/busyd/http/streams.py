"""Streams of server-sent events: which are open, when each is to look again, and when it is to end.

A stream is woken when something was added to the log, and ended when its token is revoked or busyd stops. One task
looks after all of them, so that an idle stream costs a heartbeat and nothing else.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final, cast

from busyd.clock import Clock
from busyd.flow.changes import Changes
from busyd.flow.tokens import Tokens
from busyd.http.call import Call
from busyd.http.connections import ClientConnection, Gate
from busyd.http.problem import HttpProblem

TOKENS_ARE_CHECKED_EVERY: Final = 1.0
"""Seconds after which a stream ends, at the latest, once its token was revoked or has expired."""


class EventStream:
    """One stream. Its handler sleeps until there may be something to do, and leaves off when it is ended."""

    def __init__(self, connection: ClientConnection, token_id: str) -> None:
        self.token_id = token_id
        self._connection = connection
        self._woken = asyncio.Event()
        self._is_ended = False

    @property
    def ended(self) -> bool:
        return self._is_ended or self._connection.transport is None

    def wake(self) -> None:
        self._woken.set()

    def end(self) -> None:
        self._is_ended = True
        self.wake()

    async def sleep(self, seconds: float) -> None:
        """Return when something was added, at the latest after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()


class EventStreams:
    """All open streams."""

    def __init__(self, changes: Changes, tokens: Tokens, *, gate: Gate, clock: Clock) -> None:
        self._changes, self._tokens, self._gate, self._clock = changes, tokens, gate, clock
        self._open: set[EventStream] = set()
        self._caring: asyncio.Task[None] | None = None
        self._is_closed = False

    @contextlib.contextmanager
    def opened(self, call: Call) -> Iterator[EventStream]:
        """A stream on the connection of a request with a token. Raises HttpProblem when there are too many."""
        assert call.caller.token is not None
        connection = cast(ClientConnection, call.request.protocol)
        if self._is_closed or not self._gate.begin_stream(connection, call.caller.token.id):
            raise HttpProblem(
                "too-many-streams",
                429,
                detail="too many streams are open, with this token or altogether",
                fix="use one stream for several profiles (GET /v1/changes?profiles=a,b), and close those not needed",
                headers={"Retry-After": "30"},
            )
        stream = EventStream(connection, call.caller.token.id)
        self._open.add(stream)
        if self._caring is None or self._caring.done():
            self._caring = asyncio.create_task(self._care(), name="event streams")
        try:
            yield stream
        finally:
            self._open.discard(stream)
            self._gate.end_stream(connection)

    def close(self) -> None:
        """End all of them, and open no more."""
        self._is_closed = True
        for stream in self._open:
            stream.end()
        if self._caring is not None:
            self._caring.cancel()

    async def _care(self) -> None:
        """Wake the streams when something was added, and end those whose tokens are no longer valid."""
        loop = asyncio.get_running_loop()
        newest, due = self._changes.newest, loop.time() + TOKENS_ARE_CHECKED_EVERY
        while self._open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._changes.added()
            if self._changes.newest != newest:
                newest = self._changes.newest
                for stream in self._open:
                    stream.wake()
            if loop.time() >= due:
                await self._end_revoked()
                due = loop.time() + TOKENS_ARE_CHECKED_EVERY

    async def _end_revoked(self) -> None:
        now = self._clock.now()
        for token_id in {stream.token_id for stream in self._open}:
            if not await self._tokens.is_valid(token_id, now):
                for stream in [stream for stream in self._open if stream.token_id == token_id]:
                    stream.end()
