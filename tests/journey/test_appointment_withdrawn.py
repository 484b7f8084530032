"""A booking that was taken back after its PUT: whoever asks again is not told 200."""

from tests.icloud.accounts import Account
from tests.journey.daemon import wait_for
from tests.journey.scheduler import Scheduler


def test_a_booking_that_was_taken_back_is_never_told_as_done(scheduler: Scheduler, anna: Account, ten: int) -> None:
    anna.knobs.play("reset", method="PUT")
    anna.knobs.fail_next(401, method="GET", path="ics$", times=None, skip=1)
    anna.knobs.fail_next(401, method="PROPFIND", times=None, skip=2)
    assert scheduler.book(ten, key="k").status == 503
    anna.knobs.faults.clear()
    scheduler.busyd.stop()
    scheduler.busyd.start()
    again = wait_for(lambda: (told := scheduler.book(ten, key="k")).status != 202 and told)
    assert (again.status, again.error) == (503, "not-proven"), again.body
    assert "another Idempotency-Key" in again.json["fix"]
    assert anna.calendars["work"].objects() == {}
