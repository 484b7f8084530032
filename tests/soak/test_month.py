"""A quarter of a day of `scripts/soak month`, and what it would find."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.soak.loops.month import MOST_LINES, Month, live_through

WELL = "2026-06-01T00:00:00Z INFO    busyd.service.trouble: anna: reachable again"
ILL = "2026-06-01T00:00:00Z WARNING busyd.service.trouble: anna: it did not answer [network.timeout]"


def test_hours_of_faults_leave_no_descriptor_open_and_little_in_the_log() -> None:
    with tempfile.TemporaryDirectory() as folder:
        month = live_through(Path(folder), days=0.25, seed=2, poll="10m")
    assert month.wrong == []
    assert sum(month.happened.values()) > 25
    assert max(month.lines().values()) <= MOST_LINES
    assert [one.what for one in month.figures() if one.reached is False] == []


@pytest.mark.parametrize(
    "log",
    [
        [ILL, ILL],
        [WELL],
        [ILL, WELL, WELL],
        ["Traceback (most recent call last):"],
        ["2026-06-01T00:00:00Z ERROR   busyd.service.schedule: polling anna failed with an internal error"],
    ],
)
def test_a_log_that_repeats_itself_or_tells_of_an_internal_error_is_found(log: list[str]) -> None:
    assert len(month_with(log).faults_of_the_log()) == 1


def test_a_log_that_tells_each_change_once_is_sound() -> None:
    assert month_with([ILL, WELL, ILL, ILL.replace("not answer", "refuse"), WELL]).faults_of_the_log() == []


def test_growing_memory_is_found() -> None:
    def month(growth: float) -> Month:
        samples = [
            {"day": day / 4, "memory": 50 + growth * day / 4, "descriptors": 20, "threads": 5} for day in range(32)
        ]
        return Month(samples, Counter(), [], WELL, [])

    assert [one.reached for one in month(0.5).figures()] == [True, True, True]
    assert [one.reached for one in month(1.5).figures()] == [True, True, False]


def month_with(log: list[str]) -> Month:
    return Month([], Counter(), [], "\n".join(log), [])
