"""Answers that are broken, cut, empty or half: nothing is deleted, no token moves on, the next poll makes it good."""

import pytest

from tests.chaos.harness import World, fill
from tests.icloud.faults import Kind

BROKEN: tuple[Kind, ...] = (
    "truncated",
    "html",
    "empty-body",
    "garbage",
    "hostile-xml",
    "half-body",
    "reset-after-headers",
)


@pytest.fixture
async def synced(world: World) -> World:
    """Twelve events in each of two calendars, all read, and a change waiting in both."""
    fill(world, "work", numbers=range(12))
    fill(world, "home", numbers=range(12, 24))
    await world.sync()
    world.assert_right()
    fill(world, "work", numbers=[0, 30], version=1)
    world.anna.calendars["home"].delete("e12.ics")
    return world


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("method", ["PROPFIND", "REPORT"])
async def test_a_broken_answer_deletes_nothing_and_is_made_good(synced: World, kind: Kind, method: str) -> None:
    before = synced.record("work").sync_token
    synced.anna.knobs.play(kind, method=method, times=None)
    await synced.poll()
    assert synced.trouble or method == "REPORT"  # objects are fetched singly then
    if synced.trouble:
        assert synced.record("work").sync_token == before
    synced.anna.knobs.reset()
    await synced.sync()
    synced.assert_right()


async def test_cut_at_any_byte_an_answer_changes_nothing(synced: World) -> None:
    for method in ("PROPFIND", "REPORT"):
        for at in range(0, 2400, 37):
            synced.anna.knobs.play("truncated", method=method, at=at, times=None)
            await synced.poll(after=1000)
            synced.anna.knobs.reset()
    assert await synced.poll(after=1000)
    await synced.sync()
    synced.assert_right()


@pytest.mark.parametrize("skip", range(4))
@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 412, 421, 429, 500, 502, 503, 504, 507, 520])
async def test_a_status_at_any_request_of_a_poll_loses_nothing(synced: World, status: int, skip: int) -> None:
    synced.anna.knobs.fail_next(status, skip=skip)
    await synced.poll()
    await synced.sync()
    synced.assert_right()


async def test_a_truncated_sync_is_continued_from_its_token(synced: World) -> None:
    synced.anna.knobs.sync_truncates_at = 2
    synced.anna.calendars["work"].expire_tokens()
    fill(synced, "work", numbers=range(40, 51))
    await synced.sync()
    synced.assert_right()


async def test_bodies_come_compressed_in_chunks_and_full_of_blank_lines(synced: World) -> None:
    knobs = synced.anna.knobs
    knobs.gzip = knobs.chunked = knobs.shuffled_listing = knobs.empty_404_status = True
    knobs.multistatus_type = "text/html"
    await synced.sync()
    synced.assert_right()


async def test_two_broken_calendars_end_a_poll_and_one_does_not(world: World) -> None:
    for calendar in ("work", "home"):
        fill(world, calendar, numbers=range(3))
    world.anna.add_calendar("Third", id="third")
    world.anna.knobs.fail_next(502, times=None, path="/work/")
    assert await world.poll()
    assert world.record("home").complete
    world.anna.knobs.fail_next(502, times=None, path="/(home|third)/")
    fill(world, "home", numbers=[4])
    world.anna.calendars["third"].put("x.ics", "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")
    world.mark()
    assert not await world.poll(after=10)
    assert len(world.sent(method="REPORT")) == 2
