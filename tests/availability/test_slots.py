from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.availability.hours import Hours
from busyd.availability.slots import SlotShape, count_steps, instant_at, open_slots
from busyd.ical.zones import Zone, reading_zone
from busyd.period import EARLIEST, LATEST, FbType, Instant, Period, Span, coalesce, flatten

BERLIN = reading_zone("Europe/Berlin")
UTC_ZONE = reading_zone("UTC")
HALF_HOURS = SlotShape(duration=1800, step=1800)
CLOSED: tuple[tuple[int, int], ...] = ()


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def window(start: str, end: str) -> Period:
    return Period(Instant(at(start)), Instant(at(end)))


def starts(
    busy: Iterable[Span] = (),
    *,
    within: Period,
    hours: Hours | None = None,
    shape: SlotShape = HALF_HOURS,
    zone: Zone = BERLIN,
    earliest: int = 0,
) -> list[str]:
    found = open_slots(flatten(busy), within, zone=zone, hours=hours, shape=shape, earliest=earliest)
    slots = [slot for slot in found if slot is not None]
    assert all(end - start == shape.duration for start, end in slots)
    return [datetime.fromtimestamp(start, UTC).strftime("%d %H:%M") for start, _ in slots]


def weekly(*spans: tuple[int, int]) -> Hours:
    return Hours((spans,) * 7)


def test_slots_start_on_a_grid_from_the_start_of_each_span_of_hours() -> None:
    hours = weekly((9 * 60 + 10, 11 * 60), (13 * 60, 14 * 60))
    day = window("2026-11-23T00:00", "2026-11-24T00:00")
    assert starts(within=day, hours=hours, zone=UTC_ZONE) == [
        *("23 09:10", "23 09:40", "23 10:10"),
        *("23 13:00", "23 13:30"),
    ]


def test_without_hours_the_grid_begins_at_midnight_of_the_zone() -> None:
    shape = SlotShape(duration=3600, step=5 * 3600)
    day = window("2026-11-22T23:00", "2026-11-23T23:00")
    assert starts(within=day, shape=shape) == ["22 23:00", "23 04:00", "23 09:00", "23 14:00", "23 19:00"]


def test_without_hours_a_slot_may_lie_across_midnight() -> None:
    shape = SlotShape(duration=3600, step=1800)
    assert "22 22:30" in starts(within=window("2026-11-22T22:00", "2026-11-23T01:00"), shape=shape)


def test_busy_time_is_never_offered_and_the_grid_stays_where_it_is() -> None:
    busy = [(at("2026-11-23T09:10"), at("2026-11-23T09:20"), FbType.BUSY)]
    morning = window("2026-11-23T09:00", "2026-11-23T11:00")
    assert starts(busy, within=morning) == ["23 09:30", "23 10:00", "23 10:30"]


def test_an_event_that_ends_where_a_slot_begins_does_not_touch_it() -> None:
    busy = [(at("2026-11-23T09:00"), at("2026-11-23T09:30"), FbType.BUSY)]
    assert starts(busy, within=window("2026-11-23T09:00", "2026-11-23T10:00")) == ["23 09:30"]


@pytest.mark.parametrize("fbtype", [FbType.BUSY, FbType.BUSY_UNAVAILABLE])
def test_tentative_time_is_offered_only_on_request_and_unknown_time_never(fbtype: FbType) -> None:
    hour = window("2026-11-23T09:00", "2026-11-23T10:00")
    bold = SlotShape(duration=1800, step=1800, tentative_blocks=False)
    tentative = [(hour.start, hour.end, FbType.BUSY_TENTATIVE)]
    assert starts(tentative, within=hour) == []
    assert starts(tentative, within=hour, shape=bold) == ["23 09:00", "23 09:30"]
    assert starts([(hour.start, hour.end, fbtype)], within=hour, shape=bold) == []


def test_buffers_count_against_events_and_not_against_the_edges_of_the_hours() -> None:
    busy = [(at("2026-11-23T11:00"), at("2026-11-23T12:00"), FbType.BUSY)]
    shape = SlotShape(duration=1800, step=900, buffer_before=900, buffer_after=1800)
    found = starts(busy, within=window("2026-11-23T10:00", "2026-11-23T13:00"), shape=shape)
    assert found == ["23 10:00", "23 12:15", "23 12:30"]


def test_notice_is_counted_from_now_and_not_rounded() -> None:
    day = window("2026-11-23T09:00", "2026-11-23T11:00")
    assert starts(within=day, earliest=at("2026-11-23T09:30")) == ["23 09:30", "23 10:00", "23 10:30"]
    assert starts(within=day, earliest=at("2026-11-23T09:30") + 1) == ["23 10:00", "23 10:30"]


def test_hours_up_to_midnight_and_on_from_there_hold_a_slot_across_it() -> None:
    hours = Hours((((22 * 60, 1440),), ((0, 120),), *[CLOSED] * 5))
    shape = SlotShape(duration=5400, step=3600)
    found = starts(within=window("2026-11-23T00:00", "2026-11-25T00:00"), hours=hours, shape=shape, zone=UTC_ZONE)
    assert found == ["23 22:00", "23 23:00", "24 00:00"]


def test_an_exception_replaces_the_hours_of_its_weekday() -> None:
    hours = Hours((((540, 600),),) * 7, {date(2026, 12, 24): CLOSED, date(2026, 12, 25): ((600, 630),)})
    found = starts(within=window("2026-12-23T00:00", "2026-12-26T00:00"), hours=hours, zone=UTC_ZONE)
    assert found == ["23 09:00", "23 09:30", "25 10:00"]


def test_others_may_run_while_the_hours_of_years_are_laid_out() -> None:
    years = window("2026-01-01T00:00", "2028-09-01T00:00")
    closed = [(years.start, years.end, FbType.BUSY)]
    found = list(open_slots(closed, years, zone=BERLIN, hours=None, shape=HALF_HOURS, earliest=0))
    assert found == [None] * 6


def test_on_the_long_day_of_autumn_the_hours_are_an_hour_longer() -> None:
    night = weekly((60, 240))
    found = starts(within=window("2026-10-24T22:00", "2026-10-25T23:00"), hours=night)
    assert len(found) == 8
    assert (found[0], found[-1]) == ("24 23:00", "25 02:30")


def test_hours_that_the_clocks_skip_in_spring_hold_no_slot() -> None:
    assert starts(within=window("2026-03-28T23:00", "2026-03-29T22:00"), hours=weekly((120, 180))) == []


def test_a_time_that_the_clocks_show_twice_is_the_first() -> None:
    assert instant_at(date(2026, 10, 25), 150, zone=BERLIN) == at("2026-10-25T00:30")


def test_where_midnight_does_not_exist_the_day_begins_after_the_gap() -> None:
    havana = reading_zone("America/Havana")
    assert instant_at(date(2026, 3, 8), 0, zone=havana) == at("2026-03-08T05:00")


def test_steps_are_counted_inside_the_hours_and_the_window() -> None:
    hours = weekly((9 * 60, 10 * 60), (13 * 60, 13 * 60 + 50))
    day = window("2026-11-23T09:20", "2026-11-24T09:20")
    assert count_steps(day, zone=UTC_ZONE, hours=hours, step=900) == 3 + 4 + 2
    assert count_steps(day, zone=UTC_ZONE, hours=None, step=3600) == 15 + 10


NEW_YORK = reading_zone("America/New_York")


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, UTC_ZONE])
@pytest.mark.parametrize("hours", [None, weekly((60, 1440))])
@pytest.mark.parametrize(
    "edges", [("9999-12-30T00:00:00", "9999-12-31T23:59:59"), ("0001-01-01T00:00", "0001-01-03T00:00")]
)
def test_at_the_edges_of_time_slots_are_offered_as_far_as_dates_go(
    zone: Zone, hours: Hours | None, edges: tuple[str, str]
) -> None:
    within = window(*edges)
    shape = SlotShape(duration=1800, step=1800, buffer_before=86_400, buffer_after=1000 * 86_400)
    found = starts(within=within, hours=hours, shape=shape, zone=zone, earliest=EARLIEST)
    assert {text[:2] for text in found} == {edges[0][8:10], str(int(edges[0][8:10]) + 1).zfill(2)}


def test_the_last_day_there_is_ends_like_any_other() -> None:
    assert instant_at(date.max, 1440, zone=UTC_ZONE) == LATEST + 1


DAY = Period(Instant(at("2026-10-24T18:00")), Instant(at("2026-10-25T08:00")))
_minutes = st.integers(0, 24 * 6).map(lambda tens: tens * 10)


@st.composite
def _spans_of_day(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
    edges = sorted(draw(st.sets(_minutes, max_size=6)))
    return tuple(zip(edges[::2], edges[1::2], strict=False))


_busy = st.lists(
    st.tuples(st.integers(DAY.start // 300 - 40, DAY.end // 300 + 40), st.integers(1, 40), st.sampled_from(FbType)),
    max_size=6,
).map(lambda rows: flatten((start * 300 + 7, (start + length) * 300, kind) for start, length, kind in rows))
_shapes = st.builds(
    SlotShape,
    duration=st.sampled_from([600, 1500, 3600]),
    step=st.sampled_from([300, 700, 1800]),
    buffer_before=st.sampled_from([0, 400, 1800]),
    buffer_after=st.sampled_from([0, 600]),
    tentative_blocks=st.booleans(),
)


def second_by_second(
    busy: list[Span], hours: Hours | None, *, shape: SlotShape, earliest: int, closed: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """The definition, read out aloud: look at every second of the window."""
    spans: list[tuple[int, int]] = []
    for day in (DAY_BEFORE + timedelta(days=number) for number in range(3)):
        for opens, closes in hours.on(day) if hours is not None else ((0, 1440),):
            midnight, next_midnight = (
                datetime.combine(one, datetime.min.time(), ZoneInfo("Europe/Berlin")) for one in (day, day + ONE)
            )
            begins = midnight + timedelta(minutes=opens)
            ends = next_midnight if closes == 1440 else midnight + timedelta(minutes=closes)
            spans.append((int(begins.timestamp()), int(ends.timestamp())))
    inside = {second for start, end in spans for second in range(start, end)}
    least = 1 if shape.tentative_blocks else 2
    taken = {second for start, end, kind in busy if kind >= least for second in range(start, end)}
    found = set()
    for first, last in spans:
        for start in range(first, last, shape.step):
            end = start + shape.duration
            if start < max(DAY.start, earliest) or end > DAY.end:
                continue
            if any(low <= start < high for low, high in closed):
                continue
            needed = range(start - shape.buffer_before, end + shape.buffer_after)
            if inside.issuperset(range(start, end)) and taken.isdisjoint(needed):
                found.add((start, end))
    return sorted(found)


ONE = timedelta(days=1)
DAY_BEFORE = date(2026, 10, 24)


_closed = st.lists(
    st.tuples(st.integers(DAY.start // 600 - 9, DAY.end // 600 + 9), st.integers(1, 40)), max_size=3
).map(lambda rows: coalesce((start * 600 + 5, (start + length) * 600) for start, length in rows))


@given(_busy, st.none() | st.builds(Hours, st.tuples(*[_spans_of_day()] * 7)), _shapes, st.integers(0, 7200), _closed)
def test_slots_are_those_of_the_definition_on_the_night_the_clocks_change(
    busy: list[Span], hours: Hours | None, shape: SlotShape, notice: int, closed: list[tuple[int, int]]
) -> None:
    earliest = DAY.start + notice
    found = open_slots(busy, DAY, zone=BERLIN, hours=hours, shape=shape, earliest=earliest, closed=closed)
    expected = second_by_second(busy, hours, shape=shape, earliest=earliest, closed=closed)
    assert [slot for slot in found if slot is not None] == expected


def test_time_in_which_nothing_starts_is_passed_over_at_once() -> None:
    years = window("2026-01-01T00:00", "2028-09-01T00:00")
    shape = SlotShape(duration=60, step=1)
    closed = [(int(years.start), years.end - 61)]
    found = open_slots([], years, zone=UTC_ZONE, hours=None, shape=shape, earliest=0, closed=closed)
    assert len([slot for slot in found if slot is not None]) == 2
