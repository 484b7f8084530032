"""Which appointments need a person, or are not settled for longer than a moment, and how many there are in each state.

From the rows in memory: this is known from the start on, also while no connection can be asked.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from busyd.advice.bookings import describe_unsettled
from busyd.clock import Clock
from busyd.period import Instant, Period
from busyd.state.state import State
from busyd.state.told_appointment import AppointmentState, is_under_way, state_of
from busyd.store.bookings import Booking, BookingKind

A_MOMENT: Final = 60
"""Seconds after which what is not settled is worth a word."""


class UnsettledView(Struct, frozen=True):
    """An appointment that needs a person, or is not settled."""

    profile: str
    id: str
    span: Period
    state: AppointmentState
    reason: str
    created: Instant
    detail: str
    """What is the matter."""
    fix: str


class UnsettledAppointments:
    """Looks through the rows of the outbox that keep time."""

    def __init__(self, state: State, *, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def of(self, profile: str) -> list[UnsettledView]:
        """Those of a profile that need a person, or are not settled for more than a minute, in order."""
        now, found = self._clock.now(), list[UnsettledView]()
        for row in self._rows(profile):
            state, reason = self._told(row)
            is_late = is_under_way(row) and not 0 <= now - row.created <= A_MOMENT
            if state is AppointmentState.ATTENTION or is_late:
                detail, fix = describe_unsettled(state.value, reason)
                reason = reason if state is AppointmentState.ATTENTION else ""
                found.append(
                    UnsettledView(
                        profile,
                        row.id,
                        span=row.span,
                        state=state,
                        reason=reason,
                        created=row.created,
                        detail=detail,
                        fix=fix,
                    )
                )
        return sorted(found, key=lambda view: (view.span, view.id))

    def count(self, profile: str) -> Mapping[str, int]:
        """State -> number of appointments of a profile that keep time."""
        return Counter(self._told(row)[0].value for row in self._rows(profile))

    def _rows(self, profile: str) -> Iterator[Booking]:
        return (row for row in self._state.own.of(profile) if row.kind is BookingKind.APPOINTMENT)

    def _told(self, row: Booking) -> tuple[AppointmentState, str]:
        return state_of(row, is_refused=row.id in self._state.refused_writes)
