"""A slice of `scripts/soak booking-machine`, and of `scripts/soak contested-slots`."""

from pathlib import Path

import pytest

from tests.soak.loops.booking_machine import run
from tests.soak.loops.contested_slots import contend


def test_bookings_come_to_no_harm_whatever_happens_in_any_order() -> None:
    run(1, worlds=6, steps=30)


@pytest.mark.parametrize("lag", [0.0, 5.0])
def test_no_slot_is_had_twice_by_two_daemons_and_where_reads_lag_all_are_told(tmp_path: Path, lag: float) -> None:
    contest = contend(tmp_path, 12, at_once=12, lag=lag, seed=3)
    assert contest.is_well(lag), "\n".join(contest.lines(lag))
