"""Events that nobody can read, from the server to what a person is told and can do about them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.icloud.accounts import Account
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, busyd_in, wait_for

PASSWORD = "abcd-efgh-ijkl-mnop"
CONFIG = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}, poll: 5s}}
profiles:
  anna: {{timezone: Europe/Berlin, primary: anna/Work, max_age: 1h}}
"""
WEEK = ("2027-06-01", "2027-06-08")
RULES = ["", "FREQ=FORTNIGHTLY", "FREQ=WEEKLY;UNTL=20280101", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;COUNT=many"]


def event(uid: str, *lines: str) -> str:
    head = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", "BEGIN:VEVENT", f"UID:{uid}")
    stamp = "DTSTAMP:20260101T000000Z"
    return "\r\n".join((*head, stamp, "SUMMARY:secret meeting", *lines, "END:VEVENT", "END:VCALENDAR", ""))


@pytest.fixture
def icloud() -> Iterator[SimulatedIcloud]:
    with SimulatedIcloud.in_thread() as icloud:
        yield icloud


@pytest.fixture
def anna(icloud: SimulatedIcloud) -> Account:
    account = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
    account.add_calendar("Work", id="work")
    return account


@pytest.fixture
def busyd(tmp_path: Path, icloud: SimulatedIcloud) -> Iterator[Busyd]:
    with busyd_in(tmp_path, environment={"APPLE": PASSWORD}) as busyd:
        busyd.configure(CONFIG.format(url=icloud.bootstrap_url))
        yield busyd


def until_read(busyd: Busyd) -> None:
    """Wait until every calendar has been read."""

    def states() -> set[str]:
        return {calendar["state"] for calendar in busyd.freebusy(*WEEK)["calendars"]}

    wait_for(lambda: states() == {"fresh"}, describe=busyd.log.read_text)


def problems(busyd: Busyd) -> list[dict[str, Any]]:
    done = busyd.command("problems", "list", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["problems"]
    return found


def test_unreadable_rules_offer_no_slot_until_each_is_accepted(busyd: Busyd, anna: Account) -> None:
    work = anna.calendars["work"]
    for number, rule in enumerate(RULES):
        start = f"DTSTART:20270601T{9 + number:02}0000Z"
        work.put(f"odd-{number}.ics", event(f"odd-{number}", start, "DURATION:PT1H", f"RRULE:{rule}"))
    busyd.start()
    slots = f"/v1/profiles/anna/slots?start={WEEK[0]}&end={WEEK[1]}&duration=1h"
    until_read(busyd)
    assert len(busyd.status()["problems"]) == len(RULES)
    answer = busyd.freebusy(*WEEK)
    assert answer["complete"] is False
    assert [(one["start"], one["end"], one["type"]) for one in answer["busy"]] == [
        ("2027-06-01T09:00:00Z", "2027-06-01T14:00:00Z", "BUSY")
    ]
    assert busyd.freebusy("2027-05-01", "2027-06-01")["complete"] is True
    with pytest.raises(AssertionError, match=r"answered 503.*errors/incomplete.*anna/Work: event odd-0"):
        busyd.get(slots)
    explained = busyd.command("explain", "anna", "--start", "2027-06-03", "--end", "2027-06-04").stdout
    assert explained.count("not known") == len(RULES)
    assert " free " not in explained
    feed = json.loads(busyd.command("token", "add", "anna", "--json").stdout)["feed"]
    assert "X-WR-CALDESC:Not complete" in busyd.get(feed)
    assert "odd-" not in busyd.get(feed)
    shown = busyd.command("problems", "list").stdout
    assert shown.count("incomplete") == len(RULES)
    assert "secret meeting" not in shown
    for problem in problems(busyd):
        assert busyd.freebusy(*WEEK)["complete"] is False
        done = busyd.command("problems", "accept", problem["id"])
        assert done.stdout == f"accepted: anna/Work: event {problem['uid']}\n", done.stderr
    assert busyd.freebusy(*WEEK)["complete"] is True
    assert busyd.get(slots)["slots"]
    assert "X-WR-CALDESC" not in busyd.get(feed)
    assert all(problem["accepted"] for problem in busyd.status()["problems"])
    assert "accepted: " in busyd.command("status").stderr
    busyd.stop()
    busyd.start()
    assert wait_for(lambda: busyd.freebusy(*WEEK)["complete"], describe=busyd.log.read_text)
    wait_for(lambda: busyd.status()["problems"], describe=busyd.log.read_text)
    again = problems(busyd)[0]["id"]
    assert busyd.command("problems", "accept", again, "--undo").returncode == 0
    assert busyd.freebusy(*WEEK)["complete"] is False


def test_an_unknown_zone_is_unavailable_and_incomplete_until_the_configuration_names_it(
    busyd: Busyd, anna: Account
) -> None:
    start = "DTSTART;TZID=Kerio City:20270602T120000"
    anna.calendars["work"].put("lost.ics", event("lost", start, "DURATION:PT1H"))
    busyd.start()
    until_read(busyd)
    answer = busyd.freebusy(*WEEK)
    assert answer["complete"] is False
    assert [(one["start"], one["end"], one["type"]) for one in answer["busy"]] == [
        ("2027-06-01T22:00:00Z", "2027-06-03T01:00:00Z", "BUSY-UNAVAILABLE")
    ]
    busyd.config.write_text(busyd.config.read_text() + 'time_zones: {"Kerio City": Europe/Prague}\n')
    done = busyd.command("reload")
    assert "time_zones" in done.stdout, done.stderr
    busyd.until_busy(*WEEK, [("2027-06-02T10:00:00Z", "2027-06-02T11:00:00Z", "BUSY")])
    assert not busyd.status()["problems"]


def test_an_id_that_no_longer_means_anything_is_refused_with_what_to_do(busyd: Busyd, anna: Account) -> None:
    anna.calendars["work"].put("a.ics", event("a", "DTSTART:20270601T090000Z", "DURATION:PT1H"))
    busyd.start()
    busyd.until_busy(*WEEK, [("2027-06-01T09:00:00Z", "2027-06-01T10:00:00Z", "BUSY")])
    assert busyd.command("problems", "list").stdout == "no problems\n"
    done = busyd.command("problems", "accept", "0123456789ab")
    assert done.returncode == 1
    assert "there is no problem '0123456789ab'" in done.stderr
    assert "busyd problems list" in done.stderr
