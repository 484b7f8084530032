"""The outbox: no two rows of busyd's own take the same time, whatever the code above does, and nothing is lost."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from busyd.period import Instant, Period
from busyd.store.bookings import BLOCKS_NOTHING, Booking, BookingKind, BookingState, Details
from busyd.store.errors import Overlaps, StorageError
from busyd.store.ledger import Ledger
from busyd.store.outbox import KeyMismatch, Outbox
from busyd.store.sqlite.connection import migrate
from busyd.store.sqlite.ledger_schema import LEDGER_MIGRATIONS
from tests.store.conftest import until_heard

NOW = Instant(1_790_000_000)
HOUR = 3600
FINAL = (BookingState.CANCELLED, BookingState.REFUSED)
GOES_ON = (
    BookingState.PENDING,
    BookingState.SENDING,
    BookingState.CONFIRMED,
    BookingState.BOOKED,
    BookingState.MOVING,
    BookingState.CLAIMED,
)


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    return open_ledger()


def hours(first: int, last: int) -> Period:
    return Period(Instant(NOW + first * HOUR), Instant(NOW + last * HOUR))


def booking(number: int, span: Period, **changes: object) -> Booking:
    known = Booking(str(number), BookingKind.APPOINTMENT, "anna", BookingState.PENDING, span, NOW)
    return replace(known, **changes)


def add(ledger: Ledger, *rows: Booking) -> None:
    def work(outbox: Outbox) -> None:
        for row in rows:
            outbox.add(row)

    ledger.outbox(work)


def test_a_row_comes_back_as_it_was_also_after_a_restart(ledger: Ledger, open_ledger: Callable[[], Ledger]) -> None:
    row = booking(
        1,
        hours(1, 2),
        body=b"\x00\xff",
        marks=("a",),
        details=Details(summary="Zoë", metadata={"crm": "4711"}),
        uid="U",
    )
    add(ledger, row)
    again = open_ledger()
    assert again.outbox(lambda outbox: outbox.find("1")) == row


def test_a_row_that_takes_taken_time_is_refused_and_what_was_done_with_it_too(ledger: Ledger) -> None:
    add(ledger, booking(1, hours(1, 3)))
    with pytest.raises(Overlaps):
        add(ledger, booking(2, hours(5, 6)), booking(3, hours(2, 4)))
    assert ledger.outbox(lambda outbox: [row.id for row in outbox.of_profile("anna", hours(0, 9))]) == ["1"]


def test_rows_that_only_touch_do_not_overlap(ledger: Ledger) -> None:
    add(ledger, booking(1, hours(1, 2)), booking(2, hours(2, 3)), booking(3, hours(0, 1)))


@pytest.mark.parametrize("state", BookingState)
def test_every_state_that_is_not_final_keeps_its_time(ledger: Ledger, state: BookingState) -> None:
    add(ledger, booking(1, hours(1, 2), state=state))
    if state in BLOCKS_NOTHING:
        add(ledger, booking(2, hours(1, 2)))
    else:
        with pytest.raises(Overlaps):
            add(ledger, booking(2, hours(1, 2)))


def test_a_move_keeps_both_times_and_its_claim_may_have_the_new_one(ledger: Ledger) -> None:
    moving = booking(1, hours(1, 2), state=BookingState.MOVING, target=hours(5, 6))
    add(ledger, moving, booking(2, hours(5, 6), kind=BookingKind.CLAIM, parent="1"))
    for span in (hours(1, 2), hours(5, 6)):
        with pytest.raises(Overlaps):
            add(ledger, booking(3, span))
    add(ledger, booking(3, hours(7, 8)))
    with pytest.raises(Overlaps):
        ledger.outbox(lambda outbox: outbox.record(replace(moving, target=hours(5, 8))))


def test_a_row_in_a_calendar_blocks_every_profile_that_counts_it(ledger: Ledger) -> None:
    add(ledger, booking(1, hours(1, 2), calendar="anna /work/"))
    add(ledger, booking(2, hours(1, 2), profile="ben", counts=("ben /home/",)))
    with pytest.raises(Overlaps):
        add(ledger, booking(3, hours(1, 2), profile="cleo", counts=("cleo /home/", "anna /work/")))


def test_a_block_may_lie_over_what_is_booked_and_then_keeps_others_away(ledger: Ledger) -> None:
    add(ledger, booking(1, hours(1, 2)), booking(2, hours(0, 4), kind=BookingKind.BLOCK, state=BookingState.BOOKED))
    with pytest.raises(Overlaps):
        add(ledger, booking(3, hours(3, 4)))


def test_whoever_may_book_over_others_does(ledger: Ledger) -> None:
    add(ledger, booking(1, hours(1, 2)), booking(2, hours(1, 2), forced=True))


def test_a_row_cannot_be_brought_into_time_that_was_taken_meanwhile(ledger: Ledger) -> None:
    removed = booking(1, hours(1, 2), state=BookingState.REMOVED)
    add(ledger, removed, booking(2, hours(1, 2)))
    with pytest.raises(Overlaps):
        ledger.outbox(lambda outbox: outbox.record(replace(removed, state=BookingState.BOOKED)))
    back = replace(removed, state=BookingState.BOOKED, touched=True)  # a person brought it back: it is there
    ledger.outbox(lambda outbox: outbox.record(back))


@pytest.mark.parametrize("final", FINAL)
@pytest.mark.parametrize("state", GOES_ON)
def test_what_was_cancelled_or_refused_never_goes_on(ledger: Ledger, final: BookingState, state: BookingState) -> None:
    row = booking(1, hours(1, 2), state=final)
    add(ledger, row)
    with pytest.raises(StorageError):
        ledger.outbox(lambda outbox: outbox.record(replace(row, state=state)))


def test_a_uid_is_that_of_its_key_also_after_a_restart_and_no_other(
    ledger: Ledger, open_ledger: Callable[[], Ledger]
) -> None:
    uid = ledger.outbox(lambda outbox: outbox.uid_for("anna", "k"))
    assert uid == uid.upper()
    again = open_ledger()
    assert again.outbox(lambda outbox: outbox.uid_for("anna", "k")) == uid
    others = ledger.outbox(lambda outbox: {outbox.uid_for("anna", "l"), outbox.uid_for("ben", "k")})
    assert len(others | {uid}) == 3


def test_a_uid_is_used_once(ledger: Ledger) -> None:
    add(ledger, booking(1, hours(1, 2), uid="U"))
    with pytest.raises(StorageError):
        add(ledger, booking(2, hours(3, 4), uid="U"))


def test_a_key_gives_the_answer_again_and_refuses_another_request(ledger: Ledger) -> None:
    row = booking(1, hours(1, 2))

    def work(outbox: Outbox) -> None:
        outbox.add(row)
        outbox.use_key("anna", "k", fingerprint=b"a", booking=row, now=NOW)

    ledger.outbox(work)
    found = ledger.outbox(lambda outbox: outbox.find_key("anna", "k", fingerprint=b"a"))
    assert found is not None
    assert (found.booking, found.status) == ("1", None)
    ledger.outbox(lambda outbox: outbox.keep_answer("anna", "k", status=201, answer=b"{}"))
    found = ledger.outbox(lambda outbox: outbox.find_key("anna", "k", fingerprint=b"a"))
    assert found is not None
    assert (found.status, found.answer) == (201, b"{}")
    assert ledger.outbox(lambda outbox: outbox.find_key("ben", "k", fingerprint=b"b")) is None
    with pytest.raises(KeyMismatch):
        ledger.outbox(lambda outbox: outbox.find_key("anna", "k", fingerprint=b"b"))


def test_a_key_is_kept_for_400_days_after_the_end(ledger: Ledger) -> None:
    row = booking(1, hours(1, 2))
    ledger.outbox(lambda outbox: outbox.use_key("anna", "k", fingerprint=b"a", booking=row, now=NOW))
    last = Instant(row.span.end + 400 * 86_400)
    ledger.outbox(lambda outbox: outbox.forget_keys(last))
    assert ledger.outbox(lambda outbox: outbox.find_key("anna", "k", fingerprint=b"a")) is not None
    ledger.outbox(lambda outbox: outbox.forget_keys(Instant(last + 1)))
    assert ledger.outbox(lambda outbox: outbox.find_key("anna", "k", fingerprint=b"a")) is None


def test_a_hold_that_has_expired_gives_its_time_back(ledger: Ledger) -> None:
    hold = booking(1, hours(1, 2), kind=BookingKind.HOLD, state=BookingState.BOOKED, expires=Instant(NOW + 60))
    add(ledger, hold)
    assert ledger.outbox(lambda outbox: outbox.end_expired(Instant(NOW + 59))) == []
    ended = ledger.outbox(lambda outbox: outbox.end_expired(Instant(NOW + 60)))
    assert [(row.id, row.reason) for row in ended] == [("1", "expired")]
    add(ledger, booking(2, hours(1, 2)))


def test_tokens_known_stay_known_while_rows_are_written(ledger: Ledger) -> None:
    ledger.tokens()
    add(ledger, booking(1, hours(1, 2)))
    assert ledger.is_current()


def test_a_token_revoked_elsewhere_is_noticed_although_rows_were_written(
    ledger: Ledger, open_ledger: Callable[[], Ledger]
) -> None:
    made = ledger.add_token("anna", scopes=["book"], details=False, expires=None, name="", now=NOW)
    assert ledger.find_token(made.text, NOW) is not None
    ledger.outbox(lambda outbox: outbox.find("1"))  # which writes nothing
    other = open_ledger()
    other.revoke_token(made.id)
    until_heard(ledger)
    assert ledger.find_token(made.text, NOW) is None


SPANS = st.tuples(st.integers(0, 12), st.integers(1, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(st.tuples(SPANS, st.sampled_from(list(BookingState)), st.one_of(st.none(), SPANS)), max_size=12))
def test_whatever_is_asked_for_what_is_taken_is_disjoint(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[tuple[int, int], BookingState, tuple[int, int] | None]]
) -> None:
    ledger = Ledger.open(tmp_path_factory.mktemp("outbox") / "ledger.sqlite3")
    taken: list[tuple[int, int]] = []
    for number, (span, state, target) in enumerate(asked):
        row = booking(number, hours(*span), state=state, target=hours(*target) if target else None)
        mine = [(one.start, one.end) for one in row.spans]
        expected = any(a < d and c < b for a, b in mine for c, d in taken)
        try:
            add(ledger, row)
            assert not expected
            taken += mine
        except Overlaps:
            assert expected


def test_what_a_row_costs_does_not_grow_with_what_was_booked_before() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection, Path("memory"), migrations=LEDGER_MIGRATIONS)
        outbox = Outbox(connection)
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1

        def cost(row: Booking) -> int:
            before = steps
            outbox.add(row)
            outbox.record(replace(row, state=BookingState.SENDING, target=hours(100, 101)))
            outbox.claims_of(row.id)
            outbox.of_profile(row.profile, row.span)
            outbox.release_key(row.id)
            return steps - before

        connection.set_progress_handler(count, 1)
        first = cost(booking(0, hours(1, 2)))
        for number in range(1, 500):
            outbox.add(booking(number, hours(-number, 1 - number), state=BookingState.BOOKED))
        outbox.record(booking(0, hours(1, 2), state=BookingState.CANCELLED))
        assert cost(booking(500, hours(1, 2))) < 1.5 * first
