"""An appointment as it is told."""

from collections.abc import Mapping

from msgspec import Struct

from busyd.period import Instant, Period
from busyd.state.told_appointment import AppointmentState, is_under_way, state_of
from busyd.store.bookings import Booking, BookingState, Details

__all__ = ["AppointmentState", "AppointmentView", "view_appointment"]


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


def view_appointment(row: Booking, *, calendar: str, is_refused: bool) -> AppointmentView:
    """`calendar`: how a person names its calendar; `is_refused`: the account does not take what would settle it."""
    state, reason = state_of(row, is_refused=is_refused)
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
        is_under_way=is_under_way(row),
        is_written_over=row.state is BookingState.ATTENTION,
    )
