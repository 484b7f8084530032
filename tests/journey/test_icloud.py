"""The whole daemon against the simulated iCloud: first contact, faults, and what a person is told about them."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.icloud.accounts import Account
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, busyd_in, wait_for

PASSWORD = "abcd-efgh-ijkl-mnop"
CONFIG = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}, poll: 5s}}
profiles:
  anna: {{timezone: Europe/Berlin, primary: anna/Work, conflicts: ["anna/*"]}}
"""
WEEK = ("2026-06-01", "2026-06-08")
MONDAY = ("2026-06-01T09:00:00Z", "2026-06-01T10:00:00Z", "BUSY")


def event(uid: str, start: str, *, end: str) -> str:
    return (
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n"
        f"DTSTAMP:20260101T000000Z\r\nDTSTART:{start}\r\nDTEND:{end}\r\nSUMMARY:secret meeting\r\n"
        "END:VEVENT\r\nEND:VCALENDAR\r\n"
    )


@pytest.fixture
def icloud() -> Iterator[SimulatedIcloud]:
    with SimulatedIcloud.in_thread() as icloud:
        yield icloud


@pytest.fixture
def anna(icloud: SimulatedIcloud) -> Account:
    account = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
    work = account.add_calendar("Work", id="work")
    account.add_calendar("Home", id="home")
    work.put("monday.ics", event("monday", "20260601T090000Z", end="20260601T100000Z"))
    return account


@pytest.fixture
def busyd(tmp_path: Path, icloud: SimulatedIcloud) -> Iterator[Busyd]:
    with busyd_in(tmp_path, environment={"APPLE": PASSWORD}) as busyd:
        busyd.configure(CONFIG.format(url=icloud.bootstrap_url))
        yield busyd


def poll(busyd: Busyd) -> None:
    busyd.command("sync", "--now")


def test_a_change_on_the_phone_is_seen_at_the_next_poll(busyd: Busyd, anna: Account) -> None:
    busyd.start()
    busyd.until_busy(*WEEK, [MONDAY])
    anna.calendars["home"].put("tuesday.ics", event("tuesday", "20260602T090000Z", end="20260602T100000Z"))
    busyd.until_busy(*WEEK, [MONDAY, ("2026-06-02T09:00:00Z", "2026-06-02T10:00:00Z", "BUSY")])


def test_an_idle_poll_is_one_request_and_a_changed_event_three(
    busyd: Busyd, anna: Account, icloud: SimulatedIcloud
) -> None:
    busyd.configure(CONFIG.format(url=icloud.bootstrap_url).replace("poll: 5s", "poll: 1d"))
    busyd.start()
    busyd.until_busy(*WEEK, [MONDAY])
    poll(busyd)
    icloud.log.clear()
    poll(busyd)
    assert [(one.method, one.depth) for one in icloud.log.requests()] == [("PROPFIND", "1")]
    icloud.log.clear()
    anna.calendars["work"].put("monday.ics", event("monday", "20260601T090000Z", end="20260601T110000Z"))
    poll(busyd)
    assert len(icloud.log.requests()) == 3
    busyd.until_busy(*WEEK, [("2026-06-01T09:00:00Z", "2026-06-01T11:00:00Z", "BUSY")])


@pytest.mark.parametrize("fault", ["half-body", "truncated", "html", "reset-after-headers"])
def test_a_broken_answer_changes_nothing_and_is_told(busyd: Busyd, anna: Account, fault: str) -> None:
    busyd.start()
    busyd.until_busy(*WEEK, [MONDAY])
    anna.calendars["work"].put("more.ics", event("more", "20260602T090000Z", end="20260602T100000Z"))
    anna.knobs.play(fault, times=None)  # type: ignore[arg-type]
    wait_for(lambda: busyd.status()["connections"][0]["detail"], describe=busyd.status)
    assert busyd.busy(*WEEK) == [MONDAY]
    anna.knobs.reset()
    busyd.until_busy(*WEEK, [MONDAY, ("2026-06-02T09:00:00Z", "2026-06-02T10:00:00Z", "BUSY")])


def test_one_of_two_connections_down_leaves_the_other_fresh(
    busyd: Busyd, anna: Account, icloud: SimulatedIcloud
) -> None:
    ben = icloud.add_account("ben@icloud.com", password=PASSWORD, dsid="300000002")
    ben.add_calendar("Home", id="home")
    text = CONFIG.format(url=icloud.bootstrap_url) + "  both: {conflicts: [anna/Work, ben/Home], max_age: 2s}\n"
    second = (
        f'  ben: {{kind: icloud, url: "{icloud.bootstrap_url}", username: ben@icloud.com, password: {{env: APPLE}}}}\n'
    )
    busyd.configure(text.replace("connections:\n", "connections:\n" + second))
    busyd.start()
    busyd.until_busy(*WEEK, [MONDAY], profile="both")
    ben.knobs.fail_next(500, times=None)
    answer = wait_for(
        lambda: (one := busyd.freebusy(*WEEK, profile="both"))["stale"] and one, describe=busyd.log.read_text
    )
    assert answer["complete"]
    assert anna.user != ben.user


@pytest.mark.usefixtures("anna")
def test_a_calendar_that_does_not_exist_blocks_everything_and_says_why(busyd: Busyd) -> None:
    busyd.config.write_text(busyd.config.read_text().replace('["anna/*"]', "[anna/Holidays]"))
    busyd.start()

    def states() -> list[str]:
        return [calendar["state"] for calendar in busyd.freebusy(*WEEK)["calendars"]]

    wait_for(lambda: states() == ["fresh", "missing"], describe=busyd.log.read_text)
    answer = busyd.freebusy(*WEEK)
    assert not answer["complete"]
    assert {one["type"] for one in answer["busy"]} == {"BUSY", "BUSY-UNAVAILABLE"}
    assert "Home" in str(busyd.status())


def test_before_anything_was_read_everything_is_unavailable(
    busyd: Busyd, anna: Account, icloud: SimulatedIcloud
) -> None:
    anna.knobs.fail_next(503, times=None)
    busyd.start()
    answer = busyd.freebusy(*WEEK)
    assert (answer["complete"], answer["as_of"], answer["stale"]) == (False, None, True)
    assert [one["type"] for one in answer["busy"]] == ["BUSY-UNAVAILABLE"]
    assert icloud.accounts


def test_killed_in_the_middle_of_a_first_sync_the_next_start_completes_it(
    busyd: Busyd, anna: Account, icloud: SimulatedIcloud
) -> None:
    work = anna.calendars["work"]
    for number in range(300):
        work.put(f"{number}.ics", event(f"n{number}", "20260603T090000Z", end="20260603T093000Z"))
    anna.knobs.play("delay", method="REPORT", seconds=0.3, times=None)
    busyd.start()
    wait_for(lambda: len(icloud.log.requests(method="REPORT")) >= 4, describe=busyd.log.read_text)
    busyd.stop(how=signal.SIGKILL)
    anna.knobs.reset()
    busyd.start()
    busyd.until_busy(*WEEK, [MONDAY, ("2026-06-03T09:00:00Z", "2026-06-03T09:30:00Z", "BUSY")])


def test_no_secret_and_no_title_is_in_the_log_or_in_an_answer(busyd: Busyd, anna: Account) -> None:
    busyd.start()
    busyd.until_busy(*WEEK, [MONDAY])
    anna.knobs.revoked = True
    poll(busyd)
    told = busyd.log.read_text() + str(busyd.status()) + str(busyd.freebusy(*WEEK))
    assert PASSWORD not in told
    assert "secret meeting" not in told
    assert "app-specific password" in told
