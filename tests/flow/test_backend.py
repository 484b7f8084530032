"""What handlers get: values that stay as they are, and another revision whenever something changes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from busyd.availability.profile import Profile
from busyd.connection import Connection, ConnectionKind
from busyd.flow.views import ProfileHealth, ProfileView
from busyd.period import Instant
from tests.index.inside import ANNA, HOME, WORK, Inside, StoppedClock, at, event, ref, timed, window


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    profile = Profile("anna", primary=ref("anna/Work"), conflicts=(ref("anna/Home"),))
    opened = Inside(tmp_path, StoppedClock(at("2026-05-31")), profiles=[profile])
    yield opened
    opened.close()


def anna(inside: Inside) -> ProfileView:
    view = inside.backend.profile("anna")
    assert view is not None
    return view


async def test_a_profile_is_the_same_value_while_nothing_changes(inside: Inside) -> None:
    await inside.show(WORK, HOME)
    await inside.put(WORK)
    assert anna(inside) is anna(inside)


async def test_new_busy_time_is_another_revision_and_another_snapshot(inside: Inside) -> None:
    await inside.show(WORK, HOME)
    await inside.put(WORK)
    before = anna(inside)
    await inside.put(WORK, timed("a", "20260601T090000Z", "20260601T100000Z"))
    after = anna(inside)
    assert after.revision != before.revision
    assert after.snapshot_version != before.snapshot_version


async def test_a_new_confirmation_is_another_revision_of_the_same_snapshot(inside: Inside) -> None:
    await inside.show(WORK, HOME)
    await inside.put(WORK)
    before = anna(inside)
    inside.clock.instant = Instant(inside.clock.instant + 60)
    await inside.put(WORK)
    after = anna(inside)
    assert after.revision != before.revision
    assert after.snapshot_version == before.snapshot_version


async def test_time_alone_makes_another_revision_on_the_second_at_which_it_turns_stale(inside: Inside) -> None:
    await inside.show(WORK, HOME)
    await inside.put(WORK)
    await inside.put(HOME)
    confirmed = inside.clock.instant
    assert anna(inside).state is ProfileHealth.FRESH
    inside.clock.instant = Instant(confirmed + 900)
    assert anna(inside).state is ProfileHealth.FRESH
    inside.clock.instant = Instant(confirmed + 901)
    assert anna(inside).state is ProfileHealth.STALE


async def test_a_profile_of_which_no_window_is_complete_is_not_called_fresh(inside: Inside) -> None:
    await inside.show(WORK, HOME)
    await inside.put(HOME)
    await inside.put(WORK, event("a", "DTSTART:someday"))
    assert anna(inside).state is ProfileHealth.INCOMPLETE
    assert not (await inside.backend.freebusy("anna", window("2026-06-01", "2026-06-02"))).complete


async def test_a_clock_set_back_makes_a_confirmation_worthless(inside: Inside) -> None:
    await inside.show(WORK, HOME)
    await inside.put(WORK)
    await inside.put(HOME)
    assert not anna(inside).freshness.stale
    inside.clock.instant = Instant(inside.clock.instant - 3600)
    assert anna(inside).freshness.stale


async def test_a_profile_that_is_not_configured_is_none(inside: Inside) -> None:
    assert inside.backend.profile("ben") is None
    assert [view.name for view in await inside.backend.profiles()] == ["anna"]


async def test_connections_tell_which_profiles_use_them_and_their_calendars(inside: Inside) -> None:
    await inside.show(WORK, HOME)
    [connection] = await inside.backend.connections()
    assert (connection.name, sorted(connection.profiles)) == ("anna", ["anna"])
    assert [(calendar.label, sorted(calendar.profiles)) for calendar in connection.calendars] == [
        ("anna/Work", ["anna"]),
        ("anna/Home", ["anna"]),
    ]
    assert not any(calendar.is_complete for calendar in connection.calendars)
    await inside.put(WORK)
    [connection] = await inside.backend.connections()
    assert [calendar.is_complete for calendar in connection.calendars] == [True, False]


async def test_connections_that_a_reload_takes_away_meanwhile_are_told_as_they_were(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("busyd.cooperative.SLICE_SECONDS", 0.0)
    many = [Connection(f"c{number}", ConnectionKind.CALDAV, "https://dav.example/") for number in range(3)]
    await inside.state.reconfigure(many, [Profile("anna")])
    asked = asyncio.create_task(inside.backend.connections())
    await asyncio.sleep(0)
    await inside.state.reconfigure([], [Profile("anna")])
    assert [view.name for view in await asked] == ["c0", "c1", "c2"]


async def test_while_another_account_is_taken_up_a_far_window_is_answered_from_what_is_linked(inside: Inside) -> None:
    await inside.show(WORK, HOME)
    await inside.put(WORK, timed("a", "20270801T090000Z", "20270801T100000Z", "RRULE:FREQ=YEARLY"))
    await inside.put(HOME)
    far = ("2031-07-31", "2031-08-03")
    before = await inside.busy(*far)
    other = Connection("anna", ConnectionKind.ICLOUD, ANNA.url, "ben@icloud.com")
    await inside.state.reconfigure([other], [Profile("anna", conflicts=(ref("anna/Work"), ref("anna/Home")))])
    inside.state.forget_unlinked()
    assert [fbtype for _, _, fbtype in before] == ["BUSY"]
    assert before[0] in await inside.busy(*far)
