"""Laws that hold for every calendar, whatever the right answer is; they need no reference."""

import random
import re
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from busyd.availability.busy import busy_periods
from busyd.availability.index import index_object
from busyd.availability.policy import Rules
from busyd.period import Instant, Period, Span, clip, flatten
from tests.generate import TODAY, generate_objects
from tests.ical.objects import calendar, event

DAY = 86_400
BASE = (TODAY.toordinal() - date(1970, 1, 1).toordinal()) * DAY
OBJECTS = generate_objects(300, 7)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia")
RULES = Rules()

objects = st.lists(st.sampled_from(OBJECTS), min_size=1, max_size=8, unique=True)
zones = st.sampled_from(ZONES)
days = st.integers(-1200, 900)


def ask(payloads: list[bytes], start: int, *, end: int, zone: str) -> list[Span]:
    found = busy_periods(
        payloads, Period(Instant(start), Instant(end)), zone=zone, rules=RULES, addresses=(), availability=None
    )
    return found.periods


@given(objects, zones, days, st.integers(2, 200), st.data())
def test_the_answers_for_two_halves_join_to_the_answer_for_the_whole(
    payloads: list[bytes], zone: str, first: int, length: int, data: st.DataObject
) -> None:
    start, end = BASE + first * DAY, BASE + (first + length) * DAY
    middle = data.draw(st.integers(start + 1, end - 1))
    halves = [*ask(payloads, start, end=middle, zone=zone), *ask(payloads, middle, end=end, zone=zone)]
    assert flatten(halves) == ask(payloads, start, end=end, zone=zone)


@given(objects, zones, days, st.integers(1, 60), st.integers(0, 500), st.integers(0, 500))
def test_a_longer_answer_clipped_is_the_shorter_answer(
    payloads: list[bytes], zone: str, first: int, length: int, before: int, after: int
) -> None:
    start, end = BASE + first * DAY, BASE + (first + length) * DAY
    longer = ask(payloads, start - before * DAY, end=end + after * DAY, zone=zone)
    inside = flatten(clip(longer, Period(Instant(start), Instant(end))))
    assert inside == ask(payloads, start, end=end, zone=zone)


@given(objects, zones, days, st.randoms(use_true_random=False))
def test_the_order_of_objects_and_of_questions_changes_nothing(
    payloads: list[bytes], zone: str, first: int, chance: random.Random
) -> None:
    start = BASE + first * DAY
    answer = ask(payloads, start, end=start + 30 * DAY, zone=zone)
    mixed = list(payloads)
    chance.shuffle(mixed)
    ask(mixed, start + 400 * DAY, end=start + 500 * DAY, zone="Asia/Tokyo")
    assert ask(mixed, start, end=start + 30 * DAY, zone=zone) == answer


@given(objects, zones, days)
def test_lines_that_say_nothing_about_time_change_nothing(payloads: list[bytes], zone: str, first: int) -> None:
    start = BASE + first * DAY
    noise = (
        b'X-NOISE;A="b:c;d":END:VEVENT\\, DTSTART:19700101\r\nCOMMENT:BEGIN:VEVENT\r\n'
        b"BEGIN:X-PART\r\nDTSTART:x\r\nEND:X-PART\r\n"
    )
    noisy = [payload.replace(b"END:VEVENT", noise + b"END:VEVENT") for payload in payloads]
    assert ask(noisy, start, end=start + 60 * DAY, zone=zone) == ask(payloads, start, end=start + 60 * DAY, zone=zone)


@given(st.integers(-400, 400), st.integers(1, 30), st.integers(0, 86_399), st.integers(1, 5), days)
def test_times_in_utc_shift_with_their_data(weeks: int, interval: int, second: int, hours: int, first: int) -> None:
    def series(at: int) -> bytes:
        moved = Instant(at)
        stamp = re.sub(r"[-:]", "", f"{Period(moved, Instant(moved + 1))}".partition("/")[0])
        lines = (f"DTSTART:{stamp}", f"DURATION:PT{hours}H", f"RRULE:FREQ=WEEKLY;INTERVAL={interval};BYDAY=MO,WE,SU")
        return calendar(event(*lines))

    begin, shift, start = BASE + second, weeks * 7 * DAY, BASE + first * DAY
    there = ask([series(begin)], start, end=start + 90 * DAY, zone="UTC")
    shifted = ask([series(begin + shift)], start + shift, end=start + shift + 90 * DAY, zone="UTC")
    assert shifted == [(a + shift, b + shift, fbtype) for a, b, fbtype in there]


@given(st.sampled_from(OBJECTS), zones, days, st.integers(1, 400))
@settings(max_examples=200)
def test_only_recurring_objects_depend_on_the_span_and_only_zone_dependent_ones_on_the_zone(
    payload: bytes, zone: str, first: int, length: int
) -> None:
    start = BASE + first * DAY
    span = Period(Instant(start), Instant(start + length * DAY))
    found = index_object(payload, span, zone=zone)
    assert found.rows == sorted(found.rows)
    if not found.recurring:
        assert found.rows == index_object(payload, Period(Instant(0), Instant(1)), zone=zone).rows
    if not found.zone_dependent:
        assert found == index_object(payload, span, zone="Asia/Kathmandu")
