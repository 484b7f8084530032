from collections.abc import Generator
from typing import Any, TypeVar

import icalendar
from hypothesis import given
from hypothesis import strategies as st

from busyd.ical.compose import BlockedSlot, compose_feed, compose_vfreebusy, escape_text, fold
from busyd.period import FbType, Instant, Period

T = TypeVar("T")
NOON = 1795435200
HOUR = 3600
BUSY_HOUR = BlockedSlot("one@busyd", NOON, NOON + HOUR, FbType.BUSY, NOON - 99 * HOUR)


def finish(work: Generator[None, None, T]) -> T:
    try:
        while True:
            next(work)
    except StopIteration as done:
        result: T = done.value
        return result


def read(body: bytes) -> Any:
    """As another reader of iCalendar sees it."""
    return icalendar.Calendar.from_ical(body)


def feed(*slots: BlockedSlot, zone: str = "Europe/Berlin") -> bytes:
    return finish(compose_feed("Busy: anna", zone, slots=slots))


def test_a_freebusy_component_is_read_as_it_was_meant() -> None:
    window = Period(Instant(NOON), Instant(NOON + 9 * HOUR))
    spans = [(NOON, NOON + HOUR, FbType.BUSY), (NOON + HOUR, NOON + 2 * HOUR, FbType.BUSY_TENTATIVE)]
    calendar = read(compose_vfreebusy(window, spans, uid="u@busyd", stamp=NOON))
    [component] = calendar.walk("VFREEBUSY")
    first, second = component["FREEBUSY"]
    assert [period.params["FBTYPE"] for period in (first, second)] == ["BUSY", "BUSY-TENTATIVE"]
    assert first.to_ical() == b"20261123T120000Z/20261123T130000Z"
    assert component.DTSTART.timestamp() == NOON
    assert component.DTEND.timestamp() == NOON + 9 * HOUR
    assert component["UID"] == "u@busyd"
    assert "METHOD" not in calendar


def test_the_window_stands_before_the_busy_periods() -> None:
    window = Period(Instant(NOON), Instant(NOON + HOUR))
    text = compose_vfreebusy(window, [(NOON, NOON + HOUR, FbType.BUSY)], uid="u", stamp=NOON).decode()
    assert text.index("DTEND") < text.index("FREEBUSY;")


def test_a_slot_of_a_feed_says_that_it_blocks_and_nothing_else() -> None:
    calendar = read(feed(BUSY_HOUR))
    [event] = calendar.walk("VEVENT")
    assert (event["SUMMARY"], event["TRANSP"], event["UID"]) == ("Busy", "OPAQUE", "one@busyd")
    assert (event.start.timestamp(), event.end.timestamp()) == (NOON, NOON + HOUR)
    assert event["X-MICROSOFT-CDO-BUSYSTATUS"] == "BUSY"
    assert event["DTSTAMP"].dt == event["LAST-MODIFIED"].dt
    assert not {"LOCATION", "DESCRIPTION", "ATTENDEE", "ORGANIZER"} & set(event)


def test_a_feed_tells_its_name_and_when_to_come_again() -> None:
    calendar = read(feed())
    assert calendar["X-WR-CALNAME"] == "Busy: anna"
    assert calendar["X-WR-TIMEZONE"] == "Europe/Berlin"
    assert (calendar["REFRESH-INTERVAL"].to_ical(), str(calendar["X-PUBLISHED-TTL"])) == (b"PT15M", "PT15M")
    assert "METHOD" not in calendar


def test_every_type_of_busy_has_its_word_for_outlook() -> None:
    kinds = [FbType.BUSY, FbType.BUSY_UNAVAILABLE, FbType.BUSY_TENTATIVE]
    slots = [BlockedSlot(str(kind), NOON, NOON + HOUR, kind, NOON) for kind in kinds]
    events = read(feed(*slots)).walk("VEVENT")
    assert [event["X-MICROSOFT-CDO-BUSYSTATUS"] for event in events] == ["BUSY", "OOF", "TENTATIVE"]
    assert [event["STATUS"] for event in events] == ["CONFIRMED", "CONFIRMED", "TENTATIVE"]


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_hostile_title_stays_inside_its_property(summary: str, location: str) -> None:
    hostile = BlockedSlot("u", NOON, NOON + HOUR, FbType.BUSY, NOON, summary, location)
    body = feed(hostile, BUSY_HOUR)
    first, second = read(body).walk("VEVENT")
    assert {*first} <= {*second, "LOCATION"}
    assert second["UID"] == BUSY_HOUR.uid
    # Readers that use str.splitlines must see the same lines as those that split at CRLF.
    assert body.decode().splitlines() == body.decode().split("\r\n")[:-1]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_a_folded_line_has_at_most_75_octets_and_unfolds_to_itself(text: str) -> None:
    line = "SUMMARY:" + escape_text(text)
    folded = fold(line).encode()
    assert all(len(piece) <= 75 for piece in folded.split(b"\r\n"))
    assert all(piece.decode() for piece in folded.split(b"\r\n"))
    assert folded.replace(b"\r\n ", b"").decode() == line


def test_text_is_escaped_as_the_rfc_says() -> None:
    assert escape_text("a;b,c\\d\ne\r\nf\x00\u2028") == "a\\;b\\,c\\\\d\\ne\\nf"
