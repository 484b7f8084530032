"""What cannot be understood, from the calendar to the answer: never complete, never offered, always named."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from busyd.availability.profile import Profile
from busyd.flow.ask import NotUnderstood, OnStale, resolve_unknown
from busyd.flow.views import ProfileHealth
from tests.index.inside import HOME, WORK, Inside, StoppedClock, at, event, ref, timed, window

WEEKLY = ("DTSTART:20260608T090000Z", "DURATION:PT1H")
UNREADABLE = ["", "FREQ=FORTNIGHTLY", "FREQ=WEEKLY;UNTL=20270101", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;COUNT=many"]
PROFILE = Profile("anna", timezone="Europe/Berlin", primary=ref("anna/Work"), conflicts=(ref("anna/Home"),))


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    opened = Inside(tmp_path, StoppedClock(at("2026-05-31")), profiles=[PROFILE])
    yield opened
    opened.close()


async def fill(inside: Inside, *payloads: bytes) -> None:
    await inside.show(WORK, HOME)
    await inside.put(WORK, *payloads)
    await inside.put(HOME)


@pytest.mark.parametrize("rule", UNREADABLE)
async def test_no_window_after_a_rule_that_cannot_be_read_is_complete_or_offered_and_the_event_is_named(
    inside: Inside, rule: str
) -> None:
    await fill(inside, event("odd", *WEEKLY, f"RRULE:{rule}"))
    for end in ("2026-06-20", "2029-06-20"):  # within the horizon, and beyond it
        answer = await inside.backend.freebusy("anna", window("2026-06-10", end))
        assert not answer.complete
        with pytest.raises(NotUnderstood, match=r"anna/Work: event odd: .*rule"):
            resolve_unknown(answer, OnStale.ERROR)
        assert not resolve_unknown(answer, OnStale.BUSY).gaps_are_free
    before = await inside.backend.freebusy("anna", window("2026-06-01", "2026-06-08"))
    assert before.complete
    assert resolve_unknown(before, OnStale.ERROR) is before
    view = inside.backend.profile("anna")
    assert view is not None
    assert view.state is ProfileHealth.INCOMPLETE


async def test_a_stored_snapshot_and_a_stored_index_know_from_when_on_time_is_unknown(tmp_path: Path) -> None:
    first = Inside(tmp_path, StoppedClock(at("2026-05-31")), profiles=[PROFILE])
    await fill(first, event("odd", *WEEKLY, "RRULE:?"))
    first.close()
    again = Inside(tmp_path, StoppedClock(at("2026-05-31")), profiles=[PROFILE])
    for loaded in (False, True):
        if loaded:
            await again.restore.load_tables()
        assert (await again.backend.freebusy("anna", window("2026-06-01", "2026-06-08"))).complete
        assert not (await again.backend.freebusy("anna", window("2026-06-01", "2026-06-09"))).complete
    again.close()


async def test_an_event_in_an_unknown_zone_is_unavailable_for_its_span_and_only_windows_there_are_incomplete(
    inside: Inside,
) -> None:
    await fill(inside, event("lost", "DTSTART;TZID=Nowhere:20260610T120000", "DURATION:PT1H"))
    answer = await inside.backend.freebusy("anna", window("2026-06-01", "2026-06-20"))
    assert not answer.complete
    assert [(one.start, one.end, one.fbtype.text) for one in answer.busy] == [
        (at("2026-06-09T22:00"), at("2026-06-11T01:00"), "BUSY-UNAVAILABLE")
    ]
    assert (await inside.backend.freebusy("anna", window("2026-06-12", "2026-06-20"))).complete
    assert [problem.kind for problem in inside.backend.problems()] == ["unknown-zone"]


async def test_what_is_forgiven_is_told_and_leaves_windows_complete(inside: Inside) -> None:
    await fill(inside, event("kind", *WEEKLY, "RRULE:FREQ=WEEKLY;INTERVAL=1.0;BYDAY="))
    assert (await inside.backend.freebusy("anna", window("2026-06-01", "2026-06-20"))).complete
    assert {problem.kind for problem in inside.backend.problems()} == {"forgiven"}


async def test_of_many_events_that_may_be_at_any_time_a_refusal_names_the_first_and_counts_the_others(
    inside: Inside,
) -> None:
    await fill(
        inside, *(event(f"odd-{number}", "DTSTART:soon") for number in range(5)), timed("a", "20260601", "20260602")
    )
    answer = await inside.backend.freebusy("anna", window("2026-06-10", "2026-06-20"))
    with pytest.raises(NotUnderstood, match=r"event odd-0: .*event odd-2: .*; and 2 more"):
        resolve_unknown(answer, OnStale.ERROR)


async def test_explain_says_what_was_forgiven_and_what_was_not_understood(inside: Inside) -> None:
    kind, odd = event("kind", *WEEKLY, "RRULE:FREQ=WEEKLY;INTERVAL=1.0"), event("odd", *WEEKLY, "RRULE:?")
    await fill(inside, kind, odd)
    told = await inside.backend.explain("anna", window("2026-06-08", "2026-06-09"))
    assert {(one.uid, one.reason, "; ".join(one.notes)[:40]) for one in told} == {
        ("kind", "opaque", "'1.0' in the rule is read as 1"),
        ("odd", "opaque", "of a rule that cannot be read only the f"),
        ("odd", "unreadable", "of a rule that cannot be read only the f"),
    }
    assert [one.uid for one in await inside.backend.explain("anna", window("2026-06-01", "2026-06-08"))] == []


async def test_objects_of_one_calendar_with_one_uid_all_count_and_are_told(inside: Inside) -> None:
    same = [timed("same", f"2026060{day}T090000Z", f"2026060{day}T100000Z") for day in (1, 3)]
    await fill(inside, *same, timed("other", "20260605T090000Z", "20260605T100000Z"))
    assert len(await inside.busy("2026-06-01", "2026-06-08")) == 3
    assert inside.backend.problems() == []
    (told,) = await inside.backend.all_problems()
    assert (told.kind, told.calendar, told.uid, told.incomplete) == ("duplicate-uid", "anna/Work", "same", False)
    assert told.reason == "2 objects of the calendar have this UID; each of them counts"
