"""What a failing worker leaves unread: unknown meanwhile, tried again, and read in the end."""

import asyncio
import logging
import sqlite3
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from busyd.availability.profile import Profile
from busyd.flow.ask import FreeBusyAnswer
from busyd.index.batch import Incoming
from busyd.index.retry import retry_when_due
from busyd.index.worker import Worker
from busyd.state.postponed import FIRST_RETRY, LONGEST_RETRY, PostponedObjects
from busyd.store.mirror import SyncMark
from busyd.store.sqlite.seal import seal
from tests.index.inside import WORK, Inside, StoppedClock, at, event, ref, window

EVENTS = [
    event(f"series{number}", f"DTSTART:20260601T{number % 24:02}{number % 60:02}00Z", "DURATION:PT10M",
          "RRULE:FREQ=WEEKLY;COUNT=5")
    for number in range(400)
]  # fmt: skip
WEEK = ("2026-06-01", "2026-06-08")


class MortalWorker(Worker):
    """Its real processes are killed with SIGKILL, so many of them one after the other, each a little later."""

    def __init__(self, *, kills: int) -> None:
        super().__init__()
        self.kills = kills
        self.killed: set[int] = set()
        self._killers: set[asyncio.Task[None]] = set()

    async def _running(self) -> Process:
        process = await super()._running()
        if process.pid not in self.killed and len(self.killed) < self.kills:
            self.killed.add(process.pid)
            killer = asyncio.create_task(self._kill(process, len(self.killed)))
            self._killers.add(killer)
            killer.add_done_callback(self._killers.discard)
        return process

    async def _kill(self, process: Process, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        if process.returncode is None:
            process.kill()


def open_inside(folder: Path, clock: StoppedClock, *, kills: int) -> Inside:
    inside = Inside(folder, clock, profiles=[Profile("anna", timezone="Europe/Berlin", conflicts=(ref("anna/*"),))])
    inside.writer.expansion.worker = MortalWorker(kills=kills)
    return inside


async def close(inside: Inside) -> None:
    await inside.writer.close()
    inside.close()


async def sync(inside: Inside, payloads: list[bytes]) -> None:
    """A first sync as it is committed: batch by batch, and at the end that it was one."""
    await inside.show(WORK)
    record = inside.record(WORK)
    for start in range(0, len(payloads), 50):
        named = enumerate(payloads[start : start + 50], start)
        incoming = [Incoming(f"{WORK.href}{number}.ics", f'"{number}"', payload) for number, payload in named]
        await inside.writer.store_batch(record, incoming)
    await inside.writer.store_batch(record, (), mark=SyncMark("1", None, inside.clock.now()))
    await inside.publisher.confirm(await inside.store.read_calendars())


async def ask(inside: Inside) -> FreeBusyAnswer:
    return await inside.backend.freebusy("anna", window(*WEEK))


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(at("2026-05-31T12:00"))


@pytest.fixture
async def right(tmp_path: Path, clock: StoppedClock) -> AsyncIterator[FreeBusyAnswer]:
    """What an undisturbed sync answers."""
    (tmp_path / "right").mkdir()
    undisturbed = open_inside(tmp_path / "right", clock, kills=0)
    await sync(undisturbed, EVENTS)
    yield await ask(undisturbed)
    await close(undisturbed)


async def test_a_first_sync_in_which_the_worker_is_killed_twenty_times_is_complete_afterwards(
    tmp_path: Path, clock: StoppedClock, right: FreeBusyAnswer
) -> None:
    inside = open_inside(tmp_path, clock, kills=20)
    await sync(inside, EVENTS)
    while inside.state.postponed.added.is_set():
        await retry_when_due(inside.writer)
    worker = inside.writer.expansion.worker
    assert isinstance(worker, MortalWorker)
    assert len(worker.killed) == 20
    found = await ask(inside)
    assert right.complete and found.complete
    assert found.spans == right.spans
    await close(inside)


async def test_what_was_not_read_blocks_and_is_said(
    tmp_path: Path, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    inside = open_inside(tmp_path, clock, kills=10**6)
    with caplog.at_level(logging.WARNING):
        await sync(inside, EVENTS)
    found = await ask(inside)
    assert not found.complete
    assert [(one.start, one.end, one.fbtype.text) for one in found.busy] == [
        (found.window.start, found.window.end, "BUSY-UNAVAILABLE")
    ]
    (calendar,) = found.freshness.calendars
    assert calendar.note.startswith("400 objects of it could not be read")
    assert "signal 9" in calendar.detail
    assert caplog.messages == [f"anna/Work: {calendar.note}"]
    await close(inside)


async def test_a_start_reads_what_was_not_read_before(
    tmp_path: Path, clock: StoppedClock, right: FreeBusyAnswer
) -> None:
    inside = open_inside(tmp_path, clock, kills=10**6)
    await sync(inside, EVENTS)
    await close(inside)
    again = open_inside(tmp_path, clock, kills=0)
    assert not (await ask(again)).complete
    await again.restore.load_tables()
    found = await ask(again)
    assert found.complete
    assert found.spans == right.spans
    await close(again)


async def test_a_start_that_fails_as_well_frees_nothing(tmp_path: Path, clock: StoppedClock) -> None:
    inside = open_inside(tmp_path, clock, kills=10**6)
    await sync(inside, EVENTS[:50])
    await close(inside)
    again = open_inside(tmp_path, clock, kills=10**6)
    await again.restore.load_tables()
    assert not (await ask(again)).complete
    assert len(again.state.postponed.of(again.record(WORK).id)) == 50
    await close(again)


async def test_give_ups_that_an_older_busyd_has_stored_are_read_anew(
    tmp_path: Path, clock: StoppedClock, right: FreeBusyAnswer
) -> None:
    inside = open_inside(tmp_path, clock, kills=0)
    await sync(inside, EVENTS)
    await inside.store.transaction(lambda tx: tx.record_meta("index", "1.0/2 of long ago"))
    await close(inside)
    with closing(sqlite3.connect(tmp_path / "mirror.sqlite3", isolation_level=None)) as mirror:
        mirror.execute("UPDATE busy_index SET occurrences=x'', incomplete='the worker ended over it'")
    seal(tmp_path / "mirror.sqlite3")
    again = open_inside(tmp_path, clock, kills=0)
    await again.restore.load_tables()
    found = await ask(again)
    assert found.complete
    assert found.spans == right.spans
    await close(again)


async def test_a_retry_does_not_undo_what_was_stored_meanwhile(tmp_path: Path, clock: StoppedClock) -> None:
    inside = open_inside(tmp_path, clock, kills=10**6)
    await sync(inside, EVENTS[:20])
    worker = inside.writer.expansion.worker
    assert isinstance(worker, MortalWorker)
    worker.kills = 0
    moved = event("series0", "DTSTART:20260603T120000Z", "DURATION:PT10M")
    retry = asyncio.create_task(retry_when_due(inside.writer))
    await asyncio.sleep(0)
    await inside.writer.store_batch(inside.record(WORK), [Incoming(f"{WORK.href}0.ics", '"new"', moved)])
    await retry
    rows = await inside.store.read_entries(inside.record(WORK).id, "Europe/Berlin")
    assert len(rows) == 20
    (stored,) = [entry for href, _, entry in rows if href.endswith("/0.ics")]
    assert list(stored.occurrences[:2]) == [at("2026-06-03T12:00"), at("2026-06-03T12:10")]
    await close(inside)


async def test_an_object_that_fails_again_is_tried_less_and_less_often() -> None:
    objects, waits = PostponedObjects(), []
    for _ in range(12):
        objects.add(1, 7, why="killed", now=0.0)
        waits.append(objects.next_due())
    assert waits[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
    assert waits[-1] == LONGEST_RETRY
    objects.add(2, 7, why="killed", now=0.0)
    assert objects.next_due() == FIRST_RETRY
    assert objects.due(LONGEST_RETRY) == {7: [2, 1]}


async def test_an_object_that_is_gone_is_not_tried_again(tmp_path: Path, clock: StoppedClock) -> None:
    inside = open_inside(tmp_path, clock, kills=10**6)
    await sync(inside, EVENTS[:20])
    await inside.writer.store_batch(inside.record(WORK), (), gone=[f"{WORK.href}{number}.ics" for number in range(20)])
    assert not inside.state.postponed.added.is_set()
    await close(inside)
