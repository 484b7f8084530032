"""Objects that are not handed out as listed: over midnights, failures, and what a person accepts of them."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.availability.profile import Profile
from busyd.connection import Connection, ConnectionKind
from busyd.index.rolling import roll_horizon
from busyd.store.errors import StorageError
from busyd.store.mirror import CalendarRecord, DoubtKind, ObjectDoubt, SyncMark
from busyd.store.occurrences import IndexEntry
from tests.index.inside import ANNA, HOME, WORK, Inside, StoppedClock, at, event, ref, timed, window

BERLIN = Profile("anna", timezone="Europe/Berlin", primary=ref("anna/Work"), conflicts=(ref("anna/Home"),))
NEW_YORK = replace(BERLIN, name="ben", timezone="America/New_York")
WEEKLY = event("w", "DTSTART:20260601T090000Z", "DURATION:PT1H", "RRULE:FREQ=WEEKLY")
JUNE = window("2026-06-01", "2026-06-20")


async def begin(folder: Path, *profiles: Profile, day: str = "2026-05-31") -> Inside:
    inside = Inside(folder, StoppedClock(at(day)), profiles=profiles)
    await inside.show(WORK, HOME)
    return inside


async def mark_unread(inside: Inside, *records: CalendarRecord, listed: str = '"new"') -> None:
    """The first object of each calendar is listed with an ETag, and not handed out."""
    for record in records:
        href = f"{record.remote.href}0.ics"
        doubts = {href: ObjectDoubt(DoubtKind.UNREAD, inside.clock.now(), etag=listed)}
        mark = SyncMark("1", None, inside.clock.now(), doubts=doubts)
        await inside.writer.store_batch(record, [], unread=[href], mark=mark)
    await inside.publisher.confirm(await inside.store.read_calendars())


async def is_complete(inside: Inside, profile: str = "anna") -> bool:
    return (await inside.backend.freebusy(profile, JUNE)).complete


def problem_of(inside: Inside) -> str:
    return next(problem.id for problem in inside.backend.problems() if problem.incomplete)


async def test_a_midnight_leaves_a_series_in_doubt_for_whoever_reads_it_in_whatever_zone(tmp_path: Path) -> None:
    inside = await begin(tmp_path, BERLIN, NEW_YORK)
    await inside.put(WORK)
    await inside.put(HOME, WEEKLY)
    await mark_unread(inside, inside.record(HOME))
    inside.clock.instant = at("2026-06-01")
    assert await roll_horizon(inside.writer, inside.clock.now())
    assert [await is_complete(inside, name) for name in ("anna", "ben")] == [False, False]
    inside.close()
    again = await begin(tmp_path, BERLIN, NEW_YORK, day="2026-06-01")
    assert [await is_complete(again, name) for name in ("anna", "ben")] == [False, False]
    again.close()


async def test_a_midnight_that_fails_halfway_leaves_it_in_doubt_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = await begin(tmp_path, BERLIN)
    await inside.put(WORK)
    await inside.put(HOME, WEEKLY)
    await mark_unread(inside, inside.record(HOME))
    inside.clock.instant = at("2026-06-01")
    put_entries = inside.store.put_entries

    async def put_and_fail(entries: Collection[IndexEntry], *, of: Mapping[int, tuple[bytes, str]]) -> None:
        await put_entries(entries, of=of)
        raise StorageError("the disk is full")

    monkeypatch.setattr(inside.store, "put_entries", put_and_fail)
    with pytest.raises(StorageError):
        await roll_horizon(inside.writer, inside.clock.now())
    monkeypatch.setattr(inside.store, "put_entries", put_entries)
    assert await roll_horizon(inside.writer, inside.clock.now())
    assert not await is_complete(inside)
    inside.close()


async def test_an_acceptance_that_cannot_be_taken_back_is_told_as_one_that_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = await begin(tmp_path, BERLIN)
    await inside.put(WORK)
    await inside.put(HOME)
    await mark_unread(inside, inside.record(HOME))
    problem = problem_of(inside)
    accepted = inside.backend.accepted_problems
    await accepted.accept(problem, inside.clock.now())

    async def fail(ids: Iterable[str]) -> None:
        message = f"{list(ids)}: the disk is full"
        raise StorageError(message)

    with monkeypatch.context() as full:
        full.setattr(inside.ledger, "withdraw", fail)
        with pytest.raises(StorageError):
            await accepted.withdraw(problem)
    assert [bool(one.accepted) for one in inside.backend.problems()] == [True]
    await accepted.withdraw(problem)
    assert not await is_complete(inside)
    inside.close()


async def test_an_acceptance_ends_with_the_doubt_it_was_about_also_when_a_kill_forgets_that(tmp_path: Path) -> None:
    inside = await begin(tmp_path, BERLIN)
    await inside.put(WORK)
    await inside.put(HOME)
    await mark_unread(inside, inside.record(HOME))
    await inside.backend.accepted_problems.accept(problem_of(inside), inside.clock.now())
    assert await is_complete(inside)
    await inside.put(HOME, timed("a", "20260610T090000Z", "20260610T100000Z"))
    inside.close()  # before the ledger is told that the acceptance has ended
    again = await begin(tmp_path, BERLIN, day="2026-06-01")
    await mark_unread(again, again.record(HOME))
    assert not await is_complete(again)
    again.close()


async def test_what_is_accepted_of_one_connection_is_not_accepted_of_another_with_the_same_paths(
    tmp_path: Path,
) -> None:
    team = Connection("team", ConnectionKind.CALDAV, "https://team.example/")
    anna, tom = replace(BERLIN, primary=None), Profile("tom", timezone="UTC", conflicts=(ref("team/*"),))
    inside = await begin(tmp_path, anna)
    await inside.state.reconfigure([ANNA, team], [anna, tom])
    await inside.store.record_listing("team", (HOME,), at=inside.clock.now())
    await inside.show(HOME)
    await mark_unread(inside, *[one for one in await inside.store.read_calendars() if one.remote.href == HOME.href])
    assert [await is_complete(inside, name) for name in ("anna", "tom")] == [False, False]
    await inside.backend.accepted_problems.accept(problem_of(inside), inside.clock.now())
    assert sorted([await is_complete(inside, name) for name in ("anna", "tom")]) == [False, True]
    inside.close()


async def test_what_a_name_meant_for_one_profile_it_does_not_mean_for_another(tmp_path: Path) -> None:
    inside = await begin(tmp_path, BERLIN)
    await inside.put(WORK)
    await inside.put(HOME)
    private, home = replace(HOME, name="Private"), replace(HOME, href="/1/calendars/h2/", name="Home")
    await inside.show(WORK, private, home)
    await inside.put(home, timed("a", "20260610T090000Z", "20260610T100000Z"))
    bea = Profile("bea", timezone="UTC", conflicts=(ref("anna/Home"),))
    await inside.state.reconfigure([ANNA], [BERLIN, bea])
    await inside.restore.load_tables()
    assert [link.label for link in inside.state.profiles["bea"].links] == ["anna/Home"]
    assert "anna/Private" in [link.label for link in inside.state.profiles["anna"].links]
    inside.close()
