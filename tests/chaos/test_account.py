"""The account as a whole: refused logins, new passwords, throttling, shards that move, and how often all is asked."""

import asyncio
import logging
from itertools import pairwise
from typing import Literal

import pytest
from msgspec.structs import replace

from busyd.credentials import Secret
from tests.chaos.harness import POLL, World, fill, slot

HOUR, DAY = 3600, 86_400
LINES_A_DAY = 16
"""In the log, for one connection that does not work."""


@pytest.fixture
async def synced(world: World) -> World:
    fill(world, "work", numbers=range(6))
    await world.sync()
    world.assert_right()
    return world


async def live(world: World, seconds: float) -> None:
    """Let the daemon poll by itself for so long."""
    await world.clock.run_for(seconds, asyncio.create_task(world.schedule.run()))
    world.check()


async def test_an_account_is_polled_once_a_minute_with_a_little_jitter(synced: World) -> None:
    synced.mark()
    await live(synced, HOUR)
    listings = synced.sent(path="/calendars/")
    assert len(synced.sent()) - len(listings) <= 2  # once an hour: is it still its home?
    waits = [after.started - before.started for before, after in pairwise(listings)]
    assert all(POLL * 0.9 <= wait <= POLL + 0.1 for wait in waits)
    assert len(set(waits)) > 10


async def test_a_single_refused_login_raises_no_alarm(synced: World) -> None:
    synced.anna.knobs.fail_next(401, times=2)
    assert not await synced.poll()
    assert "keeps refusing" in synced.trouble
    await live(synced, 10)
    assert not synced.trouble
    synced.assert_right()


async def test_logins_refused_now_and_then_lose_nothing(synced: World) -> None:
    synced.anna.knobs.spurious_401_every = 3
    for version in range(1, 6):
        fill(synced, "work", numbers=[1], version=version)
        await live(synced, 5 * POLL)
    assert slot(1, 5) in synced.busy()
    assert "Create a new" not in synced.trouble


async def test_a_revoked_password_is_tried_four_times_at_first_then_after_an_hour_at_six_and_daily(
    synced: World,
) -> None:
    synced.anna.knobs.revoked = True
    synced.mark()
    await live(synced, 3 * DAY)
    begun = [entry.started for entry in synced.sent()]
    tries = [begun[0], *(after for before, after in pairwise(begun) if after - before > 4)]
    assert 600 <= tries[3] - tries[0] <= 2000
    assert [round((moment - tries[3]) / HOUR) for moment in tries[4:]] == [1, 6, 30, 54]
    assert synced.sent()[-1].origin == "bootstrap"
    assert "Create a new app-specific password" in synced.trouble
    assert set(synced.truth().values()) == set(synced.busy())


async def test_the_same_password_works_again_without_a_restart(synced: World) -> None:
    synced.anna.knobs.revoked = True
    await live(synced, HOUR)
    synced.anna.knobs.revoked = False
    await live(synced, HOUR)
    assert not synced.trouble
    synced.assert_right()


async def test_a_new_password_is_noticed_within_a_minute_and_without_a_restart(synced: World) -> None:
    synced.anna.knobs.revoked = True
    await live(synced, HOUR)
    synced.anna.password, synced.anna.knobs.revoked = "ponm-lkji-hgfe-dcba", False
    fill(synced, "work", numbers=[9])
    await live(synced, HOUR)
    assert slot(9) not in synced.busy()
    synced.secret = Secret(synced.anna.password)
    await live(synced, 60)
    assert not synced.trouble
    synced.assert_right()


async def test_a_new_password_ends_the_waiting_between_two_tries_too(synced: World) -> None:
    synced.anna.knobs.revoked = True
    await live(synced, 4 * 60)
    synced.anna.password, synced.anna.knobs.revoked = "ponm-lkji-hgfe-dcba", False
    synced.secret = Secret(synced.anna.password)
    await live(synced, 61)
    assert not synced.trouble


async def test_whoever_asks_for_a_poll_after_changing_the_password_gets_one_at_once(synced: World) -> None:
    synced.anna.knobs.revoked = True
    await live(synced, HOUR)
    synced.anna.password, synced.anna.knobs.revoked = "ponm-lkji-hgfe-dcba", False
    synced.secret = Secret(synced.anna.password)
    assert await synced.poll(after=1)


async def test_throttling_that_punishes_obedience_ends_and_leaves_polls_rarer(synced: World) -> None:
    synced.anna.knobs.fail_next(503, retry_after=1, times=1)
    synced.anna.knobs.throttle_block = 40.0
    synced.anna.knobs.throttle_requests, synced.anna.knobs.throttle_window = 1, 50.0
    synced.mark()
    await live(synced, 10 * POLL)
    throttled = synced.sent()
    waits = [after.started - before.started for before, after in pairwise(throttled)]
    assert min(waits) >= 2
    assert throttled[-1].status == 207
    synced.anna.knobs.throttle_requests = 0
    synced.mark()
    await live(synced, 20 * POLL)
    assert 8 <= len(synced.sent()) <= 11
    await live(synced, HOUR)
    synced.mark()
    await live(synced, 20 * POLL)
    assert len(synced.sent()) >= 17


@pytest.mark.parametrize("retry_after", [None, 1, 120, "Mon, 01 Jun 2026 00:30:00 GMT"])
@pytest.mark.parametrize("status", [429, 503])
async def test_nobody_is_asked_again_before_the_time_he_asked_for(
    synced: World, status: int, retry_after: int | str | None
) -> None:
    fill(synced, "work", numbers=[1], version=1)
    synced.anna.knobs.fail_next(status, retry_after=retry_after, times=None, method="REPORT")
    synced.mark()
    await live(synced, 90)
    reports = [entry.started for entry in synced.sent(method="REPORT")]
    assert len(reports) <= 5
    told = retry_after if isinstance(retry_after, int) else 0
    assert all(after - before >= told for before, after in pairwise(reports))


async def test_one_calendar_that_always_fails_keeps_no_other_from_being_read(synced: World) -> None:
    for status in (500, 503, 403):
        synced.anna.knobs.fail_next(status, times=None, method="REPORT", path="/work/")
        fill(synced, "work", numbers=[1], version=status % 3 + 1)
        synced.mark()
        for number in range(10):
            fill(synced, "home", numbers=[200 + status + number])
            await live(synced, 4 * POLL)
            assert slot(200 + status + number) in synced.busy(), (status, number)
        assert len(synced.sent(method="REPORT", path="/work/")) <= 40
        synced.anna.knobs.reset()
        await live(synced, 2 * HOUR)
        synced.assert_right()


async def test_a_whole_day_without_the_server_costs_few_attempts_and_ends_soon(
    synced: World, caplog: pytest.LogCaptureFixture
) -> None:
    for origin in ("shard", "bootstrap"):
        await synced.icloud.stop_origin(origin)
    before = synced.transport.requests_sent
    caplog.set_level(logging.INFO, "busyd")
    await live(synced, DAY)
    assert synced.transport.requests_sent - before <= 2 * 150
    assert len(caplog.messages) <= LINES_A_DAY, caplog.messages
    assert set(synced.truth().values()) == set(synced.busy())
    for origin in ("shard", "bootstrap"):
        await synced.icloud.start_origin(origin)
    await live(synced, 16 * 60)
    assert not synced.trouble


@pytest.mark.parametrize("status", [500, 503, 429, 401])
async def test_a_day_of_refusals_is_told_once_in_the_log(
    synced: World, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    synced.anna.knobs.fail_next(status, times=None)
    caplog.set_level(logging.INFO, "busyd")
    await live(synced, DAY)
    assert 0 < len(caplog.messages) <= LINES_A_DAY, caplog.messages


@pytest.mark.parametrize("shard", ["404", "421", "401", "resets"])
async def test_a_shard_that_stops_serving_is_got_round(
    synced: World, shard: Literal["404", "421", "401", "resets"]
) -> None:
    synced.anna.knobs.shard = shard
    fill(synced, "work", numbers=[1], version=1)
    await synced.sync()
    synced.assert_right()


@pytest.mark.parametrize("wrong", ["421", "401"])
async def test_an_account_that_moves_to_another_shard_keeps_everything(
    synced: World, wrong: Literal["421", "401"]
) -> None:
    synced.anna.knobs.wrong_shard = wrong
    numbers = set(synced.state.calendars)
    for version in range(1, 6):
        synced.anna.migrate()
        fill(synced, "work", numbers=[1], version=version)
        await synced.sync(polls=2)
        assert slot(1, version) in synced.busy()
    await synced.poll(after=DAY + 1)
    assert set(synced.state.calendars) == numbers
    synced.mark()
    await synced.sync()
    assert {entry.origin for entry in synced.sent()} == {synced.anna.shard}


async def test_a_home_that_is_not_found_for_a_while_is_not_told_as_moved(
    synced: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "busyd")
    synced.anna.knobs.fail_next(404, times=3, path="/calendars/$")
    for _ in range(4):
        await synced.poll()
    synced.assert_right()
    assert [told for told in caplog.messages if "moved" in told] == []


async def test_another_user_behind_the_same_name_is_discovered_anew(synced: World) -> None:
    ben = synced.icloud.add_account("ben@icloud.com", password="abcd-efgh-ijkl-mnop", dsid="300000002")
    ben.add_calendar("Work", id="work").put("b.ics", synced.anna.calendars["work"].objects()["e1.ics"].text)
    await synced.shut_down()
    synced.connection = replace(synced.connection, username="ben@icloud.com")
    synced.anna = ben
    synced.shown.clear()
    synced.shown.clear()  # what the other account held says nothing of this one
    await synced.boot()
    assert not synced.ask().complete
    await synced.sync()
    synced.assert_right()


async def test_the_password_is_sent_to_the_two_hosts_of_the_account_and_nowhere_else(synced: World) -> None:
    hosts = {url.partition("//")[2] for url in synced.hosts}
    assert set(synced.icloud.log.authorization_by_host()) <= hosts
    for trap in ("http", "other-domain", "private-address", "loop"):
        synced.anna.knobs.bootstrap_redirect, synced.anna.knobs.redirect_to = 301, trap
        synced.anna.knobs.shard = "404"
        await synced.poll(after=DAY + 1)
        assert synced.trouble
    assert set(synced.icloud.log.authorization_by_host()) <= hosts
