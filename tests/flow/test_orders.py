"""Orders about rows of a ledger that was restored: what may be taken back, changed and asked for again."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.flow.appointment_requests import HasEnded, NotSettled
from busyd.flow.orders import asked_again, ordered_cancel, require_changeable, withdrawn
from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.ledger import Ledger
from busyd.store.outbox import Outbox

NOW = Instant(1_900_000_000)
SPAN = Period(Instant(NOW + 7200), Instant(NOW + 9000))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with contextlib.closing(Ledger.open(tmp_path / "ledger.sqlite3")) as ledger:
        ledger.outbox(lambda outbox: outbox.mark_restored(NOW, since=NOW))
        yield ledger


def row(state: BookingState, *, restored: int = 0, invited: str = "") -> Booking:
    return Booking(
        "1",
        BookingKind.APPOINTMENT,
        "anna",
        state,
        SPAN,
        NOW,
        uid="U",
        href="/U.ics",
        restored=restored,
        touched=state is BookingState.ATTENTION_RESTORED,
        invited=invited,
    )


def keep(outbox: Outbox, booking: Booking) -> None:
    outbox.add(booking)
    outbox.use_key("anna", "k", fingerprint=b"f", booking=booking, now=NOW)


def test_what_is_taken_back_unsent_gives_its_key_back(ledger: Ledger) -> None:
    def work(outbox: Outbox) -> None:
        keep(outbox, row(BookingState.PENDING))
        (gone,) = withdrawn(row(BookingState.PENDING), outbox, now=NOW, reason="not-proven")
        assert (gone.state, gone.uid, gone.reason) == (BookingState.CANCELLED, "", "not-proven")
        assert outbox.find_key("anna", "k", fingerprint=b"f") is None

    ledger.outbox(work)


def test_what_the_backup_had_pending_is_cancelled_only_after_a_look(ledger: Ledger) -> None:
    def work(outbox: Outbox) -> None:
        pending = row(BookingState.PENDING, restored=1)
        assert ordered_cancel(pending, outbox, now=NOW, reason="").state is BookingState.CANCELLING
        assert withdrawn(pending, outbox, now=NOW, reason="") == []

    ledger.outbox(work)


def test_only_what_was_looked_at_is_changed() -> None:
    require_changeable(row(BookingState.BOOKED))
    with pytest.raises(NotSettled):
        require_changeable(row(BookingState.BOOKED, restored=1))


def test_what_has_ended_is_called_what_it_was() -> None:
    with pytest.raises(HasEnded, match=r"^the block is cancelled$"):
        require_changeable(replace(row(BookingState.CANCELLED), kind=BookingKind.BLOCK))


def test_the_same_key_has_a_row_written_that_a_restore_has_left_open_and_its_guests_asked_anew(ledger: Ledger) -> None:
    def work(outbox: Outbox) -> None:
        left = row(BookingState.ATTENTION_RESTORED, invited="sent")
        keep(outbox, left)
        again = asked_again(left, outbox, now=NOW)
        assert (again.state, again.invited, again.touched) == (BookingState.PENDING, "pending", False)
        assert outbox.find("1") == again
        assert asked_again(left, outbox, now=NOW) == again  # a twin

    ledger.outbox(work)
