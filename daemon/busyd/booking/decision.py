"""What a look at the server makes of a row of the outbox: pure, so that every case can be tried.

A row is *ours* when the server has the version of which we hold the ETag, or the mark of a PUT of ours of unknown
outcome, unedited and never seen before; also that version under another ETag, which some servers give right after a
write. Everything else is a person's, and is neither overwritten nor deleted unasked.
"""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from busyd.booking.transitions import BookingEvent
from busyd.period import Period
from busyd.store.bookings import Booking, BookingKind, BookingState


class Version(Struct, frozen=True):
    """What the server has under the name of a row."""

    etag: str
    span: Period | None
    """None when its time cannot be read, or it recurs now."""
    mark: str = ""
    edited: bool = False
    """Another content than that which was sent with this mark."""
    has_guests: bool = False
    has_wanted: bool = False
    """It says what the change asks for that is not settled."""
    payload: bytes = b""


class Sight(Struct, frozen=True):
    """What a look shows: the row's own name, and the calendars that count, both newer than what led to the look."""

    version: Version | None
    taken: bool = False
    """Somebody else has an event in the span of the row."""
    after_412: bool = False
    """The name was said to exist by the last PUT."""
    claim: BookingState | None = None
    """Of a row that is being moved: how far its claim is; None when the order to move came during the look."""
    is_wanted: bool = True
    """Of a claim: whether its appointment still is being moved."""


class Request(StrEnum):
    """What is to be sent, each with its precondition. A mark of its own is committed before each PUT."""

    CREATE = "create"
    """PUT, If-None-Match: *"""
    FENCE = "fence"
    """PUT, If-Match, what is there under a new mark."""
    MOVE = "move"
    """PUT, If-Match, with the new time."""
    EDIT = "edit"
    """PUT, If-Match, with the new text."""
    DELETE = "delete"
    """DELETE, If-Match."""


class Step(Struct, frozen=True):
    """What follows from a look: first what is committed, then what is sent."""

    event: BookingEvent | None = None
    """The state changes by it."""
    seen: Version | None = None
    """The version to be recorded as the known one."""
    touched: bool | None = None
    """Whether a person has made this version; None where that is known, or was not a person."""
    span: Period | None = None
    """The time to be told from now on."""
    conflict: bool | None = None
    """Whether an overlap with somebody else is to be told, where that changes."""
    fence: bool | None = None
    """Whether a fence is to be written before the row counts as booked, where that changes."""
    is_done: bool | None = None
    """Whether the server has what a change asked for; False when a person's version stays instead."""
    guests_gone: bool = False
    """The guests that were written are not in it."""
    guests_there: bool = False
    """It has guests of which the backup does not know that they were written."""
    looked_after_restore: bool = False
    send: Request | None = None


NOTHING = Step()


def is_ours(row: Booking, version: Version) -> bool:
    """Whether the version on the server is one that busyd may delete or replace by itself."""
    if row.etag and row.etag == version.etag:
        goes_by_itself = row.state is BookingState.YIELDING or row.kind is BookingKind.CLAIM
        return not (row.touched and goes_by_itself)
    if version.edited:
        return False
    if row.mark and row.mark == version.mark:
        return True
    # Nobody is told of a claim, so that one which is back was sent twice on its way.
    return version.mark in row.marks or (row.kind is BookingKind.CLAIM and bool(version.mark))


def decide(row: Booking, sight: Sight) -> Step:
    """What to do about a row after a look."""
    if row.restored == 1:
        return _restored(row, sight)
    match row.state:
        case BookingState.PENDING:
            return _pending(row, sight)
        case BookingState.SENDING:
            return _sending(row, sight)
        case BookingState.CONFIRMED:
            return _fence(row, sight) if row.restored else _confirmed(row, sight)
        case BookingState.BOOKED:
            return _booked(row, sight)
        case BookingState.MOVING:
            return _moving(row, sight)
        case BookingState.YIELDING | BookingState.CANCELLING:
            return _going(row, sight)
        case BookingState.CANCELLED | BookingState.REFUSED:
            return _watched(row, sight)
        case BookingState.REMOVED:
            return _removed(row, sight)
        case BookingState.CLAIMED:
            return NOTHING if sight.is_wanted else Step(BookingEvent.CANCEL)
        case BookingState.ATTENTION | BookingState.ATTENTION_RESTORED:
            return NOTHING


def _record(row: Booking, version: Version, *, event: BookingEvent | None = None, move: bool = False) -> Step:
    """Take a version as the known one. `move`: its time is what is told."""
    is_known = bool(row.etag) and row.etag == version.etag
    known = is_known or is_ours(row, version)
    return Step(
        event,
        seen=None if is_known else version,
        touched=None if known else True,
        span=version.span if move and version.span != row.span else None,
    )


def _pending(row: Booking, sight: Sight) -> Step:
    if sight.version is not None:  # only after a restore that forgot the row
        found = _record(row, sight.version, event=BookingEvent.FOUND, move=True)
        return replace(found, touched=True, fence=True, guests_there=bool(row.invited) and sight.version.has_guests)
    if sight.taken:
        return Step(BookingEvent.TAKEN)
    return Step(BookingEvent.SEND, send=Request.CREATE)


def _sending(row: Booking, sight: Sight) -> Step:
    if sight.version is not None:
        return _record(row, sight.version, event=BookingEvent.FOUND, move=True)
    if sight.after_412:
        return Step(BookingEvent.DELETED_EARLY)
    return Step(send=Request.CREATE)  # the last one may be under way: the same name once more does no harm


def _confirmed(row: Booking, sight: Sight) -> Step:
    if not sight.taken:
        return Step(BookingEvent.CLEAN)
    return Step(BookingEvent.TAKEN_AND_TOUCHED if row.touched else BookingEvent.TAKEN)


def _fence(row: Booking, sight: Sight) -> Step:
    if sight.version is None:
        return Step(BookingEvent.ABSENT, fence=False)
    if row.etag != sight.version.etag:
        return replace(_record(row, sight.version, move=True), touched=True)
    return Step(send=Request.FENCE)


def _booked(row: Booking, sight: Sight) -> Step:
    if sight.version is None:
        return Step(BookingEvent.ABSENT, conflict=False if row.conflict else None)
    is_known = row.etag == sight.version.etag
    step = _record(row, sight.version, move=not is_known)
    step = replace(step, conflict=sight.taken if sight.taken != row.conflict else None)
    if not sight.version.edited and (sight.version.has_wanted or sight.version.span == row.span):
        step = replace(step, touched=None)  # a server has written it anew, or a guest has answered
    if row.invited == "sent" and not sight.version.has_guests:
        step = replace(step, guests_gone=True)
    if row.wanted is None:
        return step
    if is_known:
        return replace(step, send=Request.EDIT)
    if is_ours(row, sight.version) and not sight.version.has_wanted:
        return step  # an earlier PUT that was late: look again with its ETag known
    return replace(step, is_done=sight.version.has_wanted)


def _moving(row: Booking, sight: Sight) -> Step:
    match sight.claim:
        case BookingState.CLAIMED:
            pass
        case None | BookingState.PENDING | BookingState.SENDING | BookingState.CONFIRMED | BookingState.YIELDING:
            return NOTHING
        case _:
            return Step(BookingEvent.MOVE_REFUSED)
    version = sight.version
    if version is None:
        return Step(BookingEvent.ABSENT)
    if row.etag == version.etag:
        return Step(send=Request.MOVE)
    if is_ours(row, version) and version.span == row.span:
        return Step(seen=version)  # a PUT of guests, not the move: look again with its ETag known
    done = version.span == row.target
    return _record(row, version, event=BookingEvent.MOVED if done else BookingEvent.MOVE_REFUSED, move=True)


def _going(row: Booking, sight: Sight) -> Step:
    if sight.version is None:
        return Step(BookingEvent.ABSENT)
    if is_ours(row, sight.version):
        return replace(_record(row, sight.version), send=Request.DELETE)
    return _record(row, sight.version, event=BookingEvent.A_PERSONS, move=True)


def _watched(row: Booking, sight: Sight) -> Step:
    if sight.version is None:
        return NOTHING
    if row.watch_until is not None and is_ours(row, sight.version):
        return replace(_record(row, sight.version), send=Request.DELETE)
    return _record(row, sight.version, event=BookingEvent.BACK, move=True)


def _removed(row: Booking, sight: Sight) -> Step:
    if sight.version is None:
        return NOTHING
    return replace(_record(row, sight.version, event=BookingEvent.BACK, move=True), touched=True)


def _restored(row: Booking, sight: Sight) -> Step:
    """The one look after a restore: nothing is written."""
    version = sight.version
    if version is None:
        is_done = False if row.wanted is not None else None
        return Step(BookingEvent.RESTORED_ABSENT, is_done=is_done, looked_after_restore=True)
    if row.kind is BookingKind.CLAIM:
        found = _record(row, version, event=BookingEvent.RESTORED_THERE)
        # Its ETag may be one that the backup does not know yet; what it says tells whether a person has changed it.
        return replace(found, touched=version.edited or row.touched, looked_after_restore=True)
    waits = row.state in (
        BookingState.PENDING,
        BookingState.SENDING,
        BookingState.CONFIRMED,
        BookingState.ATTENTION_RESTORED,
    )
    is_done = None
    if row.wanted is not None:
        is_done = version.span == row.target if row.state is BookingState.MOVING else version.has_wanted
    step = _record(row, version, event=BookingEvent.RESTORED_THERE, move=True)
    step = replace(step, touched=True, fence=waits, is_done=is_done, looked_after_restore=True)
    if not row.invited:
        return step
    # Whoever was booked in the backup is not mailed by itself.
    is_gone = not version.has_guests and (row.invited == "sent" or not waits)
    return replace(step, guests_there=version.has_guests, guests_gone=is_gone)
