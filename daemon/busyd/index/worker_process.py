"""The worker process: answers questions on its standard input until that ends. Holds no secret and opens no file.

A question is one frame, an answer any number of them and an empty one. A frame is its length and a Frame in msgpack;
it holds about FRAME_BYTES, or one item that is larger, so that neither side has to hold a packed answer as a whole.
"""

import contextlib
import gc
import hashlib
import os
import resource
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Generic, TypeVar

import msgspec

from busyd.availability.index import index_object, pack_object
from busyd.dav.changes import read_sync_parts
from busyd.dav.errors import MalformedResponse
from busyd.dav.exchange import DavResponse
from busyd.dav.href import Href
from busyd.dav.objects import Fetched, read_multiget
from busyd.ical.instances import expand_instances, limit_overrides
from busyd.ical.split import UnreadableFeed, cut_feed
from busyd.period import Instant, Period

T = TypeVar("T")
Item = tuple[Any, int]
"""What an answer is made of, and about how many bytes it takes."""

NICE: Final = 10
"""Whoever asks the daemon comes before whatever it reads."""
DIES_FIRST: Final = 1000
"""Its oom_score_adj: where memory runs out, the kernel ends this process and not the daemon."""
MEMORY: Final = 224 * 1024 * 1024
"""Bytes of memory of its own that the worker may use (RLIMIT_DATA)."""
OUT_OF_MEMORY: Final = 71
"""Exit status of a worker that needed more."""
COLLECT_AFTER: Final = 20_000
"""Objects until the worker's garbage collector looks for cycles: the engine makes none, and looking costs a tenth."""
FRAME_BYTES: Final = 64 * 1024
ANSWER_BYTES: Final = 2 * 1024 * 1024
"""Bytes of occurrences after which objects are left for the next question."""
LENGTH: Final = struct.Struct(">I")


class Payloads(msgspec.Struct, tag=True):
    """Objects to be read and expanded; the answer is a PackedObject for at least the first of them, in their order."""

    payloads: list[bytes]
    start: int
    end: int
    zone: str
    own_zones: dict[str, str]


class Instances(msgspec.Struct, tag=True):
    """An object of which some is wanted in place of all; the answer is its bytes."""

    payload: bytes
    start: int
    end: int
    zone: str
    own_zones: dict[str, str]
    expand: bool
    """Its instances in the span; else its masters with the overrides in the span."""


class Multiget(msgspec.Struct, tag=True):
    """The answer of a server to a multiget, to be taken apart; the answer is a Fetched in parts."""

    asked: tuple[Href, ...]
    url: str
    body: bytes


class SyncReport(msgspec.Struct, tag=True):
    """The answer of a server to a sync-collection report; the answer is a SyncDelta in parts."""

    calendar: str
    token: str | None
    url: str
    body: bytes


class Feed(msgspec.Struct, tag=True):
    """A whole feed, to be cut into objects; the answer is a FeedPiece for each."""

    body: bytes


class Frame(msgspec.Struct, Generic[T]):
    """Some items of an answer, or why there are none."""

    items: list[T]
    unreadable: str = ""
    """What was to be taken apart cannot be."""


class FeedPiece(msgspec.Struct, frozen=True):
    """One object of a feed, and the SHA-256 of it in hexadecimal digits."""

    uid: str
    payload: bytes
    digest: str


Work = Payloads | Instances | Multiget | SyncReport | Feed


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the questions end."""
    decoder = msgspec.msgpack.Decoder(Work)
    while head := questions.read(LENGTH.size):
        work = decoder.decode(questions.read(LENGTH.unpack(head)[0]))
        for frame in _frames(_answer(work)):
            answers.write(LENGTH.pack(len(frame)))
            answers.write(frame)
        answers.write(LENGTH.pack(0))
        answers.flush()


def _frames(items: Iterable[Item]) -> Iterator[bytes]:
    batch: list[Any] = []
    size = 0
    try:
        for item, weight in items:
            batch.append(item)
            size += weight
            if size >= FRAME_BYTES:
                yield msgspec.msgpack.encode(Frame(batch))
                batch, size = [], 0
    except MalformedResponse as error:
        yield msgspec.msgpack.encode(Frame([], error.reason))
    except UnreadableFeed as error:
        yield msgspec.msgpack.encode(Frame([], str(error)))
    if batch:
        yield msgspec.msgpack.encode(Frame(batch))


def _answer(work: Work) -> Iterator[Item]:
    if isinstance(work, Payloads):
        return _read_payloads(work)
    if isinstance(work, Feed):
        return _split(work.body)
    if isinstance(work, Instances):
        return iter([(instances_of(work), len(work.payload))])
    response = DavResponse(207, work.url, body=work.body)
    if isinstance(work, Multiget):
        return _take_apart(work.asked, response)
    return _read_report(work, response)


def _read_payloads(work: Payloads) -> Iterator[Item]:
    span = Period(Instant(work.start), Instant(work.end))
    answered = 0
    for payload in work.payloads:
        packed = pack_object(index_object(payload, span, zone=work.zone, own_zones=work.own_zones))
        yield packed, len(packed.occurrences) + 200
        answered += len(packed.occurrences)
        if answered > ANSWER_BYTES:
            return


def instances_of(work: Instances) -> bytes:
    """What is wanted of the object."""
    span = Period(Instant(work.start), Instant(work.end))
    reduce = expand_instances if work.expand else limit_overrides
    return reduce(work.payload, span, zone=work.zone, own_zones=work.own_zones)


def _take_apart(asked: tuple[Href, ...], response: DavResponse) -> Iterator[Item]:
    fetched = read_multiget(asked, response)
    yield Fetched((), fetched.vanished, fetched.missing), 0
    for found in fetched.objects:
        yield Fetched((found,)), len(found.payload)


def _read_report(work: SyncReport, response: DavResponse) -> Iterator[Item]:
    for part in read_sync_parts(work.calendar, work.token, response=response):
        yield part, FRAME_BYTES


def _split(body: bytes) -> Iterator[Item]:
    for piece in cut_feed(body):
        yield piece_of(piece.uid, piece.payload), len(piece.payload)


def piece_of(uid: str, payload: bytes) -> FeedPiece:
    """One object with its digest."""
    return FeedPiece(uid, payload, hashlib.sha256(payload).hexdigest())


def limit_itself() -> None:
    """Come last where time is short, and go first where memory is. What the system refuses is done without."""
    with contextlib.suppress(OSError):
        os.nice(NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(f"{DIES_FIRST}\n", encoding="ascii")
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def main() -> None:
    """Run as `python -m busyd.index.worker_process`."""
    limit_itself()
    gc.set_threshold(COLLECT_AFTER)
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # without a word: the daemon says it
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)


if __name__ == "__main__":
    main()
