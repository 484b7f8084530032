"""Objects made to exhaust us: each is answered within bounds, and whatever is not worked out stays blocked."""

import pytest

from busyd.availability.index import index_object
from busyd.availability.policy import Rules, decide
from busyd.ical.limits import MAX_OCCURRENCES
from busyd.period import FbType, Instant, Period
from tests.ical.objects import busy, calendar, event, spans

START = 1793491200
SPAN = Period(Instant(START), Instant(START + 400 * 86_400))
SIXTY = ",".join(map(str, range(60)))
ALL_DAY = f"BYHOUR={','.join(map(str, range(24)))};BYMINUTE={SIXTY};BYSECOND={SIXTY}"
ALL_YEAR = f"BYMONTH={','.join(map(str, range(1, 13)))};BYMONTHDAY={','.join(map(str, range(1, 32)))};{ALL_DAY}"
RULES = [
    "FREQ=SECONDLY",
    "FREQ=SECONDLY;BYHOUR=9",
    f"FREQ=SECONDLY;BYSECOND={SIXTY}",
    "FREQ=SECONDLY;COUNT=999999999",
    "FREQ=SECONDLY;INTERVAL=7919;BYHOUR=1,2,3;BYMINUTE=1,3,5;COUNT=900000",
    "FREQ=SECONDLY;INTERVAL=86399;BYHOUR=1",
    "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30",
    f"FREQ=MINUTELY;{ALL_DAY}",
    f"FREQ=HOURLY;BYMINUTE={SIXTY};BYSECOND={SIXTY}",
    "FREQ=HOURLY;BYDAY=1MO",
    f"FREQ=DAILY;{ALL_DAY}",
    f"FREQ=DAILY;{ALL_DAY};COUNT=99999999",
    f"FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;{ALL_DAY}",
    f"FREQ=YEARLY;{ALL_YEAR}",
    f"FREQ=YEARLY;{ALL_YEAR};BYSETPOS=-1",
    f"FREQ=YEARLY;{ALL_YEAR};COUNT=99999999",
    "FREQ=YEARLY;INTERVAL=999999999",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=5",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=5",
    "FREQ=MONTHLY;BYDAY=MO;COUNT=999999999",
    "FREQ=DAILY;COUNT=999999999",
    "FREQ=DAILY;UNTIL=99991231T235959Z",
    "FREQ=DAILY;UNTIL=99999999T999999Z",
    "FREQ=MONTHLY;BYSETPOS=366",
    "FREQ=DAILY;" * 2000,
    "FREQ=DAILY;BYMONTHDAY=" + "1," * 20_000,
    f"FREQ=SECONDLY;INTERVAL=86399;BYSECOND={','.join(map(str, range(0, 60, 2)))}",
    f"FREQ=SECONDLY;INTERVAL=86399;BYSECOND={','.join(map(str, range(0, 60, 2)))};COUNT=99999999",
    "RSCALE=CHINESE;FREQ=DAILY;COUNT=999999",
    "RSCALE=HEBREW;FREQ=YEARLY;BYMONTH=5L",
]


@pytest.mark.parametrize("start", ["00010101", "19700101", "20261101", "99990101"])
@pytest.mark.parametrize("length", ["PT1S", "P400D"])
@pytest.mark.parametrize("rule", RULES, ids=range(len(RULES)))
def test_a_rule_bomb_is_answered_within_bounds(rule: str, length: str, start: str) -> None:
    payload = calendar(event(f"DTSTART:{start}T000000Z", f"DURATION:{length}", f"RRULE:{rule}"))
    found = index_object(payload, SPAN, zone="Europe/Berlin")
    assert len(found.rows) <= MAX_OCCURRENCES + 5
    if any(facts.unknown for facts in found.facts):
        blocked = [row for row in found.rows if found.facts[row[2]].unknown]
        assert decide(found.facts[blocked[0][2]], Rules(), me=frozenset()).fbtype is FbType.BUSY_UNAVAILABLE
        assert max(end for _, end, _ in blocked) == SPAN.end
        assert found.problems


def test_all_rules_of_an_object_share_one_budget() -> None:
    rule = "RRULE:FREQ=DAILY;COUNT=99999999;BYMONTH=2;BYMONTHDAY=30"
    series = [event("DTSTART:17500101T000000Z", *[rule] * 20, uid=f"bomb{at}") for at in range(500)]
    later = event("DTSTART:20261105T000000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR;BYMONTH=11")
    found = index_object(calendar(*series, later), SPAN, zone="UTC")
    unknown = [row for row in found.rows if found.facts[row[2]].unknown]
    assert (SPAN.start, SPAN.end) in [row[:2] for row in unknown]


def test_a_zone_with_rules_that_lead_nowhere_is_given_up() -> None:
    rules = [f"RRULE:FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30;X-A={at}" for at in range(400)]
    standard = ("BEGIN:STANDARD", "DTSTART:19700101T000000", "TZOFFSETFROM:+0500", "TZOFFSETTO:+0500", *rules)
    zone = "\r\n".join(("BEGIN:VTIMEZONE", "TZID:Odd", *standard, "END:STANDARD", "END:VTIMEZONE"))
    found = index_object(calendar(zone, event("DTSTART;TZID=Odd:20270101T090000", "DURATION:PT1H")), SPAN, zone="UTC")
    assert [problem.kind.value for problem in found.problems] == ["unknown-zone"]


def test_seconds_without_end_are_one_block() -> None:
    found = busy(calendar(event("DTSTART:20200101T000000Z", "DURATION:PT1M", "RRULE:FREQ=SECONDLY")))
    assert spans(found) == ["0601T0000-0701T0000"]


def overrides(count: int) -> str:
    return "\r\n".join(
        event(
            f"RECURRENCE-ID:2027{1 + at % 12:02}{1 + at // 12 % 28:02}T{at // 336 % 24:02}0000Z",
            "DTSTART:20270101T000000Z",
            "DURATION:PT1H",
        )
        for at in range(count)
    )


BEGIN = b"BEGIN:VCALENDAR\r\n"
LINES = {
    "a long line": BEGIN + b"DESCRIPTION:" + b"y" * 4_000_000,
    "deep nesting": BEGIN + b"BEGIN:X\r\n" * 300_000,
    "ends without begin": BEGIN + b"".join(b"BEGIN:X%d\r\n" % at for at in range(64)) + b"END:Y\r\n" * 300_000,
    "zones never closed": BEGIN + b"BEGIN:VTIMEZONE\r\n" * 200_000,
    "alarms never closed": BEGIN + b"BEGIN:VALARM\r\n" * 200_000,
    "open quotes": BEGIN + b"BEGIN:VEVENT\r\nDTSTART" + b';A="' * 800_000,
    "parameters": BEGIN + b"BEGIN:VEVENT\r\nATTENDEE" + b';A=""' * 600_000 + b":x",
    "folds": BEGIN + b"\r\n " * 1_000_000,
    "blank lines": BEGIN + b"\n" * 4_000_000,
    "blank folds": BEGIN + b"\n\n " * 1_000_000,
    "missed folds": BEGIN + (b"y" * 80 + b"\n") * 40_000,
    "too large": BEGIN + b"X-A:" + b"y" * 20_000_000,
    "many zones": BEGIN
    + b"".join(
        b"BEGIN:VTIMEZONE\r\nTZID:Z%d\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0%d00\r\n"
        b"RRULE:FREQ=YEARLY\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nDTSTART;TZID=Z%d:20270101T000000\r\nEND:VEVENT\r\n"
        % (at, at % 9, at)
        for at in range(2000)
    ),
    "many dense series": BEGIN
    + b"BEGIN:VEVENT\r\nDTSTART:20270101T000000Z\r\nDURATION:PT1S\r\nRRULE:FREQ=MINUTELY;INTERVAL=6\r\nEND:VEVENT\r\n"
    * 200,
}


@pytest.mark.parametrize("name", LINES)
def test_a_reader_bomb_is_answered_and_never_called_complete(name: str) -> None:
    found = index_object(LINES[name], SPAN, zone="UTC")
    assert len(found.rows) <= 2 * MAX_OCCURRENCES
    assert found.incomplete or any(facts.unknown for facts in found.facts)
    assert found.problems


def test_ten_thousand_overrides_block_the_whole_span_as_not_understood() -> None:
    found = index_object(
        calendar(event("DTSTART:20270101T000000Z", "RRULE:FREQ=DAILY"), overrides(10_000)), SPAN, zone="UTC"
    )
    assert found.rows == [(SPAN.start, SPAN.end, 0)]
    assert found.facts[0].unknown
    assert found.recurring


def test_a_hundred_thousand_exdates_are_honoured() -> None:
    dates = ",".join(
        f"20{year:02}{month:02}{day:02}T090000Z"
        for year in range(20, 99)
        for month in range(1, 13)
        for day in range(1, 29)
    )
    lines = ("DTSTART:20260601T090000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY", *[f"EXDATE:{dates}"] * 4)
    assert spans(busy(calendar(event(*lines)))) == ["0629T0900-0629T1000", "0630T0900-0630T1000"]


def test_too_many_exdates_leave_the_rest_busy_and_too_many_rdates_leave_it_unknown() -> None:
    dates = ",".join(
        f"2027{1 + at % 12:02}{1 + at // 12 % 28:02}T{at // 336 % 24:02}{at // 8064 % 60:02}00Z"
        for at in range(100_001)
    )
    one = ("DTSTART:20260601T090000Z", "DURATION:PT1H")
    kept = busy(calendar(event(*one, "RRULE:FREQ=DAILY;COUNT=2", f"EXDATE:{dates},20260602T090000Z")))
    assert "0602T0900-0602T1000" in spans(kept)
    unknown = busy(calendar(event(*one, f"RDATE:{dates}")))
    assert unknown.periods[-1][2] == FbType.BUSY_UNAVAILABLE
