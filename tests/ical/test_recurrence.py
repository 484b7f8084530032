"""What the case files do not say: odd values, mixed types, THISANDFUTURE, and what is never silently free."""

import pytest

from busyd.availability.index import index_object
from busyd.ical.rscale import find_scale
from busyd.ical.values import EPOCH
from busyd.period import to_rfc3339
from tests.ical.objects import busy, calendar, event, index, spans, why_incomplete, window

START = ("DTSTART:20260601T090000Z", "DTEND:20260601T100000Z")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("DTSTART:20260601T090060Z", "DTEND:20260601T100000Z"), ["0601T0900-0601T1000"]),
        (("DTSTART:20260601T230000Z", "DTEND:20260601T240000Z"), ["0601T2300-0602T0000"]),
        (("DTSTART:2026-06-01T09:00:00Z", "DURATION:PT1H"), ["0601T0900-0601T1000"]),
        (("DTSTART;VALUE=DATE:20260601T000000", "DTEND;VALUE=DATE:20260602T000000"), ["0601T0000-0602T0000"]),
        (("DTSTART:20260601", "DTEND:20260601"), ["0601T0000-0602T0000"]),
        (("DTSTART;VALUE=DATE:20260601", "DURATION:PT24H"), ["0601T0000-0602T0000"]),
        (("DTSTART;VALUE=DATE:20260601", "DURATION:P1DT"), ["0601T0000-0602T0000"]),
        (("DTSTART;VALUE=DATE:20260601", "DURATION:PT0S"), ["0601T0000-0602T0000"]),
        (("DTSTART:20260601T090000Z", "DTEND;VALUE=DATE:20260602"), ["0601T0900-0602T0000"]),
        (("DTSTART:20260601T090000Z", "DTEND;VALUE=DATE:20260601"), ["0601T0900-0602T0000"]),
        (("DTSTART :20260601T090000Z", "DURATION\t:PT1H"), ["0601T0900-0601T1000"]),
        (("DTSTART:20260601T090000+0200", "DTEND:2026-06-01T05:00-05:00"), ["0601T0700-0601T1000"]),
        (("DTSTART:20260601T090000Z", "DTEND:garbage", "DURATION:PT1H"), ["0601T0900-0601T1000"]),
        ((*START, "RRULE:FREQ=DAILY;COUNT=0"), ["0601T0900-0601T1000"]),
        ((*START, "RRULE:FREQ=DAILY;INTERVAL=0"), ["0601T0900-0601T1000"]),
        ((*START, "RRULE:FREQ=DAILY;UNTL=20260603"), ["0601T0900-0601T1000"]),
        ((*START, "RRULE:FREQ=FORTNIGHTLY"), ["0601T0900-0601T1000"]),
        ((*START, "RRULE:FREQ=DAILY;BYMONTH=13"), ["0601T0900-0601T1000"]),
        ((*START, "RRULE:FREQ=DAILY;BYSECOND=60"), ["0601T0900-0601T1000"]),
        ((*START, "RRULE:COUNT=2;X-ODD=1;FREQ=daily"), ["0601T0900-0601T1000", "0602T0900-0602T1000"]),
        (
            (*START, "RRULE:FREQ=DAILY;COUNT=2", "RRULE:FREQ=WEEKLY;COUNT=2"),
            ["0601T0900-0601T1000", "0602T0900-0602T1000", "0608T0900-0608T1000"],
        ),
        ((*START, "RDATE;VALUE=DATE:20260603"), ["0601T0900-0601T1000", "0603T0900-0603T1000"]),
        ((*START, "RDATE:,20260603T090000Z,,nonsense"), ["0601T0900-0601T1000", "0603T0900-0603T1000"]),
        ((*START, "RRULE:FREQ=DAILY;COUNT=2", "EXDATE:nonsense"), ["0601T0900-0601T1000", "0602T0900-0602T1000"]),
        (
            ("DTSTART;VALUE=DATE:20260601", "RRULE:FREQ=DAILY;COUNT=2", "EXDATE:20260602T000000Z"),
            ["0601T0000-0602T0000"],
        ),
        (
            ("DTSTART;VALUE=DATE:20260601", "RRULE:FREQ=DAILY;BYHOUR=9,10;COUNT=2"),
            ["0601T0000-0602T0000", "0602T0000-0603T0000"],
        ),
    ],
)
def test_odd_values_are_read_as_they_were_meant(lines: tuple[str, ...], expected: list[str]) -> None:
    assert spans(index(*lines)) == expected


@pytest.mark.parametrize("until", ["20260603", "20260603T000000Z", "20260603T235959Z", "20260603T000000"])
def test_until_of_an_all_day_series_is_a_date_however_it_is_written(until: str) -> None:
    found = index("DTSTART;VALUE=DATE:20260601", f"RRULE:FREQ=DAILY;UNTIL={until}", zone="America/New_York")
    assert len(found.rows) == 3


def test_an_end_that_cannot_be_read_blocks_a_day_as_not_understood() -> None:
    found = busy(calendar(event("DTSTART:20260601T090000Z", "DTEND:tomorrow")))
    assert spans(found) == ["0601T0900-0602T0900 BUSY-UNAVAILABLE"]
    assert [problem.kind.value for problem in found.problems] == ["bad-time"]


def test_an_end_that_cannot_be_read_blocks_nothing_where_the_event_is_free() -> None:
    assert spans(busy(calendar(event("DTSTART:20260601T090000Z", "DTEND:x", "TRANSP:TRANSPARENT")))) == []


@pytest.mark.parametrize(("line", "complete"), [("TRANSP:OPAQUE", False), ("STATUS:CANCELLED", True)])
def test_an_event_without_readable_start_makes_its_window_incomplete_unless_it_is_free(
    line: str, complete: bool
) -> None:
    payload = calendar(event("DTSTART:notadate", line))
    found = busy(payload)
    assert found.periods == []
    assert found.problems
    assert (not why_incomplete(payload)) is complete


def test_an_override_without_readable_start_leaves_the_occurrence_where_it_was() -> None:
    master = event(*START, "RRULE:FREQ=DAILY;COUNT=2")
    override = event("RECURRENCE-ID:20260602T090000Z", "DTSTART:sometime")
    assert spans(busy(calendar(master, override))) == ["0601T0900-0601T1000", "0602T0900-0602T1000"]


def test_a_cancelled_override_needs_no_start() -> None:
    master = event(*START, "RRULE:FREQ=DAILY;COUNT=2")
    override = event("RECURRENCE-ID:20260602T090000Z", "STATUS:CANCELLED")
    assert spans(busy(calendar(master, override))) == ["0601T0900-0601T1000"]


@pytest.mark.parametrize(("sequence", "kept"), [(0, False), (1, True)])
def test_an_override_that_is_excluded_too_is_kept_only_when_it_is_newer(sequence: int, kept: bool) -> None:
    master = event(*START, "RRULE:FREQ=DAILY;COUNT=2", "EXDATE:20260602T090000Z")
    override = event(
        "RECURRENCE-ID:20260602T090000Z", "DTSTART:20260602T120000Z", "DURATION:PT1H", f"SEQUENCE:{sequence}"
    )
    assert ("0602T1200-0602T1300" in spans(busy(calendar(master, override)))) is kept


@pytest.mark.parametrize("future_first", [True, False])
@pytest.mark.parametrize(("future", "plain", "expected"), [(2, 1, 11), (1, 2, 9)])
def test_of_two_overrides_of_one_occurrence_the_newer_says_whether_it_holds_for_later_ones(
    future_first: bool, future: int, plain: int, expected: int
) -> None:
    master = event(*START, "RRULE:FREQ=DAILY;COUNT=3")
    later = ("RECURRENCE-ID;RANGE=THISANDFUTURE:20260602T090000Z", "DTSTART:20260602T110000Z", "DURATION:PT1H")
    single = ("RECURRENCE-ID:20260602T090000Z", "DTSTART:20260602T200000Z", "DURATION:PT1H")
    overrides = [event(*later, f"SEQUENCE:{future}"), event(*single, f"SEQUENCE:{plain}")]
    found = spans(busy(calendar(master, *(overrides if future_first else overrides[::-1]))))
    assert found[-1] == f"0603T{expected:02}00-0603T{expected + 1:02}00"


@pytest.mark.parametrize(
    ("rule", "start", "days"),
    [
        ("BYDAY=FR;BYMONTHDAY=13;COUNT=5", "19970613", "19970613 19980213 19980313 19981113 19990813"),
        ("BYDAY=1FR;BYMONTHDAY=1,2,3;COUNT=5", "19980102", "19980102 19990101 20030103 20040102 20090102"),
        ("BYDAY=MO;BYMONTHDAY=-1;COUNT=3", "19970331", "19970331 19970630 19980831"),
        ("BYDAY=FR;BYMONTHDAY=13;BYSETPOS=-1;COUNT=3", "19970613", "19970613 19981113 19990813"),
    ],
)
def test_days_of_the_month_and_of_the_week_make_a_yearly_rule_look_at_every_month(
    rule: str, start: str, days: str
) -> None:
    lines = (f"DTSTART:{start}T090000Z", "DURATION:PT1H", f"RRULE:FREQ=YEARLY;{rule}")
    found = index(*lines, span=window("19970101", "20150101"))
    assert [to_rfc3339(row[0])[:10].replace("-", "") for row in found.rows] == days.split()


def test_candidates_of_a_poll_do_not_take_place() -> None:
    poll = ("BEGIN:VPOLL", "UID:p", event(*START, uid="a"), event(*START, uid="b"), "END:VPOLL")
    assert spans(busy(calendar(*poll, event("DTSTART:20260603T090000Z", "DURATION:PT1H")))) == ["0603T0900-0603T1000"]


def test_a_poll_that_is_not_closed_hides_no_event() -> None:
    assert spans(busy(calendar("BEGIN:VPOLL", "UID:p", event(*START)))) == ["0601T0900-0601T1000"]


@pytest.mark.parametrize(
    "lines",
    [
        ("DTSTART;VALUE=DATE:20260601", "DURATION:-PT12H"),
        (*START, "RDATE;VALUE=PERIOD:20260603T090000Z/20260603T080000Z"),
        (*START, "RRULE:FREQ=DAILY;UNTIL="),
    ],
)
def test_what_is_read_otherwise_than_it_stands_is_told(lines: tuple[str, ...]) -> None:
    assert index(*lines).problems


@pytest.mark.parametrize("period", ["20260603T090000Z/20260603T080000Z", "20260603T090000Z/-PT1H"])
def test_a_freebusy_period_that_ends_before_it_starts_is_told(period: str) -> None:
    found = busy(calendar("BEGIN:VFREEBUSY", f"FREEBUSY:{period}", "END:VFREEBUSY"))
    assert not found.periods
    assert found.problems


def test_travel_to_an_event_that_ends_before_it_starts_is_no_busy_time() -> None:
    lines = ("DTSTART:20260601T090000Z", "DTEND:20260601T080000Z", "X-APPLE-TRAVEL-DURATION:PT30M")
    found = busy(calendar(event(*lines)))
    assert not found.periods
    assert found.problems


def test_travel_to_an_event_of_no_length_is_busy() -> None:
    assert spans(busy(calendar(event("DTSTART:20260601T090000Z", "X-APPLE-TRAVEL-DURATION:PT30M")))) == [
        "0601T0830-0601T0900"
    ]


def test_an_override_names_its_occurrence_by_local_day_after_a_change_to_all_day() -> None:
    master = event("DTSTART;VALUE=DATE:20260601", "RRULE:FREQ=DAILY;COUNT=2")
    override = event("RECURRENCE-ID;TZID=Europe/Berlin:20260602T090000", "DTSTART;VALUE=DATE:20260610")
    assert spans(busy(calendar(master, override))) == ["0601T0000-0602T0000", "0610T0000-0611T0000"]


def test_this_and_future_moves_over_a_clock_change_on_the_wall_clock() -> None:
    master = event("DTSTART;TZID=Europe/Berlin:20261023T090000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=4")
    later = "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20261024T090000"
    override = event(later, "DTSTART;TZID=Europe/Berlin:20261024T110000", "DURATION:PT2H")
    found = busy(calendar(master, override), span=window("20261020", "20261101"))
    assert spans(found) == ["1023T0700-1023T0800", "1024T0900-1024T1100", "1025T1000-1025T1200", "1026T1000-1026T1200"]


def test_this_and_future_may_cancel_turn_all_day_and_be_followed_by_another() -> None:
    master = event(*START, "RRULE:FREQ=DAILY;COUNT=6")
    days = event("RECURRENCE-ID;RANGE=THISANDFUTURE:20260602T090000Z", "DTSTART;VALUE=DATE:20260603")
    end = event("RECURRENCE-ID;RANGE=THISANDFUTURE:20260604T090000Z", *START, "STATUS:CANCELLED")
    assert spans(busy(calendar(end, days, master))) == ["0601T0900-0601T1000", "0603T0000-0605T0000"]


def test_a_cancel_message_frees_and_a_reply_is_not_an_event() -> None:
    for method in ("CANCEL", "REPLY"):
        assert spans(busy(calendar(f"METHOD:{method}", event(*START)))) == []
    assert spans(busy(calendar("METHOD:REQUEST", event(*START)))) == ["0601T0900-0601T1000"]


def test_dense_occurrences_leave_out_the_hour_that_the_wall_clock_repeats() -> None:
    lines = ("DTSTART;TZID=Europe/Berlin:20261025T000000", "DURATION:PT1S", "RRULE:FREQ=SECONDLY")
    found = busy(calendar(event(*lines)), span=window("20261024T220000", "20261025T060000"))
    assert spans(found) == ["1024T2200-1025T0100", "1025T0200-1025T0600"]


def test_dense_occurrences_are_cut_where_they_are_excluded() -> None:
    lines = ("DTSTART:20260601T000000Z", "DURATION:PT1M", "RRULE:FREQ=MINUTELY")
    exdates = "EXDATE:20260601T000500Z,20260601T001000Z,20260601T001030Z"
    payload = calendar(event(*lines, exdates, "EXDATE;VALUE=DATE:20260602"))
    found = busy(payload, span=window("20260601", "20260604"))
    assert spans(found) == ["0601T0000-0601T0005", "0601T0006-0601T0010", "0601T0011-0602T0000", "0603T0000-0604T0000"]


@pytest.mark.parametrize("scale", ["ISLAMIC-UMALQURA", "MAYAN"])
def test_a_calendar_nobody_can_compute_blocks_what_it_may_reach(scale: str) -> None:
    found = busy(calendar(event(*START, f"RRULE:RSCALE={scale};FREQ=YEARLY")))
    assert spans(found) == ["0601T0900-0601T1000", "0601T1000-0701T0000 BUSY-UNAVAILABLE"]


@pytest.mark.parametrize(
    ("rule", "start", "day"),
    [
        ("RSCALE=CHINESE;FREQ=YEARLY", "20130210", "0217T0000-0218T0000"),
        ("RSCALE=HEBREW;FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1", "20230916", "0912T0000-0913T0000"),
        ("RSCALE=HEBREW;FREQ=YEARLY;BYMONTH=5L;BYMONTHDAY=8;SKIP=FORWARD", "20140208", "0225T0000-0226T0000"),
        ("RSCALE=ETHIOPIC;FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1", "20240911", "0911T0000-0912T0000"),
        ("RSCALE=PERSIAN;FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1", "20240320", "0321T0000-0322T0000"),
        ("RSCALE=INDIAN;FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1", "20240321", "0322T0000-0323T0000"),
    ],
)
def test_new_years_and_feasts_of_other_calendars_fall_on_their_days_in_2026(rule: str, start: str, day: str) -> None:
    found = index(f"DTSTART;VALUE=DATE:{start}", f"RRULE:{rule}", span=window("20260101", "20270101"))
    assert spans(found) == [day]


@pytest.mark.parametrize("name", ["CHINESE", "HEBREW", "ETHIOPIC", "COPTIC", "ISLAMIC-CIVIL", "PERSIAN", "INDIAN"])
def test_months_and_years_of_a_calendar_follow_each_other_without_gap(name: str) -> None:
    scale = find_scale(name)
    assert scale is not None
    for day in range(700_000 - EPOCH, 760_000 - EPOCH, 41):
        index_of, number = scale.month_of(day), scale.year_of(day)
        month, year = scale.month(index_of), scale.year(number)
        assert month.first <= day < month.first + month.length
        assert year.first_month <= index_of < year.first_month + year.months
        assert scale.month(index_of + 1).first == month.first + month.length
        assert scale.year(number + 1).first == year.first + year.length


def test_what_lies_outside_of_all_years_is_clamped() -> None:
    far = index("DTSTART:99991231T230000Z", "DURATION:P99999D", span=window("99991201", "99991231"))
    assert far.rows == [(253402297200, 253402300799, 0)]
    assert index("DTSTART:00000101T000000Z", "DURATION:PT1H").rows == [(-62135596800, -62135593200, 0)]


def test_one_object_may_hold_several_calendars_and_series() -> None:
    first = calendar(event(*START, uid="a"), event("DTSTART:20260602T090000Z", "DURATION:PT1H", uid="b"))
    both = index_object(first + first.replace(b"202606", b"202607"), window("20260601", "20260801"), zone="UTC")
    assert len(both.rows) == 4
