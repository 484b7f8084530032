"""Bodies nobody would send on purpose, against the daemon: a slice of `scripts/soak fuzzed-bookings`."""

import time

from tests.journey.scheduler import Scheduler
from tests.soak.fuzzed_bodies import fuzz


def test_no_body_gets_a_5xx(scheduler: Scheduler) -> None:
    answers = fuzz(scheduler.busyd.base, scheduler.token, seed=15, count=250, now=int(time.time()))
    assert answers.wrong == []
    assert {"201", "400 bad-request", "422 invalid"} <= answers.statuses.keys()
    assert "internal error" not in scheduler.busyd.log.read_text().lower()
