"""Why then? Everything that touches a window is told, whether it blocks or not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.availability.profile import Profile
from busyd.flow.requests import KeyedRequest
from busyd.period import FbType
from tests.index.inside import WORK, Inside, StoppedClock, at, event, ref, timed, window

MORNING = window("2026-06-01T09:00", "2026-06-01T10:00")


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    opened = Inside(tmp_path, StoppedClock(at("2026-05-31")), profiles=[Profile("anna", conflicts=(ref("anna/*"),))])
    yield opened
    opened.close()


async def told(inside: Inside, *payloads: bytes) -> list[tuple[str, FbType, str]]:
    await inside.show(WORK)
    await inside.put(WORK, *payloads)
    return [(one.uid, one.fbtype, one.reason) for one in await inside.backend.explain("anna", MORNING)]


async def test_an_event_of_no_length_is_told_and_blocks_nothing(inside: Inside) -> None:
    moments = [event(at_once, f"DTSTART:20260601T{at_once}Z") for at_once in ("085959", "090000", "093000", "100000")]
    assert await told(inside, *moments) == [("090000", FbType.FREE, "no-length"), ("093000", FbType.FREE, "no-length")]
    assert await inside.busy("2026-06-01", "2026-06-02") == []


async def test_travel_to_an_event_of_no_length_blocks(inside: Inside) -> None:
    travelling = event("a", "DTSTART:20260601T093000Z", "X-APPLE-TRAVEL-DURATION;VALUE=DURATION:PT30M")
    assert await told(inside, travelling) == [("a", FbType.BUSY, "opaque")]
    half_past = at("2026-06-01T09:30")
    assert await inside.busy("2026-06-01", "2026-06-02") == [(half_past - 1800, half_past, "BUSY")]


async def test_an_event_that_only_touches_the_window_is_not_told(inside: Inside) -> None:
    before = timed("before", "20260601T080000Z", "20260601T090000Z")
    after = timed("after", "20260601T100000Z", "20260601T110000Z")
    assert await told(inside, before, after) == []


async def test_hours_stored_in_a_calendar_make_the_rest_unavailable(inside: Inside) -> None:
    hours = (
        b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VAVAILABILITY\r\nUID:hours\r\nBEGIN:AVAILABLE\r\n"
        b"DTSTART:20260601T093000Z\r\nDTEND:20260601T170000Z\r\nRRULE:FREQ=DAILY\r\nEND:AVAILABLE\r\n"
        b"END:VAVAILABILITY\r\nEND:VCALENDAR\r\n"
    )
    assert await told(inside, hours) == [("hours", FbType.BUSY_UNAVAILABLE, "freebusy")]
    opens = at("2026-06-01T09:30")
    assert await inside.busy("2026-06-01T09:00", "2026-06-01T18:00") == [
        (at("2026-06-01T09:00"), opens, "BUSY-UNAVAILABLE"),
        (at("2026-06-01T17:00"), at("2026-06-01T18:00"), "BUSY-UNAVAILABLE"),
    ]


async def test_a_block_is_named_as_what_it_is(inside: Inside) -> None:
    await inside.show(WORK)
    await inside.put(WORK)
    span = window("2026-06-01T09:30", "2026-06-01T11:00")
    asked = KeyedRequest("anna", inside.clock.now(), token="t")
    await inside.backend.blocks.add(
        asked, span, fbtype=FbType.BUSY, summary="Dentist", render=lambda view: view.id.encode()
    )
    (explained,) = await inside.backend.explain("anna", MORNING)
    told = (explained.calendar, explained.reason, explained.summary, explained.start, explained.end)
    assert told == ("busyd", "block", "Dentist", span.start, span.end)
    assert await inside.backend.explain("anna", window("2026-06-01T08:00", "2026-06-01T09:30")) == []


async def test_what_is_told_is_known_to_be_the_same_until_an_event_a_block_or_a_name_changes(inside: Inside) -> None:
    await told(inside, timed("a", "20260601T090000Z", "20260601T100000Z"))

    def follows_from() -> object:
        return inside.backend.told_from("anna")

    before = follows_from()
    await inside.show(WORK)
    await inside.put(WORK)
    assert follows_from() == before
    titled = timed("a", "20260601T090000Z", "20260601T100000Z").replace(b"END:VEVENT", b"SUMMARY:Vet\r\nEND:VEVENT")
    await inside.put(WORK, titled)
    assert (titled_one := follows_from()) != before
    asked = KeyedRequest("anna", inside.clock.now(), token="t")
    await inside.backend.blocks.add(
        asked, MORNING, fbtype=FbType.BUSY, summary="", render=lambda view: view.id.encode()
    )
    assert (blocked := follows_from()) != titled_one
    await inside.show(replace(WORK, name="Job"))
    assert follows_from() != blocked
