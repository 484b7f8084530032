"""`privacy: busy`: nothing of the events is in the state directory but when they are."""

import base64
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.icloud.accounts import Account
from tests.icloud.server import SimulatedIcloud
from tests.journey.conftest import PASSWORD
from tests.journey.daemon import Busyd, busyd_in, wait_for

SECRETS = (b"Divorce", b"Suite 7", b"the lawyer", b"ben@example.org")
CONFIG = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}, poll: 5s, privacy: busy}}
profiles:
  anna: {{conflicts: [anna/Work]}}
"""
NINE = ("2026-06-01T09:00:00Z", "2026-06-01T10:00:00Z", "BUSY")
DAY = ("2026-06-01", "2026-06-02")


@pytest.fixture
def anna(icloud: SimulatedIcloud) -> Account:
    return icloud.account("anna@icloud.com")


@pytest.fixture
def busyd(tmp_path: Path, icloud: SimulatedIcloud) -> Iterator[Busyd]:
    with busyd_in(tmp_path, environment={"APPLE": PASSWORD}) as busyd:
        _put(icloud.account("anna@icloud.com"), "Divorce", "09")
        busyd.configure(CONFIG.format(url=icloud.bootstrap_url))
        yield busyd


def _put(anna: Account, title: str, hour: str, name: str = "one") -> None:
    lines = (
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", "BEGIN:VEVENT", f"UID:{name}",
        "DTSTAMP:20260101T000000Z", f"DTSTART:20260601T{hour}0000Z", "DURATION:PT1H", f"SUMMARY:{title}",
        "LOCATION:Suite 7", "DESCRIPTION:with the lawyer", "ORGANIZER:mailto:ben@example.org",
        "ATTENDEE;PARTSTAT=ACCEPTED:mailto:ben@example.org",
        "ATTENDEE;PARTSTAT=ACCEPTED:mailto:anna@icloud.com", "END:VEVENT", "END:VCALENDAR", "",
    )  # fmt: skip
    anna.calendars["work"].put(f"{name}.ics", "\r\n".join(lines))


def _kept(busyd: Busyd) -> set[tuple[str, bytes]]:
    files = {path.name: path.read_bytes() for path in busyd.state.rglob("*") if path.is_file()}
    return {(name, secret) for name, content in files.items() for secret in SECRETS if secret in content}


def test_nothing_is_stored_but_times_after_a_sync_and_a_restart(busyd: Busyd) -> None:
    busyd.start()
    busyd.until_busy(*DAY, expected=[NINE])
    assert _kept(busyd) == set()
    busyd.stop()
    assert _kept(busyd) == set()
    busyd.start()
    busyd.until_busy(*DAY, expected=[NINE])
    explained = busyd.get("/v1/profiles/anna/explain?start=2026-06-01&end=2026-06-02", token=busyd.admin_token())
    assert [(one["start"], one["summary"]) for one in explained["events"]] == [(NINE[0], "")]
    assert _kept(busyd) == set()


def test_a_change_of_the_title_alone_and_one_of_the_time_are_followed(busyd: Busyd, anna: Account) -> None:
    busyd.start()
    busyd.until_busy(*DAY, expected=[NINE])
    _put(anna, "Divorce, again", "09")
    _put(anna, "Divorce, once more", "11", name="two")
    busyd.until_busy(*DAY, expected=[NINE, ("2026-06-01T11:00:00Z", "2026-06-01T12:00:00Z", "BUSY")])
    assert not [line for line in busyd.log.read_text().splitlines() if " could not " in line or "doubt" in line]
    assert _kept(busyd) == set()


def test_a_reload_leaves_nothing_of_what_was_stored_in_full(busyd: Busyd) -> None:
    busyd.change("privacy: busy", "privacy: full")
    busyd.start()
    busyd.until_busy(*DAY, expected=[NINE])
    assert _kept(busyd) != set()
    busyd.change("privacy: full", "privacy: busy")
    ran = busyd.command("reload")
    assert (ran.returncode, ran.stdout) == (0, "applied:\n  connection anna: privacy\n")
    assert _kept(busyd) == set()
    busyd.until_busy(*DAY, expected=[NINE])
    assert _kept(busyd) == set()
    busyd.change("privacy: busy", "privacy: full")
    assert busyd.command("reload").returncode == 0
    busyd.until_busy(*DAY, expected=[NINE])
    wait_for(lambda: _kept(busyd) != set())


@pytest.mark.parametrize(("privacy", "is_there"), [("full", True), ("busy", False)])
def test_caldav_has_no_calendar_of_it(busyd: Busyd, privacy: str, is_there: bool) -> None:
    busyd.change("privacy: busy", f"privacy: {privacy}")
    busyd.start()
    busyd.until_busy(*DAY, expected=[NINE])
    login = base64.b64encode(f"anna:{busyd.admin_token()}".encode()).decode()
    headers = {"Depth": "1", "Authorization": f"Basic {login}"}
    request = urllib.request.Request(f"{busyd.base}/dav/anna/", method="PROPFIND", headers=headers)
    with urllib.request.urlopen(request) as answer:
        assert (b"Work</" in answer.read()) is is_there


def test_no_appointment_is_written_to_it(busyd: Busyd) -> None:
    busyd.start()
    busyd.until_busy(*DAY, expected=[NINE])
    busyd.change("{conflicts: [anna/Work]}", "{primary: anna/Work}")
    ran = busyd.command("reload")
    assert ran.returncode == 78
    assert "has 'privacy: busy', so nothing is written to it" in ran.stderr
