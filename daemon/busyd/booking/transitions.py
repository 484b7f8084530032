"""Every change of state of a row of the outbox, as one table. What is not in it does not happen.

The table is that of the model by which the protocol was checked; a test compares the two.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from busyd.store.bookings import BookingKind
from busyd.store.bookings import BookingState as S


class BookingEvent(StrEnum):
    """What changes the state of a row."""

    FOUND = "found"
    """Its name is on the server: what a PUT of unknown outcome came to, or what a restored ledger forgot."""
    TAKEN = "taken"
    """Somebody else has an event in the span."""
    TAKEN_AND_TOUCHED = "taken-and-touched"
    """The same, and a person has changed ours: it is not deleted."""
    SEND = "send"
    """The span is free; the PUT follows this commit."""
    CREATED = "created"
    """The server confirmed the PUT."""
    CLEAN = "clean"
    """The second look found nobody else in the span."""
    ABSENT = "absent"
    """It is not on the server: a look says so, or the answer to a DELETE."""
    DELETED_EARLY = "deleted-early"
    """The first PUT was refused because the name exists, and then it does not: a person has deleted it."""
    A_PERSONS = "a-persons"
    """What is to be deleted is a person's version."""
    BACK = "back"
    """What was gone is there again, and is not a late PUT of ours."""
    MOVE = "move"
    MOVED = "moved"
    """The time on the server is the target."""
    MOVE_REFUSED = "move-refused"
    """The target cannot be had, or a person has moved it elsewhere."""
    CANCEL = "cancel"
    CANCEL_UNSENT = "cancel-unsent"
    """The same of a row of which nothing was ever sent, in a ledger that was never restored."""
    RESTORED_THERE = "restored-there"
    """The first look after the ledger was restored finds it."""
    RESTORED_ABSENT = "restored-absent"
    RETRY = "retry"
    """Whoever asked for it asks again, with the same key."""


Table = Mapping[tuple[S, BookingEvent], S]

_E = BookingEvent

_BOTH: Final[Table] = {
    (S.PENDING, _E.FOUND): S.CONFIRMED,
    (S.PENDING, _E.TAKEN): S.REFUSED,
    (S.PENDING, _E.SEND): S.SENDING,
    (S.PENDING, _E.CANCEL): S.CANCELLING,
    (S.PENDING, _E.CANCEL_UNSENT): S.CANCELLED,
    (S.SENDING, _E.CREATED): S.CONFIRMED,
    (S.SENDING, _E.FOUND): S.CONFIRMED,
    (S.SENDING, _E.DELETED_EARLY): S.REMOVED,
    (S.SENDING, _E.CANCEL): S.CANCELLING,
    (S.CONFIRMED, _E.TAKEN): S.YIELDING,
    (S.CONFIRMED, _E.TAKEN_AND_TOUCHED): S.ATTENTION,
    (S.CONFIRMED, _E.CANCEL): S.CANCELLING,
    (S.YIELDING, _E.ABSENT): S.REFUSED,
    (S.YIELDING, _E.A_PERSONS): S.ATTENTION,
    (S.YIELDING, _E.CANCEL): S.CANCELLING,
    (S.CANCELLING, _E.ABSENT): S.CANCELLED,
    (S.CANCELLING, _E.A_PERSONS): S.ATTENTION,
    (S.CANCELLED, _E.BACK): S.ATTENTION,
    (S.REFUSED, _E.BACK): S.ATTENTION,
    (S.ATTENTION, _E.CANCEL): S.CANCELLING,
}
"""What appointments and claims have in common."""

_APPOINTMENT: Final[Table] = {
    **_BOTH,
    (S.CONFIRMED, _E.CLEAN): S.BOOKED,
    (S.CONFIRMED, _E.ABSENT): S.ATTENTION_RESTORED,  # before its fence
    (S.BOOKED, _E.ABSENT): S.REMOVED,
    (S.BOOKED, _E.CANCEL): S.CANCELLING,
    (S.BOOKED, _E.MOVE): S.MOVING,
    (S.MOVING, _E.MOVED): S.BOOKED,
    (S.MOVING, _E.MOVE_REFUSED): S.BOOKED,
    (S.MOVING, _E.ABSENT): S.REMOVED,
    (S.MOVING, _E.CANCEL): S.CANCELLING,
    (S.REMOVED, _E.BACK): S.BOOKED,
    (S.ATTENTION_RESTORED, _E.RETRY): S.PENDING,
    (S.ATTENTION_RESTORED, _E.CANCEL): S.CANCELLING,
    # Nothing is created, moved or deleted by itself after a restore.
    **{(state, _E.RESTORED_THERE): S.CONFIRMED for state in (S.PENDING, S.SENDING, S.CONFIRMED, S.ATTENTION_RESTORED)},
    **{(state, _E.RESTORED_THERE): S.BOOKED for state in (S.BOOKED, S.MOVING, S.REMOVED)},
    **{
        (state, _E.RESTORED_THERE): S.ATTENTION
        for state in (S.YIELDING, S.CANCELLING, S.CANCELLED, S.REFUSED, S.ATTENTION)
    },
    **{(state, _E.RESTORED_ABSENT): S.ATTENTION_RESTORED for state in (S.PENDING, S.SENDING, S.CONFIRMED)},
    **{(state, _E.RESTORED_ABSENT): S.REMOVED for state in (S.BOOKED, S.MOVING)},
    **{
        (state, _E.RESTORED_ABSENT): state
        for state in (S.CANCELLED, S.REFUSED, S.REMOVED, S.ATTENTION, S.ATTENTION_RESTORED)
    },
    (S.CANCELLING, _E.RESTORED_ABSENT): S.CANCELLED,
    (S.YIELDING, _E.RESTORED_ABSENT): S.REFUSED,
}

_OF_A_CLAIM: Final = (
    S.PENDING,
    S.SENDING,
    S.CONFIRMED,
    S.CLAIMED,
    S.YIELDING,
    S.CANCELLING,
    S.CANCELLED,
    S.REFUSED,
    S.REMOVED,
    S.ATTENTION,
)

_CLAIM: Final[Table] = {
    **_BOTH,
    (S.CONFIRMED, _E.CLEAN): S.CLAIMED,
    (S.CLAIMED, _E.CANCEL): S.CANCELLING,
    (S.REMOVED, _E.BACK): S.ATTENTION,
    # Nobody has been told of a claim, so that after a restore it only goes.
    **{(state, _E.RESTORED_THERE): S.CANCELLING for state in _OF_A_CLAIM},
    **{(state, _E.RESTORED_ABSENT): S.CANCELLED for state in _OF_A_CLAIM},
}

_LOCAL: Final[Table] = {(S.BOOKED, _E.CANCEL): S.CANCELLED}
"""Holds, and blocks that are written nowhere."""

TRANSITIONS: Final[Mapping[BookingKind, Table]] = {
    BookingKind.APPOINTMENT: _APPOINTMENT,
    BookingKind.CLAIM: _CLAIM,
    BookingKind.BLOCK: _APPOINTMENT,
    BookingKind.HOLD: _LOCAL,
}


class ImpossibleTransition(ValueError):
    """A state was to change in a way that the table does not have."""


def next_state(kind: BookingKind, state: S, *, event: BookingEvent, is_local: bool = False) -> S:
    """The state after an event. Raises ImpossibleTransition.

    `is_local`: the row is written nowhere, so that what it says is so at once.
    """
    table = _LOCAL if is_local else TRANSITIONS[kind]
    following = table.get((state, event))
    if following is None:
        message = f"a row of kind {kind} that is {state} cannot take the event {event}"
        raise ImpossibleTransition(message)
    return following
