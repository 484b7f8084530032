"""busyd's own rows are busy time from their commit, in every answer, whatever the rules say."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from busyd.availability.policy import Rules
from busyd.availability.profile import Profile
from busyd.index.rolling import roll_horizon
from busyd.period import FbType, Instant
from busyd.state.own_rows import OwnRows
from busyd.store.bookings import BLOCKS_NOTHING, Booking, BookingKind, BookingState, calendar_key
from tests.index.inside import HOME, WORK, Inside, StoppedClock, at, ref, timed, window

ANNA = Profile(
    "anna",
    timezone="UTC",
    primary=ref("anna/Work"),
    primary_blocks=False,
    conflicts=(ref("anna/Home"),),
    rules=Rules(tentative="free", all_day="free"),
)
BEN = Profile("ben", timezone="UTC", conflicts=(ref("anna/Home"),))
DAY = ("2026-06-10", "2026-06-11")
TEN = (at("2026-06-10T10:00"), at("2026-06-10T11:00"), "BUSY")
ELEVEN = (at("2026-06-10T11:00"), at("2026-06-10T12:00"), "BUSY")


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    opened = await start(tmp_path)
    await opened.put(WORK)
    await opened.put(HOME)
    yield opened
    await opened.writer.close()
    opened.close()


async def start(folder: Path) -> Inside:
    opened = Inside(folder, StoppedClock(at("2026-05-31")), profiles=[ANNA, BEN])
    await opened.show(WORK, HOME)
    return opened


def row(start: str, end: str, **changes: object) -> Booking:
    known = Booking("1", BookingKind.APPOINTMENT, "anna", BookingState.PENDING, window(start, end), at("2026-05-31"))
    return replace(known, **changes)


TEN_ROW = row("2026-06-10T10:00", "2026-06-10T11:00")


@pytest.mark.parametrize("state", BookingState)
async def test_a_row_blocks_until_its_state_is_final(inside: Inside, state: BookingState) -> None:
    await inside.publisher.show_rows([TEN_ROW])
    assert await inside.busy(*DAY) == [TEN]
    await inside.publisher.show_rows([replace(TEN_ROW, state=state)])
    assert await inside.busy(*DAY) == ([] if state in BLOCKS_NOTHING else [TEN])


async def test_a_move_blocks_both_times(inside: Inside) -> None:
    target = window("2026-06-10T11:00", "2026-06-10T12:00")
    await inside.publisher.show_rows([replace(TEN_ROW, state=BookingState.MOVING, target=target)])
    assert await inside.busy(*DAY) == [(TEN[0], ELEVEN[1], "BUSY")]
    await inside.publisher.show_rows([replace(TEN_ROW, state=BookingState.BOOKED, span=target)])
    assert await inside.busy(*DAY) == [ELEVEN]


async def test_the_event_that_the_server_hands_back_counts_once(inside: Inside) -> None:
    await inside.publisher.show_rows([TEN_ROW])
    await inside.put(HOME, timed("u", "20260610T100000Z", "20260610T110000Z"))
    assert await inside.busy(*DAY) == [TEN]


async def test_a_row_has_its_own_free_busy_type(inside: Inside) -> None:
    away = replace(TEN_ROW, kind=BookingKind.BLOCK, fbtype=int(FbType.BUSY_UNAVAILABLE))
    await inside.publisher.show_rows([away])
    assert await inside.busy(*DAY) == [(*TEN[:2], "BUSY-UNAVAILABLE")]


async def test_a_row_blocks_whoever_counts_the_calendar_it_is_written_to(inside: Inside) -> None:
    await inside.publisher.show_rows([TEN_ROW])
    assert await inside.busy(*DAY, profile="ben") == []
    await inside.publisher.show_rows([replace(TEN_ROW, calendar=calendar_key("anna", HOME.href))])
    assert await inside.busy(*DAY, profile="ben") == [TEN]


async def test_a_row_beyond_the_horizon_blocks_too(inside: Inside) -> None:
    await inside.publisher.show_rows([row("2031-06-10T10:00", "2031-06-10T11:00")])
    start, end = at("2031-06-10T10:00"), at("2031-06-10T11:00")
    assert await inside.busy("2031-06-10", "2031-06-11") == [(start, end, "BUSY")]


async def test_rows_stay_while_the_days_go_by_and_calendars_change(inside: Inside) -> None:
    await inside.publisher.show_rows([TEN_ROW])
    inside.clock.instant = at("2026-06-02")
    assert await roll_horizon(inside.writer, inside.clock.now())
    await inside.put(HOME, timed("u", "20260610T110000Z", "20260610T120000Z"))
    assert await inside.busy(*DAY) == [(TEN[0], ELEVEN[1], "BUSY")]


async def test_a_stored_snapshot_without_a_row_is_not_taken_at_the_next_start(inside: Inside, tmp_path: Path) -> None:
    inside.ledger.close()
    inside.store.close()
    again = Inside(tmp_path, StoppedClock(at("2026-05-31")), profiles=[ANNA, BEN])
    assert again.state.profiles["anna"].snapshot is not None
    again.close()
    committed = Inside(tmp_path, StoppedClock(at("2026-05-31")), profiles=[ANNA, BEN], rows=[TEN_ROW])
    assert committed.state.profiles["anna"].snapshot is None
    assert committed.state.profiles["ben"].snapshot is not None
    await committed.restore.load_tables()
    assert await committed.busy(*DAY) == [TEN]
    inside.store, inside.ledger, inside.writer = committed.store, committed.ledger, committed.writer


async def test_a_row_that_takes_no_time_any_more_is_let_go_of(inside: Inside) -> None:
    await inside.publisher.show_rows([TEN_ROW])
    assert inside.state.own.of("anna") == [TEN_ROW]
    await inside.publisher.show_rows([replace(TEN_ROW, state=BookingState.CANCELLED)])
    assert inside.state.own.of("anna") == []


async def test_rows_of_a_profile_that_is_not_configured_are_told_of(inside: Inside) -> None:
    await inside.publisher.show_rows([TEN_ROW])
    assert not list(inside.state.own.warnings({"anna"}))
    assert list(inside.state.own.warnings({"anne"})) == [
        "profile anna is not configured: its blocks and holds (1) keep nobody busy"
    ]


async def test_a_profile_without_rows_still_shares_its_snapshot(inside: Inside) -> None:
    assert inside.state.own.readings("ben", inside.state.profiles["ben"].links, facts=inside.state.table) == ()


async def test_what_did_not_change_leaves_the_table_as_it_is(inside: Inside) -> None:
    await inside.publisher.show_rows([TEN_ROW])
    before = inside.state.profiles["anna"].readings
    await inside.publisher.show_rows([replace(TEN_ROW, state=BookingState.SENDING, marks=("m",))])
    after = inside.state.profiles["anna"].readings
    assert before is not None
    assert after is not None
    assert before[-1].tables is after[-1].tables


def test_a_row_that_goes_elsewhere_leaves_where_it_was(tmp_path: Path) -> None:
    opened = Inside(tmp_path, StoppedClock(Instant(0)), profiles=[ANNA, BEN])
    own = opened.state.own
    own.take([TEN_ROW])
    own.take([replace(TEN_ROW, profile="ben")])
    assert (own.of("anna"), own.of("ben")) == ([], [replace(TEN_ROW, profile="ben")])
    opened.close()


_spans = st.integers(0, 5).map(lambda hour: window(f"2026-06-10T{hour:02}:00", f"2026-06-10T{hour + 1:02}:00"))
_rows = st.builds(
    Booking,
    id=st.sampled_from("abc"),
    kind=st.sampled_from(BookingKind),
    profile=st.just("anna"),
    state=st.sampled_from(BookingState),
    span=_spans,
    created=st.just(Instant(0)),
    target=st.none() | _spans,
)


@given(st.lists(_rows, max_size=12))
def test_what_counts_for_limits_is_when_appointments_and_holds_start(rows: list[Booking]) -> None:
    own, newest = OwnRows(), {}
    for changed in rows:
        own.take([changed])
        newest[changed.id] = changed
    counted = [known for known in newest.values() if known.kind in (BookingKind.APPOINTMENT, BookingKind.HOLD)]
    assert own.starts("anna") == tuple(sorted((int(span.start), known.id) for known in counted for span in known.spans))
