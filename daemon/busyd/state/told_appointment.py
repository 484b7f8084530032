"""What is told of an appointment: the many states of its row as the few of the API."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from busyd.period import to_rfc3339
from busyd.store.bookings import Booking, BookingState
from busyd.store.changes import ToldAppointment


class AppointmentState(StrEnum):
    """How far an appointment has come."""

    PENDING = "pending"
    BOOKED = "booked"
    MOVING = "moving"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    REMOVED = "removed"
    """A person has deleted it."""
    ATTENTION = "attention"
    """A person has to decide."""


STATES: Final[Mapping[BookingState, AppointmentState]] = {
    BookingState.PENDING: AppointmentState.PENDING,
    BookingState.SENDING: AppointmentState.PENDING,
    BookingState.CONFIRMED: AppointmentState.PENDING,
    BookingState.CLAIMED: AppointmentState.PENDING,
    BookingState.YIELDING: AppointmentState.PENDING,
    BookingState.BOOKED: AppointmentState.BOOKED,
    BookingState.MOVING: AppointmentState.MOVING,
    BookingState.CANCELLING: AppointmentState.CANCELLING,
    BookingState.CANCELLED: AppointmentState.CANCELLED,
    BookingState.REFUSED: AppointmentState.REFUSED,
    BookingState.REMOVED: AppointmentState.REMOVED,
    BookingState.ATTENTION: AppointmentState.ATTENTION,
    BookingState.ATTENTION_RESTORED: AppointmentState.ATTENTION,
}
UNDER_WAY: Final = frozenset({AppointmentState.PENDING, AppointmentState.MOVING, AppointmentState.CANCELLING})
_WITH_REASON: Final = frozenset({AppointmentState.REFUSED, AppointmentState.ATTENTION})
"""The others have the words of whoever cancelled it, which are not for everybody."""


def is_under_way(row: Booking) -> bool:
    """Whether what was asked for last is not settled."""
    return STATES[row.state] in UNDER_WAY or row.wanted is not None


def state_of(row: Booking, *, is_refused: bool) -> tuple[AppointmentState, str]:
    """The state, and the reason of it. `is_refused`: the account refuses the write that would settle it."""
    if row.state is BookingState.ATTENTION_RESTORED:
        return AppointmentState.ATTENTION, "restored"
    if row.state is BookingState.BOOKED and row.conflict:
        return AppointmentState.ATTENTION, "conflict"
    if is_refused and is_under_way(row):
        return AppointmentState.ATTENTION, "account"
    return STATES[row.state], row.reason


def told_appointment(row: Booking, *, is_refused: bool) -> ToldAppointment:
    """What the log of changes tells of a row."""
    state, reason = state_of(row, is_refused=is_refused)
    return ToldAppointment(
        id=row.id,
        profile=row.profile,
        token=row.token,
        state=state.value,
        reason=reason if state in _WITH_REASON else "",
        changed_elsewhere=row.changed_elsewhere,
        start=to_rfc3339(row.span.start),
        end=to_rfc3339(row.span.end),
    )
