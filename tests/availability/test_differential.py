"""A second opinion on every occurrence: python-dateutil on rules, icalendar with recurring-ical-events on objects.

Where busyd and a library differ the library's fault is named here, and only there is it excused.
"""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from unittest.mock import patch
from zoneinfo import ZoneInfo

import dateutil.rrule
import icalendar
import pytest
import recurring_ical_events
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from busyd.availability.index import index_object
from busyd.ical.rule import Frequency, Rule, read_rule
from busyd.ical.rule_expansion import walls_of_rule
from busyd.ical.zones import reading_zone
from busyd.period import Instant, Period
from tests.generate import generate_objects

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAULTS: dict[str, Callable[[Rule], bool]] = {
    "dateutil: plain weekdays are dropped where numbered ones stand beside them": lambda rule: (
        rule.by_day is not None and len({bool(number) for number, _ in rule.by_day}) == 2
    ),
    "dateutil: a number beyond the weeks of the month raises IndexError": lambda rule: (
        rule.by_day is not None and rule.frequency <= Frequency.MONTHLY and any(abs(n) > 4 for n, _ in rule.by_day)
    ),
    "dateutil: BYWEEKNO without BYDAY gives all seven days": lambda rule: (
        rule.by_week is not None and rule.by_day is None
    ),
    "dateutil: BYWEEKNO=-53 does not reach days of its week in the year before": lambda rule: (
        rule.by_week is not None and min(rule.by_week) < -51
    ),
    "dateutil: weeks that straddle the year follow the wrong INTERVAL or BYSETPOS": lambda rule: (
        rule.by_week is not None and (rule.interval > 1 or rule.by_position is not None)
    ),
    "dateutil: YEARLY;BYMONTHDAY without BYMONTH gives every month": lambda rule: (
        rule.frequency is Frequency.YEARLY and rule.by_month_day is not None and rule.by_month is None
    ),
    "dateutil: BYSETPOS counts only from DTSTART in the first week": lambda rule: (
        rule.frequency is Frequency.WEEKLY and rule.by_position is not None
    ),
    "dateutil: BYDAY with BYYEARDAY ignores the numbers' year": lambda rule: (
        rule.by_year_day is not None and rule.by_day is not None and any(number for number, _ in rule.by_day)
    ),
}


def excused(rule: Rule) -> bool:
    return any(fits(rule) for fits in FAULTS.values())


numbers = st.integers


def part(name: str, values: st.SearchStrategy[int], *, most: int = 4) -> st.SearchStrategy[str]:
    lists = st.lists(values, min_size=1, max_size=most, unique=True)
    return st.one_of(st.just(""), lists.map(lambda found: f";{name}={','.join(map(str, found))}"))


def signed(high: int) -> st.SearchStrategy[int]:
    return st.one_of(numbers(1, high), numbers(-high, -1))


@st.composite
def rules(draw: st.DrawFn) -> str:
    """RRULEs whose parts are all allowed with their FREQ (RFC 5545 §3.3.10, the table)."""
    frequency = draw(st.sampled_from(Frequency))
    weekdays = draw(st.lists(st.sampled_from(("MO", "TU", "WE", "TH", "FR", "SA", "SU")), max_size=4, unique=True))
    weeks = draw(part("BYWEEKNO", signed(53), most=3)) if frequency is Frequency.YEARLY and draw(st.booleans()) else ""
    if frequency <= Frequency.MONTHLY and not weeks and draw(st.booleans()):
        weekdays = [f"{draw(st.sampled_from((1, 2, 3, 4, -1, -2)))}{day}" for day in weekdays]
    written = [
        f"FREQ={frequency.name};INTERVAL={draw(st.sampled_from((1, 1, 2, 3, 5, 13)))}",
        draw(part("BYMONTH", numbers(1, 12))),
        weeks,
        draw(part("BYYEARDAY", signed(366))) if frequency not in (1, 2, 3) else "",
        draw(part("BYMONTHDAY", signed(31))) if frequency is not Frequency.WEEKLY else "",
        f";BYDAY={','.join(weekdays)}" if weekdays else "",
        draw(part("BYHOUR", numbers(0, 23), most=3)),
        draw(part("BYMINUTE", numbers(0, 59), most=3)),
        draw(part("BYSECOND", numbers(0, 59), most=2)),
    ]
    if any(written[1:]):
        written.append(draw(part("BYSETPOS", signed(4), most=2)))
    written.append(draw(st.sampled_from(("", ";WKST=SU", ";WKST=WE"))))
    written.append(draw(st.one_of(st.just(""), numbers(1, 40).map(lambda count: f";COUNT={count}"))))
    return "".join(written)


REACH = {0: 4000, 1: 1500, 2: 700, 3: 400, 4: 40, 5: 2, 6: 1}
"""Days worth looking at by frequency: dateutil walks from DTSTART."""


@given(rules(), numbers(0, 1500 * 86_400), numbers(-10, 300), numbers(1, 400))
@settings(max_examples=200)
def test_rules_give_what_dateutil_gives(text: str, second: int, first: int, length: int) -> None:
    rule = read_rule(text)
    assume(not excused(rule))
    assume(rule.frequency <= Frequency.HOURLY or rule.by_position is None)
    start = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    reach = REACH[rule.frequency]
    low = start + timedelta(days=first * reach / 400)
    high = min(low + timedelta(days=length * reach / 400), start + timedelta(days=reach))
    assume(low <= high)
    expected = by_dateutil(text, start, low=low, high=high)
    assert walls_of_rule(rule, wall(start), low=wall(low, up=True), high=wall(high)) == expected


def by_dateutil(text: str, start: datetime, *, low: datetime, high: datetime) -> list[int]:
    """The wall times dateutil gives. It looks as far as year 9999 for the next one: here no further than a year."""
    first, low, high = (at.replace(tzinfo=None) for at in (start, low, high))
    near = SimpleNamespace(**{**vars(dateutil.rrule.datetime), "MAXYEAR": high.year + 1})
    found = []
    with patch.object(dateutil.rrule, "datetime", near):
        try:
            series = iter(rrulestr(text, dtstart=first))
        except ValueError:  # it refuses rules that never apply
            return []
        for steps, at in enumerate(series):
            if at > high:
                break
            assume(steps < 20_000)
            if at >= low:
                found.append(wall(at))
    return found


def wall(at: datetime, *, up: bool = False) -> int:
    passed = at.replace(tzinfo=UTC) - EPOCH
    return passed.days * 86_400 + passed.seconds + (1 if up and passed.microseconds else 0)


SPAN = Period(Instant(1790899200), Instant(1825372800))


@pytest.mark.parametrize("seed", range(4))
def test_generated_objects_take_place_when_recurring_ical_events_says(seed: int) -> None:
    """No excuse is needed here: the generator writes no lengths over a clock change and no gaps, where it errs."""
    low, high = (EPOCH + timedelta(seconds=at) for at in (SPAN.start, SPAN.end))
    for payload in generate_objects(100, 1000 + seed):
        calendar = icalendar.Calendar.from_ical(payload)
        wide = recurring_ical_events.of(calendar).between(low - timedelta(days=7), high + timedelta(days=7))
        expected = {(_instant(one.start), _instant(one.end)) for one in wide}
        found = index_object(payload, SPAN, zone="Europe/Berlin").rows
        assert {row[:2] for row in found if _meets(row[0], row[1])} == {pair for pair in expected if _meets(*pair)}


def _meets(start: int, end: int) -> bool:
    return start < SPAN.end and end > SPAN.start


def _instant(value: date) -> int:
    berlin = ZoneInfo("Europe/Berlin")
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=berlin)
    return int(value.timestamp())


@pytest.mark.parametrize(
    ("fault", "lines", "ours", "theirs"),
    [
        (
            "it adds an exact length on the wall clock: an hour too much over the change",
            ("DTSTART;TZID=Europe/Berlin:20261024T120000", "DURATION:PT24H"),
            [(1792836000, 1792922400)],
            [(1792836000, 1792926000)],
        ),
        (
            "it swaps an end that is before the start",
            ("DTSTART:20261024T120000Z", "DTEND:20261024T110000Z"),
            [],
            [(1792839600, 1792843200)],
        ),
    ],
    ids=["wall-clock length", "swapped end"],
)
def test_each_excused_fault_of_recurring_ical_events_is_still_there(
    fault: str, lines: tuple[str, ...], ours: list[tuple[int, int]], theirs: list[tuple[int, int]]
) -> None:
    text = "\r\n".join(("BEGIN:VCALENDAR", "BEGIN:VEVENT", "UID:x", *lines, "END:VEVENT", "END:VCALENDAR", ""))
    span = Period(Instant(1792800000), Instant(1793000000))
    rows = index_object(text.encode(), span, zone="UTC").rows
    assert [(start, end) for start, end, _ in rows if start < end] == ours, fault
    calendar = icalendar.Calendar.from_ical(text)
    found = recurring_ical_events.of(calendar).between(
        EPOCH + timedelta(seconds=span.start), EPOCH + timedelta(seconds=span.end)
    )
    assert [(_instant(one.start), _instant(one.end)) for one in found] == theirs, fault


def test_two_definitions_of_one_zone_name_are_kept_apart_where_icalendar_mixes_them() -> None:
    """icalendar remembers a VTIMEZONE by its TZID for the whole process; busyd by its text."""
    chance = random.Random(5)
    for _ in range(20):
        hours = chance.randrange(-11, 12)
        sign = "-" if hours < 0 else "+"
        offset = f"{sign}{abs(hours):02}00"
        payload = (
            "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:Home\nBEGIN:STANDARD\nDTSTART:19700101T000000\n"
            f"TZOFFSETFROM:{offset}\nTZOFFSETTO:{offset}\nEND:STANDARD\nEND:VTIMEZONE\n"
            "BEGIN:VEVENT\nUID:x\nDTSTART;TZID=Home:20261024T120000\nDURATION:PT1H\nEND:VEVENT\nEND:VCALENDAR\n"
        )
        start = 1792843200 - hours * 3600
        assert [row[:2] for row in index_object(payload.encode(), SPAN, zone="UTC").rows] == [(start, start + 3600)]


def test_an_old_series_gives_the_same_occurrences_as_a_young_one() -> None:
    zone = reading_zone("Europe/Berlin")
    for text in (
        "FREQ=DAILY",
        "FREQ=WEEKLY;BYDAY=MO,WE",
        "FREQ=MONTHLY;BYDAY=-1FR",
        "FREQ=YEARLY",
        "FREQ=HOURLY;INTERVAL=8",
    ):
        rule = read_rule(text)
        low, high = zone.wall(SPAN.start), zone.wall(SPAN.end)
        old, young = wall(datetime(1970, 1, 5, 9, tzinfo=UTC)), wall(datetime(2026, 1, 5, 9, tzinfo=UTC))
        assert walls_of_rule(rule, old, low=low, high=high) == walls_of_rule(rule, young, low=low, high=high)
