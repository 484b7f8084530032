"""A poll for which somebody waits to book: it takes one round trip, whatever else is due."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.dav.exchange import DavRequest, DavResponse
from busyd.remote.client import CaldavClient
from busyd.service.schedule import PollSchedule
from busyd.sync.timing import RECONCILE_EVERY, REDISCOVER_EVERY, SETTLE
from tests.lying.harness import LyingTransport, World
from tests.lying.writes import Writable


class Together(LyingTransport):
    """Answers the listing only once a calendar is looked into beside it."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._looked = asyncio.Event()

    async def send(self, request: DavRequest) -> DavResponse:
        if request.method == "REPORT":
            self._looked.set()
        else:
            await asyncio.wait_for(self._looked.wait(), timeout=60)
        return await super().send(request)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """All is read, and looked at twice."""
    async with World.start(tmp_path, Writable) as world:
        await world.read_all()
        await world.run(3 * SETTLE)
        world.server.requests.clear()
        yield world


def methods(world: World) -> list[str]:
    """Of the requests since this was asked last."""
    seen = sorted(method for _, method, _ in world.server.requests)
    world.server.requests.clear()
    return seen


async def test_a_second_look_that_is_due_is_taken_beside_the_listing(world: World) -> None:
    world.server.work.put("b.ics", world.server.event("B", 12))
    await world.schedule.poll_now()
    world.wait(SETTLE)
    methods(world)
    context = replace(world.schedule.context, client=CaldavClient(Together(world)))

    async def never() -> bool:
        return False

    assert await PollSchedule(context, has_another_password=never).look()
    assert methods(world) == ["PROPFIND", "REPORT"]
    # What it named once more is fetched once more by the next poll, and then all is settled.
    await world.schedule.poll_now()
    assert methods(world) == ["PROPFIND", "REPORT", "REPORT"]
    await world.schedule.poll_now()
    assert methods(world) == ["PROPFIND"]


async def test_a_second_look_that_shows_what_came_late_fetches_it(world: World) -> None:
    world.server.lag = {"sync": SETTLE, "members": SETTLE, "multiget": SETTLE}
    world.server.start_lying()
    world.server.work.put("late.ics", world.server.event("late"))
    await world.schedule.poll_now()
    world.wait(SETTLE + 1)
    await world.schedule.look()
    assert not world.told().is_free


async def test_discovery_and_the_daily_comparison_are_left_to_a_poll_that_nobody_waits_for(world: World) -> None:
    for _ in range(RECONCILE_EVERY // REDISCOVER_EVERY - 1):
        world.clock.advance(REDISCOVER_EVERY)
        await world.schedule.poll_now()
    world.clock.advance(REDISCOVER_EVERY)
    methods(world)
    await world.schedule.look()
    assert methods(world) == ["PROPFIND"]
    await world.schedule.poll_now()
    left = methods(world)
    assert "REPORT" in left
    assert left.count("PROPFIND") > 1
