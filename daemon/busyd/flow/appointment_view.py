"""An appointment as it is told: the many states of its row as the few of the API."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from busyd.booking.applying import WriteRefused
from busyd.errors import BusydError
from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingState, Details


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


class AppointmentView(Struct, frozen=True):
    """An appointment at a moment."""

    id: str
    profile: str
    calendar: str
    span: Period
    details: Details
    state: AppointmentState
    reason: str
    invited: str
    """`pending`, `sent` or `gone`; empty when nobody is to be invited."""
    changed_elsewhere: str
    """`moved`, `edited` or `restored`; empty when nobody did."""
    uid: str
    created: Instant
    before: Mapping[str, Instant]
    """Calendar -> when it was confirmed last before the event was written."""
    after: Mapping[str, Instant]
    is_under_way: bool
    """Whether what was asked for last is not settled."""
    is_written_over: bool
    """Whether a person's version stays in the calendar instead of what was asked for."""


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


def view_appointment(row: Booking, *, calendar: str, trouble: BusydError | None) -> AppointmentView:
    """`calendar`: how a person names its calendar; `trouble`: what keeps it from being settled."""
    state, reason = STATES[row.state], row.reason
    is_under_way = state in UNDER_WAY or row.wanted is not None
    if row.state is BookingState.ATTENTION_RESTORED:
        reason = "restored"
    elif row.state is BookingState.BOOKED and row.conflict:
        state, reason = AppointmentState.ATTENTION, "conflict"
    elif is_under_way and isinstance(trouble, WriteRefused):
        state, reason = AppointmentState.ATTENTION, "account"
    return AppointmentView(
        id=row.id,
        profile=row.profile,
        calendar=calendar,
        span=row.span,
        details=row.details,
        state=state,
        reason=reason,
        invited=row.invited,
        changed_elsewhere=row.changed_elsewhere,
        uid=row.uid,
        created=row.created,
        before=row.before,
        after=row.after,
        is_under_way=is_under_way,
        is_written_over=row.state is BookingState.ATTENTION,
    )
