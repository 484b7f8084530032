"""Writes of members that daemons have one another do: each by the one that polls the connection."""

import asyncio
import functools
import logging
from typing import Final

from busyd.errors import BusydError
from busyd.flow.member_operations import (
    ForwardOperation,
    MemberOperation,
    pack_operation,
    pack_outcome,
    unpack_operation,
    unpack_outcome,
)
from busyd.flow.member_write import NotWritten, Obstacle, WrittenMember
from busyd.flow.writing import ObjectWriter
from busyd.service.poll_forwarding import InFleet
from busyd.store.postgresql.forwarded_writes import ForwardedWrites

logger = logging.getLogger(__name__)

WITHIN: Final = 40.0
"""Seconds for all of it: the owner may first have to wait for a poll, and its server has time to answer."""


class WriteForwarding:
    """What this daemon has others write, and they it."""

    def __init__(self, writes: ForwardedWrites, in_fleet: InFleet, *, writer: ObjectWriter) -> None:
        self._writes = writes
        self._in_fleet = in_fleet
        self._writer = writer
        self._sent: dict[int, asyncio.Future[bytes | None]] = {}
        self._outcomes: dict[int, bytes | None] = {}
        """What is known, and was not told yet."""
        self._doing: set[asyncio.Task[None]] = set()

    @property
    def is_waiting(self) -> bool:
        """Whether another daemon is to write something."""
        return bool(self._sent)

    def forwarder(self, connection: str) -> ForwardOperation:
        """What has the owner of a connection carry out a write."""
        return functools.partial(self._forward, connection)

    async def _forward(self, connection: str, operation: MemberOperation) -> WrittenMember | None:
        forward = functools.partial(self._writes.forward, connection, pack_operation(operation), within=WITHIN)
        number = await self._in_fleet(forward)
        self._sent[number] = sent = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(WITHIN):
                outcome = await sent
        except TimeoutError:
            outcome = None
        finally:
            del self._sent[number]
        if outcome is None:
            message = f"the daemon that writes to {connection} has not answered in time"
            raise NotWritten(Obstacle.UNAVAILABLE, message)
        return unpack_outcome(outcome)

    async def collect(self) -> dict[int, bytes | None]:
        """What came of what was sent; to be told once it is in memory. Raises StorageError."""
        if self._sent:
            self._outcomes |= await self._in_fleet(self._writes.outcomes)
        return dict(self._outcomes)

    def tell(self, outcomes: dict[int, bytes | None]) -> None:
        """Let those go on who have waited for it."""
        for number, outcome in outcomes.items():
            sent = self._sent.get(number)
            if sent is not None and not sent.done():
                sent.set_result(outcome)
            self._outcomes.pop(number, None)

    async def serve(self) -> None:
        """Begin what others have sent. Raises StorageError."""
        for number, work in (await self._in_fleet(self._writes.take)).items():
            task = asyncio.create_task(self._do(number, unpack_operation(work)), name=f"forwarded write {number}")
            self._doing.add(task)
            task.add_done_callback(self._doing.discard)

    async def _do(self, number: int, operation: MemberOperation) -> None:
        outcome: WrittenMember | NotWritten | None
        try:
            outcome = await self._writer.run(operation)
        except NotWritten as error:
            outcome = error
        except BusydError as error:
            outcome = NotWritten(Obstacle.UNAVAILABLE, str(error))
        try:
            await self._in_fleet(functools.partial(self._writes.finish, number, pack_outcome(outcome)))
        except BusydError as error:
            logger.warning("what came of a write for another daemon could not be told: %s", error)

    async def close(self) -> None:
        """End all that is under way; what was sent to a server may be carried out."""
        for task in self._doing:
            task.cancel()
        self.tell(dict.fromkeys(self._sent))
        await asyncio.gather(*self._doing, return_exceptions=True)
