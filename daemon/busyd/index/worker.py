"""Reading in a process of its own: an import leaves the loop alone, and a bomb kills the worker, never the daemon.

The daemon speaks with it over pipes, one question at a time. It starts when first needed, and ends after a while
without work. When it fails, that says nothing of what it was reading: the question stays open.
"""

import asyncio
import contextlib
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from busyd.availability.index import PackedObject, index_object, pack_object, postpone_object
from busyd.cooperative import in_slices, let_others_run
from busyd.dav.changes import SyncDelta, join_deltas, read_sync_report
from busyd.dav.errors import MalformedResponse
from busyd.dav.exchange import DavResponse
from busyd.dav.href import Href
from busyd.dav.objects import Fetched, read_multiget
from busyd.errors import BusydError
from busyd.ical.split import UnreadableFeed, split_feed
from busyd.ical.zones import NO_OWN_ZONES, OwnZones
from busyd.index.worker_process import (
    LENGTH,
    OUT_OF_MEMORY,
    Feed,
    FeedPiece,
    Frame,
    Instances,
    Multiget,
    Payloads,
    SyncReport,
    Work,
    instances_of,
    piece_of,
)
from busyd.period import Period

T = TypeVar("T")

HEAVY_BYTES: Final = 32 * 1024
"""A payload of this size takes more than a few milliseconds to read."""
LIGHT_ANSWER: Final = 256 * 1024
"""Bytes of a server's answer that are read here when the worker fails: at most some ten milliseconds."""
DEADLINE: Final = 10.0
"""Seconds one question may take; then each of its objects is asked for by itself."""
STRIKES: Final = 3
"""Failures in a row after which objects are no longer asked for one by one: it is the machine and not the object."""
FEED_SPEED: Final = 250_000
"""Bytes of a feed that the slowest machine cuts in a second."""
IDLE: Final = 30.0
"""Seconds without work after which the worker ends."""
FAREWELL: Final = 2.0
"""Seconds a worker that has closed its output has to end."""
PIECE: Final = 256 * 1024
"""Bytes of a question that are written at once."""
_KEPT: Final = frozenset({"PATH", "LANG", "LANGUAGE", "TZ", "TZDIR", "PYTHONTZPATH", "LD_LIBRARY_PATH"})
_HEAVY_RULE: Final = re.compile(
    rb"RRULE[^\n]*(?:FREQ=(?:SECOND|MINUTE|HOUR)LY|BY(?:SECOND|MINUTE|HOUR|SETPOS)=|RSCALE=)"
)
"""Blind to other case and to folds, which would cost every object more than it saves: the engine has its own bounds."""


class WorkerFailed(BusydError):
    """The worker has no answer to a question; another time it may have."""


class WorkerKilled(WorkerFailed):
    """Somebody ended it: the kernel for want of memory, or a person."""


class NoWorker(WorkerFailed):
    """No process could be started."""


def is_heavy(payload: bytes) -> bool:
    """Whether reading this on the loop might hold it up: by its size, or by a rule that can mean much work."""
    return len(payload) > HEAVY_BYTES or _HEAVY_RULE.search(payload) is not None


class Worker:
    """The one worker process of a daemon."""

    def __init__(self, *, deadline: float = DEADLINE) -> None:
        self._deadline = deadline
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._failures = 0
        """How many questions about objects in a row it has failed over."""

    async def index(
        self, payloads: Sequence[bytes], span: Period, *, zone: str, own_zones: OwnZones = NO_OWN_ZONES
    ) -> list[PackedObject]:
        """What `index_object` says of the first of the payloads, or of more of them, in their order.

        Those the worker fails over are postponed. Holds up to a megabyte or so: more should be asked for piece by
        piece.
        """
        work = Payloads(list(payloads), span.start, span.end, zone, dict(own_zones))
        try:
            found, _ = await self._ask(work, Frame[PackedObject])
        except NoWorker as error:
            return [
                await _read_light(payload, span, zone=zone, own_zones=own_zones, why=str(error)) for payload in payloads
            ]
        except WorkerFailed as error:
            self._failures += 1
            why = str(error)
        else:
            self._failures = 0
            return found
        if len(payloads) == 1:
            return [postpone_object(why)]
        found = []
        for payload in payloads:  # one of them did it, or none
            if self._failures > STRIKES:
                found.append(postpone_object(why))
            else:
                found += await self.index([payload], span, zone=zone, own_zones=own_zones)
        return found

    async def read_multiget(self, asked: Sequence[Href], response: DavResponse) -> Fetched:
        """What `dav.objects.read_multiget` says of an answer with status 207. Raises MalformedResponse."""
        work = Multiget(tuple(asked), response.url, response.body)
        parts = await self._take_apart(
            work, Frame[Fetched], response=response, read_here=lambda: read_multiget(asked, response)
        )
        return Fetched(
            tuple(found for part in parts for found in part.objects),
            frozenset().union(*(part.vanished for part in parts)),
            frozenset().union(*(part.missing for part in parts)),
        )

    async def read_sync_report(self, calendar: str, token: str | None, *, response: DavResponse) -> SyncDelta:
        """What `dav.changes.read_sync_report` says of an answer with status 207. Raises MalformedResponse."""
        work = SyncReport(calendar, token, response.url, response.body)
        parts = await self._take_apart(
            work,
            Frame[SyncDelta],
            response=response,
            read_here=lambda: read_sync_report(calendar, token, response=response),
        )
        return await in_slices(join_deltas(parts))

    async def instances(self, work: Instances) -> bytes:
        """What is wanted of an object; the whole of it where the worker fails over it."""
        if not is_heavy(work.payload):
            await let_others_run()
            return instances_of(work)
        try:
            found, _ = await self._ask(work, Frame[bytes])
        except WorkerFailed:
            return work.payload
        return found[0]

    async def split_feed(self, body: bytes) -> list[FeedPiece]:
        """What `ical.split.split_feed` says of a feed. Raises UnreadableFeed, or WorkerFailed."""
        if len(body) <= HEAVY_BYTES:
            return [piece_of(piece.uid, piece.payload) for piece in split_feed(body)]
        try:
            deadline = self._deadline + len(body) / FEED_SPEED
            pieces, unreadable = await self._ask(Feed(body), Frame[FeedPiece], deadline=deadline)
        except WorkerFailed:
            if len(body) > LIGHT_ANSWER:
                raise
            return [piece_of(piece.uid, piece.payload) for piece in split_feed(body)]
        if unreadable:
            raise UnreadableFeed(unreadable)
        return pieces

    async def close(self) -> None:
        """End the process; the next question starts another."""
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()

    async def _take_apart(
        self, work: Work, frame: type[Frame[T]], *, response: DavResponse, read_here: Callable[[], T]
    ) -> list[T]:
        try:
            found, unreadable = await self._ask(work, frame)
        except WorkerFailed as error:
            if len(response.body) <= LIGHT_ANSWER:
                return [read_here()]
            found, unreadable = [], str(error)  # as if it were damaged: what is asked for in smaller pieces may do
        if unreadable:
            raise MalformedResponse(response.host, unreadable, status=response.status)
        return found

    async def _ask(self, work: Work, frame: type[Frame[T]], *, deadline: float | None = None) -> tuple[list[T], str]:
        """The items of the answer, or why there are none. Raises WorkerFailed when the worker has no answer.

        A worker that was killed is asked once more: it may have been for another reason.
        """
        seconds = self._deadline if deadline is None else deadline
        try:
            return await self._ask_once(work, frame, seconds=seconds)
        except WorkerKilled:
            return await self._ask_once(work, frame, seconds=seconds)

    async def _ask_once(self, work: Work, frame: type[Frame[T]], *, seconds: float) -> tuple[list[T], str]:
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            answered = False
            try:
                answer = await asyncio.wait_for(self._converse(work, frame), seconds)
                answered = True
            except TimeoutError:
                message = f"reading it takes longer than {seconds:.0f} seconds"
                raise WorkerFailed(message) from None
            except (asyncio.IncompleteReadError, ConnectionError):
                raise await self._cause_of_death() from None
            finally:
                if not answered:
                    # Also when we are cancelled: an answer left in the pipe would be taken for the next question's.
                    await self.close()
            self._idle = asyncio.get_running_loop().call_later(IDLE, self._end)
            return answer

    async def _converse(self, work: Work, frame: type[Frame[T]]) -> tuple[list[T], str]:
        process = await self._running()
        if process.stdin is None or process.stdout is None:
            raise ConnectionError
        question = memoryview(msgspec.msgpack.encode(work))
        process.stdin.write(LENGTH.pack(len(question)))
        for offset in range(0, len(question), PIECE):
            process.stdin.write(question[offset : offset + PIECE])
            await process.stdin.drain()
        decoder, items, unreadable = msgspec.msgpack.Decoder(frame), list[T](), ""
        while length := LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))[0]:
            part = decoder.decode(await process.stdout.readexactly(length))
            items += part.items
            unreadable = unreadable or part.unreadable
            await let_others_run()
        return items, unreadable

    async def _running(self) -> Process:
        """The process, a new one when there is none. Raises NoWorker."""
        if self._process is None or self._process.returncode is not None:
            self._process = await _start()
        return self._process

    async def _cause_of_death(self) -> WorkerFailed:
        process = self._process
        if process is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), FAREWELL)
        status = process.returncode if process is not None else None
        if status == OUT_OF_MEMORY:
            return WorkerFailed("reading it needs more memory than the process that reads calendars may use")
        if status is not None and status < 0:
            why = signal.strsignal(-status)
            return WorkerKilled(f"the process that reads calendars was ended by signal {-status} ({why})")
        return WorkerFailed(f"the process that reads calendars ended by itself (status {status})")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()  # it ends with its input


async def _start() -> Process:
    command = (sys.executable, "-I", "-B", "-m", "busyd.index.worker_process")
    try:
        return await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, limit=PIECE, env=environment_of_worker(os.environ)
        )
    except OSError as error:
        message = f"no process to read calendars in could be started: {error.strerror or error}"
        raise NoWorker(message) from None


def environment_of_worker(environment: Mapping[str, str]) -> dict[str, str]:
    """What the interpreter needs; the daemon's own may hold passwords."""
    return {name: value for name, value in environment.items() if name in _KEPT or name.startswith("LC_")}


async def _read_light(payload: bytes, span: Period, *, zone: str, own_zones: OwnZones, why: str) -> PackedObject:
    """Without a process the loop has to wait for the engine, which is bounded: for what is light at first sight."""
    if is_heavy(payload):
        return postpone_object(why)
    await let_others_run()
    return pack_object(index_object(payload, span, zone=zone, own_zones=own_zones))
