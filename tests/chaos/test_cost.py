"""What following a calendar costs, counted in the simulator's log."""

import asyncio
from datetime import timedelta
from itertools import islice, pairwise
from math import ceil

from busyd.remote.backoff import CHECK_EVERY
from tests.chaos.harness import World, fill, slot
from tests.chaos.oracle import event


async def test_an_idle_poll_of_an_account_is_one_request(world: World) -> None:
    fill(world, "work", numbers=range(10))
    await world.sync()
    world.assert_right()
    world.mark()
    for _ in range(10):
        await world.poll()
    assert world.asked() == ["PROPFIND"] * 10


async def test_who_asks_for_a_younger_proof_shares_one_check_and_the_next_one_is_five_seconds_later(
    world: World,
) -> None:
    fill(world, "work", numbers=range(10))
    await world.sync()
    world.clock.advance(20)
    ended = []
    for _ in range(3):
        world.clock.advance(1)
        world.mark()
        assert all(await asyncio.gather(*(world.backend.refresh("anna", timedelta(0)) for _ in range(50))))
        assert world.asked() == ["PROPFIND"]
        ended.append(world.clock.passed)
    assert [after - before for before, after in pairwise(ended)] == [CHECK_EVERY] * 2


async def test_a_changed_event_is_three_requests_and_one_at_the_next_poll(world: World) -> None:
    fill(world, "work", numbers=range(10))
    await world.sync()
    fill(world, "work", numbers=[3], version=1)
    world.mark()
    await world.poll()
    assert world.asked() == ["PROPFIND", "sync-collection", "calendar-multiget"]
    world.assert_right()
    world.mark()
    await world.poll()
    # One more look, from the token before; what it names is fetched whatever its ETag.
    assert world.asked() == ["PROPFIND", "sync-collection", "calendar-multiget"]
    world.mark()
    await world.poll()
    assert world.asked() == ["PROPFIND"]


async def test_a_deleted_event_is_three_requests_and_free_after_half_a_minute(world: World) -> None:
    fill(world, "work", numbers=range(10))
    await world.sync()
    world.anna.calendars["work"].delete("e3.ics")
    world.mark()
    await world.poll()
    assert world.asked() == ["PROPFIND", "sync-collection", "GET"]
    assert slot(3) in world.busy()
    world.mark()
    await world.poll(after=30)
    assert world.asked() == ["PROPFIND", "sync-collection"]
    world.assert_right()
    world.mark()
    await world.poll()
    assert world.asked() == ["PROPFIND"]


async def test_a_first_sync_of_ten_thousand_objects_keeps_to_its_batches(world: World) -> None:
    sizes = {"work": 6021, "home": 3979}
    numbers = iter(range(sum(sizes.values())))
    for calendar, size in sizes.items():
        for number in islice(numbers, size):
            world.anna.calendars[calendar].put(f"e{number}.ics", event(f"e{number}", *slot(number % 4000)))
    world.anna.add_calendar("Empty", id="empty")
    world.transport.between = world.publisher.watch = lambda: None  # the oracle is slow with so many
    assert await world.schedule.poll_now()
    assert world.ask().complete
    assert [entry.path for entry in world.sent()[:2]] == ["/", "/300000001/principal/"]
    after_discovery = world.sent()[2:]
    assert len(after_discovery) <= 1 + 3 + sum(ceil(size / 50) for size in sizes.values())
    assert world.icloud.log.max_batch() <= 50
    assert world.icloud.log.max_parallel() <= 2
