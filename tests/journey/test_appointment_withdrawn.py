"""A booking that was taken back after its PUT: whoever asks again is not told 200."""

from busyd.period import to_rfc3339
from tests.icloud.accounts import Account
from tests.journey.daemon import wait_for
from tests.journey.scheduler import Scheduler


def test_a_booking_that_was_taken_back_is_never_told_as_done(scheduler: Scheduler, anna: Account, ten: int) -> None:
    anna.knobs.play("reset", method="PUT")
    anna.knobs.fail_next(401, method="GET", path="ics$", times=None)
    anna.knobs.fail_next(401, method="PROPFIND", times=None, skip=2)
    assert scheduler.book(ten, key="k").status == 503
    anna.knobs.faults.clear()
    scheduler.busyd.stop()
    scheduler.busyd.start()
    again = wait_for(lambda: (told := scheduler.book(ten, key="k")).status != 202 and told)
    assert (again.status, again.error) == (503, "not-proven"), again.body
    assert "another Idempotency-Key" in again.json["fix"]
    assert anna.calendars["work"].objects() == {}


def test_a_hold_is_not_used_up_by_a_booking_that_was_taken_back(scheduler: Scheduler, anna: Account, ten: int) -> None:
    span = {"start": to_rfc3339(ten), "duration": "30m", "ttl": "30m"}
    held = scheduler.ask("POST", "/v1/profiles/anna/holds", span)
    assert held.status == 201, held.body
    anna.knobs.play("reset", method="PROPFIND", times=None)
    refused = scheduler.book(ten, key="k", hold=held.json["id"])
    assert (refused.status, refused.error) == (503, "not-proven")
    assert scheduler.ask("GET", f"/v1/profiles/anna/holds/{held.json['id']}").json["state"] == "booked"
    assert scheduler.book(ten).status in (409, 503)
    anna.knobs.faults.clear()
    told = wait_for(lambda: (now := scheduler.book(ten, key="k", hold=held.json["id"])).status == 201 and now)
    assert told.json["state"] == "booked"
