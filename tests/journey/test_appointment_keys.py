"""Keys of requests about appointments and written blocks: a request made again, or twice at once, is told the same."""

import threading
from collections.abc import Callable

import pytest

from busyd.period import to_rfc3339
from tests.icloud.accounts import Account
from tests.journey.daemon import wait_for
from tests.journey.scheduler import Answer, Scheduler, event

BLOCKS = "/v1/profiles/anna/blocks"


def at_once(ask: Callable[[], Answer]) -> list[Answer]:
    """The answers to a request that is made four times at the same moment."""
    answers, start = list[Answer](), threading.Barrier(4)

    def run() -> None:
        start.wait()
        answers.append(ask())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_a_request_made_four_times_at_once_is_done_once_and_never_an_error(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    path, work = scheduler.book(ten).headers["Location"], anna.calendars["work"]
    later = {"start": to_rfc3339(ten + 3600)}
    moved = at_once(lambda: scheduler.ask("PATCH", path, later, key="move"))
    assert {answer.status for answer in moved} <= {200, 202}, [answer.body for answer in moved]
    assert scheduler.ask("PATCH", path, later, key="move").json["start"] == to_rfc3339(ten + 3600)
    gone = at_once(lambda: scheduler.ask("DELETE", path, key="cancel"))
    assert {answer.status for answer in gone} <= {202, 204}, [answer.body for answer in gone]
    assert scheduler.ask("DELETE", path, key="cancel").status == 204
    assert work.objects() == {}
    body = {"start": to_rfc3339(ten), "end": to_rfc3339(ten + 3600), "write": True}
    made = at_once(lambda: scheduler.ask("POST", BLOCKS, body, key="block"))
    assert {answer.status for answer in made} <= {201, 202}, [answer.body for answer in made]
    assert len({answer.json["id"] for answer in made}) == len(work.objects()) == 1
    block = f"{BLOCKS}/{made[0].json['id']}"
    gone = at_once(lambda: scheduler.ask("DELETE", block, key="unblock"))
    assert {answer.status for answer in gone} <= {202, 204}, [answer.body for answer in gone]


@pytest.mark.parametrize("status", [403, 503])
def test_a_move_that_failed_is_tried_again_under_its_key(
    scheduler: Scheduler, anna: Account, ten: int, status: int
) -> None:
    path, later = scheduler.book(ten).headers["Location"], {"start": to_rfc3339(ten + 3600)}
    anna.knobs.fail_next(status, method="PUT" if status == 403 else "", times=1 if status == 403 else None)
    assert scheduler.ask("PATCH", path, later, key="move").status == 503
    anna.knobs.faults.clear()
    assert scheduler.ask("GET", path).json["start"] == to_rfc3339(ten)
    again = wait_for(lambda: (told := scheduler.ask("PATCH", path, later, key="move")).status != 503 and told)
    assert (again.status, again.json["start"]) == (200, to_rfc3339(ten + 3600))
    assert len(anna.calendars["work"].objects()) == 1
    assert scheduler.ask("PATCH", path, later, key="move").body == again.body


def test_an_edit_that_was_refused_is_never_told_as_done(scheduler: Scheduler, anna: Account, ten: int) -> None:
    path = scheduler.book(ten).headers["Location"]
    anna.knobs.fail_next(403, method="PUT")
    for _ in range(2):
        refused = scheduler.ask("PATCH", path, {"summary": "Another"}, key="edit")
        assert (refused.status, refused.error) == (409, "change-refused")
    body = {"start": to_rfc3339(ten), "end": to_rfc3339(ten + 3600), "write": True}
    block = f"{BLOCKS}/{scheduler.ask('POST', BLOCKS, body).json['id']}"
    anna.knobs.fail_next(403, method="PUT")
    for _ in range(2):
        refused = scheduler.ask("PATCH", block, {"summary": "Another"}, key="block")
        assert (refused.status, refused.error) == (409, "change-refused")


def test_what_is_asked_for_during_a_look_is_not_answered_by_that_look(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    booked = scheduler.book(ten)
    path, uid = booked.headers["Location"], booked.json["uid"]
    slow = anna.knobs.play("delay", method="GET", path=uid, seconds=3.0)
    anna.calendars["home"].put("dentist.ics", event("DENTIST", ten))  # so that it is looked at
    wait_for(lambda: slow not in anna.knobs.faults.waiting)
    moved = scheduler.ask("PATCH", path, {"start": to_rfc3339(ten + 3600)})
    assert (moved.status, moved.json.get("start")) == (200, to_rfc3339(ten + 3600)), moved.body
    assert scheduler.ask("GET", path).json["state"] == "booked"
