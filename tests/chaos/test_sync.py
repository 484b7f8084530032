"""Tokens, ctags and multigets that lie, lag, expire or answer only a part."""

from typing import Literal

import pytest

from tests.chaos.harness import POLL, World, fill, slot
from tests.chaos.oracle import event
from tests.icloud.faults import Kind

DAY = 86_400


@pytest.fixture
async def synced(world: World) -> World:
    fill(world, "work", numbers=range(12))
    fill(world, "home", numbers=range(12, 24))
    await world.sync()
    world.assert_right()
    return world


async def test_the_log_tells_of_a_calendar_once_it_was_read_and_not_of_each_change(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "busyd")
    fill(world, "work", numbers=range(12))
    await world.sync()
    assert sorted(caplog.messages) == ["anna/Home: read completely", "anna/Work: read completely"]
    caplog.clear()
    fill(world, "work", numbers=[1, 40], version=1)
    await world.sync()
    await world.restart()
    await world.sync()
    assert caplog.messages == []


@pytest.mark.parametrize("answer", ["403", "bare403", "409", "410", "everything", "500"])
async def test_a_token_that_is_refused_or_answered_with_everything_costs_one_comparison(
    synced: World, answer: Literal["403", "bare403", "409", "410", "everything", "500"]
) -> None:
    work = synced.anna.calendars["work"]
    synced.anna.knobs.invalid_token = answer
    work.delete("e0.ics")
    fill(synced, "work", numbers=[1], version=1)
    work.expire_tokens()
    synced.mark()
    await synced.poll()
    assert len(synced.sent(report="calendar-multiget")) == 1
    await synced.sync()
    synced.assert_right()
    synced.mark()
    await synced.poll()
    assert synced.asked() == ["PROPFIND"]


async def test_a_sync_report_that_is_not_offered_is_replaced_by_a_listing(synced: World) -> None:
    synced.anna.knobs.fail_next(507, times=None, method="REPORT", path="/work/$")
    synced.anna.knobs.fail_next(501, times=None, method="REPORT", path="/home/$")
    fill(synced, "work", numbers=[40])
    synced.anna.calendars["home"].delete("e12.ics")
    await synced.poll()
    assert synced.sent(method="PROPFIND", path="/calendars/home/")
    synced.anna.knobs.reset()
    await synced.sync()
    synced.assert_right()


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 412, 418, 422, 501, 502])
async def test_a_refused_report_in_whatever_words_is_replaced_by_a_listing_for_a_day(
    synced: World, status: int
) -> None:
    synced.anna.knobs.fail_next(status, times=None, method="REPORT", path="/work/$")
    for number in range(40, 46):
        fill(synced, "work", numbers=[number])
        synced.anna.calendars["work"].delete(f"e{number - 40}.ics")
        await synced.sync()
        assert not synced.trouble
        synced.assert_right()
    assert synced.sent(method="GET")  # multigets are refused as well, so the objects come one by one
    synced.mark()
    synced.anna.knobs.reset()
    fill(synced, "work", numbers=[50])
    await synced.poll()
    assert synced.sent(method="PROPFIND", path="/calendars/work/")
    assert not synced.sent(report="sync-collection", path="/calendars/work/")
    await synced.sync()
    synced.mark()
    fill(synced, "work", numbers=[51])
    await synced.poll(after=DAY + 10)
    assert synced.sent(report="sync-collection", path="/calendars/work/")
    await synced.sync()
    synced.assert_right()


@pytest.mark.parametrize("kind", ["html", "empty-body", "garbage"])
async def test_a_page_instead_of_the_report_is_replaced_by_a_listing(synced: World, kind: Kind) -> None:
    synced.anna.knobs.play(kind, times=None, method="REPORT", path="/work/$")
    fill(synced, "work", numbers=[40])
    await synced.sync()
    assert not synced.trouble
    synced.assert_right()


@pytest.mark.parametrize("status", [404, 403, 502])
async def test_a_new_empty_calendar_that_refuses_the_report_is_empty_and_not_unknown(world: World, status: int) -> None:
    world.anna.knobs.fail_next(status, times=None, method="REPORT", path="/work/$")
    await world.sync()
    assert not world.trouble
    assert world.record("work").complete
    world.assert_right()


async def test_one_bad_moment_of_the_server_does_not_end_the_reports(synced: World) -> None:
    synced.anna.knobs.fail_next(502, times=2, method="REPORT", path="/work/$")
    fill(synced, "work", numbers=[40])
    await synced.sync()
    synced.assert_right()
    synced.mark()
    fill(synced, "work", numbers=[41])
    await synced.poll()
    assert synced.sent(report="sync-collection", path="/calendars/work/")


async def test_a_sync_that_answers_empty_though_the_ctag_changed_is_not_believed(synced: World) -> None:
    synced.anna.knobs.sync_answers_empty = {"work", "home"}
    fill(synced, "work", numbers=[3], version=1)
    synced.anna.calendars["home"].delete("e12.ics")
    await synced.sync(polls=6)
    synced.assert_right()


async def test_empty_syncs_never_empty_a_calendar_however_often_they_come(synced: World) -> None:
    synced.anna.knobs.sync_answers_empty = {"work"}
    synced.anna.calendars["work"].expire_tokens()
    for _ in range(6):
        await synced.poll()
        synced.assert_right()


async def test_a_first_sync_that_answers_empty_is_not_believed(world: World) -> None:
    fill(world, "work", numbers=range(12))
    world.anna.knobs.sync_answers_empty = {"work"}
    for _ in range(3):
        await world.poll()
        world.assert_right()


async def test_the_token_of_an_answer_that_was_not_true_is_not_used(world: World) -> None:
    fill(world, "work", numbers=range(3))
    world.anna.knobs.sync_answers_empty = {"work"}
    await world.sync()
    world.anna.knobs.reset()
    world.anna.calendars["work"].delete("e1.ics")
    await world.sync()
    world.assert_right()


@pytest.mark.parametrize("both", [False, True])
async def test_a_missing_ctag_means_look(synced: World, both: bool) -> None:
    synced.anna.knobs.ctag_missing = {"work", "home"} if both else {"work"}
    for version in (1, 2):
        fill(synced, "work", numbers=[3], version=version)
        await synced.poll()
        synced.assert_right()
    synced.anna.knobs.reset()
    await synced.sync()
    synced.mark()
    await synced.poll()
    assert synced.asked() == ["PROPFIND"]


@pytest.mark.parametrize("late", [0, 1, 2, 3, 4])
async def test_a_change_hidden_behind_a_newer_token_is_found_at_the_following_poll(synced: World, late: int) -> None:
    synced.anna.knobs.lag_seconds, synced.anna.knobs.lag_token_ahead = 5.0, True
    synced.clock.advance(POLL)
    fill(synced, "work", numbers=[3], version=1)
    synced.anna.calendars["home"].put("new.ics", event("new", *slot(70)))
    await synced.poll(after=late)
    assert slot(3, 1) not in synced.busy()
    await synced.poll()
    synced.assert_right()
    await synced.poll()
    synced.mark()
    await synced.poll()
    assert synced.asked() == ["PROPFIND"]


async def test_a_late_change_is_found_after_a_restart_too(synced: World) -> None:
    synced.anna.knobs.lag_seconds, synced.anna.knobs.lag_token_ahead = 5.0, True
    fill(synced, "work", numbers=[3], version=1)
    await synced.poll(after=1)
    await synced.restart()
    await synced.poll()
    synced.assert_right()


async def test_a_late_change_of_a_first_sync_is_found_at_the_following_poll(world: World) -> None:
    world.anna.knobs.lag_seconds, world.anna.knobs.lag_token_ahead = 5.0, True
    fill(world, "work", numbers=range(12))
    await world.poll(after=2)
    await world.poll()
    world.assert_right()


async def test_a_look_that_comes_too_early_and_finds_nothing_does_not_replace_the_second_one(synced: World) -> None:
    synced.anna.knobs.lag_seconds, synced.anna.knobs.lag_token_ahead = 5.0, True
    fill(synced, "work", numbers=[3], version=1)
    await synced.poll(after=1)
    synced.anna.knobs.ctag_missing = {"work"}
    await synced.poll(after=1)
    synced.anna.knobs.ctag_missing = set()
    await synced.poll(after=1)
    await synced.poll()
    synced.assert_right()


async def test_polls_in_quick_succession_do_not_lose_the_second_look(synced: World) -> None:
    synced.anna.knobs.lag_seconds, synced.anna.knobs.lag_token_ahead = 5.0, True
    for version in range(1, 9):
        fill(synced, "work", numbers=[3], version=version)
        await synced.poll(after=1)
        fill(synced, "home", numbers=[14], version=version)
        await synced.poll(after=2)
    await synced.sync()
    synced.assert_right()


async def test_changes_that_do_not_cease_do_not_put_the_second_look_off(synced: World) -> None:
    synced.anna.knobs.lag_seconds, synced.anna.knobs.lag_token_ahead = 5.0, True
    fill(synced, "work", numbers=[30])
    await synced.poll(after=1)
    for version in range(1, 9):
        fill(synced, "work", numbers=[3], version=version)
        await synced.poll(after=10)
        assert slot(30) in synced.busy() or version <= 2
    await synced.sync()
    synced.assert_right()


async def test_what_a_first_read_did_not_show_is_found_although_something_else_came_right_after(world: World) -> None:
    world.anna.knobs.lag_seconds, world.anna.knobs.lag_token_ahead = 5.0, True
    fill(world, "work", numbers=range(12))
    world.clock.advance(POLL)
    for hidden in (30, 31):
        fill(world, "work", numbers=[hidden])
        await world.poll(after=1)
    await world.poll()
    world.assert_right()


@pytest.mark.parametrize("missing", ["404", "absent"])
@pytest.mark.parametrize("at_most", [0, 1, 7])
async def test_a_multiget_that_answers_a_part_is_completed(
    synced: World, missing: Literal["404", "absent"], at_most: int
) -> None:
    synced.anna.knobs.multiget_missing, synced.anna.knobs.multiget_returns_at_most = missing, at_most
    fill(synced, "work", numbers=range(40, 60))
    synced.anna.calendars["home"].housekeeping()
    await synced.sync()
    synced.assert_right()


async def test_what_vanishes_between_the_report_and_the_multiget_is_proved_gone_singly(synced: World) -> None:
    fill(synced, "work", numbers=[0, 1], version=1)

    def meanwhile() -> None:
        if synced.asked()[-1:] == ["sync-collection"] and "e0.ics" in synced.anna.calendars["work"].objects():
            synced.anna.calendars["work"].delete("e0.ics")

    synced.meanwhile = meanwhile
    synced.mark()
    await synced.sync()
    synced.assert_right()


async def test_a_whole_batch_answered_with_404_frees_nothing(synced: World) -> None:
    synced.anna.calendars["work"].housekeeping()
    synced.anna.knobs.play("status", status=404, method="GET", times=None)
    synced.anna.knobs.multiget_returns_at_most = 1
    await synced.poll()
    assert slot(5) in synced.busy()
    synced.anna.knobs.reset()
    await synced.sync()
    synced.assert_right()


async def test_an_object_that_cannot_be_had_keeps_its_time_and_is_told_and_is_not_asked_for_all_the_time(
    synced: World,
) -> None:
    synced.transport.poisoned = frozenset({"e3.ics"})
    fill(synced, "work", numbers=[1, 3, 5], version=1)
    await synced.poll()
    assert {slot(3), slot(1, 1), slot(5, 1)} <= set(synced.busy())
    assert not synced.ask().complete
    await synced.sync()
    synced.mark()
    for _ in range(20):
        await synced.poll()
    assert len(synced.sent()) <= 20 + 5 * 3  # every five minutes a sync, a multiget, a GET
    synced.transport.poisoned = frozenset()
    await synced.sync(polls=16)
    synced.assert_right()


async def test_one_object_that_breaks_every_multiget_keeps_no_other_from_being_read(world: World) -> None:
    fill(world, "work", numbers=range(30))
    world.anna.knobs.fail_next(500, times=2, method="REPORT", path="/work/", skip=1)
    await world.sync()
    world.assert_right()


@pytest.mark.parametrize("without_slash", [False, True])
async def test_the_collection_among_its_own_members_is_none(synced: World, without_slash: bool) -> None:
    synced.anna.knobs.self_without_slash = without_slash
    for calendar in synced.anna.calendars.values():
        calendar.rename(f"{calendar.name} again")
    synced.anna.calendars["work"].expire_tokens()
    await synced.sync()
    synced.assert_right()
    assert not synced.sent(report="calendar-multiget", path="again")


@pytest.mark.parametrize("shown", ["404", "absent"])
async def test_what_was_made_and_deleted_between_two_polls_is_nothing(
    synced: World, shown: Literal["404", "absent"]
) -> None:
    synced.anna.knobs.created_and_deleted = shown
    fill(synced, "work", numbers=[50])
    synced.anna.calendars["work"].delete("e50.ics")
    synced.mark()
    await synced.sync()
    synced.assert_right()
    assert not synced.sent(report="calendar-multiget")


async def test_etags_that_change_by_themselves_change_no_answer(synced: World) -> None:
    before = synced.state.profiles["anna"].version
    for _ in range(5):
        synced.anna.calendars["work"].housekeeping()
        await synced.poll()
    assert synced.state.profiles["anna"].version == before
    synced.assert_right()


async def test_content_that_changed_under_its_etag_is_found_within_a_week(synced: World) -> None:
    for number in range(12):
        synced.anna.calendars["work"].replace_silently(f"e{number}.ics", event(f"e{number}", *slot(number, 1)))
    synced.shown.clear()
    for _ in range(8):
        await synced.poll(after=DAY + 1)
    synced.assert_right()


async def test_a_lost_change_is_found_within_a_day(synced: World) -> None:
    work = synced.anna.calendars["work"]
    fill(synced, "work", numbers=[3], version=1)
    for _ in range(3):
        synced.anna.knobs.sync_answers_empty = {"work"}
        synced.anna.knobs.fail_next(403, method="PROPFIND", path="/work/", times=None)
        await synced.poll()
    synced.anna.knobs.reset()
    assert work.get("e3.ics") is not None
    await synced.poll(after=DAY + 1)
    await synced.sync()
    synced.assert_right()


async def test_a_wall_clock_set_forth_and_back_stops_nothing(synced: World) -> None:
    for version, jump in enumerate((DAY, -2 * DAY, 400 * DAY, -400 * DAY, 3600, -3600), 1):
        synced.clock.jump(jump)
        fill(synced, "work", numbers=[3], version=version)
        await synced.sync(polls=2)
        assert slot(3, version) in synced.busy()
    await synced.sync()
    synced.mark()
    await synced.poll()
    assert synced.asked() == ["PROPFIND"]
