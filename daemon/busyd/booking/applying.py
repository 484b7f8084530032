"""A row of the outbox as it is after a step: pure, and without what it takes to compose or send anything."""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from busyd.booking.decision import Step
from busyd.booking.transitions import BookingEvent, next_state
from busyd.errors import BusydError
from busyd.period import Instant
from busyd.store.bookings import BLOCKS_NOTHING, Booking, BookingState

WATCHED_FOR: Final = 86_400
"""Seconds for which a late PUT of ours is deleted if it turns up after a row has ended."""


class WriteRefused(BusydError):
    """The server has refused a write for another reason than its condition, and so has not carried it out."""

    def __init__(self, status: int, precondition: str | None) -> None:
        super().__init__(
            f"the server refused the write with status {status}{f' ({precondition})' if precondition else ''}"
        )
        self.status = status
        self.precondition = precondition


def with_proof(row: Booking, proof: Mapping[str, Instant], *, event: BookingEvent | None) -> Booking:
    """A row with what was confirmed when, before it was written and after."""
    match event:
        case BookingEvent.SEND:
            return replace(row, before=proof)
        case BookingEvent.CLEAN | BookingEvent.TAKEN | BookingEvent.TAKEN_AND_TOUCHED:
            return replace(row, after=proof)
    return row


def merged(current: Booking, *, after: Booking) -> Booking:
    """A row that somebody has changed, with what the server has answered meanwhile to a write."""
    return replace(
        current, etag=after.etag, mark=after.mark, marks=after.marks, touched=current.touched or after.touched
    )


def applied(row: Booking, step: Step, *, now: Instant) -> Booking:
    """A row as it is after a step. Raises ImpossibleTransition."""
    not_done = "change-unknown" if step.looked_after_restore else "change-refused"
    if step.looked_after_restore:
        row = replace(row, restored=0, mark="", marks=(), watch_until=None)
    if step.seen is not None:
        seen = step.seen.mark
        mark = seen if seen in row.marks else row.mark if seen == row.mark and not step.touched else ""
        row = replace(row, etag=step.seen.etag, mark=mark, marks=tuple(one for one in row.marks if one != seen))
    row = _told_anew(row, step)
    if step.guests_gone:
        row = replace(row, invited="gone")
    if step.conflict is not None:
        row = replace(row, conflict=step.conflict)
    if step.fence is not None:
        row = replace(row, restored=2 if step.fence else 0)
    is_done = step.is_done
    if step.event is not None:
        state = next_state(row.kind, row.state, event=step.event)
        if row.state is BookingState.MOVING:
            is_done = step.event is BookingEvent.MOVED or bool(step.is_done)
            span = row.target if is_done and row.target is not None else row.span
            row = replace(row, span=span, target=None)
        row = _in_state(row, state, now=now)
    if is_done is not None and row.wanted is not None:
        wanted = row.wanted
        if wanted.invites:
            row = replace(row, wanted=None, invited="sent" if is_done else "gone")
        else:
            row = replace(row, wanted=None, reason="" if is_done else not_done)
        if is_done:
            span = row.target or row.span
            details, body, sequence = wanted.details, wanted.body, wanted.sequence
            row = replace(
                row, span=span, fbtype=wanted.fbtype or row.fbtype, details=details, body=body, sequence=sequence
            )
        row = replace(row, target=None)
    return replace(row, invited="sent") if step.guests_there else row


def _told_anew(row: Booking, step: Step) -> Booking:
    """What a person has done to it."""
    may_be_ours = step.looked_after_restore or step.fence
    """A version that a backup does not know yet."""
    if step.touched is not None:
        row = replace(row, touched=step.touched)
    if step.event is BookingEvent.BACK:
        row = replace(row, changed_elsewhere="restored")
    elif step.touched and step.seen is not None and (step.seen.edited or not may_be_ours):
        has_moved = step.span is not None and step.event is not BookingEvent.MOVED
        row = replace(row, changed_elsewhere="moved" if has_moved else "edited")
    return replace(row, span=step.span) if step.span is not None else row


def _in_state(row: Booking, state: BookingState, *, now: Instant) -> Booking:
    if state in (BookingState.CANCELLED, BookingState.REFUSED) and row.state is not state:
        row = replace(row, etag="", mark="", settled=now, watch_until=Instant(now + WATCHED_FOR))
    if state is BookingState.REFUSED:
        row = replace(row, reason="slot-taken")
    if state is BookingState.REMOVED:
        row = replace(row, etag="", mark="", settled=now)
    if state in BLOCKS_NOTHING:
        row = replace(row, wanted=None, target=None)
    if state is BookingState.ATTENTION:
        row = replace(row, wanted=None, reason="conflict" if row.state is BookingState.CONFIRMED else "changed")
    return replace(row, state=state)
