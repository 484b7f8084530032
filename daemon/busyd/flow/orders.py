"""What becomes of rows of the outbox when somebody orders something: one function an order, within a transaction."""

from typing import Final

from msgspec.structs import replace

from busyd.booking.applying import WriteRefused, applied
from busyd.booking.decision import Step
from busyd.booking.transitions import BookingEvent
from busyd.flow.appointment_requests import ChangeRefused, HasEnded, HoldExpired, NotSettled
from busyd.flow.membership import NotProven
from busyd.flow.requests import KeyedRequest, visible
from busyd.period import Instant
from busyd.store.bookings import BLOCKS_NOTHING, Booking, BookingKind, BookingState
from busyd.store.outbox import Outbox

NOT_PROVEN: Final = "not-proven"
_REFUSED_BY_SERVER: Final = "refused-by-server"


def reason_of(error: NotProven | WriteRefused) -> str:
    """Why something was taken back, as its row says it."""
    return NOT_PROVEN if isinstance(error, NotProven) else f"{_REFUSED_BY_SERVER} {error.status}"


def refused_status(reason: str) -> int | None:
    """With which status its server has refused what was taken back for this reason, if it has."""
    said, _, status = reason.partition(" ")
    return int(status) if said == _REFUSED_BY_SERVER and status.isdecimal() else None


def ordered_cancel(row: Booking, outbox: Outbox, *, now: Instant, reason: str) -> Booking:
    """A row after somebody has ordered that it goes."""
    if row.state in (BookingState.CANCELLING, *BLOCKS_NOTHING):
        return row
    unsent = row.state is BookingState.PENDING and not outbox.was_restored()
    event = BookingEvent.CANCEL_UNSENT if unsent else BookingEvent.CANCEL
    # What a change wanted may be on the server, or on its way there, and is known by it to be ours.
    return replace(applied(row, Step(event), now=now), reason=reason, wanted=None if unsent else row.wanted)


def cancelled(row: Booking, outbox: Outbox, *, now: Instant, reason: str) -> list[Booking]:
    """A row after somebody has ordered that it goes, and what goes with it without having to be carried further first.

    That is a claim of which nothing was sent, and one that a person has touched: nothing else would ever end it.
    """
    ending = (BookingState.PENDING, BookingState.ATTENTION)
    claims = [claim for claim in outbox.claims_of(row.id) if claim.state in ending]
    return [ordered_cancel(one, outbox, now=now, reason=reason) for one in (row, *claims)]


def withdrawn(row: Booking, outbox: Outbox, *, now: Instant, reason: str) -> list[Booking]:
    """The rows that change when what was asked for last is taken back.

    What was never sent leaves no name behind, so that it can be asked for again with the same key.
    """
    claims = [claim for claim in outbox.claims_of(row.id) if claim.blocks]
    if row.state is BookingState.MOVING:
        if any(claim.state is BookingState.CLAIMED for claim in claims):
            return []  # the event itself may have been sent
        if row.wanted is not None:
            outbox.release_change(row.profile, row.wanted.key)
        back = replace(applied(row, Step(BookingEvent.MOVE_REFUSED), now=now), reason=reason)
        return [back, *(ordered_cancel(claim, outbox, now=now, reason=reason) for claim in claims)]
    if row.state is BookingState.PENDING and not row.restored:
        # Nothing is said of what a restored ledger may have forgotten: that is as it was before.
        outbox.release_key(row.id)
        gone = applied(row, Step(BookingEvent.CANCEL_UNSENT), now=now)
        return [replace(gone, reason=reason, wanted=None, uid="", href="")]
    return [ordered_cancel(row, outbox, now=now, reason=reason)] if row.state is BookingState.SENDING else []


def take_back(outbox: Outbox, name: str, *, now: Instant, reason: str) -> list[Booking]:
    """Have what was asked for last of a row be taken back, and the hold that it has used up be in force again.

    The rows that are others now; none where that cannot be taken back.
    """
    row = outbox.find(name)
    changed = withdrawn(row, outbox, now=now, reason=reason) if row is not None else []
    for one in changed:
        outbox.record(one)
    if row is not None and changed:
        changed.extend(outbox.revive_hold(row.hold, now))
    return changed


def asked_again(row: Booking, outbox: Outbox, *, now: Instant) -> Booking:
    """A row that was asked for once more, with the same key: sent after all where a restore had left that open."""
    current = outbox.find(row.id) or row
    if current.state is not BookingState.ATTENTION_RESTORED or current.restored:
        return current
    again = applied(current, Step(BookingEvent.RETRY), now=now)
    again = replace(again, reason="", etag="", mark="", touched=False, invited="pending" if current.invited else "")
    outbox.record(again)
    return again


def note_refused_change(before: Booking, after: Booking, *, outbox: Outbox) -> None:
    """Have a change that a row gives up be refused to whoever asks with its key again."""
    wanted = before.wanted
    if wanted is not None and after.wanted is None and after.sequence != wanted.sequence:
        outbox.refuse_change(before.profile, wanted.key)


def used_hold(outbox: Outbox, hold: str, *, asked: KeyedRequest) -> list[Booking]:
    """The hold that an appointment uses up. Raises HoldExpired, UnknownBooking."""
    if not hold:
        return []
    row = visible(outbox.find(hold), asked, kind=BookingKind.HOLD, booking=hold)
    if not row.blocks or (row.expires is not None and row.expires <= asked.now):
        message = "the hold has expired, was given back, or was used up"
        raise HoldExpired(message)
    ended = applied(row, Step(BookingEvent.CANCEL), now=asked.now)
    return [replace(ended, reason="used", watch_until=None)]


def require_changeable(row: Booking) -> None:
    """Raises HasEnded, NotSettled."""
    if row.state in BLOCKS_NOTHING:
        message = f"the {row.kind} is {row.state.value}"
        raise HasEnded(message)
    if row.state is not BookingState.BOOKED or row.wanted is not None or row.restored:
        message = "what was asked for last is still under way"
        raise NotSettled(message)


def require_carried_out(settled: Booking, *, sequence: int) -> None:
    """Raises ChangeRefused for a row that is settled without the change that was to give it this SEQUENCE.

    Raises NotProven and WriteRefused where another daemon has taken the change back for that.
    """
    if settled.state is BookingState.BOOKED and settled.wanted is None and settled.sequence != sequence:
        _raise_for(settled.reason)
        raise ChangeRefused


def require_not_taken_back(settled: Booking) -> None:
    """Raises NotProven and WriteRefused for a new row that another daemon has taken back."""
    if settled.state is BookingState.CANCELLED:
        _raise_for(settled.reason)


def _raise_for(reason: str) -> None:
    if reason == NOT_PROVEN:
        message = "the calendars that count could not all be confirmed"
        raise NotProven(message)
    if (status := refused_status(reason)) is not None:
        raise WriteRefused(status, None)
