"""Reading heavy objects in a process of their own: a bomb kills the worker, never the daemon, nor holds up its loop.

The daemon speaks with it over pipes, one object at a time. It starts when first needed, and ends after a while without
work.
"""

import asyncio
import contextlib
import logging
import re
import struct
import sys
from typing import BinaryIO, Final

import msgspec

from busyd.availability.index import IndexedObject, index_object
from busyd.ical.facts import Facts, Problem, ProblemKind
from busyd.period import EARLIEST, LATEST, Instant, Period

logger = logging.getLogger(__name__)

HEAVY_BYTES: Final = 32 * 1024
"""A payload of this size takes more than a few milliseconds to read."""
DEADLINE: Final = 10.0
"""Seconds one object may take; then its time is unknown."""
MEMORY: Final = 1024 * 1024 * 1024
"""Bytes of address space the worker may use."""
IDLE: Final = 30.0
"""Seconds without work after which the worker ends."""
_HEAVY_RULE: Final = re.compile(
    rb"RRULE[^\n]*(?:FREQ=(?:SECOND|MINUTE|HOUR)LY|BY(?:SECOND|MINUTE|HOUR|SETPOS)=|RSCALE=)"
)
"""Blind to other case and to folds, which would cost every object more than it saves: the engine has its own bounds."""
_LENGTH: Final = struct.Struct(">I")


class Work(msgspec.Struct):
    """What the worker is asked."""

    payload: bytes
    start: int
    end: int
    zone: str


def is_heavy(payload: bytes) -> bool:
    """Whether reading this on the loop might hold it up: by its size, or by a rule that can mean much work."""
    return len(payload) > HEAVY_BYTES or _HEAVY_RULE.search(payload) is not None


class IndexWorker:
    """The one worker process of a daemon."""

    def __init__(self, *, deadline: float = DEADLINE) -> None:
        self._deadline = deadline
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None

    async def index(self, payload: bytes, span: Period, zone: str) -> IndexedObject:
        """What `index_object` says; when that takes too long or too much memory, that it may be at any time."""
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            answered = False
            try:
                found = await asyncio.wait_for(self._ask(Work(payload, span.start, span.end, zone)), self._deadline)
                answered = True
            except TimeoutError:
                why = f"reading the event takes longer than {self._deadline:g} seconds"
            except (asyncio.IncompleteReadError, ConnectionError, msgspec.DecodeError):
                why = "the process that reads large events ended over it"
            except OSError as error:
                # No process to be had. The engine has bounds of its own; only the loop waits for them.
                logger.warning("no worker process could be started: %s", error)
                return index_object(payload, span, zone)
            finally:
                if not answered:
                    # Also when we are cancelled: an answer left in the pipe would be taken for the next object's.
                    await self.close()
            self._idle = asyncio.get_running_loop().call_later(IDLE, self._end)
            if answered:
                return found
            logger.warning("an object of %d bytes was given up: %s", len(payload), why)
            return _not_understood(why)

    async def close(self) -> None:
        """End the process; the next object starts another."""
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()

    async def _ask(self, work: Work) -> IndexedObject:
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
        return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=IndexedObject)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()  # it ends with its input


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """The worker's side: answer until the questions end."""
    while head := questions.read(_LENGTH.size):
        work = msgspec.msgpack.decode(questions.read(_LENGTH.unpack(head)[0]), type=Work)
        found = index_object(work.payload, Period(Instant(work.start), Instant(work.end)), work.zone)
        answer = msgspec.msgpack.encode(found)
        answers.write(_LENGTH.pack(len(answer)) + answer)
        answers.flush()


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
    """Run as `python -m busyd.availability.worker`."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
