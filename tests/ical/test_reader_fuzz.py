"""Whatever the bytes: the reader answers, within bounds, and never loses a recognisable opaque event."""

import random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from busyd.availability.busy import busy_periods
from busyd.availability.index import index_object
from busyd.availability.policy import Rules
from busyd.ical.split import UnreadableFeed, split_feed
from busyd.period import Instant, Period
from tests.generate import generate_objects

OBJECTS = generate_objects(200, 11)
SPAN = Period(Instant(1780272000), Instant(1782864000))
OPAQUE = (
    b"BEGIN:VEVENT\r\nUID:opaque@example.com\r\nDTSTART:20260601T090000Z\r\nDTEND:20260601T100000Z\r\n"
    b"TRANSP:OPAQUE\r\nEND:VEVENT\r\n"
)
INSIDE = (1780304400, 1780308000)
TOKENS = (
    *(b"BEGIN:VEVENT", b"END:VEVENT", b"BEGIN:VCALENDAR", b"END:VCALENDAR", b"BEGIN:VTIMEZONE", b"END:VTIMEZONE"),
    *(b"BEGIN:VALARM", b"END:VALARM", b"BEGIN:VFREEBUSY", b"END:VFREEBUSY", b"DTSTART:", b"DTSTART;VALUE=DATE:"),
    *(b"DTSTART;TZID=Europe/Berlin:", b"DTEND:", b"DURATION:", b"RRULE:", b"FREQ=DAILY", b"FREQ=SECONDLY", b";COUNT=3"),
    *(b";BYDAY=1MO,-1SU", b";BYSETPOS=-1", b";UNTIL=20260610", b"RDATE:", b"RDATE;VALUE=PERIOD:", b"EXDATE:", b"UID:x"),
    *(
        b"RECURRENCE-ID:",
        b"RECURRENCE-ID;RANGE=THISANDFUTURE:",
        b"FREEBUSY:",
        b"20260601T090000Z",
        b"20260601",
        b"/PT1H",
    ),
    *(
        b"PT1H",
        b"-PT1H",
        b"P1D",
        b"TZID:Home",
        b";TZID=Home",
        b"TZOFFSETFROM:+0100",
        b"TZOFFSETTO:+0200",
        b"METHOD:CANCEL",
    ),
    *(
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\r\n ",
        b"\n\t",
        b"\r",
        b'"',
        b";",
        b":",
        b",",
        b"\\",
        b"\0",
        b"\xff",
        b"=",
        b"9" * 30,
    ),
    *(b"ATTENDEE;PARTSTAT=DECLINED:mailto:a@b", b"STATUS:TENTATIVE", b"X-APPLE-TRAVEL-DURATION:PT9999999H"),
)


def check(payload: bytes) -> None:
    found = index_object(payload, SPAN, zone="Europe/Berlin")
    assert found == index_object(payload, SPAN, zone="Europe/Berlin")
    assert all(start <= end for start, end, _ in found.rows)
    assert all(number < len(found.facts) for _, _, number in found.rows)


@given(st.binary(max_size=400))
@example(b"\xff\xfe")
@example(b"\xfe\xff\0")
def test_any_bytes_get_an_answer(payload: bytes) -> None:
    check(payload)
    check(b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n" + payload)


@given(st.lists(st.sampled_from(TOKENS), max_size=60))
@settings(max_examples=400)
def test_any_mixture_of_words_gets_an_answer(tokens: list[bytes]) -> None:
    payload = b"".join(tokens)
    check(payload)
    check(b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n" + b"\r\n".join(tokens) + b"\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")


@given(st.sampled_from(OBJECTS), st.randoms(use_true_random=False))
@settings(max_examples=400)
def test_a_damaged_object_gets_an_answer(payload: bytes, chance: random.Random) -> None:
    damaged = bytearray(payload)
    for _ in range(chance.randrange(1, 12)):
        at = chance.randrange(len(damaged))
        damaged[at : at + chance.randrange(4)] = (
            chance.choice(TOKENS) if chance.random() < 0.5 else bytes([chance.randrange(256)])
        )
    check(bytes(damaged))


@given(st.lists(st.sampled_from(TOKENS), max_size=30), st.booleans())
@settings(max_examples=300)
def test_an_opaque_event_is_never_free_whatever_stands_beside_it(tokens: list[bytes], before: bool) -> None:
    # A neighbour that says in good form that it is this event, or that the calendar is a cancellation, is believed.
    beside = b"\r\n".join(token for token in tokens if not token.startswith((b"UID", b"METHOD")))
    parts = [b"BEGIN:VEVENT\r\n", beside, b"\r\nEND:VEVENT\r\n"]
    inside = [*parts, OPAQUE] if before else [OPAQUE, *parts]
    payload = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + b"".join(inside) + b"END:VCALENDAR\r\n"
    found = busy_periods([payload], SPAN, zone="UTC", rules=Rules(), addresses=(), availability=None)
    assert any(start <= INSIDE[0] and INSIDE[1] <= end for start, end, _ in found.periods)


@given(st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(TOKENS), max_size=40).map(b"\r\n".join)))
def test_a_feed_is_cut_or_refused(payload: bytes) -> None:
    for feed in (payload, b"BEGIN:VCALENDAR\r\n" + payload + b"\r\nEND:VCALENDAR"):
        try:
            parts = split_feed(feed)
        except UnreadableFeed:
            continue
        assert len({part.uid for part in parts}) == len(parts)
        for part in parts:
            check(part.payload)
