"""What `privacy: busy` leaves of an object says all of when it is busy, and nothing of what it is about."""

import pytest

from busyd.availability.busy import busy_periods
from busyd.availability.index import index_object
from busyd.availability.policy import Rules
from busyd.ical.facts import normalise_address
from busyd.ical.reduction import reduce_object
from busyd.period import Instant, Period
from tests.availability.case_files import answer, expected, payloads_of, read_cases

CASES = list(read_cases())
SECRETS = ("Divorce", "Suite 7", "lawyer", "ben@", "Ben", "structured", "secret", "alarm")
EVENT = b"""BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//secret//EN
X-WR-CALNAME:secret
BEGIN:VTIMEZONE
TZID:Home
COMMENT:secret
BEGIN:STANDARD
DTSTART:19700101T000000
TZOFFSETFROM:+0100
TZOFFSETTO:+0100
TZNAME:secret
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:1
DTSTAMP:20260101T000000Z
DTSTART;TZID=Home;X-SECRET=secret:20261123T100000
DTEND;TZID=Home:20261123T110000
SUMMARY:Divorce
LOCATION:Suite 7
DESCRIPTION:with the lawyer
X-APPLE-STRUCTURED-LOCATION;X-TITLE=Suite 7:geo:1,2structured
ORGANIZER;CN=Ben:mailto:ben@example.org
ATTENDEE;CN=Ben;PARTSTAT=ACCEPTED:mailto:ben@example.org
ATTENDEE;CN=Anna;PARTSTAT=DECLINED;X-NOTE=secret:mailto:Anna@example.org
BEGIN:VALARM
DESCRIPTION:alarm
END:VALARM
END:VEVENT
END:VCALENDAR
""".replace(b"\n", b"\r\n")
OWN = frozenset({"anna@example.org"})
WEEK = Period(Instant(1795392000), Instant(1795392000 + 14 * 86400))


@pytest.mark.skipif(not CASES, reason="no case files")
def test_every_case_is_as_busy_when_reduced() -> None:
    different = []
    for case in CASES:
        own = frozenset(
            map(normalise_address, [case["owner"]] if isinstance(case.get("owner"), str) else case.get("owner") or [])
        )
        if answer(case, [reduce_object(payload, own) for payload in payloads_of(case)]) != expected(case):
            different.append(case["id"])
    assert not different


def test_nothing_is_left_of_titles_places_texts_alarms_and_other_guests() -> None:
    left = reduce_object(EVENT, OWN).decode()
    assert not [secret for secret in SECRETS if secret.lower() in left.lower()]
    assert "PARTSTAT=DECLINED" in left


@pytest.mark.parametrize("declined", ["free", "busy"])
def test_an_own_answer_counts_as_before(declined: str) -> None:
    rules = Rules(declined=declined)  # type: ignore[arg-type]
    found = [
        busy_periods([payload], WEEK, zone="UTC", rules=rules, addresses=OWN, availability=None).periods
        for payload in (EVENT, reduce_object(EVENT, OWN))
    ]
    assert found[0] == found[1]
    assert bool(found[0]) == (declined == "busy")


@pytest.mark.parametrize(
    "payload",
    [
        EVENT[:-30],
        EVENT.replace(b"END:VEVENT\r\n", b""),
        EVENT.replace(b"END:VALARM\r\n", b""),
        b"<html>secret</html>",
        EVENT + b"secret",
        b"DTSTART:20261123T100000Z\r\n" + EVENT,
        EVENT.replace(b"BEGIN:VCALENDAR\r\n", b""),
    ],
    ids=["cut", "no end", "alarm without end", "a page", "text behind", "a stray line", "no beginning"],
)
def test_damage_is_found_in_what_is_left_too(payload: bytes) -> None:
    whole, left = index_object(payload, WEEK, zone="UTC"), index_object(reduce_object(payload, OWN), WEEK, zone="UTC")
    assert [problem.kind for problem in left.problems] == [problem.kind for problem in whole.problems]
    assert bool(left.incomplete) == bool(whole.incomplete)
    assert left.rows == whole.rows


IN_A_ZONE = EVENT.replace(b"+0100", b"-0800")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"TZOFFSETTO:", b"TZOFFSETTO ;X=1:"),
        (b"BEGIN:STANDARD", b"BEGIN;X=1:STANDARD"),
        (b"DTSTART:1970", b"DTSTART ;VALUE=DATE-TIME:1970"),
        (b"TZID:Home", b"TZID ;X=1:Home"),
        (b"DTEND;TZID=Home", b'DTEND;"TZID=Home"'),
        (b"DTEND;TZID=Home", b'DTEND;X="a;TZID=Asia/Tokyo"'),
        (b"DTEND;TZID=Home", b'DTEND; tzid = "Home";TZID=Asia/Tokyo'),
        (b"=Home", b"=UTC-08:00"),
    ],
    ids=["offset", "begin", "onset", "name", "quotes around", "inside of quotes", "twice", "colon"],
)
def test_what_is_written_oddly_is_as_busy_or_not_known(before: bytes, after: bytes) -> None:
    payload = IN_A_ZONE.replace(before, after)
    whole, left = index_object(payload, WEEK, zone="UTC"), index_object(reduce_object(payload, OWN), WEEK, zone="UTC")
    assert left.incomplete or [row[:2] for row in left.rows] == [row[:2] for row in whole.rows]


def test_another_title_is_another_version_and_the_same_text_is_not() -> None:
    other = EVENT.replace(b"Divorce", b"Wedding")
    assert reduce_object(EVENT, OWN) == reduce_object(EVENT, OWN) != reduce_object(other, OWN)


def test_nothing_stays_nothing() -> None:
    assert reduce_object(b"", OWN) == b""
