"""Power that fails between two commits, at each of them: the next start answers right and goes on where it was."""

import contextlib

import pytest

from tests.chaos.harness import Killed, World, fill, slot


async def die(world: World, *, commits: int, after: bool) -> None:
    """Poll until the n-th commit from now, lose all that is not on the disk, and start again."""
    world.store.dies_in, world.store.dies_after_commit = commits, after
    with contextlib.suppress(Killed):
        await world.poll()
    await world.restart()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("commits", range(1, 12))
async def test_killed_at_any_commit_of_a_first_sync(world: World, commits: int, after: bool) -> None:
    fill(world, "work", numbers=range(120))
    fill(world, "home", numbers=range(120, 130))
    await die(world, commits=commits, after=after)
    told = world.ask()
    assert not told.freshness.known or world.busy() == sorted(world.truth().values())
    await world.sync()
    world.assert_right()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("commits", range(1, 12))
async def test_killed_at_any_commit_of_a_change_and_a_move(world: World, commits: int, after: bool) -> None:
    fill(world, "work", numbers=range(12))
    fill(world, "home", numbers=range(12, 24))
    await world.sync()
    work, home = world.anna.calendars["work"], world.anna.calendars["home"]
    home.put("e3.ics", work.objects()["e3.ics"].text)
    work.delete("e3.ics")
    fill(world, "home", numbers=[12], version=1)
    work.delete("e4.ics")
    await die(world, commits=commits, after=after)
    assert slot(3) in world.busy()
    await world.sync()
    world.assert_right()


async def test_a_start_answers_at_once_and_the_same(world: World) -> None:
    fill(world, "work", numbers=range(12))
    await world.sync()
    world.clock.advance(1)
    before = world.ask()
    await world.restart()
    assert world.ask() == before
    assert not world.trouble


async def test_a_bulk_deletion_held_back_is_still_held_after_a_restart(world: World) -> None:
    fill(world, "work", numbers=range(12))
    await world.sync()
    for number in range(12):
        world.anna.calendars["work"].delete(f"e{number}.ics")
    await world.poll()
    await world.restart()
    assert slot(3) in world.busy()
    await world.poll()
    world.assert_right()
