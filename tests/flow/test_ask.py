"""What an answer says of itself: as_of, stale, complete, and the state of each calendar, must tell the truth."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.availability.policy import Rules
from busyd.availability.profile import Profile
from busyd.flow.ask import NotConfirmed, OnStale, StaleAnswer, UnknownProfile, resolve_stale
from busyd.flow.backend import Backend
from busyd.period import Instant
from tests.index.inside import HOME, WORK, Inside, StoppedClock, at, event, ref, timed, window

WEEK = window("2026-06-01", "2026-06-08")
NINE, TEN = at("2026-06-01T09:00"), at("2026-06-01T10:00")
Open = Callable[..., Inside]


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(at("2026-05-31"))


@pytest.fixture
def start(tmp_path: Path, clock: StoppedClock) -> Iterator[Open]:
    opened: list[Inside] = []

    def make(*profiles: Profile) -> Inside:
        opened.append(Inside(tmp_path, clock, profiles=profiles or [Profile("anna", conflicts=(ref("anna/*"),))]))
        return opened[-1]

    yield make
    for inside in opened:
        inside.close()


async def ask(backend: Backend) -> tuple[Instant | None, bool, bool]:
    answer = await backend.freebusy("anna", WEEK)
    return answer.freshness.as_of, answer.freshness.stale, answer.complete


async def test_a_calendar_read_just_now_is_fresh_and_complete(start: Open, clock: StoppedClock) -> None:
    inside = start()
    await inside.show(WORK)
    await inside.put(WORK, timed("a", "20260601T090000Z", "20260601T100000Z"))
    assert await inside.busy("2026-06-01", "2026-06-08") == [(NINE, TEN, "BUSY")]
    assert await ask(inside.backend) == (clock.now(), False, True)


async def test_an_answer_turns_stale_the_second_after_max_age(start: Open, clock: StoppedClock) -> None:
    inside = start()
    await inside.show(WORK)
    await inside.put(WORK)
    proof = clock.now()
    clock.instant = Instant(proof + 900)
    assert await ask(inside.backend) == (proof, False, True)
    clock.instant = Instant(proof + 901)
    assert await ask(inside.backend) == (proof, True, True)


async def test_a_proof_is_too_old_for_max_age_from_the_first_part_of_a_second(start: Open, clock: StoppedClock) -> None:
    inside = start()
    await inside.show(WORK)
    await inside.put(WORK)
    clock.instant = Instant(clock.instant + 1)
    answer = await inside.backend.freebusy("anna", WEEK, max_age=1)
    assert not answer.freshness.stale
    clock.part = 0.25
    with pytest.raises(NotConfirmed):
        await inside.backend.freebusy("anna", WEEK, max_age=1)


async def test_an_answer_turns_stale_the_part_of_a_second_after_max_age(start: Open, clock: StoppedClock) -> None:
    inside = start()
    await inside.show(WORK)
    clock.part = 0.75
    await inside.put(WORK)
    proof = clock.now()
    clock.instant = Instant(proof + 900)
    assert await ask(inside.backend) == (proof, False, True)
    clock.part = 0.8
    assert await ask(inside.backend) == (proof, True, True)


async def test_the_oldest_proof_of_all_calendars_counts(start: Open, clock: StoppedClock) -> None:
    inside = start()
    await inside.show(WORK, HOME)
    await inside.put(WORK)
    first = clock.now()
    clock.instant = Instant(first + 60)
    await inside.put(HOME)
    assert (await ask(inside.backend))[0] == first


async def test_a_calendar_never_read_leaves_nothing_free(start: Open) -> None:
    inside = start()
    await inside.show(WORK, HOME)
    await inside.put(WORK, timed("a", "20260601T090000Z", "20260601T100000Z"))
    answer = await inside.backend.freebusy("anna", WEEK)
    assert not answer.complete
    assert [(one.start, one.end) for one in answer.busy] == [(WEEK.start, NINE), (NINE, TEN), (TEN, WEEK.end)]
    assert [connection_state.state for connection_state in answer.freshness.calendars] == ["fresh", "never-read"]


async def test_a_profile_without_calendars_is_not_free(start: Open) -> None:
    inside = start(Profile("anna"))
    answer = await inside.backend.freebusy("anna", WEEK)
    assert (answer.complete, [one.fbtype.text for one in answer.busy]) == (False, ["BUSY-UNAVAILABLE"])


async def test_an_event_without_a_readable_start_makes_answers_incomplete(start: Open) -> None:
    inside = start()
    await inside.show(WORK)
    await inside.put(WORK, event("odd", "DTSTART:notadate"))
    assert (await ask(inside.backend))[2] is False
    assert [problem.uid for problem in inside.backend.problems()] == ["odd"]


async def test_an_unknown_profile_is_told_with_those_there_are(start: Open) -> None:
    inside = start()
    with pytest.raises(UnknownProfile, match="ben") as caught:
        await inside.backend.freebusy("ben", WEEK)
    assert "anna" in caught.value.fix


async def test_a_start_has_the_same_answer_before_anything_is_loaded(start: Open) -> None:
    inside = start()
    await inside.show(WORK)
    await inside.put(WORK, timed("a", "20260601T090000Z", "20260601T100000Z"))
    inside.clock.instant = Instant(inside.clock.instant + 1)
    again = start()
    assert not again.state.tables.calendars
    assert await again.busy("2026-06-01", "2026-06-08") == [(NINE, TEN, "BUSY")]
    assert await ask(again.backend) == await ask(inside.backend)


async def test_a_window_beyond_the_horizon_is_right_while_a_start_is_still_loading(start: Open) -> None:
    inside = start()
    await inside.show(WORK)
    await inside.put(WORK, timed("old", "20200601T090000Z", "20200601T100000Z"))
    again = start()
    assert await again.busy("2020-06-01", "2020-06-02") == [(at("2020-06-01T09:00"), at("2020-06-01T10:00"), "BUSY")]


async def test_changed_rules_count_at_the_start_without_reading_anything_again(start: Open) -> None:
    anna = Profile("anna", conflicts=(ref("anna/*"),))
    inside = start(anna)
    await inside.show(WORK)
    await inside.put(WORK, timed("a", "20260601T090000Z", "20260601T100000Z", "STATUS:TENTATIVE"))
    assert await inside.busy("2026-06-01", "2026-06-08") == [(NINE, TEN, "BUSY-TENTATIVE")]
    again = start(replace(anna, rules=replace(anna.rules, tentative="busy")))
    await again.restore.load_tables()
    assert await again.busy("2026-06-01", "2026-06-08") == [(NINE, TEN, "BUSY")]


async def test_changed_rules_count_at_a_reload(start: Open) -> None:
    anna = Profile("anna", conflicts=(ref("anna/*"),))
    inside = start(anna)
    await inside.show(WORK)
    await inside.put(WORK, event("day", "DTSTART;VALUE=DATE:20260601", "TRANSP:TRANSPARENT"))
    assert await inside.busy("2026-06-01", "2026-06-08") == []
    changed = replace(anna, rules=replace(anna.rules, all_day="busy"), timezone="Europe/Berlin")
    await inside.state.reconfigure([one.connection for one in inside.state.connections.values()], [changed])
    await inside.writer.complete_tables()
    day = (at("2026-05-31T22:00"), at("2026-06-01T22:00"))
    assert await inside.busy("2026-05-30", "2026-06-08") == [(*day, "BUSY")]


async def test_two_profiles_read_an_all_day_event_each_in_its_own_zone(start: Open) -> None:
    everything = (ref("anna/*"),)
    inside = start(
        Profile("anna", timezone="Europe/Berlin", conflicts=everything),
        Profile("amy", timezone="America/New_York", conflicts=everything),
    )
    await inside.show(WORK)
    await inside.put(WORK, event("day", "DTSTART;VALUE=DATE:20260610"))
    assert (await inside.busy("2026-06-08", "2026-06-12", profile="anna"))[0][0] == at("2026-06-09T22:00")
    assert (await inside.busy("2026-06-08", "2026-06-12", profile="amy"))[0][0] == at("2026-06-10T04:00")


async def test_a_profile_with_a_short_max_age_is_stale_while_another_is_not(start: Open, clock: StoppedClock) -> None:
    everything = (ref("anna/*"),)
    inside = start(
        Profile("anna", conflicts=everything, max_age=timedelta(seconds=10)), Profile("amy", conflicts=everything)
    )
    await inside.show(WORK)
    await inside.put(WORK)
    clock.instant = Instant(clock.instant + 60)
    assert [(await inside.backend.freebusy(name, WEEK)).freshness.stale for name in ("anna", "amy")] == [True, False]


async def test_a_calendar_is_stale_by_its_own_max_age(start: Open, clock: StoppedClock) -> None:
    own = {ref("anna/home"): timedelta(hours=1), ref("anna/Work"): timedelta(seconds=10)}
    rules = dict.fromkeys(own, Rules())
    profile = Profile("anna", conflicts=(ref("anna/*"),), calendar_rules=rules, calendar_max_age=own)
    inside = start(profile)
    await inside.show(WORK, HOME)
    await inside.put(WORK)
    await inside.put(HOME)
    clock.instant = Instant(clock.instant + 60)
    freshness = (await inside.backend.freebusy("anna", WEEK)).freshness
    assert {calendar.calendar: calendar.state for calendar in freshness.calendars} == {
        "anna/Home": "fresh",
        "anna/Work": "stale",
    }
    assert freshness.stale
    await inside.put(WORK)
    clock.instant = Instant(clock.instant + 3541)
    freshness = (await inside.backend.freebusy("anna", WEEK)).freshness
    assert [calendar.state for calendar in freshness.calendars] == ["stale", "stale"]


async def test_an_account_polled_every_hour_is_fresh_between_two_polls(start: Open, clock: StoppedClock) -> None:
    inside = start()
    connection = inside.state.connections["anna"]
    connection.connection = replace(connection.connection, poll=timedelta(hours=1))
    await inside.show(WORK)
    await inside.put(WORK)
    proof = clock.now()
    clock.instant = Instant(proof + 5400)
    assert await ask(inside.backend) == (proof, False, True)
    clock.instant = Instant(proof + 5401)
    assert await ask(inside.backend) == (proof, True, True)


async def test_an_account_polled_every_hour_is_stale_once_a_poll_failed(start: Open, clock: StoppedClock) -> None:
    inside = start()
    connection = inside.state.connections["anna"]
    connection.connection = replace(connection.connection, poll=timedelta(hours=1))
    await inside.show(WORK)
    await inside.put(WORK)
    connection.trouble = "its server could not be reached"
    proof = clock.now()
    clock.instant = Instant(proof + 901)
    assert await ask(inside.backend) == (proof, True, True)


async def test_a_refusal_names_the_calendars_of_which_nothing_is_known(start: Open) -> None:
    inside = start(Profile("anna", primary=ref("anna/Wrok"), conflicts=(ref("anna/Work"), ref("anna/Home"))))
    await inside.show(WORK, HOME)
    await inside.put(WORK)
    with pytest.raises(StaleAnswer, match=r"read yet: anna/Wrok \(missing\), anna/Home \(never-read\)$"):
        resolve_stale(await inside.backend.freebusy("anna", WEEK), OnStale.ERROR)
