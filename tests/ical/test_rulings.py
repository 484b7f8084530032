"""What calendars write and no RFC allows: read as it was meant where that is certain, and told; else not free."""

import pytest

from busyd.availability.index import index_object
from busyd.ical.facts import ProblemKind, normalise_address
from busyd.ical.split import split_feed
from busyd.period import EARLIEST, to_rfc3339
from tests.ical.objects import JUNE, busy, calendar, event, index, spans, why_incomplete, window

TIMED = ("DTSTART:20260601T090000Z", "DURATION:PT1H")
TOKYO = ("DTSTART;TZID=Asia/Tokyo:20260601T180000", "DURATION:PT1H")
DAYS = ("DTSTART;VALUE=DATE:20260601", "RRULE:FREQ=DAILY;COUNT=4")


def kinds(*lines: str) -> list[str]:
    return [problem.kind.value for problem in index(*lines).problems]


def days(*lines: str, zone: str = "UTC") -> list[str]:
    """The first days of an all-day series, as this reader has them."""
    local = index(*lines, zone=zone).rows
    offset = {"UTC": 0, "America/Chicago": 5 * 3600, "Asia/Tokyo": -9 * 3600}[zone]
    return [to_rfc3339(start - offset)[8:10] for start, _, _ in local]


@pytest.mark.parametrize("start", [TOKYO[0], TIMED[0]])
def test_a_time_without_zone_is_read_in_that_of_dtstart_and_told(start: str) -> None:
    hour = "18" if "Tokyo" in start else "09"
    ending = busy(calendar(event(start, f"DTEND:20260601T{hour}4500")), zone="Europe/Berlin")
    assert spans(ending) == ["0601T0900-0601T0945"]
    assert [problem.kind for problem in ending.problems] == [ProblemKind.FORGIVEN]
    more = (f"RDATE:20260603T{hour}0000", f"EXDATE:20260601T{hour}0000")
    assert spans(busy(calendar(event(start, "DURATION:PT1H", *more)), zone="Europe/Berlin")) == ["0603T0900-0603T1000"]
    period = f"RDATE;VALUE=PERIOD:20260603T{hour}0000/20260603T{hour}3000"
    assert "0603T0900-0603T0930" in spans(busy(calendar(event(start, "DURATION:PT1H", period)), zone="Europe/Berlin"))


def test_a_floating_event_stays_floating_and_there_is_nothing_to_tell() -> None:
    lines = ("DTSTART:20260601T090000", "DTEND:20260601T100000", "RDATE:20260603T090000")
    assert spans(busy(calendar(event(*lines)), zone="Asia/Tokyo")) == ["0601T0000-0601T0100", "0603T0000-0603T0100"]
    assert kinds(*lines) == []


@pytest.mark.parametrize("zone", ["America/Chicago", "UTC", "Asia/Tokyo"])
@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("20260602T000000Z", "02"), ("20260602T050000Z", "02"), ("20260602T094500Z", "02"), ("20260601T100000Z", "02"),
        ("20260601T230000Z", "02"), ("20260601T131500Z", "02"), ("20260602T235959Z", "02"), ("20260602T101000Z", "02"),
    ],
)  # fmt: skip
def test_a_time_in_utc_on_a_series_of_days_is_somebodys_midnight_or_the_date_as_written(
    written: str, day: str, zone: str
) -> None:
    assert days(*DAYS, f"EXDATE:{written}", zone=zone) == ["01", "03", "04"]
    assert days(DAYS[0], f"RRULE:FREQ=DAILY;UNTIL={written}", zone=zone) == ["01", day]
    assert days(DAYS[0], f"RDATE:{written}", zone=zone) == ["01", "02"]
    moved = event(f"RECURRENCE-ID:{written}", "DTSTART;VALUE=DATE:20260620")
    found = index_object(calendar(event(*DAYS), moved), JUNE, zone=zone)
    assert len(found.rows) == 4


def test_an_all_day_event_that_ends_at_a_midnight_in_the_east_lasts_until_that_day() -> None:
    assert spans(busy(calendar(event("DTSTART;VALUE=DATE:20260601", "DTEND:20260602T220000Z")))) == [
        "0601T0000-0603T0000"
    ]


def test_of_masters_with_one_uid_the_highest_sequence_counts_then_the_newest_of_each_start() -> None:
    def version(start: str, sequence: int, stamp: str, length: str = "PT1H") -> str:
        lines = (f"DTSTART:202606{start}T090000Z", f"DURATION:{length}", f"SEQUENCE:{sequence}", f"DTSTAMP:{stamp}")
        return event(*lines).replace("DTSTAMP:20260101T000000Z\r\n", "")

    old, new = version("01", 1, "20260101T000000Z"), version("02", 2, "20250101T000000Z")
    assert spans(busy(calendar(old, new))) == spans(busy(calendar(new, old))) == ["0602T0900-0602T1000"]
    again = version("01", 1, "20260201T000000Z", "PT2H")
    assert spans(busy(calendar(old, again))) == spans(busy(calendar(again, old))) == ["0601T0900-0601T1100"]
    assert not busy(calendar(old, again)).problems
    other = version("03", 1, "20270101T000000Z")
    several = busy(calendar(old, other, again))
    assert spans(several) == ["0601T0900-0601T1100", "0603T0900-0603T1000"]
    assert [problem.kind for problem in several.problems] == [ProblemKind.DUPLICATE_UID]


def test_an_override_changes_only_the_one_of_two_events_with_its_uid_that_has_the_occurrence() -> None:
    first, second = event(*TIMED), event("DTSTART:20260603T140000Z", "DURATION:PT1H")
    moved = event("RECURRENCE-ID:20260603T140000Z", "DTSTART:20260603T160000Z", "DURATION:PT1H")
    assert spans(busy(calendar(first, moved, second))) == ["0601T0900-0601T1000", "0603T1600-0603T1700"]


def test_the_length_of_a_period_counts_for_an_occurrence_that_the_rule_makes_too() -> None:
    daily = (*TIMED, "RRULE:FREQ=DAILY;COUNT=3", "RDATE;VALUE=PERIOD:20260602T090000Z/PT10M")
    assert spans(index(*daily)) == ["0601T0900-0601T1000", "0602T0900-0602T0910", "0603T0900-0603T1000"]
    on_start = (*TIMED, "RDATE;VALUE=PERIOD:20260601T090000Z/PT3H", "RDATE:20260601T090000Z")
    assert spans(index(*on_start)) == ["0601T0900-0601T1200"]


def test_dense_occurrences_leave_a_period_its_own_length() -> None:
    lines = ("DTSTART:20260601T000000Z", "DURATION:PT1H", "RRULE:FREQ=HOURLY;COUNT=5")
    found = busy(calendar(event(*lines, "RDATE;VALUE=PERIOD:20260601T020000Z/PT10M")))
    assert spans(found) == ["0601T0000-0601T0210", "0601T0300-0601T0500"]


def test_an_override_without_master_is_one_event_whatever_rule_it_has() -> None:
    alone = event("RECURRENCE-ID:20260602T090000Z", *TIMED, "RRULE:FREQ=DAILY;COUNT=3")
    assert spans(busy(calendar(alone))) == ["0601T0900-0601T1000"]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;UNTIL=20260602T090000ZZ", "FREQ=DAILY;UNTIL=20260602Z", "FREQ=DAILY;UNTIL=20260602T",
        "FREQ=DAILY;UNTIL=20260602TXX", "FREQ=DAILY;COUNT=2;BYDAY=", "FREQ=DAILY;COUNT=2;BYMONTHDAY=,",
        "FREQ=DAILY;COUNT=2;BYHOUR=", "FREQ=DAILY;INTERVAL=1.0;COUNT=2", "FREQ=DAILY;COUNT=2.0", "FREQ=DAILY;COUNT=2;X",
        "FREQ=DAILY;BYDAY=MONDAY,Tue;COUNT=2", "FREQ=DAILY;INTERVAL=;COUNT=2", "FREQ=DAILY;COUNT=2;X-COLOUR=red",
        "FREQ=DAILY;BYMONTHDAY=1.0,2;COUNT=2",
    ],
)  # fmt: skip
def test_a_rule_whose_meaning_is_certain_is_followed_and_what_was_forgiven_is_told(rule: str) -> None:
    found = index(*TIMED, f"RRULE:{rule}")
    assert spans(found) == ["0601T0900-0601T1000", "0602T0900-0602T1000"]
    assert {problem.kind for problem in found.problems} == {ProblemKind.FORGIVEN}
    assert not found.incomplete


@pytest.mark.parametrize(
    "rule",
    [
        "", "FREQ=FORTNIGHTLY", "FREQ=DAILY;UNTL=20260602", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=two",
        "FREQ=DAILY;COUNT=some", "FREQ=DAILY;UNTIL=soon", "FREQ=DAILY;UNTIL=20261399", "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=WEEKLY;BYDYA=TU", "FREQ=WEEKLY;BYDAY:TU", "FREQ=YEARLY;BYMONTH=JUN", "FREQ=MONTHLY;BYMONTHDAY=last",
        "FREQ=WEEKLY;INTERVALL=2;COUNT=3", "FREQ=WEEKLY;WKST=?;BYDAY=MO", "RRULE:FREQ=DAILY", "INTERVAL=2",
    ],
)  # fmt: skip
def test_of_any_other_rule_the_first_occurrence_is_known_and_no_window_after_it_is_complete(rule: str) -> None:
    found = index(*TIMED, f"RRULE:{rule}")
    assert spans(found) == ["0601T0900-0601T1000"]
    assert [problem.kind for problem in found.problems] == [ProblemKind.BAD_RULE]
    assert found.incomplete
    assert to_rfc3339(found.incomplete_since) == "2026-06-01T09:00:00Z"


def test_an_unreadable_rule_of_an_event_that_never_blocks_leaves_everything_known() -> None:
    for line in ("TRANSP:TRANSPARENT", "STATUS:CANCELLED"):
        assert not index(*TIMED, "RRULE:FREQ=FORTNIGHTLY", line).incomplete


def test_one_unreadable_rule_leaves_the_occurrences_of_another() -> None:
    found = index(*TIMED, "RRULE:FREQ=DAILY;COUNT=2", "RRULE:?")
    assert spans(found) == ["0601T0900-0601T1000", "0602T0900-0602T1000"]
    assert found.incomplete


def test_values_out_of_their_range_match_nothing() -> None:
    assert spans(index(*TIMED, "RRULE:FREQ=MONTHLY;BYDAY=9MO")) == ["0601T0900-0601T1000"]
    assert not index(*TIMED, "RRULE:FREQ=YEARLY;BYMONTH=13").incomplete


def test_an_exrule_takes_out_what_it_makes_and_nothing_else() -> None:
    daily = (*TOKYO, "RRULE:FREQ=DAILY;COUNT=4")
    assert spans(index(*daily, "EXRULE:FREQ=DAILY;INTERVAL=2;COUNT=1")) == [
        "0602T0900-0602T1000", "0603T0900-0603T1000", "0604T0900-0604T1000",
    ]  # fmt: skip
    assert spans(index(*daily, "EXRULE:FREQ=WEEKLY;BYDAY=TU,TH")) == ["0601T0900-0601T1000", "0603T0900-0603T1000"]
    assert spans(index(*TOKYO, "RDATE:20260602T090000Z", "EXRULE:FREQ=DAILY;UNTIL=20260601T090000Z")) == [
        "0602T0900-0602T1000"
    ]
    assert spans(index(*TIMED, "EXRULE:FREQ=DAILY")) == []
    assert days(*DAYS, "EXRULE:FREQ=DAILY;INTERVAL=2", zone="Asia/Tokyo") == ["02", "04"]


@pytest.mark.parametrize(
    "rule",
    ["", "FREQ=SOMETIMES", "FREQ=DAILY;BYDAY=", "FREQ=DAILY;X-LIMIT=2", "FREQ=DAILY;UNTIL=20260602Z", "FREQ=DAYLY"],
)
def test_an_exrule_that_needs_forgiveness_takes_nothing_out_and_is_told(rule: str) -> None:
    found = index(*TIMED, "RRULE:FREQ=DAILY;COUNT=2", f"EXRULE:{rule}")
    assert spans(found) == ["0601T0900-0601T1000", "0602T0900-0602T1000"]
    assert [problem.kind for problem in found.problems] == [ProblemKind.BAD_RULE]
    assert not found.incomplete


def test_a_date_with_a_time_behind_it_is_that_time_and_told() -> None:
    lines = ("DTSTART;VALUE=DATE:20260601T090000Z", "DTEND;VALUE=DATE:20260601T100000Z")
    assert spans(busy(calendar(event(*lines)))) == ["0601T0900-0601T1000"]
    assert set(kinds(*lines)) == {"forgiven"}


@pytest.mark.parametrize(
    "payload",
    [
        calendar("BEGIN:VEVENT", "UID:a", *TIMED),
        calendar("UID:a", *TIMED, "END:VEVENT"),
        calendar("UID:a", *TIMED),
        calendar(event(*TIMED), "RRULE:FREQ=DAILY"),
        calendar("BEGIN:VEVENT", "UID:a", *TIMED, event(*TIMED, uid="b")),
        calendar("BEGIN:VEVENT", "UID:a", *TIMED, "BEGIN:VALARM", "TRIGGER:-PT5M", "RRULE:FREQ=DAILY", "END:VEVENT"),
        calendar("BEGIN:VEVNT", "UID:a", *TIMED),
        calendar("BEGIN:VFREEBUSY", "FREEBUSY:20260601T090000Z/PT1H"),
        event(*TIMED).encode(),
        calendar(event(*TIMED)) + event(*TIMED, uid="b").encode(),
        calendar(event(*TIMED)) + b"DTSTART:20260601T090000Z\r\n",
    ],
)
def test_a_component_that_is_cut_or_outside_is_a_problem_and_leaves_no_window_complete(payload: bytes) -> None:
    found = index_object(payload, JUNE, zone="UTC")
    assert found.incomplete
    assert found.incomplete_since == EARLIEST
    assert [problem.kind for problem in found.problems] == [ProblemKind.UNREADABLE] * len(found.problems)
    assert found.problems


@pytest.mark.parametrize("name", ["VTODO", "VJOURNAL", "VTIMEZONE"])
def test_a_cut_component_that_never_blocks_hides_nothing(name: str) -> None:
    assert not why_incomplete(calendar(event(*TIMED), f"BEGIN:{name}", "UID:t", "DTSTART:20260601T090000Z"))


@pytest.mark.parametrize(
    "feed",
    [
        calendar(event(*TIMED), "BEGIN:VEVENT", "UID:b", *TIMED),
        calendar(event(*TIMED), "DTSTART:20260601T090000Z"),
        calendar(event(*TIMED)) + event(*TIMED, uid="b").encode() + b"\r\n" + calendar(event(*TIMED, uid="c")),
        b"BEGIN:VCALENDAR\r\n" + event(*TIMED).encode() + b"\r\n" + calendar(event(*TIMED, uid="c")),
    ],
)
def test_what_is_cut_or_outside_in_a_feed_is_in_an_object_that_says_so(feed: bytes) -> None:
    pieces = split_feed(feed)
    assert any(why_incomplete(piece.payload) for piece in pieces)
    assert not all(why_incomplete(piece.payload) for piece in pieces)


def test_an_event_that_lasts_centuries_is_busy_in_all_of_them() -> None:
    for lines in (
        ("DTSTART:16010101T000000Z", "DTEND:21000101T000000Z"),
        ("DTSTART:16010101T000000Z", "DURATION:P999999D"),
        ("DTSTART;VALUE=DATE:00010101", "DTEND;VALUE=DATE:99991231"),
        ("DTSTART:16010101T000000Z", "DURATION:P999999W", "RRULE:FREQ=YEARLY;COUNT=3"),
    ):
        assert spans(busy(calendar(event(*lines)))) == ["0601T0000-0701T0000"]


@pytest.mark.parametrize(
    "written",
    ["mailto:me@x.org", "MAILTO:Me@X.org", "mailto: me@x.org", "mailto:me%40x.org", " me@x.org ", "mailto:me%40X.ORG"],
)
def test_an_address_is_the_same_however_it_is_spelled(written: str) -> None:
    assert normalise_address(written) == "me@x.org"
    lines = (*TIMED, "ORGANIZER:mailto:boss@x.org", f"ATTENDEE;PARTSTAT=DECLINED:{written}")
    assert spans(busy(calendar(event(*lines)), me="mailto:me@x.org")) == []


@pytest.mark.parametrize("line", ["RDATE:soon", "RDATE;VALUE=PERIOD:soon/PT1H"])
def test_an_extra_date_that_cannot_be_read_may_be_at_any_time(line: str) -> None:
    found = index(*TIMED, line)
    assert spans(found) == ["0601T0900-0601T1000"]
    assert found.incomplete
    assert found.incomplete_since == EARLIEST


def test_a_changed_occurrence_whose_start_cannot_be_read_may_be_at_any_time() -> None:
    changed = event("RECURRENCE-ID:20260601T090000Z", "DTSTART:soon")
    assert why_incomplete(calendar(event(*TIMED), changed))
    assert spans(busy(calendar(event(*TIMED), changed))) == ["0601T0900-0601T1000"]
    hidden = event("RECURRENCE-ID:20260601T090000Z", "DTSTART:soon", "TRANSP:TRANSPARENT")
    assert not why_incomplete(calendar(event(*TIMED), hidden))


def test_a_window_before_an_unreadable_rule_sees_nothing_of_it() -> None:
    found = index(*TIMED, "RRULE:?", span=window("20260501", "20260601"))
    assert found.incomplete_since > window("20260501", "20260601").end


@pytest.mark.parametrize("freeing", ["TRANSP:TRANSPARENT", "STATUS:CANCELLED", "X-MICROSOFT-CDO-BUSYSTATUS:FREE"])
@pytest.mark.parametrize("order", [1, -1])
def test_what_an_event_says_and_denies_frees_no_time(freeing: str, order: int) -> None:
    denying = {"TRANSP": "TRANSP:OPAQUE", "STATUS": "STATUS:CONFIRMED"}
    both = (freeing, denying.get(freeing.partition(":")[0], "X-MICROSOFT-CDO-BUSYSTATUS:BUSY"))[::order]
    assert spans(busy(calendar(event(*TIMED, *both)))) == ["0601T0900-0601T1000"]
    assert spans(busy(calendar(event(*TIMED, freeing, freeing)))) == []


def test_of_two_starts_nobody_knows_which_is_meant() -> None:
    twice = ("DTSTART:20260601T090000Z", "DTSTART:20260602T090000Z", "DURATION:PT1H")
    assert kinds(*twice) == ["bad-time"]
    assert why_incomplete(calendar(event(*twice)))
    assert kinds("DTSTART:20260601T090000Z", *TIMED) == []


@pytest.mark.parametrize("name", ["DTEND:20260601T", "DURATION:PT"])
def test_of_two_ends_nobody_knows_which_is_meant(name: str) -> None:
    values = ("100000Z", "120000Z") if name.startswith("DTEND") else ("1H", "3H")
    found = busy(calendar(event(TIMED[0], *(name + value for value in values))))
    assert spans(found) == ["0601T0900-0602T0900 BUSY-UNAVAILABLE"]


@pytest.mark.parametrize(
    "rule", ["FREQ=DAILY;FREQ=WEEKLY;COUNT=2", "FREQ=DAILY;COUNT=2;COUNT=4", "FREQ=DAILY;COUNT=-1"]
)
def test_of_a_rule_that_contradicts_itself_only_the_first_occurrence_is_known(rule: str) -> None:
    assert kinds(*TIMED, f"RRULE:{rule}") == ["bad-rule"]
    assert spans(busy(calendar(event(*TIMED, f"RRULE:{rule}")))) == ["0601T0900-0601T1000"]
    assert kinds(*TIMED, "RRULE:FREQ=DAILY;COUNT=2;freq=daily;COUNT=2") == []
