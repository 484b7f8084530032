"""Time goes on: the horizon moves day by day and holds what a fresh expansion would; beyond it answers are exact."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from busyd.availability.profile import Profile
from busyd.index.rolling import roll_horizon
from busyd.period import Instant, Period
from busyd.state.horizon import DAY, horizon_at
from tests.index.inside import WORK, Inside, StoppedClock, at, event, ref, timed

SERIES = (
    event("daily", "DTSTART;TZID=Europe/Berlin:20200101T090000", "DURATION:PT1H", "RRULE:FREQ=DAILY"),
    event("weekly", "DTSTART;VALUE=DATE:20260105", "RRULE:FREQ=WEEKLY;INTERVAL=2", "STATUS:TENTATIVE"),
    event("long", "DTSTART:20260101T000000Z", "DURATION:P10D", "RRULE:FREQ=MONTHLY"),
    event("travel", "DTSTART:20260101T000000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY",
          "X-APPLE-TRAVEL-DURATION;VALUE=DURATION:PT2H"),
    timed("once", "20260601T090000Z", "20260601T100000Z"),
)  # fmt: skip


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(at("2026-05-31T12:00"))


@pytest.fixture
def inside(tmp_path: Path, clock: StoppedClock) -> Iterator[Inside]:
    profile = Profile("anna", timezone="Europe/Berlin", conflicts=(ref("anna/*"),))
    inside = Inside(tmp_path, clock, profiles=[profile])
    yield inside
    inside.close()


async def whole_horizon(inside: Inside) -> list[tuple[int, int, int]]:
    snapshot = inside.state.profiles["anna"].snapshot
    assert snapshot is not None
    return snapshot.between(snapshot.span)


@pytest.mark.parametrize("days", [1, 2, 30, 700, -3])
async def test_a_rolled_horizon_equals_a_fresh_expansion(
    inside: Inside, clock: StoppedClock, tmp_path: Path, days: int
) -> None:
    await inside.show(WORK)
    await inside.put(WORK, *SERIES)
    clock.instant = Instant(clock.instant + days * DAY)
    assert await roll_horizon(inside.writer, clock.now())
    rolled = await whole_horizon(inside)
    other = tmp_path / "other"
    other.mkdir()
    fresh = Inside(other, clock, profiles=[profile_state.profile for profile_state in inside.state.profiles.values()])
    await fresh.show(WORK)
    await fresh.put(WORK, *SERIES)
    assert rolled == await whole_horizon(fresh)
    assert inside.writer.horizon == horizon_at(clock.now())
    fresh.close()


async def test_within_a_day_nothing_rolls(inside: Inside, clock: StoppedClock) -> None:
    await inside.show(WORK)
    clock.instant = Instant(clock.instant + 3600)
    assert not await roll_horizon(inside.writer, clock.now())


async def test_beyond_the_horizon_a_series_goes_on_exactly(inside: Inside) -> None:
    await inside.show(WORK)
    await inside.put(WORK, SERIES[0])
    assert await inside.busy("2031-01-01", "2031-01-02") == [(at("2031-01-01T08:00"), at("2031-01-01T09:00"), "BUSY")]
    assert await inside.busy("2019-12-31", "2020-01-02") == [(at("2020-01-01T08:00"), at("2020-01-01T09:00"), "BUSY")]


async def test_a_window_across_the_edge_of_the_horizon_is_what_its_parts_are(inside: Inside) -> None:
    await inside.show(WORK)
    await inside.put(WORK, *SERIES)
    edge = inside.writer.horizon.end
    whole = await inside.backend.freebusy("anna", Period(Instant(edge - DAY), Instant(edge + DAY)))
    before = await inside.backend.freebusy("anna", Period(Instant(edge - DAY), edge))
    after = await inside.backend.freebusy("anna", Period(edge, Instant(edge + DAY)))
    joined = [*before.spans, *after.spans]
    assert sum(end - start for start, end, _ in whole.spans) == sum(end - start for start, end, _ in joined)
