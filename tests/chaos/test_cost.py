"""What following a calendar costs, counted in the simulator's log."""

from math import ceil

from tests.chaos.harness import World, fill


async def test_an_idle_poll_of_an_account_is_one_request(world: World) -> None:
    fill(world, "work", range(10))
    await world.sync()
    world.assert_right()
    world.mark()
    for _ in range(10):
        await world.poll()
    assert world.asked() == ["PROPFIND"] * 10


async def test_a_changed_event_is_three_requests_and_one_at_the_next_poll(world: World) -> None:
    fill(world, "work", range(10))
    await world.sync()
    fill(world, "work", [3], version=1)
    world.mark()
    await world.poll()
    assert world.asked() == ["PROPFIND", "sync-collection", "calendar-multiget"]
    world.assert_right()
    world.mark()
    await world.poll()
    assert world.asked() == ["PROPFIND", "sync-collection"]
    world.mark()
    await world.poll()
    assert world.asked() == ["PROPFIND"]


async def test_a_deleted_event_is_three_requests_and_gone_at_once(world: World) -> None:
    fill(world, "work", range(10))
    await world.sync()
    world.anna.calendars["work"].delete("e3.ics")
    world.mark()
    await world.poll()
    assert world.asked() == ["PROPFIND", "sync-collection", "PROPFIND"]
    world.assert_right()


async def test_a_first_sync_of_thousands_of_objects_keeps_to_its_batches(world: World) -> None:
    fill(world, "work", range(2510))
    fill(world, "home", range(2510, 4800))
    await world.poll()
    world.assert_right()
    discovery = 2
    allowed = discovery + 1 + 2 + ceil(2510 / 50) + ceil(2290 / 50)
    assert len(world.sent()) <= allowed
    assert world.icloud.log.max_batch() <= 50
    assert world.icloud.log.max_parallel() <= 2
