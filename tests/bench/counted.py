"""The work whose instructions `counting` has counted: `python -m tests.bench.counted WHAT FOLDER NUMBER...`.

It is to run under callgrind, which counts from the moment it is told to: all is imported and warm by then. A dump is
asked for after each number of pieces. Answers are given by the household in the folder, which `seed_household` fills
beforehand. Requests go through the whole server, but from memory to memory: the kernel has no part in it.
"""

import asyncio
import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from aiohttp import web

from busyd.availability.index import index_object
from busyd.clock import SystemClock
from busyd.config import load_config
from busyd.flow.backend import Backend
from busyd.http.app import build_app
from busyd.index.publisher import SnapshotPublisher
from busyd.index.restore import Restore
from busyd.index.writer import IndexWriter
from busyd.service.settings import endpoint_settings
from busyd.state.state import State
from busyd.store.change_log import CHANGES_FILE, ChangeLog
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.ledger_thread import LedgerThread
from busyd.store.mirror import MIRROR_FILE
from busyd.store.store import Store
from tests.bench.bare import make_app
from tests.bench.changing import change_some
from tests.bench.load import Questions
from tests.bench.seed import ENVIRONMENT, Household, seed_objects, spread_objects
from tests.generate import generate_objects

ANSWER_BYTES: Final = 3200
"""Of the bare handler's answer: what a week with 38 busy spans has."""
_WARM: Final = 400
"""Pieces that are not counted: the texts of nearly all periods are written after so many answers."""
_FEW_WARM: Final = {"change": 8}
"""Where pieces are large."""
_MOST: Final = 1000
"""Pieces at most."""

Pieces = AsyncIterator[Awaitable[None]]
"""The work, a piece at a time."""


class _Wire(asyncio.Transport):
    """A connection without a socket."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 80)})
        self.answered = asyncio.Event()
        self.last = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.last = bytes(data)
        self.answered.set()

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


async def _ask(factory: Callable[[], Any], questions: Questions, *, token: str = "") -> Pieces:
    """Requests one after the other. They raise RuntimeError for an answer that is not a 200."""
    chance = Random(1)
    paths = [questions.path(chance).encode() for _ in range(_MOST)]  # making them is not counted
    gc.collect()
    gc.freeze()  # as the daemon does: else it is chance how often all of it is looked through
    wire, protocol = _Wire(), factory()
    protocol.connection_made(wire)
    fields = f" HTTP/1.1\r\nHost: 127.0.0.1:80\r\nAuthorization: Bearer {token}\r\n\r\n".encode()

    async def ask(path: bytes) -> None:
        wire.answered.clear()
        protocol.data_received(b"GET " + path + fields)
        await wire.answered.wait()
        if not wire.last.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(wire.last.decode())

    for path in paths:
        yield ask(path)
    protocol.connection_lost(None)


@asynccontextmanager
async def _backend(household: Household) -> AsyncIterator[Backend]:
    clock, config = SystemClock(), load_config(household.config, ENVIRONMENT)
    store, ledger = Store.open(household.state / MIRROR_FILE), LedgerThread(Ledger.open(household.state / LEDGER_FILE))
    changes = ChangeLog.open_or_begin_anew(household.state / CHANGES_FILE, now=clock.now())
    connections = [settings.connection for settings in config.connections.values()]
    state = State(connections, config.profiles.values(), machine_zone="UTC")
    writer = IndexWriter(store, state, clock=clock, publisher=SnapshotPublisher(store, state, clock=clock))
    Restore(writer).take_snapshots()
    try:
        yield Backend(state, writer, ledger=ledger, clock=clock, changes=changes)
    finally:
        await writer.close()
        changes.close()
        ledger.close()
        store.close()


def seed_household(household: Household) -> None:
    """10,000 disjoint events over five years, 38 in a week."""
    seed_objects(household, spread_objects(10_000, 5))


async def _answer(folder: Path, questions: Questions) -> Pieces:
    household = Household(folder)
    token, config = household.make_token(), load_config(household.config, ENVIRONMENT)
    async with _backend(household) as backend:
        endpoint = build_app(backend, endpoint_settings(config))
        async for piece in _ask(endpoint.make_server().site(is_local=True), questions, token=token):
            yield piece


def fresh(folder: Path) -> Pieces:
    """Answers about windows that were not asked for before."""
    return _answer(folder, Questions())


def repeated(folder: Path) -> Pieces:
    """Answers about one and the same window."""
    return _answer(folder, Questions(repeated=True))


async def bare(folder: Path) -> Pieces:
    """Answers of the bare handler."""
    del folder
    runner = web.AppRunner(make_app(b"x" * ANSWER_BYTES), access_log=None)
    await runner.setup()
    assert runner.server is not None
    async for piece in _ask(runner.server, Questions(repeated=True)):
        yield piece


async def import_(folder: Path) -> Pieces:
    """Objects parsed and expanded."""
    from tests.bench.importing import SPAN, ZONE  # with two libraries, which would be loaded each time

    async def import_one(payload: bytes) -> None:
        index_object(payload, SPAN, zone=ZONE)

    del folder
    for payload in generate_objects(_MOST, 1):  # the first bring zones that are kept
        yield import_one(payload)


async def change(folder: Path) -> Pieces:
    """Changed events made visible, of 20 calendars with 50 objects each."""
    del folder
    with tempfile.TemporaryDirectory() as made:
        async for work in change_some(Path(made), 20, objects=50, profiles=1, payloads=generate_objects(50, 77)):
            yield work


KINDS: Final[Mapping[str, Callable[[Path], Pieces]]] = {
    "fresh": fresh,
    "repeated": repeated,
    "bare": bare,
    "import": import_,
    "change": change,
}


async def _count(kind: str, folder: Path, numbers: list[int]) -> None:
    """Do what is not counted, then so many pieces for each dump. Raises CalledProcessError without callgrind."""
    pieces = KINDS[kind](folder)
    await _do(pieces, _FEW_WARM.get(kind, _WARM))
    _tell_callgrind("instrumentation", "on")
    for number in numbers:
        await _do(pieces, number)
        _tell_callgrind("dump")
    _tell_callgrind("instrumentation", "off")


async def _do(pieces: Pieces, number: int) -> None:
    for _ in range(number):
        await (await anext(pieces))


def _tell_callgrind(*words: str) -> None:
    subprocess.run(["vgdb", f"--pid={os.getpid()}", *words], capture_output=True, check=True)


def main() -> None:
    kind, folder, *numbers = sys.argv[1:]
    asyncio.run(_count(kind, Path(folder), list(map(int, numbers))))


if __name__ == "__main__":
    main()
