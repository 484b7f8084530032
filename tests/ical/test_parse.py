"""Reading bytes: folds, line ends, broken characters and quotes, nesting; and cutting feeds into objects."""

import pytest

from busyd.ical.facts import ProblemKind
from busyd.ical.lines import read_calendars
from busyd.ical.parse import newest, parse_object
from busyd.ical.split import UnreadableFeed, split_feed
from tests.generate import generate_objects
from tests.ical.objects import JUNE, busy, calendar, event, index, spans, why_incomplete

PLAIN = calendar(event("DTSTART:20260601T090000Z", "DTEND:20260601T100000Z", "SUMMARY:Größe"))


@pytest.mark.parametrize(
    "payload",
    [
        PLAIN,
        PLAIN.replace(b"\r\n", b"\n"),
        PLAIN.replace(b"\r\n", b"\r"),
        PLAIN.replace(b"\r\n", b"\r\r\n"),
        PLAIN.replace(b"\r\n", b"\r\n\r\n"),
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.decode().encode("utf-16"),
        PLAIN.decode().encode("cp1252"),
        PLAIN.replace(b"DTSTART:2026", b"DTSTART:\r\n 2026"),
        PLAIN.replace(b"DTSTART:2026", b"DTSTART:\n\t2026"),
        PLAIN.replace(b"DTSTART:2026", b"DTSTART:\r\n\r\n 2026"),
        PLAIN.replace(b"Gr\xc3\xb6", b"Gr\xc3\r\n \xb6"),
        PLAIN.replace(b"DTSTART", b"dtstart").replace(b"VEVENT", b"vevent").replace(b"BEGIN", b"Begin"),
        PLAIN.replace(b"DTSTART:", b"DTSTART ;VALUE=:"),
        PLAIN.replace(b"DTSTART:", b'DTSTART;X-A="a;b:c,TZID=Asia/Tokyo":'),
        PLAIN.replace(b"DTSTART:", b'DTSTART;X-A="unclosed:'),
        PLAIN.replace(b"SUMMARY", b"nonsense\r\n: \r\n;:\r\nSUMMARY"),
        PLAIN.replace(b"END:VCALENDAR\r\n", b"END:VCALENDAR"),
        PLAIN.replace(
            b"SUMMARY", b"BEGIN:VALARM\r\nDTSTART:20260602T000000Z\r\nDURATION:PT9H\r\nEND:VALARM\r\nSUMMARY"
        ),
        PLAIN.replace(b"SUMMARY", b"BEGIN:VALARM\r\nTRIGGER:-PT9H\r\nSUMMARY"),
        PLAIN.replace(b"SUMMARY", b"BEGIN:VTODO\r\nDTSTART:20260602T000000Z\r\nEND:VTODO\r\nSUMMARY"),
        PLAIN.replace(b"END:VEVENT", b"DESCRIPTION:a\\nEND:VEVENT\\nDTSTART:20260609T000000Z\r\nEND:VEVENT"),
        PLAIN.replace(b"BEGIN:VCALENDAR\r\n", b"").replace(b"END:VCALENDAR\r\n", b""),
        PLAIN.replace(b"UID:event@example.com\r\n", b""),
        PLAIN.replace(b"DTSTAMP:20260101T000000Z\r\n", b"").replace(b"VERSION:2.0\r\n", b""),
    ],
)
def test_an_event_is_read_however_its_lines_are_written(payload: bytes) -> None:
    assert spans(busy(payload)) == ["0601T0900-0601T1000"]


def test_a_line_broken_without_a_space_is_joined_where_a_fold_was_missed() -> None:
    dates = ",".join(f"202606{day:02}T090000Z" for day in range(2, 7))
    line = f"EXDATE:{dates}"
    broken = f"{line[:75]}\r\n{line[75:]}"
    rule = ("DTSTART:20260601T090000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=7")
    assert spans(index(*rule, broken)) == ["0601T0900-0601T1000", "0607T0900-0607T1000"]


def test_an_event_without_end_is_kept_and_the_next_one_too() -> None:
    first = event("DTSTART:20260601T090000Z", "DURATION:PT1H", uid="a").replace("\r\nEND:VEVENT", "")
    found = busy(calendar(first, event("DTSTART:20260602T090000Z", "DURATION:PT1H", uid="b")))
    assert spans(found) == ["0601T0900-0601T1000", "0602T0900-0602T1000"]
    assert [problem.uid for problem in found.problems] == ["a"]


@pytest.mark.parametrize("payload", [b"", b"<html>moved</html>", b"\0\xff" * 9, PLAIN[:-60], PLAIN[:90]])
def test_what_is_cut_short_or_no_calendar_can_never_be_called_complete(payload: bytes) -> None:
    assert why_incomplete(payload)
    assert busy(payload).problems


def test_a_calendar_without_events_is_complete_and_empty() -> None:
    found = busy(calendar())
    assert (found.periods, found.problems, why_incomplete(calendar())) == ([], [], "")


def test_zones_stay_with_the_calendar_that_defines_them() -> None:
    payload = (
        b"BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:a\nEND:VTIMEZONE\nEND:VCALENDAR\nBEGIN:VCALENDAR\nEND:VCALENDAR\n"
    )
    assert [found.zones for found in read_calendars(payload)] == [["\nTZID:a"], []]


def test_of_two_equally_new_components_both_count_whatever_their_order() -> None:
    both = parse_object(calendar(event("DTSTART:20260601T090000Z"), event("DTSTART:20260602T090000Z")))
    assert len(newest(both.calendars[0].series[0].masters)) == 2


FEED = (
    b"BEGIN:VCALENDAR\r\nMETHOD:PUBLISH\r\nX-WR-TIMEZONE:America/New_York\r\nX-PUBLISHED:20261122T010203Z\r\n"
    b"BEGIN:VTIMEZONE\r\nTZID:Home\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\n"
    b"END:STANDARD\r\nEND:VTIMEZONE\r\n"
    b"BEGIN:VEVENT\r\nUID:a\r\nDTSTART;TZID=Home:20260601T090000\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;COUNT=2\r\nEND:VEVENT\r\n"
    b"BEGIN:VTODO\r\nUID:t\r\nEND:VTODO\r\n"
    b"BEGIN:VEVENT\r\nDTSTART:20260603T090000\r\nDURATION:PT1H\r\n"
    b"BEGIN:VALARM\r\nUID:alarm\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\nEND:VEVENT\r\n"
    b"BEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID;TZID=Home:20260602T090000\r\nDTSTART;TZID=Home:20260605T090000\r\n"
    b"DURATION:PT1H\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


def test_a_feed_is_cut_into_one_payload_per_uid_with_the_same_busy_time() -> None:
    parts = split_feed(FEED)
    assert parts[0].uid == "a"
    assert [part.uid.startswith("no-uid-") for part in parts] == [False, True]
    assert busy(*[part.payload for part in parts]) == busy(FEED)
    assert b"TZID:Home" in parts[0].payload
    assert b"TZID:Home" not in parts[1].payload
    assert all(b"X-PUBLISHED" not in part.payload for part in parts)


def test_the_parts_of_a_feed_do_not_change_when_the_feed_is_only_written_anew() -> None:
    again = FEED.replace(b"010203Z", b"090909Z").replace(b"\r\n", b"\n")
    assert split_feed(again) == split_feed(FEED)


def test_a_generated_feed_and_its_parts_are_busy_at_the_same_time() -> None:
    bodies = [
        payload.partition(b"CALSCALE:GREGORIAN\r\n")[2].removesuffix(b"END:VCALENDAR\r\n")
        for payload in generate_objects(60, 4)
    ]
    feed = b"BEGIN:VCALENDAR\r\n" + b"".join(bodies) + b"END:VCALENDAR\r\n"
    parts = split_feed(feed)
    assert len(parts) == 60
    assert busy(*[part.payload for part in parts], span=JUNE).periods == busy(feed, span=JUNE).periods


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n",
        b"<!DOCTYPE html><html></html>",
        b"{}",
        FEED[:200],
        FEED[5:],
        b"BEGIN:VCALENDAR\r\n<html><body>Sign in: here</body></html>\r\nEND:VCALENDAR\r\n",
        b"BEGIN:VCALENDAR\nVERSION:2.0\nService unavailable\nEND:VCALENDAR\n",
        FEED.removesuffix(b"END:VCALENDAR\r\n") + b"<br />\r\n<b>Fatal error</b>\r\nEND:VCALENDAR\r\n",
    ],
)
def test_an_answer_that_is_no_whole_calendar_is_never_an_empty_feed(answer: bytes) -> None:
    with pytest.raises(UnreadableFeed):
        split_feed(answer)


def test_a_feed_that_ends_too_early_is_read_and_its_events_say_so() -> None:
    whole = {one.uid for one in split_feed(FEED)}
    for cut in (FEED[:-20], FEED.removesuffix(b"END:VCALENDAR\r\n"), FEED + FEED[:-20]):
        objects = split_feed(cut)
        assert {one.uid for one in objects} == whole
        assert any(b"END:VCALENDAR" not in one.payload.rpartition(b"END:VEVENT")[2] for one in objects)


@pytest.mark.parametrize("before", [b"", b"Notice: deprecated in calendar.php\r\n", b"<br />\r\n"])
@pytest.mark.parametrize("after", [b"", b"<!-- made in 0.2 s -->\r\n", b"bye"])
def test_text_around_a_feed_is_left_out_and_told_once(before: bytes, after: bytes) -> None:
    found, bare = split_feed(before + FEED + after), split_feed(FEED)
    mark = b"X-BUSYD-TEXT-AROUND:TRUE\r\n"
    assert [one.payload.replace(mark, b"") for one in found] == [one.payload for one in bare]
    told = [problem.kind for one in found for problem in parse_object(one.payload).problems]
    assert told == ([ProblemKind.FORGIVEN] if before or after else [])


@pytest.mark.parametrize(
    ("before", "after"), [(b"Hello\r\n\r\n", b""), (b"", b"\r\nbye"), (b"NOTE: a\r\n", b"NOTE: b\r\n")]
)
def test_text_around_an_object_is_told(before: bytes, after: bytes) -> None:
    (problem,) = parse_object(before + FEED + after).problems
    assert problem.kind is ProblemKind.FORGIVEN
    assert "text before or behind" in problem.reason
    assert not parse_object(b"\xef\xbb\xbf\r\n \r\n" + FEED + b"\r\n\r\n").problems


def test_what_is_left_of_events_outside_of_a_calendar_is_not_dropped() -> None:
    event = b"BEGIN:VEVENT\r\nUID:late\r\nDTSTART:20260601T090000Z\r\nEND:VEVENT\r\n"
    assert "late" in {one.uid for one in split_feed(FEED + event)}
    with pytest.raises(UnreadableFeed):
        split_feed(event + FEED)


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_feed_in_utf_16_is_read_with_and_without_its_mark(coding: str) -> None:
    found, mark = split_feed(FEED.decode().encode(coding)), b"X-BUSYD-UTF-16:TRUE\r\n"
    assert [one.payload.replace(mark, b"") for one in found] == [one.payload for one in split_feed(FEED)]
    (problem,) = [problem for one in found for problem in parse_object(one.payload).problems]
    assert (problem.kind, "UTF-16" in problem.reason) == (ProblemKind.FORGIVEN, True)
    assert parse_object(FEED.decode().encode(coding)).problems == [problem]


def test_a_feed_without_events_is_an_empty_feed() -> None:
    assert split_feed(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR") == []


def test_a_mark_of_utf_16_before_plain_text_hides_nothing() -> None:
    plain = b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART:20261001T090000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    for mark in (b"\xff\xfe", b"\xfe\xff"):
        found = parse_object(mark + b"\r\n" + plain)
        assert found.uid == "a" or found.cut_short
