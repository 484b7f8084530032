"""A person accepts that one object cannot be understood: answers are complete again, until that object changes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from busyd.availability.profile import Profile
from busyd.connection import RemoteCalendar
from busyd.flow.accepting import NothingToAccept, UnknownProblem
from busyd.index.rolling import roll_horizon
from busyd.period import Instant
from busyd.store.ledger import Ledger
from busyd.store.mirror import SyncMark
from tests.index.inside import HOME, WORK, Inside, StoppedClock, at, event, ref, timed, window

PROFILE = Profile("anna", timezone="Europe/Berlin", primary=ref("anna/Work"), conflicts=(ref("anna/Home"),))
JUNE = ("2026-06-01", "2026-06-20")
KNOWN = (at("2026-06-10T09:00"), at("2026-06-10T10:00"), "BUSY")
UNREADABLE = ("DTSTART:20260610T090000Z", "DURATION:PT1H", "RRULE:FREQ=FORTNIGHTLY")


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    opened = await start(tmp_path)
    yield opened
    await opened.writer.close()
    opened.close()


async def start(folder: Path) -> Inside:
    opened = Inside(folder, StoppedClock(at("2026-05-31")), profiles=[PROFILE])
    await opened.show(WORK, HOME)
    return opened


async def fill(inside: Inside, *payloads: bytes) -> None:
    await inside.put(WORK)
    await inside.put(HOME, *payloads)


async def is_complete(inside: Inside, start: str = JUNE[0], end: str = JUNE[1]) -> bool:
    return (await inside.backend.freebusy("anna", window(start, end))).complete


async def accept(inside: Inside) -> str:
    problem = next(problem.id for problem in inside.backend.problems() if problem.incomplete)
    told = await inside.backend.accepted_problems.accept(problem, inside.clock.now())
    assert {view.accepted for view in told} == {"2026-05-31T00:00:00Z"}
    return problem


@pytest.mark.parametrize(
    ("lines", "busy"),
    [
        (UNREADABLE, [KNOWN]),
        (("DTSTART:soon",), []),
        (("DTSTART;TZID=Nowhere:20260610T120000", "DURATION:PT1H"), []),
        ((*UNREADABLE[:2], "RDATE;TZID=Nowhere:20260612T120000"), [KNOWN]),
    ],
)
async def test_what_is_understood_of_an_accepted_object_counts_and_the_rest_no_longer(
    inside: Inside, lines: tuple[str, ...], busy: list[object]
) -> None:
    await fill(inside, event("odd", *lines))
    assert not await is_complete(inside)
    await accept(inside)
    assert await is_complete(inside)
    assert await inside.busy(*JUNE) == busy
    assert await is_complete(inside, "2029-06-01", "2029-06-20")
    told = await inside.backend.explain("anna", window(*JUNE))
    assert {one.reason for one in told} <= {"opaque", "accepted"}
    assert "accepted" in {one.reason for one in told}


async def test_an_object_that_a_server_lists_and_does_not_hand_out_can_be_accepted(inside: Inside) -> None:
    await fill(inside)
    await unread(inside, HOME)
    assert [one[2] for one in await inside.busy(*JUNE)] == ["BUSY-UNAVAILABLE"]
    await accept(inside)
    assert await inside.busy(*JUNE) == []
    assert await is_complete(inside)
    await inside.put(HOME, event("odd", "DTSTART:soon"))
    assert not await is_complete(inside)


async def unread(inside: Inside, calendar: RemoteCalendar) -> None:
    mark = SyncMark("1", None, inside.clock.now())
    await inside.writer.store_batch(inside.record(calendar), [], unread=[f"{calendar.href}0.ics"], mark=mark)
    await inside.publisher.confirm(await inside.store.read_calendars())


async def test_a_changed_object_ends_it_for_good(inside: Inside, tmp_path: Path) -> None:
    odd, other = event("odd", *UNREADABLE), event("odd", *UNREADABLE, "SUMMARY:changed")
    await fill(inside, odd)
    problem = await accept(inside)
    await inside.put(HOME, other)
    assert not await is_complete(inside)
    await inside.put(HOME, odd)
    assert not await is_complete(inside)
    assert [view.accepted for view in inside.backend.problems()] == [None]
    assert problem in Ledger.open(tmp_path / "ledger.sqlite3").acceptances()
    await inside.backend.accepted_problems.forget_ended()
    assert not Ledger.open(tmp_path / "ledger.sqlite3").acceptances()


async def test_it_can_be_taken_back(inside: Inside) -> None:
    await fill(inside, event("odd", *UNREADABLE))
    problem = await accept(inside)
    await inside.backend.accepted_problems.accept(problem, Instant(0))  # again: nothing changes
    assert [view.accepted for view in inside.backend.problems()] == ["2026-05-31T00:00:00Z"]
    told = await inside.backend.accepted_problems.withdraw(problem)
    assert [view.accepted for view in told] == [None]
    assert not await is_complete(inside)
    with pytest.raises(NothingToAccept):
        await inside.backend.accepted_problems.withdraw(problem)


async def test_it_lasts_over_restarts_and_days(inside: Inside, tmp_path: Path) -> None:
    await fill(
        inside, event("odd", *UNREADABLE, "RDATE;TZID=Nowhere:20260612T120000"), timed("a", "20260601", "20260602")
    )
    await accept(inside)
    again = await start(tmp_path)
    assert await is_complete(again)
    again.clock.instant = at("2026-06-02")
    assert await roll_horizon(again.writer, again.clock.now())
    assert await is_complete(again)
    await again.writer.close()
    again.close()


async def test_only_what_is_there_and_makes_answers_incomplete_can_be_accepted(inside: Inside) -> None:
    await fill(inside, event("kind", *UNREADABLE[:2], "RRULE:FREQ=DAILY;INTERVAL=1.0"))
    (harmless,) = inside.backend.problems()
    assert not harmless.incomplete
    with pytest.raises(NothingToAccept):
        await inside.backend.accepted_problems.accept(harmless.id, inside.clock.now())
    with pytest.raises(UnknownProblem):
        await inside.backend.accepted_problems.accept("0123456789ab", inside.clock.now())
    with pytest.raises(UnknownProblem):
        await inside.backend.accepted_problems.withdraw("0123456789ab")
