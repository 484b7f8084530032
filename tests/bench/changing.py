"""Goal 13: what one changed event costs until the snapshots show it, in CPU time, by the size of everything else.

`python -m tests.bench.changing CALENDARS OBJECTS PROFILES CHANGES` does it, in a process of its own, and prints the
CPU milliseconds of each change, as JSON.
"""

import asyncio
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path

from busyd.availability.profile import Profile
from busyd.clock import SystemClock
from busyd.connection import CalendarReference, Connection, ConnectionKind
from busyd.index.batch import Incoming
from busyd.index.changes import ChangeRecorder
from busyd.index.publisher import SnapshotPublisher
from busyd.index.restore import Restore
from busyd.index.version import index_version
from busyd.index.writer import IndexWriter
from busyd.state.state import State
from busyd.store.change_log import ChangeLog
from busyd.store.mirror import CalendarRecord, StoredObject, SyncMark
from busyd.store.store import Store
from busyd.store.transaction import Transaction
from tests.bench.figures import Figure, ratio
from tests.bench.processes import REPOSITORY, clean_environment
from tests.bench.seed import listed
from tests.bench.workshop import Workshop
from tests.generate import generate_objects

CONNECTION = Connection("anna", ConnectionKind.CALDAV, "http://127.0.0.1:9/")
BYSTANDER = Profile("bystander", conflicts=(CalendarReference("anna", "Work"),))
"""Uses another calendar than the one that changes."""


def measure_change(workshop: Workshop) -> list[Figure]:
    """Goal 13: one changed event among 40,000 (20,000 with --quick; also 200,000), with one profile and with ten."""
    changes, objects = (5, 1000) if workshop.quick else (30, 2000)
    values = _run(20, objects, profiles=1, changes=changes)
    figures = [_figure(f"1 of 20 x {objects:,} objects", values, at_most=60)]
    if not workshop.quick:
        figures.append(_figure("the same in ten profiles", _run(20, 2000, profiles=10, changes=changes), at_most=600))
        figures.append(_figure("1 of 200,000 objects", _run(20, 10_000, profiles=1, changes=changes), at_most=250))
    idle = _run(20, 500 if workshop.quick else 2000, profiles=0, changes=changes)
    return [*figures, _figure("in a calendar that no profile with a snapshot uses", idle, at_most=5)]


def _figure(what: str, values: Sequence[float], *, at_most: float) -> Figure:
    return ratio(13, f"CPU of a change, {what}", values=values, at_most=at_most, unit=" ms")


def _run(calendars: int, objects: int, *, profiles: int, changes: int) -> list[float]:
    """CPU milliseconds of each change, without the first, which makes up for nothing having been asked before."""
    arguments = [str(number) for number in (calendars, objects, profiles, changes + 1)]
    told = subprocess.run(
        [sys.executable, "-m", "tests.bench.changing", *arguments],
        cwd=REPOSITORY,
        env=clean_environment(),
        capture_output=True,
        check=True,
    )
    found: list[float] = json.loads(told.stdout)
    return found[1:]


async def change_some(
    folder: Path, calendars: int, *, objects: int, profiles: int, payloads: Sequence[bytes]
) -> AsyncIterator[Coroutine[object, object, None]]:
    """Fill a store and its snapshots; then, for each payload, the work of making it visible, to be awaited."""
    clock = SystemClock()
    store = Store.open(folder / "mirror.sqlite3")
    await store.transaction(lambda tx: _fill(tx, calendars, objects=objects, at=clock))
    everything = (CalendarReference("anna", "*"),)
    wanted = [BYSTANDER, *(Profile(f"p{number}", conflicts=everything) for number in range(profiles))]
    state = State([CONNECTION], wanted, machine_zone="Europe/Berlin")
    state.connections["anna"].listed = True
    log = ChangeLog.open_or_begin_anew(folder / "changes.sqlite3", now=clock.now())
    recorder = ChangeRecorder(log, state, clock=clock, store=store)
    publisher = SnapshotPublisher(store, state, clock=clock, changes=recorder)
    writer = IndexWriter(store, state, clock=clock, publisher=publisher)
    restore = Restore(writer)
    restore.take_snapshots()
    await restore.load_tables()
    gc.collect()
    gc.freeze()
    record = list(state.calendars.values())[3]
    for number, payload in enumerate(payloads):
        yield _show(writer, record, Incoming(f"/anna/{3 + calendars * 5 * number}.ics", f'"new{number}"', payload))
    await writer.close()
    store.close()
    log.close()


async def _show(writer: IndexWriter, record: CalendarRecord, changed: Incoming) -> None:
    """From the last byte of the answer to the new snapshots, and to what is told of them."""
    await writer.store_batch(record, [changed])
    await writer.publisher.publish_snapshots({record.connection})
    await writer.publisher.tell_changes((record.connection,))


async def _measure(folder: Path, calendars: int, *, objects: int, profiles: int, changes: int) -> list[float]:
    """CPU milliseconds of each change."""
    found = []
    payloads = generate_objects(changes, 77)
    async for work in change_some(folder, calendars, objects=objects, profiles=profiles, payloads=payloads):
        before = time.process_time()
        await work
        found.append((time.process_time() - before) * 1000)
    return found


def _fill(tx: Transaction, calendars: int, *, objects: int, at: SystemClock) -> None:
    now = at.now()
    tx.record_listing("anna", [listed(number) for number in range(calendars)], at=now)
    numbers = [record.id for record in tx.read_calendars("anna")]
    payloads = generate_objects(min(calendars * objects, 40_000), 1)
    for number in range(calendars * objects):
        payload = payloads[number % len(payloads)]
        tx.put_object(
            numbers[number % calendars], StoredObject(f"/anna/{number}.ics", f'"{number}"', str(number), payload)
        )
    for number in numbers:
        tx.record_sync(number, SyncMark(ctag="1", sync_token="1", as_of=now, reconciled=now))
        tx.advance_generation(number)
    tx.record_meta("index", index_version())


def main() -> None:
    calendars, objects, profiles, changes = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        work = _measure(Path(folder), calendars, objects=objects, profiles=profiles, changes=changes)
        print(json.dumps(asyncio.run(work)))


if __name__ == "__main__":
    main()
