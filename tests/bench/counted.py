"""The work whose instructions `counting` has counted: `python -m tests.bench.counted WHAT NUMBER FOLDER`.

Answers are given by the household in the folder, which `seed_household` fills beforehand. Requests go through the whole
server, but from memory to memory: the kernel has no part in it.
"""

import asyncio
import gc
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
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
from tests.bench.importing import SPAN, ZONE
from tests.bench.load import Questions
from tests.bench.seed import ENVIRONMENT, Household, seed_objects, spread_objects
from tests.generate import generate_objects

ANSWER_BYTES: Final = 3200
"""Of the bare handler's answer: what a week with 38 busy spans has."""
_WARM: Final = 400
"""Requests, and objects, in every run: the texts of nearly all periods are written after them."""
_MOST: Final = 400
"""So many more are made in every run, however many are used: making them is not counted."""


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


async def _ask(factory: Callable[[], Any], paths: list[bytes], *, token: str = "") -> None:
    """Ask for these one after the other. Raises RuntimeError for an answer that is not a 200."""
    gc.collect()
    gc.freeze()  # as the daemon does: else it is chance how often all of it is looked through
    wire, protocol = _Wire(), factory()
    protocol.connection_made(wire)
    fields = f" HTTP/1.1\r\nHost: 127.0.0.1:80\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    for path in paths:
        wire.answered.clear()
        protocol.data_received(b"GET " + path + fields)
        await wire.answered.wait()
        if not wire.last.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(wire.last.decode())
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


async def _answer(household: Household, number: int, *, questions: Questions) -> None:
    token, paths = household.make_token(), _paths(number, questions)
    config = load_config(household.config, ENVIRONMENT)
    async with _backend(household) as backend:
        endpoint = build_app(backend, endpoint_settings(config))
        await _ask(endpoint.make_server().site(is_local=True), paths, token=token)


def _paths(number: int, questions: Questions) -> list[bytes]:
    chance = Random(1)
    return [questions.path(chance).encode() for _ in range(_WARM + _MOST)][: _WARM + number]


async def _bare(number: int) -> None:
    runner = web.AppRunner(make_app(b"x" * ANSWER_BYTES), access_log=None)
    await runner.setup()
    assert runner.server is not None
    await _ask(runner.server, _paths(number, Questions(repeated=True)))


def fresh(folder: Path, number: int) -> None:
    """Answers about windows that were not asked for before."""
    asyncio.run(_answer(Household(folder), number, questions=Questions()))


def repeated(folder: Path, number: int) -> None:
    """Answers about one and the same window."""
    asyncio.run(_answer(Household(folder), number, questions=Questions(repeated=True)))


def bare(folder: Path, number: int) -> None:
    """Answers of the bare handler."""
    del folder
    asyncio.run(_bare(number))


def import_(folder: Path, number: int) -> None:
    """Objects parsed and expanded."""
    del folder
    for payload in generate_objects(_WARM + _MOST, 1)[: _WARM + number]:  # the first bring zones that are kept
        index_object(payload, SPAN, zone=ZONE)


def change(folder: Path, number: int) -> None:
    """Changed events made visible, of 20 calendars with 50 objects each."""
    del folder
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(_change(Path(made), number))


async def _change(folder: Path, number: int) -> None:
    payloads = generate_objects(number, 77)
    async for work in change_some(folder, 20, objects=50, profiles=1, payloads=payloads):
        await work


KINDS: Final[Mapping[str, Callable[[Path, int], None]]] = {
    "fresh": fresh,
    "repeated": repeated,
    "bare": bare,
    "import": import_,
    "change": change,
}


def main() -> None:
    kind, number, folder = sys.argv[1:]
    KINDS[kind](Path(folder), int(number))


if __name__ == "__main__":
    main()
