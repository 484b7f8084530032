"""What cannot be shown is not proved: a calendar that could not be loaded, and objects that are not handed out."""

import asyncio

import pytest

from busyd.flow.requests import KeyedRequest
from busyd.period import FbType, Instant, Period
from busyd.service.schedule import PollSchedule
from busyd.store.errors import StorageError
from busyd.store.occurrences import RowCounts
from tests.chaos.clock import START
from tests.chaos.harness import World, fill, slot
from tests.chaos.oracle import event

DAY = 86_400


def claims_free(world: World) -> bool:
    """Whether an answer is complete and fresh, and lacks what is busy."""
    told = world.ask()
    return told.complete and not told.freshness.stale and not set(world.truth().values()) <= set(world.busy())


def weekly(version: int) -> str:
    return event("w", *slot(1, version)).replace("END:VEVENT", "RRULE:FREQ=WEEKLY\r\nEND:VEVENT")


@pytest.fixture
async def read(world: World) -> World:
    fill(world, "work", numbers=range(3))
    await world.sync()
    world.assert_right()
    return world


def fail_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next calendar that is to be loaded cannot be."""
    count_rows = world.store.count_rows

    async def fail(calendar: int) -> RowCounts:
        monkeypatch.setattr(world.store, "count_rows", count_rows)
        message = f"calendar {calendar}: disk I/O error"
        raise StorageError(message)

    monkeypatch.setattr(world.store, "count_rows", fail)


async def test_a_new_calendar_that_could_not_be_loaded_is_loaded_at_the_next_poll(
    read: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read.anna.add_calendar("New", id="new")
    fail_once(read, monkeypatch)
    assert not await read.poll()
    fill(read, "work", numbers=[10])
    await read.poll()
    assert not claims_free(read)
    await read.sync()
    read.assert_right()


async def test_the_same_when_the_poll_was_ended_while_it_loaded_the_calendar(
    read: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read.anna.add_calendar("New", id="new")
    count_rows, reached = read.store.count_rows, asyncio.Event()

    async def hang(calendar: int) -> RowCounts:
        reached.set()
        await asyncio.Event().wait()
        return await count_rows(calendar)

    monkeypatch.setattr(read.store, "count_rows", hang)
    read.clock.advance(66)
    polling = asyncio.ensure_future(read.schedule.poll_now())
    await reached.wait()
    await read.schedule.stop()
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    monkeypatch.setattr(read.store, "count_rows", count_rows)
    has_another = read.transport.has_another_password
    read.schedule = PollSchedule(read.schedule.context, has_another_password=has_another)
    fill(read, "work", numbers=[10])
    await read.poll()
    assert not claims_free(read)
    await read.sync()
    read.assert_right()


async def test_a_block_that_was_told_is_busy_also_while_a_calendar_could_not_be_loaded(
    read: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read.anna.add_calendar("New", id="new")
    fail_once(read, monkeypatch)
    await read.poll()
    span = Period(*map(Instant, slot(20)))
    asked = KeyedRequest("anna", read.clock.now(), token="t")
    await read.backend.blocks.add(asked, span, fbtype=FbType.BUSY, summary="", render=lambda _: b"")
    assert read.ask(span).spans


async def test_what_was_accepted_of_one_version_is_not_accepted_of_the_next(read: World) -> None:
    read.transport.poisoned = frozenset({"e1.ics"})
    fill(read, "work", numbers=[1], version=1)
    await read.sync(polls=2)
    (problem,) = {one.id for one in read.backend.problems() if one.incomplete}
    await read.backend.accepted_problems.accept(problem, read.clock.now())
    assert read.ask().complete
    fill(read, "work", numbers=[1], version=2)
    for _ in range(3):
        await read.poll()
        assert not read.ask().complete


async def test_a_series_that_is_listed_in_another_version_leaves_far_windows_incomplete_too(world: World) -> None:
    work = world.anna.calendars["work"]
    work.put("e1.ics", weekly(0))
    await world.sync()
    world.transport.poisoned = frozenset({"e1.ics"})
    work.put("e1.ics", weekly(1))
    await world.poll()
    for first in (0, 2000):
        window = Period(Instant(START + first * DAY), Instant(START + (first + 30) * DAY))
        assert not (await world.backend.freebusy("anna", window)).complete
