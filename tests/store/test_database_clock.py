"""The clock of a daemon that shares a database: never ahead of the database's, and set back by no slow answer."""

import pytest

from busyd.period import Instant
from busyd.store.postgresql.database_clock import DatabaseClock, Renewal, since_boot

NOON = 1_790_000_000.3
"""What time it is by the database now."""


def renewal(*, ago: float = 0.0, sending: float = 0.0, answering: float = 0.0, put_back: float = 0.0) -> Renewal:
    """One that was answered so long ago, after so many seconds there and back; the clock of the database goes right,
    or was put back by so much since."""
    answered = since_boot() - ago
    return Renewal(NOON + put_back - ago - answering, answered - answering - sending, answered)


def test_a_slow_answer_does_not_set_the_clock_back() -> None:
    clock = DatabaseClock(renewal(ago=10))
    clock.note(renewal(answering=2.25))
    assert clock.now() == int(NOON)
    assert since_boot() - clock.renewal.sent < 3  # the session lives all the same


def test_a_clock_that_drifts_is_set_right_by_no_more_than_it_drifted() -> None:
    clock = DatabaseClock(renewal(ago=10, put_back=0.05))
    clock.note(renewal(answering=2.25))
    assert clock.now() == int(NOON)


def test_a_quicker_answer_ends_the_lag_of_a_slow_one() -> None:
    clock = DatabaseClock(renewal(ago=10, answering=2.25))
    assert clock.now() == int(NOON - 2.25)
    clock.note(renewal(sending=2.25))
    assert clock.now() == int(NOON)


def test_a_database_whose_clock_is_put_back_is_followed_at_once() -> None:
    clock = DatabaseClock(renewal(ago=10, put_back=60))
    clock.note(renewal(sending=1, answering=1))
    assert clock.now() == int(NOON - 1)


def test_after_minutes_an_answer_says_nothing_any_more_as_two_clocks_drift() -> None:
    clock = DatabaseClock(renewal(ago=301))
    clock.note(renewal(ago=200, answering=1.25))
    clock.note(renewal(answering=2.25))
    assert clock.now() == int(NOON - 1.25)


@pytest.mark.parametrize(("ahead", "expected"), [(-30, 0), (1, 1), (4, 4), (30, 0)])
def test_what_another_daemon_has_dated_counts_unless_the_database_rules_it_out(ahead: int, expected: int) -> None:
    clock = DatabaseClock(renewal(answering=5))
    lagging = clock.now()
    clock.hear(Instant(lagging + ahead))
    assert clock.now() == lagging + expected
