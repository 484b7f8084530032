"""Where a change of busy time comes from, as the log keeps it: which events, what their server says, what settings."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from busyd.availability.policy import Rules
from busyd.availability.profile import Profile
from busyd.period import FbType, Instant
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.changes import ChangeOrigin, EventOrigin, OwnOrigin
from tests.index.inside import ANNA as CONNECTION
from tests.index.inside import HOME, WORK, Inside, StoppedClock, at, event, ref, timed, window

ANNA = Profile("anna", conflicts=(ref("anna/Work"), ref("anna/Home")))
STAMPED = ("CREATED:20260501T080000Z", "LAST-MODIFIED:20260502T090000Z")
NINE = timed("a", "20260601T090000Z", "20260601T100000Z", "SUMMARY:Dentist", *STAMPED)


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    opened = Inside(tmp_path, StoppedClock(at("2026-05-31")), profiles=[ANNA])
    yield opened
    opened.close()


async def read_both(inside: Inside) -> None:
    await inside.show(WORK, HOME)
    await inside.put(WORK)
    await inside.put(HOME)
    await inside.publisher.tell_changes(("anna",))


async def last_origin(inside: Inside) -> ChangeOrigin:
    await inside.publisher.tell_changes(("anna",))
    (entry,) = await inside.changes.last_entries(lambda _: True, 1)
    return msgspec.json.decode(entry.change.origin or b"{}", type=ChangeOrigin)


def named(what: str, *, uid: str = "a", stamped: bool = True, name: str = "0.ics") -> EventOrigin:
    created, modified = (at("2026-05-01T08:00"), at("2026-05-02T09:00")) if stamped else (None, None)
    return EventOrigin("anna/Work", WORK.href, f"{WORK.href}{name}", uid, what, created, modified)  # type: ignore[arg-type]


async def test_an_event_that_takes_time_is_named_with_what_its_server_says(inside: Inside) -> None:
    await read_both(inside)
    inside.clock.instant = at("2026-05-31T12:00")
    await inside.put(WORK, NINE)
    origin = await last_origin(inside)
    assert origin.events == (named("blocks"),)
    assert origin.confirmed == {"anna/Work": at("2026-05-31")}  # its server had nothing there then
    assert b"Dentist" not in msgspec.json.encode(origin)


async def test_an_event_that_was_deleted_is_named(inside: Inside) -> None:
    await read_both(inside)
    await inside.put(WORK, NINE)
    await inside.publisher.tell_changes(("anna",))
    await inside.put(WORK, gone=["0.ics"])
    assert (await last_origin(inside)).events == (named("deleted", stamped=False),)


async def test_an_event_that_was_moved_and_one_that_changed_its_kind_are_told_apart(inside: Inside) -> None:
    await read_both(inside)
    await inside.put(WORK, NINE)
    await inside.publisher.tell_changes(("anna",))
    tentative = timed("a", "20260601T090000Z", "20260601T100000Z", "STATUS:TENTATIVE")
    await inside.put(WORK, tentative)
    assert (await last_origin(inside)).events == (named("changed", stamped=False),)
    await inside.put(WORK, timed("a", "20260601T070000Z", "20260601T080000Z"))
    await inside.publisher.tell_changes(("anna",))
    entries = await inside.changes.last_entries(lambda _: True, 2)
    whats = [msgspec.json.decode(one.change.origin, type=ChangeOrigin).events[0].what for one in entries]
    assert whats == ["blocks", "released"]


async def test_an_event_with_the_number_of_a_deleted_one_is_not_taken_for_it(inside: Inside) -> None:
    await read_both(inside)
    await inside.put(WORK, NINE)
    await inside.publisher.tell_changes(("anna",))
    await inside.put(WORK, gone=["0.ics"])  # the next object gets its number
    await inside.put(WORK, timed("b", "20260601T080000Z", "20260601T093000Z"))
    await inside.publisher.tell_changes(("anna",))
    entries = await inside.changes.last_entries(lambda _: True, 2)
    origins = [msgspec.json.decode(one.change.origin, type=ChangeOrigin) for one in entries]
    assert [[(event.uid, event.what) for event in origin.events] for origin in origins] == [
        [("b", "blocks")],
        [("a", "deleted")],
    ]


async def test_of_many_events_the_first_are_named_and_the_others_counted(inside: Inside) -> None:
    await read_both(inside)
    await inside.put(WORK, *(timed(f"u{number}", "20260601T090000Z", "20260601T100000Z") for number in range(8)))
    origin = await last_origin(inside)
    assert (len(origin.events), origin.more) == (5, 3)


async def test_an_occurrence_of_a_series_is_named_where_it_takes_time(inside: Inside) -> None:
    await read_both(inside)
    daily = ("DTSTART:20260601T090000Z", "DTEND:20260601T100000Z", "RRULE:FREQ=DAILY;COUNT=3")
    await inside.put(WORK, event("a", *daily))
    await inside.publisher.tell_changes(("anna",))
    await inside.put(WORK, event("a", *daily, "EXDATE:20260602T090000Z"))
    origin = await last_origin(inside)
    assert [(one.uid, one.what) for one in origin.events] == [("a", "released")]


async def test_a_calendar_that_no_longer_counts_is_named(inside: Inside) -> None:
    await read_both(inside)
    await inside.put(WORK, NINE)
    await inside.publisher.tell_changes(("anna",))
    await inside.state.reconfigure([CONNECTION], [Profile("anna", conflicts=(ref("anna/Home"),))])
    await inside.publisher.publish_snapshots()
    origin = await last_origin(inside)
    assert (origin.counts, origin.counts_no_longer) == ((), ("anna/Work",))
    assert [(one.uid, one.what) for one in origin.events] == [("a", "released")]


async def test_a_rule_that_is_another_one_is_named_by_its_calendar(inside: Inside) -> None:
    await read_both(inside)
    await inside.put(WORK, event("a", "DTSTART;VALUE=DATE:20260601"))
    await inside.publisher.tell_changes(("anna",))
    free = replace(ANNA, calendar_rules={ref("anna/Work"): Rules(all_day="free")})
    await inside.state.reconfigure([CONNECTION], [free])
    await inside.publisher.publish_snapshots()
    origin = await last_origin(inside)
    assert (origin.other_rules, origin.counts_no_longer) == (("anna/Work",), ())


async def test_a_block_of_busyd_is_named_by_its_id(inside: Inside) -> None:
    await read_both(inside)
    nine = window("2026-06-01T09:00", "2026-06-01T10:00")
    row = Booking("b1", BookingKind.BLOCK, "anna", BookingState.BOOKED, nine, Instant(1), fbtype=int(FbType.BUSY))
    await inside.publisher.show_rows((row,))
    assert (await last_origin(inside)).own == (OwnOrigin("block", "b1"),)
    await inside.publisher.show_rows((replace(row, state=BookingState.CANCELLED),))
    assert (await last_origin(inside)).own == (OwnOrigin("block", "b1"),)
