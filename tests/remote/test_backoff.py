"""When to ask again: never sooner than told, never for ever, and not at all with a password known to be wrong."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.dav.errors import LoginRefused, ServerFault, TooManyRequests
from busyd.errors import RemoteError
from busyd.period import Instant
from busyd.remote.backoff import (
    ConnectionBackoff,
    RequestBudget,
    after_failure,
    after_restart,
    after_success,
    next_poll_at,
    parse_retry_after,
)
from busyd.remote.errors import Trouble, Unreachable

WALL = Instant(1_700_000_000)
MINUTE = timedelta(seconds=60)
DOWN = Unreachable("caldav.icloud.com", Trouble.REFUSED)
REFUSED = LoginRefused("caldav.icloud.com")
CHANCE = st.floats(0, 1, exclude_max=True)


def fail(backoff: ConnectionBackoff, error: RemoteError, *, now: float = 0.0, chance: float = 0.5) -> ConnectionBackoff:
    return after_failure(backoff, error, now=now, wall=WALL, chance=chance)


def attempts(error: RemoteError, hours: float) -> list[float]:
    """The moments of polling while every poll fails alike."""
    chance = random.Random(1)
    backoff, now, moments = ConnectionBackoff(), 0.0, list[float]()
    while now < hours * 3600:
        moments.append(now)
        backoff = fail(backoff, error, now=now, chance=chance.random())
        now = next_poll_at(backoff, MINUTE, last=now, chance=chance.random())
    return moments


def test_a_day_without_the_server_costs_few_attempts_and_ends_within_a_quarter_of_an_hour() -> None:
    moments = attempts(DOWN, 24)
    assert len(moments) <= 150
    assert max(after - before for before, after in pairwise(moments)) <= 900


def test_a_refused_login_is_tried_after_an_hour_at_six_hours_and_then_once_a_day() -> None:
    moments = attempts(REFUSED, 100)
    slow = [moment - moments[3] for moment in moments[4:]]
    assert slow == pytest.approx([3600 * hours for hours in (1, 6, 30, 54, 78)])


def test_a_wrong_password_is_tried_four_times_over_eleven_minutes_at_first() -> None:
    moments = attempts(REFUSED, 0.5)
    gaps = [round(after - before) for before, after in pairwise(moments)]
    assert len(moments) == 4
    assert [5 <= gaps[0] <= 6, 60 <= gaps[1] <= 72, 600 <= gaps[2] <= 720] == [True, True, True]


def test_lone_refusals_between_good_polls_never_lock_out() -> None:
    backoff = ConnectionBackoff()
    for _ in range(50):
        backoff = after_success(fail(backoff, REFUSED))
    assert not backoff.is_locked_out
    assert next_poll_at(backoff, MINUTE, last=0, chance=0) == 60


def test_a_person_may_add_a_try_in_a_quarter_of_an_hour_and_six_a_day() -> None:
    backoff, made = ConnectionBackoff(refusals=4), list[int]()
    for second in range(0, 2 * 86400, 60):
        if backoff.may_be_added(Instant(WALL + second)):
            made.append(second)
            backoff = backoff.with_extra(Instant(WALL + second))
    assert made == [day * 86400 + number * 900 for day in range(2) for number in range(6)]


@pytest.mark.parametrize(("left", "expected"), [(-5.0, 0.0), (1800.0, 1800.0), (10**9, 3600 * 1.2)])
def test_a_restart_takes_up_the_wait_and_a_clock_set_back_does_not_lengthen_it(left: float, expected: float) -> None:
    backoff = after_restart(4, wait=left, now=100.0)
    assert (backoff.not_before - 100.0, backoff.is_locked_out) == (expected, True)


def test_trouble_in_between_neither_confirms_nor_clears_a_refusal() -> None:
    backoff = fail(fail(fail(ConnectionBackoff(), REFUSED), DOWN), REFUSED)
    assert backoff.refusals == 2


@given(st.integers(0, 3600), st.integers(0, 20), CHANCE)
def test_a_server_is_never_asked_sooner_than_it_said(seconds: int, failures: int, chance: float) -> None:
    backoff = ConnectionBackoff(failures=failures)
    error = TooManyRequests("h", status=503, retry_after=str(seconds))
    waited = fail(backoff, error, now=1000.0, chance=chance).not_before - 1000.0
    assert waited >= seconds
    assert waited <= 3600 * 1.2


def test_a_short_wait_asked_for_is_doubled_and_grows_when_it_is_asked_for_again() -> None:
    backoff, waits = ConnectionBackoff(), list[float]()
    for _ in range(4):
        backoff = fail(backoff, TooManyRequests("h", retry_after="10"), chance=0)
        waits.append(backoff.not_before)
    assert waits == [20, 20, 20, 40]


@pytest.mark.parametrize("error", [TooManyRequests("h"), ServerFault("h", 503)])
def test_after_a_request_to_slow_down_polls_are_rarer_for_an_hour(error: RemoteError) -> None:
    backoff = after_success(fail(ConnectionBackoff(), error, now=0.0))
    assert next_poll_at(backoff, MINUTE, last=100.0, chance=0) == 220.0
    assert next_poll_at(backoff, MINUTE, last=4000.0, chance=0) == 4060.0


@given(CHANCE)
def test_polls_are_spread_a_little_and_only_earlier(chance: float) -> None:
    following = next_poll_at(ConnectionBackoff(), MINUTE, last=0.0, chance=chance)
    assert 54.0 <= following <= 60.0


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("1", 1.0),
        (" 30 ", 30.0),
        ("0", 1.0),
        ("99999999999999999999", 3600.0),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        (None, None),
        (format_datetime(datetime.fromtimestamp(WALL + 90, UTC), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(WALL - 90, UTC), usegmt=True), 1.0),
        ("Mon, 99 Foo 2026 99:99:99 GMT", None),
        ("Sat, 01 Jan 0001 00:00:00 +2359", 1.0),
    ],
)
def test_both_forms_of_retry_after_are_read_and_bounded(header: str | None, expected: float | None) -> None:
    assert parse_retry_after(header, WALL) == expected


def test_a_burst_passes_and_the_average_holds() -> None:
    budget = RequestBudget(per_minute=60, burst=10)
    now, sent = 0.0, list[float]()
    for _ in range(100):
        now += budget.take(now)
        sent.append(now)
    assert sent[9] == 0.0
    assert sent[-1] == pytest.approx(90.0)


def test_a_budget_left_alone_fills_up_to_its_burst_and_no_further() -> None:
    budget = RequestBudget(per_minute=60, burst=2)
    assert [budget.take(0.0), budget.take(0.0)] == [0.0, 0.0]
    assert [budget.take(1000.0), budget.take(1000.0)] == [0.0, 0.0]
    assert budget.take(1000.0) == pytest.approx(1.0)
