"""Events and whole calendars that move, vanish and come back: busy time is kept until it is proved to be over."""

import pytest

from tests.chaos.harness import POLL, World, fill, slot
from tests.chaos.oracle import event
from tests.icloud.calendars import Calendar


@pytest.fixture
async def synced(world: World) -> World:
    fill(world, "work", numbers=range(12))
    fill(world, "home", numbers=range(12, 24))
    await world.sync()
    world.assert_right()
    return world


def move(world: World, name: str, *, source: str, target: str, as_name: str = "") -> None:
    """On another device, at one moment."""
    calendars = world.anna.calendars
    text = calendars[source].objects()[name].text
    calendars[source].delete(name)
    calendars[target].put(as_name or name, text)


@pytest.mark.parametrize(("source", "target", "number"), [("work", "home", 3), ("home", "work", 15)])
async def test_an_event_moved_between_calendars_is_busy_all_the_time(
    synced: World, source: str, target: str, number: int
) -> None:
    move(synced, f"e{number}.ics", source=source, target=target)
    await synced.sync()
    synced.assert_right()


async def test_a_moved_event_stays_busy_while_its_new_calendar_cannot_be_read(synced: World) -> None:
    move(synced, "e3.ics", source="work", target="home")
    synced.anna.knobs.fail_next(500, times=None, method="REPORT", path="/home/")
    for _ in range(8):
        await synced.poll()
        assert slot(3) in synced.busy()
    synced.anna.knobs.reset()
    await synced.sync(polls=14)
    synced.assert_right()


@pytest.mark.parametrize("skip", range(4))
async def test_an_event_moved_in_the_middle_of_a_poll_is_busy_all_the_time(synced: World, skip: int) -> None:
    left = [skip]

    def meanwhile() -> None:
        left[0] -= 1
        if left[0] == -1:
            move(synced, "e3.ics", source="work", target="home")

    fill(synced, "work", numbers=[1], version=1)
    synced.meanwhile = meanwhile
    await synced.sync()
    synced.assert_right()


@pytest.mark.parametrize("ahead", [False, True])
async def test_a_moved_event_whose_arrival_shows_late_is_busy_all_the_time(synced: World, ahead: bool) -> None:
    synced.anna.knobs.lag_seconds, synced.anna.knobs.lag_token_ahead = 5.0, ahead
    fill(synced, "home", numbers=[30])
    synced.clock.advance(100)
    for wait in (3, 1, 1, 1, 1, 1, POLL, POLL, POLL, POLL):
        if wait == 3:
            move(synced, "e3.ics", source="work", target="home")
        await synced.poll(after=wait)
    synced.assert_right()


@pytest.mark.parametrize("at", range(5))
async def test_an_event_moved_out_of_a_calendar_that_then_ceases_to_count_is_busy_all_the_time(
    synced: World, at: int
) -> None:
    left = [at]

    def meanwhile() -> None:
        left[0] -= 1
        if left[0] == -1:
            move(synced, "e15.ics", source="home", target="work")
            synced.anna.calendars["home"].transparent = True
            synced.anna.calendars["home"].touch_collection()

    synced.meanwhile = meanwhile
    await synced.sync()
    synced.assert_right()


async def test_an_event_moved_while_no_ctag_tells_is_busy_all_the_time(synced: World) -> None:
    synced.anna.knobs.ctag_missing = {"work", "home"}
    await synced.sync()
    left = [3]

    def meanwhile() -> None:
        left[0] -= 1
        if left[0] == -1:
            move(synced, "e15.ics", source="home", target="work")

    synced.meanwhile = meanwhile
    await synced.sync()
    synced.assert_right()


async def test_a_renamed_resource_is_busy_all_the_time(synced: World) -> None:
    move(synced, "e3.ics", source="work", target="work", as_name="renamed.ics")
    synced.anna.knobs.fail_next(500, times=3, path="renamed")
    await synced.sync()
    synced.assert_right()


async def test_a_calendar_missing_from_listings_for_an_hour_keeps_blocking_and_is_followed(synced: World) -> None:
    synced.anna.knobs.listing_hides = {"work"}
    for _ in range(20):
        await synced.poll()
    fill(synced, "work", numbers=[40])
    for _ in range(40):
        await synced.poll()
    assert slot(40) in synced.busy()
    synced.anna.knobs.reset()
    await synced.sync()
    synced.assert_right()


async def test_a_listing_with_only_the_home_takes_nothing_away(synced: World) -> None:
    synced.anna.knobs.listing_only_home = True
    for _ in range(15):
        await synced.poll()
    synced.assert_right()


async def test_a_deleted_calendar_blocks_until_it_was_missing_for_a_while_and_says_itself_that_it_is_gone(
    synced: World,
) -> None:
    synced.anna.remove_calendar("work")
    await synced.poll()
    assert slot(3) in synced.busy()
    synced.mark()
    for _ in range(5):
        await synced.poll()
    synced.assert_right()
    assert synced.asked().count("sync-collection") == 2  # its shard, and the generic host, whose word counts
    synced.mark()
    await synced.poll(after=1000)
    assert synced.asked() == ["PROPFIND"]


async def test_a_calendar_that_is_listed_but_answers_404_keeps_blocking(synced: World) -> None:
    fill(synced, "work", numbers=[3], version=1)
    synced.anna.knobs.gone_but_listed = {"work"}
    for _ in range(12):
        await synced.poll()
    assert slot(4) in synced.busy()
    assert synced.trouble
    synced.anna.knobs.reset()
    await synced.sync(polls=20)
    synced.assert_right()


@pytest.mark.parametrize("returns", [False, True])
async def test_a_calendar_made_again_under_its_old_path_is_read_anew(synced: World, returns: bool) -> None:
    old = synced.anna.remove_calendar("work")
    synced.anna.add_calendar("Work", id="work")
    for stored in old.objects().values() if returns else ():
        synced.anna.calendars["work"].put(stored.name, stored.text)
    fill(synced, "work", numbers=[50])
    await synced.sync(polls=5)
    synced.assert_right()


async def test_a_renamed_calendar_and_one_that_no_longer_counts_are_followed(synced: World) -> None:
    work: Calendar = synced.anna.calendars["work"]
    work.rename("Büro & mehr")
    await synced.sync()
    assert synced.record("work").label == "anna/Büro & mehr"
    work.transparent = True
    work.touch_collection()
    await synced.sync()
    synced.assert_right()
    assert slot(3) not in synced.busy()
    work.transparent = False
    work.touch_collection()
    await synced.sync()
    synced.assert_right()


async def test_a_calendar_shared_to_the_account_and_unshared_again(synced: World) -> None:
    shared = synced.anna.add_calendar("Family", shared="read-only")
    shared.put("f.ics", event("f", *slot(60)))
    await synced.sync()
    synced.assert_right()
    assert len(shared.id) == 64
    synced.anna.remove_calendar(shared.id)
    await synced.sync(polls=8)
    synced.assert_right()


@pytest.mark.parametrize("gone", [4, 12])
async def test_deletions_are_believed_half_a_minute_after_each_event_has_said_so(synced: World, gone: int) -> None:
    for number in range(gone):
        synced.anna.calendars["work"].delete(f"e{number}.ics")
    await synced.poll()
    assert slot(0) in synced.busy()
    await synced.poll(after=10)
    assert slot(0) in synced.busy()
    await synced.poll(after=20)
    synced.assert_right()
    await synced.poll()
    synced.mark()
    await synced.poll()
    assert synced.asked() == ["PROPFIND"]


async def test_twenty_one_of_a_hundred_need_a_second_poll_too(synced: World) -> None:
    fill(synced, "work", numbers=range(30, 130))
    await synced.sync()
    for number in range(30, 51):
        synced.anna.calendars["work"].delete(f"e{number}.ics")
    await synced.poll()
    assert slot(30) in synced.busy()
    await synced.poll()
    synced.assert_right()
