"""Which appointments `status` tells of."""

from msgspec.structs import replace

from busyd.flow.unsettled import UnsettledAppointments
from busyd.period import Instant, Period
from busyd.state.state import State
from busyd.store.bookings import Booking, BookingKind, BookingState, Details, WantedChange
from tests.http.small_backend import StoppedClock

CREATED = Instant(1_800_000_000)
ROW = Booking(
    id="a1",
    kind=BookingKind.APPOINTMENT,
    profile="anna",
    state=BookingState.BOOKED,
    span=Period(Instant(CREATED + 3600), Instant(CREATED + 7200)),
    created=CREATED,
)


def told_of(*rows: Booking, after: int = 61, refused: str = "") -> list[tuple[str, str, str]]:
    state = State([], [], machine_zone="UTC")
    state.own.take(rows)
    state.refused_writes = {refused} - {""}
    clock = StoppedClock()
    clock.at = Instant(CREATED + after)
    unsettled = UnsettledAppointments(state, clock=clock)
    return [(view.id, view.state.value, view.reason) for view in unsettled.of("anna")]


def test_what_is_settled_is_not_told() -> None:
    assert told_of(ROW, replace(ROW, id="a2", state=BookingState.CANCELLED)) == []
    assert told_of(replace(ROW, kind=BookingKind.HOLD, state=BookingState.PENDING)) == []


def test_what_is_pending_is_told_after_a_minute() -> None:
    pending = replace(ROW, state=BookingState.SENDING)
    assert told_of(pending, after=60) == []
    assert told_of(pending) == [("a1", "pending", "")]
    changing = replace(ROW, wanted=WantedChange(Details("Later"), b"", 1))
    assert told_of(changing) == [("a1", "booked", "")]


def test_what_needs_a_person_is_told_at_once() -> None:
    assert told_of(replace(ROW, conflict=True), after=1) == [("a1", "attention", "conflict")]
    changed = replace(ROW, state=BookingState.ATTENTION, reason="changed")
    assert told_of(changed, after=1) == [("a1", "attention", "changed")]
    restored = replace(ROW, state=BookingState.ATTENTION_RESTORED)
    assert told_of(restored, after=1) == [("a1", "attention", "restored")]
    refused = replace(ROW, state=BookingState.CANCELLING)
    assert told_of(refused, after=1, refused="a1") == [("a1", "attention", "account")]
