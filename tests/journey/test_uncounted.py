"""Calendars that are connected and count for nobody: they are told of, never counted, and nothing of them is stored."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.icloud.accounts import Account
from tests.icloud.apple_text import calendar, event, timed
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date()
TWO = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}}}
profiles:
  anna: {{timezone: Europe/Berlin, conflicts: [anna/Work]}}
  ben: {{timezone: Europe/Berlin, conflicts: [anna/Family]}}
"""
SENTENCE = "there is something at that time in anna/Family, which does not count for anna"


@pytest.fixture(autouse=True)
def family(anna: Account) -> None:
    family = anna.add_calendar("Family", id="family")
    for number in range(6):
        family.put(f"{number}.ics", _event(f"F{number}", TOMORROW + timedelta(days=number)))


def _event(uid: str, day: date) -> str:
    return calendar(event(uid, "Swimming lesson", timed(day, "08:00", end="16:00")))


def _in_utc(time: str) -> str:
    wall = datetime.fromisoformat(f"{TOMORROW}T{time}").replace(tzinfo=ZoneInfo("Europe/Berlin"))
    return f"{wall.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _detail(busyd: Busyd) -> str:
    calendars = busyd.status()["connections"][0]["calendars"]
    return next((str(one["detail"]) for one in calendars if one["name"] == "Family"), "")


def _elsewhere(busyd: Busyd, token: str) -> Any:
    query = f"start={TOMORROW}T00:00:00Z&end={TOMORROW + timedelta(days=1)}T00:00:00Z"
    return busyd.get(f"/v1/profiles/anna/explain?{query}", token=token)["elsewhere"]


def _token(busyd: Busyd, profile: str, scope: str) -> str:
    made = busyd.command("token", "add", profile, "--scope", scope, "--json")
    return str(json.loads(made.stdout)["token"])


def _sync(busyd: Busyd) -> None:
    """Have everything looked at, once there is something that looks."""
    busyd.start()
    wait_for(lambda: busyd.freebusy("now", "+1d")["complete"], describe=busyd.log.read_text)
    assert busyd.command("sync", "--now").returncode == 0


def _look(busyd: Busyd) -> None:
    _sync(busyd)
    wait_for(lambda: _detail(busyd), describe=busyd.log.read_text)


def test_a_calendar_in_no_profile_is_told_once_and_until_it_counts(busyd: Busyd) -> None:
    _look(busyd)
    assert _detail(busyd).startswith(
        "6 busy times in the next 90 days, and it is in no profile, so none of them blocks"
    )
    assert "anna/Family: 6 busy times in the next 90 days" in busyd.command("status").stderr
    busyd.command("sync", "--now")
    assert busyd.log.read_text().count("anna/Family: 6 busy times") == 1
    busyd.change("[anna/Work]", "[anna/Work, anna/Family]")
    assert busyd.command("reload").returncode == 0
    wait_for(lambda: not _detail(busyd), describe=busyd.log.read_text)


def test_explain_names_what_does_not_count_and_nothing_of_it_is_stored(busyd: Busyd) -> None:
    _look(busyd)
    assert busyd.freebusy("now", "+7d")["busy"] == []
    told = busyd.command("explain", "anna", "--start", str(TOMORROW), "--end", "+9d").stderr
    assert SENTENCE in told
    assert "and 3 more" in told
    busyd.stop()
    stored = {path.name: path.read_bytes() for path in busyd.state.rglob("*") if path.is_file()}
    assert [name for name, content in stored.items() if b"Swimming" in content] == []


def test_who_may_not_know_of_a_calendar_is_told_nothing_of_it(busyd: Busyd) -> None:
    _look(busyd)
    assert [one["calendar"] for one in _elsewhere(busyd, _token(busyd, "anna", "details,admin"))] == ["anna/Family"]
    for profile in ("anna", "*"):
        token = _token(busyd, profile, "details")
        assert _elsewhere(busyd, token) == []
        assert "Family" not in json.dumps(busyd.get("/v1/status", token=token))


def test_a_calendar_that_counts_for_somebody_else_alone_is_told_to_who_may_know_of_it(
    busyd: Busyd, icloud: SimulatedIcloud
) -> None:
    busyd.configure(TWO.format(url=icloud.bootstrap_url))
    busyd.start()
    wait_for(lambda: busyd.freebusy("now", "+7d", profile="ben")["complete"], describe=busyd.log.read_text)
    (told,) = _elsewhere(busyd, _token(busyd, "*", "details"))
    assert told == {
        "calendar": "anna/Family",
        "periods": [{"start": _in_utc("08:00"), "end": _in_utc("16:00")}],
        "explanation": SENTENCE,
    }
    assert _elsewhere(busyd, _token(busyd, "anna", "details")) == []


def test_a_calendar_that_is_marked_as_free_is_explained_and_no_cause_for_a_warning(busyd: Busyd, anna: Account) -> None:
    anna.calendars["family"].transparent = True
    _sync(busyd)
    token = busyd.admin_token()
    wait_for(lambda: _elsewhere(busyd, token), describe=busyd.log.read_text)
    assert _detail(busyd) == ""


def test_a_change_is_seen_when_everything_is_asked_anew(busyd: Busyd, anna: Account) -> None:
    _look(busyd)
    anna.calendars["family"].put("more.ics", _event("more", TOMORROW + timedelta(days=10)))
    busyd.command("sync", "--now")
    wait_for(lambda: _detail(busyd).startswith("7 busy times"), describe=busyd.log.read_text)
