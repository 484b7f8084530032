"""Clocks that are wrong, set, or stand still: no answer is called fresh that was not proved lately."""

from datetime import timedelta

import pytest

from busyd.flow.ask import NotConfirmed
from tests.chaos.harness import POLL, WINDOW, World, fill, slot

MAX_AGE = 15 * 60


@pytest.fixture
async def synced(world: World) -> World:
    fill(world, "work", numbers=range(4))
    await world.sync()
    assert not world.ask().freshness.stale
    return world


async def unreachable(world: World) -> None:
    await world.icloud.stop_origin("shard")
    await world.icloud.stop_origin("bootstrap")


@pytest.mark.parametrize("back", [0, 600, 1800, 86_400])
async def test_an_outage_is_stale_after_max_age_however_the_clock_is_set_back(synced: World, back: int) -> None:
    await unreachable(synced)
    for _ in range(MAX_AGE // POLL + 2):
        await synced.poll(after=POLL)
        synced.clock.jump(-back / 20)
    assert synced.ask().freshness.stale
    view = synced.backend.profile("anna")
    assert view is not None and view.freshness.stale


async def test_a_clock_that_stands_still_keeps_no_answer_fresh(synced: World) -> None:
    view = synced.backend.profile("anna")
    assert view is not None and not view.freshness.stale
    for _ in range(20):
        synced.clock.advance(POLL)
        synced.clock.jump(-POLL)
    view = synced.backend.profile("anna")
    assert view is not None and view.freshness.stale


@pytest.mark.parametrize("seconds", [-1, -60, -3600, 3600])
async def test_a_good_poll_makes_answers_fresh_whatever_the_clock_says(synced: World, seconds: int) -> None:
    synced.clock.jump(seconds)
    await synced.poll()
    assert not synced.ask().freshness.stale
    synced.assert_right()


@pytest.mark.parametrize("back", [66, 300, 86_400])
async def test_after_a_restart_with_a_clock_behind_the_last_proof_all_is_stale_until_a_poll(
    synced: World, back: int
) -> None:
    synced.clock.jump(-back)
    await synced.restart()
    assert (synced.ask().freshness.stale, synced.busy()) == (True, [slot(number) for number in range(4)])
    synced.clock.advance(back + 30)  # the clock has passed the proof: that proves nothing
    assert synced.ask().freshness.stale
    await synced.poll()
    assert not synced.ask().freshness.stale


async def test_after_a_restart_with_a_good_clock_a_young_proof_still_counts(synced: World) -> None:
    synced.clock.advance(60)
    await synced.restart()
    assert not synced.ask().freshness.stale


@pytest.mark.parametrize("back", [1, 60, 3600])
async def test_a_younger_proof_is_asked_for_also_when_the_clock_runs_behind_the_last_one(
    synced: World, back: int
) -> None:
    synced.clock.jump(-back)
    synced.clock.advance(6)
    fill(synced, "work", numbers=[9])
    synced.mark()
    told = await synced.backend.freebusy("anna", WINDOW, max_age=5)
    assert synced.sent() and slot(9) in [(start, end) for start, end, _ in told.spans]
    assert not told.freshness.stale


async def test_what_cannot_be_proved_anew_is_no_answer_when_the_clock_runs_behind(synced: World) -> None:
    synced.clock.jump(-3600)
    await unreachable(synced)
    synced.clock.advance(30)
    with pytest.raises(NotConfirmed):
        await synced.backend.freebusy("anna", WINDOW, max_age=20)
    assert not await synced.backend.refresh("anna", timedelta(seconds=20))
