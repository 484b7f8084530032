"""Moves that are taken back because a calendar cannot be confirmed, and such as may not be any more."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.flow.orders import cancelled, withdrawn
from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState, Details, WantedChange
from busyd.store.ledger import Ledger
from busyd.store.outbox import Outbox

NOW = Instant(1_790_000_000)
SPAN, TARGET = Period(NOW, Instant(NOW + 1800)), Period(Instant(NOW + 3600), Instant(NOW + 5400))
WANTED = WantedChange(Details("Intro call"), b"", 1, key="move")
MOVING = Booking("1", BookingKind.APPOINTMENT, "anna", BookingState.MOVING, SPAN, NOW, target=TARGET, wanted=WANTED)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path / "ledger.sqlite3")
    yield ledger
    ledger.close()


def take_back(ledger: Ledger, claim: BookingState) -> tuple[list[BookingState], list[str]]:
    """The states of a move and its claim that are taken back, and the keys that are still in use."""
    row = Booking("2", BookingKind.CLAIM, "anna", claim, TARGET, NOW, parent="1", uid="claim")

    def work(outbox: Outbox) -> tuple[list[BookingState], list[str]]:
        outbox.add(replace(MOVING, uid="moved"))
        outbox.add(row)
        for key in ("book", "move"):
            outbox.use_key("anna", key, fingerprint=b"", booking=MOVING, now=NOW)
        changed = withdrawn(MOVING, outbox, now=NOW, reason="not-proven")
        kept = [key for key in ("book", "move") if outbox.find_key("anna", key, fingerprint=b"") is not None]
        return [one.state for one in changed], kept

    return ledger.outbox(work)


def test_a_move_is_taken_back_with_its_claim_and_its_own_key_alone(ledger: Ledger) -> None:
    assert take_back(ledger, BookingState.PENDING) == ([BookingState.BOOKED, BookingState.CANCELLED], ["book"])


def test_a_move_whose_event_may_have_been_sent_is_not_taken_back(ledger: Ledger) -> None:
    assert take_back(ledger, BookingState.CLAIMED) == ([], ["book", "move"])


def test_the_claim_of_a_move_is_the_last_one_also_when_the_clock_was_set_back(ledger: Ledger) -> None:
    first = Booking("3", BookingKind.CLAIM, "anna", BookingState.CANCELLED, TARGET, NOW, parent="1", uid="3")

    def work(outbox: Outbox) -> list[str]:
        outbox.add(first)
        outbox.add(replace(first, id="2", uid="2", state=BookingState.PENDING, created=Instant(NOW - 3600)))
        return [claim.id for claim in outbox.claims_of("1")]

    assert ledger.outbox(work) == ["3", "2"]


@pytest.mark.parametrize(
    ("claim", "after"),
    [
        (BookingState.PENDING, BookingState.CANCELLED),
        (BookingState.ATTENTION, BookingState.CANCELLING),
        (BookingState.SENDING, BookingState.SENDING),  # what came of it is to be seen first
    ],
)
def test_a_cancelled_move_ends_its_claim(ledger: Ledger, claim: BookingState, after: BookingState) -> None:
    row = Booking("2", BookingKind.CLAIM, "anna", claim, TARGET, NOW, parent="1", uid="claim")

    def work(outbox: Outbox) -> dict[str, BookingState]:
        outbox.add(replace(MOVING, uid="moved"))
        outbox.add(row)
        for one in cancelled(MOVING, outbox, now=NOW, reason=""):
            outbox.record(one)
        return {known.id: known.state for known in (*outbox.claims_of("1"), outbox.find("1") or row)}

    assert ledger.outbox(work) == {"1": BookingState.CANCELLING, "2": after}
