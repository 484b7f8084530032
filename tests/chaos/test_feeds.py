"""Calendars published as files: subscribed ones through their source, and `ics` connections."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.connection import ConnectionKind
from busyd.remote.backoff import HURRY
from busyd.sync.timing import FEED_HOLD
from tests.chaos.harness import POLL, World, fill, slot
from tests.chaos.oracle import feed_of, vevent
from tests.icloud.faults import Fault
from tests.icloud.feeds import Feed

HOUR, DAY = 3600, 86_400
PATH = "/holidays/de_de.ics"


def text(*numbers: int, version: int = 0, head: str = "") -> str:
    return feed_of(*(vevent(f"f{number}", *slot(number, version)) for number in numbers), head=head)


@pytest.fixture
async def subscribed(world: World) -> World:
    """One own event, and a subscribed calendar of twelve."""
    fill(world, "work", numbers=[0])
    feed = world.icloud.add_feed(PATH, text(*range(100, 112)))
    world.feeds.append(feed)
    world.anna.add_calendar("Holidays", id="holidays", subscribed_source=feed.webcal_url.replace("webcal", "http"))
    world.conflicts = ["anna/*", "anna/Holidays"]
    await world.restart()
    await world.sync()
    world.assert_right()
    return world


@pytest.fixture
async def published(tmp_path: Path) -> AsyncIterator[World]:
    """An `ics` connection to a feed of twelve events."""
    async with World.start(tmp_path, kind=ConnectionKind.ICS, url=PATH[1:]) as world:
        world.anna.calendars.clear()
        world.feeds.append(world.icloud.add_feed(PATH, text(*range(100, 112))))
        await world.sync()
        world.assert_right()
        yield world


def asked(world: World) -> int:
    return len(world.sent(path=PATH))


async def test_a_source_is_asked_once_an_hour_with_its_validators_and_never_with_a_login(subscribed: World) -> None:
    subscribed.mark()
    for _ in range(180):
        await subscribed.poll()
    sent = subscribed.sent(path=PATH)
    assert len(sent) == 3
    assert {entry.status for entry in sent} == {304}
    assert not any(entry.authorization for entry in sent)
    assert all("If-None-Match" in entry.headers for entry in sent)


async def test_a_changed_source_is_followed(subscribed: World) -> None:
    subscribed.feeds[0].replace(text(*range(100, 111), 113, version=1))
    await subscribed.poll(after=HOUR)
    subscribed.assert_right()


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [
        ("REFRESH-INTERVAL;VALUE=DURATION:PT12H", 12 * HOUR),
        ("X-PUBLISHED-TTL:PT2H", 2 * HOUR),
        ("X-PUBLISHED-TTL:PT1M", 900),
        ("REFRESH-INTERVAL;VALUE=DURATION:P52W", DAY),
        ("X-PUBLISHED-TTL:soon", HOUR),
    ],
)
async def test_the_feed_itself_says_how_often_within_reason(subscribed: World, hint: str, seconds: int) -> None:
    subscribed.feeds[0].replace(text(100, 101, *range(102, 112), head=hint + "\r\n"))
    await subscribed.poll(after=HOUR)
    subscribed.mark()
    await subscribed.poll(after=seconds - 60)
    assert asked(subscribed) == 0
    await subscribed.poll(after=60)
    assert asked(subscribed) == 1
    assert not subscribed.ask().freshness.stale


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
async def test_a_source_that_fails_is_its_own_trouble_and_is_left_alone_for_longer_and_longer(
    subscribed: World, status: int
) -> None:
    subscribed.feeds[0].faults.add(Fault(kind="status", status=status, times=None))
    subscribed.clock.advance(HOUR)
    subscribed.mark()
    for number in range(90):
        fill(subscribed, "work", numbers=[number % 7])
        assert await subscribed.poll()
    assert 3 <= asked(subscribed) <= 6
    assert subscribed.trouble
    subscribed.feeds[0].faults.clear()
    await subscribed.poll(after=HOUR)
    await subscribed.poll()
    assert not subscribed.trouble
    subscribed.assert_right()


@pytest.mark.parametrize("kind", ["html", "truncated", "empty-body", "garbage", "half-body", "reset"])
async def test_a_broken_source_frees_nothing(subscribed: World, kind: str) -> None:
    subscribed.feeds[0].faults.add(Fault(kind=kind, times=None))  # type: ignore[arg-type]
    subscribed.feeds[0].replace(text(100))
    await subscribed.poll(after=HOUR)
    assert slot(105) in subscribed.busy()
    assert subscribed.trouble


async def test_a_source_on_a_private_address_is_refused_unless_allowed(subscribed: World) -> None:
    subscribed.allow_private = False
    subscribed.mark()
    assert await subscribed.poll(after=HOUR)
    assert asked(subscribed) == 0
    assert "private address" in subscribed.trouble
    assert slot(105) in subscribed.busy()


async def test_a_source_that_is_no_web_address_is_told_and_harms_nobody(subscribed: World) -> None:
    subscribed.anna.calendars["holidays"].subscribed_source = "file:///etc/passwd"
    fill(subscribed, "work", numbers=[1])
    assert await subscribed.poll(after=HOUR)
    assert slot(1) in subscribed.busy()
    assert subscribed.trouble


async def test_a_subscription_that_points_elsewhere_now_is_read_anew_without_the_old_validators(
    subscribed: World,
) -> None:
    other: Feed = subscribed.icloud.add_feed("/published/2/other", text(*range(100, 112), 120))
    subscribed.anna.calendars["holidays"].subscribed_source = other.url
    subscribed.feeds[:] = [other]
    subscribed.mark()
    await subscribed.poll()
    assert "If-None-Match" not in subscribed.sent(path="/published/")[0].headers
    subscribed.assert_right()


async def test_a_source_that_loses_much_is_believed_at_a_second_look(subscribed: World) -> None:
    subscribed.feeds[0].replace(text(100))
    await subscribed.poll(after=HOUR)
    subscribed.mark()
    for _ in range(FEED_HOLD // POLL - 1):
        await subscribed.poll(after=POLL)
    assert (asked(subscribed), slot(105) in subscribed.busy()) == (0, True)
    await subscribed.poll(after=POLL)
    assert asked(subscribed) == 1
    subscribed.assert_right()


async def test_a_feed_polled_once_an_hour_is_looked_at_again_after_ten_minutes(tmp_path: Path) -> None:
    async with World.start(tmp_path, kind=ConnectionKind.ICS, url=PATH[1:], poll=HOUR) as world:
        world.anna.calendars.clear()
        world.feeds.append(world.icloud.add_feed(PATH, text(*range(100, 112))))
        await world.sync(polls=1)
        world.feeds[0].replace(text(*range(100, 104)))
        await world.poll(after=HOUR)
        assert slot(105) in world.busy()
        world.mark()
        await world.clock.run_for(FEED_HOLD + 30, asyncio.create_task(world.schedule.run()))
        world.assert_right()
        whole = world.sent(path=PATH)[-1]
        assert ("If-None-Match" in whole.headers, whole.status) == (False, 200)
        world.mark()
        await world.clock.run_for(HOUR // 2, asyncio.create_task(world.schedule.run()))
        assert asked(world) <= 1  # and all is as it was


async def test_a_second_look_that_fails_is_not_repeated_without_a_pause(tmp_path: Path) -> None:
    async with World.start(tmp_path, kind=ConnectionKind.ICS, url=PATH[1:], poll=HOUR) as world:
        world.anna.calendars.clear()
        world.feeds.append(world.icloud.add_feed(PATH, text(*range(100, 112))))
        await world.sync(polls=1)
        world.feeds[0].replace(text())
        await world.poll(after=HOUR)
        world.feeds[0].faults.add(Fault(kind="status", status=500, times=None))
        world.mark()
        await world.clock.run_for(HOUR, asyncio.create_task(world.schedule.run()))
        assert asked(world) < 30
        assert slot(105) in world.busy()


async def test_a_source_that_always_says_not_modified_is_read_as_a_whole_once_a_day(subscribed: World) -> None:
    subscribed.feeds[0].never_modified = True
    subscribed.feeds[0].replace(text(*range(100, 113)))
    for _ in range(23):
        await subscribed.poll(after=HOUR)
    assert slot(112) not in subscribed.busy()
    await subscribed.poll(after=HOUR)
    await subscribed.poll(after=HOUR)
    subscribed.assert_right()


async def test_sync_now_reads_a_published_calendar_as_a_whole(published: World) -> None:
    await sync_now(published)


async def test_sync_now_reads_a_source_as_a_whole(subscribed: World) -> None:
    await sync_now(subscribed)


async def sync_now(world: World) -> None:
    world.feeds[0].never_modified = True
    world.feeds[0].replace(text(*range(100, 113)))
    world.clock.advance(20)
    world.mark()
    assert await world.backend.sync_now(lambda _: None) == []
    assert [entry.status for entry in world.sent(path=PATH)] == [200]
    world.assert_right()
    world.clock.advance(20)
    world.mark()
    assert await world.schedule.poll_now()
    assert [entry.status for entry in world.sent(path=PATH)] in ([304], [])


async def test_what_another_login_was_shown_of_the_same_address_counts_no_more(published: World) -> None:
    published.connection = replace(published.connection, username="ben")
    published.mark()
    await published.restart()
    assert not published.ask().complete
    await published.poll()
    assert "If-None-Match" not in published.sent(path=PATH)[0].headers
    published.assert_right()
    assert len(published.state.calendars) == 1


@pytest.mark.parametrize(
    "page",
    [
        "BEGIN:VCALENDAR\r\n<html><body>Sign in: here</body></html>\r\nEND:VCALENDAR\r\n",
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nService temporarily unavailable\r\nEND:VCALENDAR\r\n",
    ],
)
async def test_a_page_between_the_lines_of_a_calendar_is_no_calendar(published: World, page: str) -> None:
    published.feeds[0].replace(page)
    assert not await published.poll()
    assert "not a calendar" in published.trouble
    assert slot(105) in published.busy()


async def test_a_published_calendar_is_followed_as_often_as_configured(published: World) -> None:
    published.mark()
    for _ in range(5):
        await published.poll()
    assert [entry.status for entry in published.sent()] == [304] * 5
    published.feeds[0].replace(text(*range(100, 111), version=1, head="X-PUBLISHED-TTL:P1D\r\n"))
    await published.poll()
    published.assert_right()
    published.mark()
    await published.poll(after=POLL)
    assert asked(published) == 1


async def test_a_published_calendar_that_is_emptied_blocks_until_a_second_look(published: World) -> None:
    published.feeds[0].replace(text())
    await published.poll()
    for _ in range(FEED_HOLD // POLL - 1):
        await published.poll(after=POLL)
        assert slot(105) in published.busy()
    await published.poll(after=POLL)
    published.assert_right()


@pytest.mark.parametrize("kind", ["html", "truncated", "empty-body", "garbage", "half-body", "reset"])
async def test_a_published_calendar_that_is_broken_frees_nothing(published: World, kind: str) -> None:
    published.feeds[0].faults.add(Fault(kind=kind, times=None))  # type: ignore[arg-type]
    published.feeds[0].replace(text(*range(100, 113)))
    assert not await published.poll()
    assert slot(105) in published.busy()
    published.feeds[0].faults.clear()
    await published.poll(after=HOUR)
    published.assert_right()


async def test_a_feed_that_lost_its_end_for_good_is_read_after_a_day_and_says_so(published: World) -> None:
    feed = published.feeds[0]
    feed.replace(text(*range(100, 113), 120).rpartition("END:VCALENDAR")[0])
    assert not await published.poll()
    assert "cut short" in published.trouble
    assert slot(120) not in published.busy()
    assert await published.poll(after=24 * HOUR)
    assert set(published.busy()) == {slot(number) for number in (*range(100, 113), 120)}
    assert not published.ask().complete
    feed.replace(text(*range(101, 113), 121).rpartition("END:VCALENDAR")[0])
    assert await published.poll()
    assert {slot(100), slot(121)} <= set(published.busy())
    assert await published.poll(after=HOUR)
    assert slot(100) not in published.busy()
    feed.replace(text(*range(101, 113)))
    await published.sync()
    published.assert_right()


async def test_an_event_that_is_cut_in_half_takes_nobodys_place(published: World) -> None:
    feed = published.feeds[0]
    feed.replace(text(*range(100, 113)).rpartition("END:VCALENDAR")[0])
    await published.poll()
    assert await published.poll(after=24 * HOUR)
    feed.replace(text(*range(100, 113)).rpartition("DTEND")[0])
    assert await published.poll()
    assert slot(112) in published.busy()


async def test_who_wants_a_younger_proof_has_the_source_asked_before_its_time(subscribed: World) -> None:
    subscribed.feeds[0].replace(text(*range(100, 113), version=1))
    subscribed.clock.advance(20)
    subscribed.mark()
    assert await subscribed.backend.refresh("anna", timedelta(seconds=10))
    assert asked(subscribed) == 1
    subscribed.assert_right()
    assert await subscribed.backend.refresh("anna", timedelta(seconds=10))
    assert asked(subscribed) == 1


async def test_a_source_that_cannot_be_asked_gives_no_younger_proof(subscribed: World) -> None:
    subscribed.feeds[0].faults.add(Fault(kind="reset", times=None))
    subscribed.clock.advance(20)
    assert not await subscribed.backend.refresh("anna", timedelta(seconds=10))


async def test_who_asks_need_not_wait_for_our_own_caution_after_an_outage(published: World) -> None:
    published.feeds[0].faults.add(Fault(kind="reset", times=None))
    for _ in range(8):
        await published.poll(after=2 * HOUR)
    due = published.schedule._kept.backoff.not_before
    published.mark()
    published.clock.advance(HURRY)
    assert not await published.backend.refresh("anna", timedelta(seconds=5))
    assert not await published.backend.refresh("anna", timedelta(seconds=5))
    assert asked(published) == 1
    assert published.schedule._kept.backoff.not_before == due
    published.feeds[0].faults.clear()
    published.clock.advance(HURRY)
    assert await published.backend.refresh("anna", timedelta(seconds=5))
    assert not published.trouble


async def test_a_server_that_asks_for_peace_gets_it_whoever_asks(published: World) -> None:
    published.feeds[0].faults.add(Fault(kind="status", times=None, retry_after=120))
    assert not await published.poll()
    published.mark()
    published.clock.advance(100)
    assert not await published.backend.refresh("anna", timedelta(seconds=5))
    assert asked(published) == 0


async def test_a_feed_that_cannot_be_looked_at_is_stale_after_max_age(published: World) -> None:
    assert not published.ask().freshness.stale
    published.feeds[0].faults.add(Fault(kind="reset", times=None))
    await published.poll(after=1000)
    assert published.ask().freshness.stale
