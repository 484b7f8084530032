"""A primary that does not take what is written: whoever asks is told why, and nothing is booked."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from busyd.period import to_rfc3339
from tests.icloud.accounts import Account
from tests.icloud.faults import Fault
from tests.journey.daemon import wait_for
from tests.journey.scheduler import Scheduler


@pytest.mark.parametrize(("status", "error"), [(301, "read-only"), (403, "read-only"), (507, "out-of-space")])
def test_a_calendar_that_refuses_is_told_and_the_time_stays_free(
    scheduler: Scheduler, anna: Account, ten: int, status: int, error: str
) -> None:
    anna.knobs.faults.add(Fault(kind="status", method="PUT", status=status, location="/elsewhere/", times=None))
    refused = scheduler.book(ten)
    assert (refused.status, refused.error) == (503, error), refused.body
    assert refused.json["fix"]
    assert anna.calendars["work"].objects() == {}
    anna.knobs.faults.clear()
    # A definite refusal of what was sent is proved before its time is given back.
    wait_for(lambda: scheduler.book(ten).status == 201, describe=scheduler.busyd.log.read_text)


def test_a_renamed_primary_is_the_same_calendar(scheduler: Scheduler, anna: Account, ten: int) -> None:
    anna.calendars["work"].name = "Clients"
    assert scheduler.busyd.command("sync", "--now").returncode == 0
    assert scheduler.book(ten).status == 201
    assert len(anna.calendars["work"].objects()) == 1


def test_another_primary_leaves_what_was_booked_where_it_is(scheduler: Scheduler, anna: Account, ten: int) -> None:
    path = scheduler.book(ten).headers["Location"]
    exchange_calendars(scheduler)
    assert scheduler.book(ten + 7200).json["calendar"] == "anna/Home"
    assert scheduler.book(ten).status == 409
    assert scheduler.ask("DELETE", path).status == 204
    assert anna.calendars["work"].objects() == {}
    assert len(anna.calendars["home"].objects()) == 1


def test_what_is_under_way_finishes_where_it_began_though_the_primary_is_another_by_then(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    path = scheduler.book(ten).headers["Location"]
    anna.knobs.faults.add(Fault(kind="status", method="PUT", status=503, times=None))
    with ThreadPoolExecutor() as pool:
        made = pool.submit(scheduler.book, ten + 7200)
        moved = pool.submit(scheduler.ask, "PATCH", path, {"start": to_rfc3339(ten + 14_400)})
    assert (made.result().status, moved.result().status) == (202, 202), (made.result().body, moved.result().body)
    exchange_calendars(scheduler)
    anna.knobs.faults.clear()
    for one, start in ((made.result().headers["Location"], ten + 7200), (path, ten + 14_400)):
        told = wait_for(partial(booked, scheduler, one))
        assert (told["start"], told["calendar"]) == (to_rfc3339(start), "anna/Work")
    wait_for(lambda: len(anna.calendars["work"].objects()) == 2)  # the claim goes last
    assert anna.calendars["home"].objects() == {}


def booked(scheduler: Scheduler, path: str) -> Any:
    told = scheduler.ask("GET", path).json
    return told if told["state"] == "booked" else None


def exchange_calendars(scheduler: Scheduler) -> None:
    """Have what was the primary be the other calendar, and the other way round."""
    config = scheduler.busyd.config
    config.write_text(
        config.read_text()
        .replace("anna/Work", "anna/X")
        .replace("anna/Home", "anna/Work")
        .replace("anna/X", "anna/Home")
    )
    assert scheduler.busyd.command("reload").returncode == 0
