"""Reading in a process of its own: an import leaves the loop alone, and a bomb kills the worker, never the daemon.

The daemon speaks with it over pipes, one question at a time. It starts when first needed, and ends after a while
without work.
"""

import asyncio
import contextlib
import logging
import re
import struct
import sys
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final, Generic, TypeVar

import msgspec

from busyd.availability.index import IndexedObject, index_object
from busyd.dav.changes import SyncDelta, read_sync_report
from busyd.dav.errors import MalformedResponse
from busyd.dav.exchange import DavResponse
from busyd.dav.href import Href
from busyd.dav.objects import Fetched, read_multiget
from busyd.errors import BusydError
from busyd.ical.facts import Facts, Problem, ProblemKind
from busyd.period import EARLIEST, LATEST, Instant, Period

logger = logging.getLogger(__name__)

T = TypeVar("T")

HEAVY_BYTES: Final = 32 * 1024
"""A payload of this size takes more than a few milliseconds to read."""
DEADLINE: Final = 10.0
"""Seconds one question may take; then each of its objects is asked for by itself, and what still takes longer is
unknown."""
NICE: Final = 10
"""Whoever asks the daemon comes before whatever it reads."""
MEMORY: Final = 1024 * 1024 * 1024
"""Bytes of address space the worker may use."""
IDLE: Final = 30.0
"""Seconds without work after which the worker ends."""
COLLECT_AFTER: Final = 20_000
"""Objects until the worker's garbage collector looks for cycles: the engine makes none, and looking costs a tenth."""
_HEAVY_RULE: Final = re.compile(
    rb"RRULE[^\n]*(?:FREQ=(?:SECOND|MINUTE|HOUR)LY|BY(?:SECOND|MINUTE|HOUR|SETPOS)=|RSCALE=)"
)
"""Blind to other case and to folds, which would cost every object more than it saves: the engine has its own bounds."""
_LENGTH: Final = struct.Struct(">I")


class GivenUp(BusydError):
    """The worker has no answer to a question."""


class Payloads(msgspec.Struct, tag=True):
    """Objects to be read and expanded; the answer is a list of IndexedObject."""

    payloads: list[bytes]
    start: int
    end: int
    zone: str


class Multiget(msgspec.Struct, tag=True):
    """The answer of a server to a multiget, to be taken apart; the answer is an Opened[Fetched]."""

    asked: tuple[Href, ...]
    url: str
    body: bytes


class SyncReport(msgspec.Struct, tag=True):
    """The answer of a server to a sync-collection report; the answer is an Opened[SyncDelta]."""

    calendar: str
    token: str | None
    url: str
    body: bytes


class Opened(msgspec.Struct, Generic[T]):
    """What an answer holds, or why it cannot be read."""

    found: T | None = None
    reason: str = ""


Work = Payloads | Multiget | SyncReport


def is_heavy(payload: bytes) -> bool:
    """Whether reading this on the loop might hold it up: by its size, or by a rule that can mean much work."""
    return len(payload) > HEAVY_BYTES or _HEAVY_RULE.search(payload) is not None


class Worker:
    """The one worker process of a daemon."""

    def __init__(self, *, deadline: float = DEADLINE) -> None:
        self._deadline = deadline
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None

    async def index(self, payloads: Sequence[bytes], span: Period, zone: str) -> list[IndexedObject]:
        """What `index_object` says of each; of one that takes too long or too much memory, that it may be at any time.

        Holds up to a megabyte or so: more should be asked for piece by piece.
        """
        try:
            answer = await self._answer_to(Payloads(list(payloads), span.start, span.end, zone))
            return msgspec.msgpack.decode(answer, type=list[IndexedObject])
        except OSError as error:
            # No process to be had. The engine has bounds of its own; only the loop waits for them.
            logger.warning("no worker process could be started: %s", error)
            return [index_object(payload, span, zone) for payload in payloads]
        except GivenUp as error:
            why = str(error)
        if len(payloads) > 1:  # one of them did it
            return [one for payload in payloads for one in await self.index([payload], span, zone)]
        logger.warning("an object of %d bytes was given up: %s", len(payloads[0]), why)
        return [_not_understood(why)]

    async def read_multiget(self, asked: Sequence[Href], response: DavResponse) -> Fetched:
        """What `dav.objects.read_multiget` says of an answer with status 207. Raises MalformedResponse."""
        work = Multiget(tuple(asked), response.url, response.body)
        return await self._open(work, Opened[Fetched], response, lambda: read_multiget(asked, response))

    async def read_sync_report(self, calendar: str, token: str | None, response: DavResponse) -> SyncDelta:
        """What `dav.changes.read_sync_report` says of an answer with status 207. Raises MalformedResponse."""
        work = SyncReport(calendar, token, response.url, response.body)
        return await self._open(work, Opened[SyncDelta], response, lambda: read_sync_report(calendar, token, response))

    async def _open(self, work: Work, opened: type[Opened[T]], response: DavResponse, read_here: Callable[[], T]) -> T:
        try:
            answer = msgspec.msgpack.decode(await self._answer_to(work), type=opened)
        except OSError as error:
            logger.warning("no worker process could be started: %s", error)
            return read_here()
        except GivenUp as error:
            answer = Opened(reason=str(error))
        if answer.found is None:
            raise MalformedResponse(response.host, answer.reason, status=response.status)
        return answer.found

    async def close(self) -> None:
        """End the process; the next question starts another."""
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()

    async def _answer_to(self, work: Work) -> bytes:
        """Raises GivenUp when there is none in time, or the process ends over it; OSError when there is no process."""
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            answered = False
            try:
                answer = await asyncio.wait_for(self._ask(work), self._deadline)
                answered = True
            except TimeoutError:
                message = f"reading it takes longer than {self._deadline:g} seconds"
                raise GivenUp(message) from None
            except (asyncio.IncompleteReadError, ConnectionError):
                raise GivenUp("the process that reads calendars ended over it") from None
            finally:
                if not answered:
                    # Also when we are cancelled: an answer left in the pipe would be taken for the next question's.
                    await self.close()
            self._idle = asyncio.get_running_loop().call_later(IDLE, self._end)
            return answer

    async def _ask(self, work: Work) -> bytes:
        process = self._process
        if process is None or process.returncode is not None:
            command = (sys.executable, "-I", "-B", "-m", __name__)
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**26
            )
            self._process = process
        if process.stdin is None or process.stdout is None:
            raise ConnectionError
        question = msgspec.msgpack.encode(work)
        process.stdin.write(_LENGTH.pack(len(question)) + question)
        await process.stdin.drain()
        (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        return await process.stdout.readexactly(length)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()  # it ends with its input


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """The worker's side: answer until the questions end."""
    decoder = msgspec.msgpack.Decoder(Work)
    while head := questions.read(_LENGTH.size):
        work = decoder.decode(questions.read(_LENGTH.unpack(head)[0]))
        answer = msgspec.msgpack.encode(_indexed(work) if isinstance(work, Payloads) else _opened(work))
        answers.write(_LENGTH.pack(len(answer)) + answer)
        answers.flush()


def _indexed(work: Payloads) -> list[IndexedObject]:
    span = Period(Instant(work.start), Instant(work.end))
    return [index_object(payload, span, work.zone) for payload in work.payloads]


def _opened(work: Multiget | SyncReport) -> Opened[Fetched] | Opened[SyncDelta]:
    response = DavResponse(207, work.url, body=work.body)
    try:
        if isinstance(work, Multiget):
            return Opened(read_multiget(work.asked, response))
        return Opened(read_sync_report(work.calendar, work.token, response))
    except MalformedResponse as error:
        return Opened(reason=error.reason)


def _not_understood(why: str) -> IndexedObject:
    return IndexedObject(
        uid="",
        recurring=False,
        zone_dependent=False,
        facts=(Facts(unknown=why),),
        rows=[(EARLIEST, LATEST, 0)],
        problems=(Problem(ProblemKind.TOO_MUCH, "", why),),
        incomplete=why,
    )


def main() -> None:
    """Run as `python -m busyd.flow.worker`."""
    import gc
    import os
    import resource

    os.nice(NICE)
    gc.set_threshold(COLLECT_AFTER)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
