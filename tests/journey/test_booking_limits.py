"""Limits on appointments, from the configuration to the calendar: a full day is full for all, also after a restart."""

import json
import time

import pytest

from busyd.period import to_rfc3339
from tests.icloud.accounts import Account
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for
from tests.journey.scheduler import DAY, Scheduler

CONFIG = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}, poll: 5s}}
profiles:
  anna: {{timezone: UTC, primary: anna/Work, conflicts: [anna/Home], slots: {{per_day: 1, window: 60d}}}}
"""


@pytest.fixture
def scheduler(busyd: Busyd, icloud: SimulatedIcloud) -> Scheduler:
    busyd.configure(CONFIG.format(url=icloud.bootstrap_url))
    busyd.start()
    wait_for(lambda: not busyd.freebusy("now", "+1d")["stale"], describe=busyd.log.read_text)
    made = busyd.command("token", "add", "anna", "--scope", "book,freebusy", "--json")
    return Scheduler(busyd, json.loads(made.stdout)["token"])


@pytest.fixture
def ten() -> int:
    """Ten o'clock UTC, some weeks from now."""
    return (int(time.time()) // DAY + 30) * DAY + 10 * 3600


def slots_of(scheduler: Scheduler, start: int) -> int:
    """How many slots that day has; -1 while the calendars are not confirmed."""
    day = start // DAY * DAY
    window = f"start={to_rfc3339(day)}&end={to_rfc3339(day + DAY)}"
    answer = scheduler.ask("GET", f"/v1/profiles/anna/slots?{window}")
    return len(answer.json["slots"]) if answer.status == 200 else -1


def test_a_full_day_is_full_until_its_appointment_is_cancelled(scheduler: Scheduler, ten: int) -> None:
    assert slots_of(scheduler, ten) == 48
    booked = scheduler.book(ten)
    assert booked.status == 201, booked.body
    assert slots_of(scheduler, ten) == 0
    refused = scheduler.book(ten + 7200)
    assert (refused.status, refused.error) == (422, "limit-reached")
    midnight = ten // DAY * DAY + DAY
    assert [one["start"] for one in refused.json["alternatives"]] == [
        to_rfc3339(midnight + number * 1800) for number in range(3)
    ]
    held = scheduler.ask("POST", "/v1/profiles/anna/holds", {"start": to_rfc3339(ten + 7200)})
    assert (held.status, held.error) == (422, "limit-reached")
    # Its own place is no obstacle to it.
    path = booked.headers["Location"]
    moved = scheduler.ask("PATCH", path, {"start": to_rfc3339(ten + 3600)})
    assert moved.status in (200, 202), moved.body
    wait_for(lambda: scheduler.ask("GET", path).json["state"] == "booked")
    scheduler.busyd.stop()
    scheduler.busyd.start()
    wait_for(lambda: not scheduler.busyd.freebusy("now", "+1d")["stale"])
    assert slots_of(scheduler, ten) == 0
    assert scheduler.ask("DELETE", path).status in (202, 204)
    wait_for(lambda: slots_of(scheduler, ten) == 48)


def test_a_hold_keeps_the_last_appointment_of_a_day_for_whoever_has_it(scheduler: Scheduler, ten: int) -> None:
    held = scheduler.ask("POST", "/v1/profiles/anna/holds", {"start": to_rfc3339(ten), "duration": "30m"})
    assert held.status == 201, held.body
    assert scheduler.book(ten + 7200).error == "limit-reached"
    booked = scheduler.book(ten, hold=held.json["id"])
    assert booked.status == 201, booked.body
    assert scheduler.book(ten + 7200).error == "limit-reached"


def test_what_lies_beyond_the_window_is_too_far(scheduler: Scheduler, anna: Account) -> None:
    far = (int(time.time()) // DAY + 62) * DAY
    refused = scheduler.book(far)
    assert (refused.status, refused.error) == (422, "too-far")
    assert len(refused.json["alternatives"]) == 3
    assert anna.calendars["work"].objects() == {}


@pytest.fixture
def anna(icloud: SimulatedIcloud) -> Account:
    account: Account = icloud.accounts["anna@icloud.com"]
    return account
