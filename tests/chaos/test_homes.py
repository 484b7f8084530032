"""Where calendars are: several homes, homes that move, listings that are truncated, doubled, or fail in part."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.availability.policy import Rules
from busyd.connection import ConnectionKind
from busyd.flow.freshness import CalendarHealth
from busyd.sync.timing import REDISCOVER_EVERY
from tests.chaos.harness import WINDOW, World, fill, slot
from tests.chaos.oracle import Span


@pytest.fixture
async def synced(world: World) -> World:
    fill(world, "work", numbers=range(4))
    fill(world, "home", numbers=range(4, 8))
    await world.sync()
    world.assert_right()
    return world


def last_known(world: World) -> list[Span]:
    """What is busy beside the time that is not known."""
    snapshot = world.state.profiles["anna"].snapshot
    assert snapshot is not None
    return [(start, end) for start, end, _ in snapshot.between(WINDOW)]


def in_team_home(world: World) -> None:
    """Work is in a second home of the account."""
    world.anna.knobs.homes, world.anna.knobs.team_calendars = "both", {"work"}


async def test_calendars_of_every_home_count_and_an_idle_poll_is_one_request_a_home(world: World) -> None:
    in_team_home(world)
    fill(world, "work", numbers=range(4))
    fill(world, "home", numbers=range(4, 8))
    await world.sync()
    world.assert_right()
    world.mark()
    await world.poll()
    assert [entry.path for entry in world.sent()] == ["/300000001/calendars/", "/300000001/team/"]
    fill(world, "work", numbers=[1], version=1)
    await world.poll()
    world.assert_right()


async def test_every_home_is_listed_after_a_restart_as_well(world: World) -> None:
    in_team_home(world)
    fill(world, "work", numbers=range(4))
    await world.sync()
    await world.restart()
    world.assert_right()
    fill(world, "work", numbers=[1], version=1)
    await world.poll()
    world.assert_right()


async def test_a_home_that_fails_leaves_its_calendars_as_they_were_and_others_unknown(world: World) -> None:
    in_team_home(world)
    fill(world, "work", numbers=range(4))
    fill(world, "home", numbers=range(4, 8))
    await world.sync()
    world.anna.knobs.fail_next(500, times=None, path="/team/$")
    fill(world, "home", numbers=[5], version=1)
    assert await world.poll()
    told = world.ask()
    assert (told.complete, told.gaps_are_free) == (False, False)
    assert slot(5, 1) in last_known(world) and slot(1) in last_known(world)
    world.anna.knobs.faults.clear()
    await world.sync(polls=2)
    world.assert_right()


async def test_a_home_that_the_account_has_left_is_no_home_though_it_goes_on_answering(synced: World) -> None:
    moved = synced.anna.add_calendar("Work", id="moved")
    synced.anna.knobs.homes, synced.anna.knobs.team_calendars = "team", {"moved"}
    fill(synced, "moved", numbers=range(20, 24))
    await synced.poll(after=REDISCOVER_EVERY)
    await synced.sync()
    told = synced.ask()
    assert told.complete and not told.freshness.stale
    assert synced.busy() == [slot(number) for number in range(20, 24)]
    assert moved.objects()


async def test_a_truncated_listing_proves_nothing_absent_and_leaves_windows_incomplete(synced: World) -> None:
    synced.anna.add_calendar("New", id="new")
    synced.anna.knobs.listing_truncates_at = list(synced.anna.calendars).index("work") + 1
    fill(synced, "work", numbers=[9])
    assert await synced.poll()
    told = synced.ask()
    assert (told.complete, told.gaps_are_free) == (False, False)
    hidden = next(calendar for calendar in told.freshness.calendars if calendar.calendar == "anna/*")
    assert (hidden.state, "only a part of its calendars" in hidden.detail) == (CalendarHealth.NEVER_READ, True)
    assert not any(record.missing_since for record in synced.state.calendars.values())
    assert {slot(number) for number in (0, 4, 9)} <= set(last_known(synced))
    await synced.restart()
    assert not synced.ask().complete  # it is known after a restart, before anything is asked
    synced.anna.knobs.listing_truncates_at = 0
    await synced.sync(polls=2)
    synced.assert_right()


async def test_a_calendar_named_by_itself_is_complete_beside_a_truncated_listing(world: World) -> None:
    world.conflicts = ["anna/Work"]
    await world.restart()
    fill(world, "work", numbers=range(4))
    world.anna.knobs.listing_truncates_at = list(world.anna.calendars).index("work") + 1
    world.anna.add_calendar("New", id="new")
    await world.sync()
    world.assert_right()


async def test_a_calendar_beyond_a_truncation_is_asked_for_by_itself_when_it_is_named(world: World) -> None:
    world.conflicts = ["anna/Work"]
    await world.restart()
    fill(world, "work", numbers=range(4))
    await world.sync()
    world.anna.knobs.listing_truncates_at = list(world.anna.calendars).index("work")
    for version in (1, 2):
        fill(world, "work", numbers=[1], version=version)
        await world.poll(after=1000)
        world.assert_right()
        assert not world.ask().freshness.stale
    world.mark()
    world.anna.knobs.fail_next(404, times=None, path="/work/$")
    await world.poll()
    assert slot(2) in world.busy()
    assert set(world.asked()) == {"PROPFIND"}
    assert world.record("work").missing_since is None


async def test_of_a_calendar_listed_twice_the_newer_state_counts(synced: World) -> None:
    synced.anna.knobs.listing_repeats = {"work"}
    for version in (1, 2, 3):
        fill(synced, "work", numbers=[1], version=version)
        await synced.poll()
        synced.assert_right()


async def test_a_main_calendar_that_is_an_outbox_as_well_counts(world: World) -> None:
    world.anna.knobs.listing_outbox = {"work"}
    fill(world, "work", numbers=range(4))
    await world.sync()
    world.assert_right()


async def test_a_calendar_whose_properties_fail_is_not_missing(synced: World) -> None:
    synced.anna.knobs.listing_fails = {"work"}
    fill(synced, "home", numbers=[5], version=1)
    await synced.poll()
    assert not any(record.missing_since for record in synced.state.calendars.values())
    assert slot(1) in synced.busy() and slot(5, 1) in synced.busy()
    synced.anna.knobs.listing_fails = {"new"}
    synced.anna.add_calendar("New", id="new")
    await synced.poll()
    assert not synced.ask().complete


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("restart", [False, True])
async def test_a_single_calendar_that_is_refused_is_missing_and_never_becomes_the_account(
    tmp_path: Path, status: int, restart: bool
) -> None:
    async with World.start(tmp_path, kind=ConnectionKind.CALDAV) as world:
        await aim(world, "work")
        fill(world, "work", numbers=range(4))
        fill(world, "home", numbers=range(4, 8))
        await world.sync()
        assert world.busy() == [slot(number) for number in range(4)]
        world.anna.knobs.fail_next(status, times=None, path="/work/")
        if restart:
            await world.restart()
        for wait in (66, 66, REDISCOVER_EVERY, 86_400):
            assert await world.poll(after=wait)
            records = list(world.state.calendars.values())
            assert [(record.remote.name, record.missing_since is None) for record in records] == [("Work", False)]
            told = world.ask()
            assert told.freshness.stale or not told.complete or world.busy() == [slot(n) for n in range(4)]


async def test_a_single_calendar_that_is_refused_at_once_leaves_all_time_unknown(tmp_path: Path) -> None:
    async with World.start(tmp_path, kind=ConnectionKind.CALDAV) as world:
        await aim(world, "work")
        fill(world, "home", numbers=range(4))
        world.anna.knobs.fail_next(403, times=None, path="/work/")
        assert not await world.poll()
        told = world.ask()
        assert (told.complete, told.gaps_are_free, list(world.state.calendars)) == (False, False, [])


async def aim(world: World, calendar: str) -> None:
    """Configure the URL of one calendar."""
    url = f"{world.icloud.bootstrap_url}300000001/calendars/{calendar}/"
    world.connection = replace(world.connection, url=url)
    world.conflicts = ["anna/*"]
    await world.restart()


async def test_rules_stay_where_they_were_when_names_are_exchanged_and_a_restart_comes_between(
    synced: World, caplog: pytest.LogCaptureFixture
) -> None:
    synced.calendar_rules = {"anna/Work": Rules(all_day="free")}
    await synced.restart()
    await synced.poll()
    await synced.restart()  # what the rules mean is in the ledger
    synced.anna.calendars["work"].rename("Old")
    synced.anna.calendars["home"].rename("Work")
    for _ in range(3):
        await synced.poll()
    links = {link.href.rpartition("/calendars/")[2]: link for link in synced.state.profiles["anna"].links}
    assert (links["work/"].rules.all_day, links["home/"].rules.all_day) == ("free", "as-marked")
    about = next(one for one in synced.ask().freshness.calendars if one.calendar == "anna/Old")
    assert "go on applying to it" in about.detail
    assert caplog.text.count("go on applying to it, not to the one that is called 'Work' now") == 1
