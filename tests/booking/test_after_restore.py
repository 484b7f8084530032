"""Rows of a restored ledger: what one look makes of them, and what is never sent for them."""

import logging

from msgspec.structs import replace

from busyd.booking.applying import applied
from busyd.booking.composing import compose
from busyd.booking.decision import Request, Sight, Step, Version, decide
from busyd.booking.rendering import read_version, with_mark, with_new_mark
from busyd.flow.after_restore import level_after_restore, told_after_restore
from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState, Details, WantedChange

SPAN = Period(Instant(1_900_000_800), Instant(1_900_002_600))
TARGET = Period(Instant(1_900_008_000), Instant(1_900_009_800))
NOW = Instant(1_890_000_000)


def row(state: BookingState, kind: BookingKind = BookingKind.APPOINTMENT) -> Booking:
    made = Booking("1", kind, "anna", state, SPAN, NOW, uid="U", etag='"1"', restored=1, details=Details("Call"))
    return replace(made, body=compose(made, zone="UTC", now=NOW))


def wanting(made: Booking, *, span: Period = SPAN, summary: str = "Call") -> Booking:
    after = replace(made, span=span, details=Details(summary), sequence=1)
    wanted = WantedChange(after.details, compose(after, zone="UTC", now=NOW), 1)
    return replace(made, wanted=wanted, target=span if span != made.span else None)


def there(made: Booking, payload: bytes, *, etag: str = '"2"') -> Version:
    return read_version(made, with_mark(payload, "other"), etag=etag)


def looked_at(made: Booking, version: Version | None) -> tuple[Booking, Step]:
    step = decide(made, Sight(version))
    return applied(made, step, now=NOW), step


def test_a_change_that_the_backup_has_begun_is_never_sent_again() -> None:
    made = wanting(row(BookingState.BOOKED), summary="Later")
    assert made.wanted is not None
    kept, step = looked_at(made, there(made, made.body))
    assert (step.send, kept.wanted, kept.reason, kept.details.summary) == (None, None, "change-unknown", "Call")
    done, step = looked_at(made, there(made, made.wanted.body))
    assert (step.send, done.wanted, done.reason, done.details.summary) == (None, None, "", "Later")
    assert done.changed_elsewhere == kept.changed_elsewhere == ""
    gone, _ = looked_at(made, None)
    assert (gone.state, gone.wanted) == (BookingState.REMOVED, None)


def test_a_move_that_the_backup_has_begun_is_done_when_the_time_is_the_target() -> None:
    made = wanting(row(BookingState.MOVING), span=TARGET)
    assert made.wanted is not None
    done, _ = looked_at(made, there(made, made.wanted.body))
    assert (done.state, done.span, done.target, done.body) == (BookingState.BOOKED, TARGET, None, made.wanted.body)
    kept, _ = looked_at(made, there(made, made.body))
    assert (kept.state, kept.span, kept.target, kept.reason) == (BookingState.BOOKED, SPAN, None, "change-unknown")


def test_a_claim_only_goes_and_not_when_a_person_has_changed_it() -> None:
    made = row(BookingState.PENDING, BookingKind.CLAIM)
    kept, step = looked_at(made, there(made, made.body))
    assert (kept.state, step.send) == (BookingState.CANCELLING, None)
    assert decide(kept, Sight(there(made, made.body))).send is Request.DELETE
    changed = there(made, made.body.replace(b"Call", b"Lunch"))
    kept, _ = looked_at(made, changed)
    kept, step = looked_at(kept, changed)
    assert (kept.state, step.send) == (BookingState.ATTENTION, None)


def test_a_fence_is_what_is_there_under_another_mark() -> None:
    made = row(BookingState.PENDING)
    person = with_mark(made.body, "old").replace(b"Call", b"Lunch").replace(b"\r\n", b"\n")
    fence = with_new_mark(person, "new")
    assert fence.count(b"X-BUSYD-MARK") == 1
    assert fence.replace(b"X-BUSYD-MARK:new\n", b"") == person.replace(b"X-BUSYD-MARK:old\n", b"")
    assert read_version(made, fence, etag="").mark == "new"
    assert with_new_mark(b"BEGIN:VCALENDAR\r\n", "new") == b"BEGIN:VCALENDAR\r\n"


def test_what_needs_nothing_done_is_no_warning() -> None:
    before = row(BookingState.BOOKED)
    for state in (BookingState.CANCELLED, BookingState.REFUSED):
        after = row(state)
        assert told_after_restore(before, after).endswith("it is rightly not in the calendar")
        assert level_after_restore(after) == logging.INFO
    assert level_after_restore(row(BookingState.REMOVED)) == logging.WARNING
