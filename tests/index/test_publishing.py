"""Only what a change touches is built anew, looked at again, and stored again."""

import asyncio
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.availability import splicing
from busyd.availability.policy import Rules
from busyd.availability.profile import Profile
from busyd.availability.snapshot import Snapshot
from busyd.connection import Connection, ConnectionKind, RemoteCalendar
from busyd.index import publisher
from busyd.index.rolling import roll_horizon
from busyd.period import Instant
from tests.index.inside import ANNA, HOME, WORK, Inside, StoppedClock, at, ref, timed, window

TEAM = Connection("team", ConnectionKind.CALDAV, "https://team.example/")
ROADMAP = RemoteCalendar("/team/roadmap/", "Roadmap", ctag="1")
WORKING = Profile("anna", conflicts=(ref("anna/Work"),))
AT_HOME = Profile("bob", conflicts=(ref("anna/Home"),))
PLANNING = Profile("cleo", conflicts=(ref("team/Roadmap"),))
NINE = timed("a", "20260601T090000Z", "20260601T100000Z")
TEN = timed("b", "20260601T100000Z", "20260601T110000Z")
DAY = ("2026-06-01", "2026-06-02")


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    clock = StoppedClock(at("2026-05-31"))
    opened = Inside(tmp_path, clock, profiles=[WORKING, AT_HOME])
    yield opened
    opened.close()


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Snapshot]:
    """Every snapshot that is made, in order."""
    made: list[Snapshot] = []
    live = splicing.rebuild_snapshot

    def noted(*arguments: object, **options: object) -> Generator[None, None, object]:
        rebuilt = yield from live(*arguments, **options)  # type: ignore[arg-type]
        made.append(rebuilt.snapshot)
        return rebuilt

    monkeypatch.setattr(publisher, "rebuild_snapshot", noted)
    return made


async def test_a_profile_that_does_not_use_a_changed_calendar_is_not_built_anew(
    inside: Inside, built: list[Snapshot]
) -> None:
    await inside.show(WORK, HOME)
    await inside.put(HOME)
    built.clear()
    await inside.put(WORK, NINE)
    assert built == [inside.state.profiles["anna"].snapshot]


async def test_profiles_with_the_same_calendars_and_rules_share_one_snapshot(
    inside: Inside, built: list[Snapshot]
) -> None:
    names = [replace(WORKING, name=name) for name in ("anna", "assistant")]
    await inside.state.reconfigure([ANNA], [*names, replace(WORKING, name="strict", rules=Rules(tentative="busy"))])
    await inside.show(WORK, HOME)
    built.clear()
    await inside.put(WORK, NINE)
    anna, assistant, strict = (inside.state.profiles[name] for name in ("anna", "assistant", "strict"))
    assert assistant.snapshot is anna.snapshot
    assert len(built) == 2
    assert strict.snapshot == anna.snapshot
    assert strict.snapshot is not anna.snapshot


async def test_a_start_reads_the_stored_snapshot_of_a_profile_though_another_ones_calendar_has_changed(
    inside: Inside, tmp_path: Path
) -> None:
    await inside.show(WORK, HOME)
    await inside.put(HOME, TEN)
    await inside.put(WORK, NINE)
    again = Inside(tmp_path, inside.clock, profiles=[WORKING, AT_HOME])
    for profile, calendar in (("anna", NINE), ("bob", TEN)):
        assert again.state.profiles[profile].snapshot == inside.state.profiles[profile].snapshot, calendar
    again.close()


async def test_a_start_does_not_take_a_snapshot_of_an_older_index(inside: Inside, tmp_path: Path) -> None:
    await inside.show(WORK, HOME)
    await inside.put(WORK, NINE)
    record = inside.record(WORK)
    await inside.store.transaction(lambda tx: tx.advance_generation(record.id))
    again = Inside(tmp_path, inside.clock, profiles=[WORKING, AT_HOME])
    assert again.state.profiles["anna"].snapshot is None
    assert again.state.profiles["bob"].snapshot is not None
    again.close()


async def test_a_confirmation_of_one_connection_leaves_alone_what_is_kept_of_others(inside: Inside) -> None:
    await show_the_team(inside)
    before = inside.backend.profile("cleo")
    seen = inside.backend.profile("anna")
    inside.clock.instant = Instant(inside.clock.instant + 60)
    await inside.store.confirm_calendars([inside.record(WORK).id], inside.clock.now())
    await inside.publisher.confirm(await inside.store.read_calendars("anna"))
    assert inside.backend.profile("cleo") is before
    assert inside.backend.profile("anna") is not seen


async def test_a_proof_waits_for_the_snapshot_that_another_task_is_building(inside: Inside) -> None:
    await inside.show(WORK, HOME)
    profile_state = inside.state.profiles["anna"]
    async with profile_state.building:
        proving = asyncio.create_task(inside.publisher.confirm(await inside.store.read_calendars("anna")))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not proving.done()
    await proving


async def test_a_new_day_is_a_new_snapshot_of_every_profile(inside: Inside) -> None:
    await inside.show(WORK, HOME)
    await inside.put(WORK, NINE)
    inside.clock.instant = at("2026-06-01")
    assert await roll_horizon(inside.writer, inside.clock.now())
    for profile_state in inside.state.profiles.values():
        assert profile_state.snapshot is not None
        assert profile_state.snapshot.span == inside.writer.horizon


async def test_a_snapshot_that_could_not_be_made_is_made_the_next_time(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    await inside.show(WORK, HOME)

    async def fail(_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as broken:
        broken.setattr(publisher, "in_slices", fail)
        with pytest.raises(asyncio.CancelledError):
            await inside.put(WORK, NINE)
    await inside.publisher.confirm(await inside.store.read_calendars())
    assert await inside.busy(*DAY) == [(at("2026-06-01T09:00"), at("2026-06-01T10:00"), "BUSY")]


async def test_a_calendar_that_left_with_its_connection_is_missing_until_the_snapshot_follows(inside: Inside) -> None:
    both = replace(WORKING, conflicts=(ref("anna/Work"), ref("team/Roadmap")))
    await show_the_team(inside, both)
    await inside.put(ROADMAP, TEN)
    await inside.state.reconfigure([ANNA], [WORKING])
    answer = await inside.backend.freebusy("anna", window(*DAY))
    assert not answer.complete
    assert [calendar.state for calendar in answer.freshness.calendars] == ["fresh", "missing"]


async def show_the_team(inside: Inside, profile: Profile = WORKING) -> None:
    await inside.state.reconfigure([ANNA, TEAM], [profile, AT_HOME, PLANNING])
    await inside.store.record_listing("team", [ROADMAP], at=inside.clock.now())
    await inside.show(WORK, HOME)
    await inside.put(WORK)
    await inside.put(ROADMAP)
