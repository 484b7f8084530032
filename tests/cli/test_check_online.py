"""`busyd check --online`: logs in everywhere, looks for every calendar that is named, changes nothing."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from busyd.store.ledger import LEDGER_FILE, Ledger
from tests.cli.person import PASSWORD, Ended, Person, closed_port
from tests.icloud import SimulatedIcloud
from tests.icloud.apple_text import calendar, event, timed
from tests.icloud.realistic_account import build_realistic_account

CONFIG = """connections:
  anna: {{url: '{url}', username: anna@icloud.com, password: {{env: CANARY}}}}
  team: {{kind: caldav, url: '{other}', username: team, password: {{env: TEAM}}}}
  holidays: {{kind: ics, url: '{feed}'}}
profiles:
  anna:
    primary: anna/{primary}
    conflicts:
      - anna/*
      - {conflict}
      - holidays
    calendars:
      anna/{rule}: {{all_day: free}}
"""


@pytest.fixture
def icloud() -> Iterator[SimulatedIcloud]:
    with SimulatedIcloud.in_thread() as running:
        build_realistic_account(running, date(2026, 11, 22))
        running.add_account("team", password="team-secret").add_default_calendars()
        yield running


@pytest.fixture
def person(tmp_path: Path, icloud: SimulatedIcloud) -> Person:
    home = tmp_path / "person"
    home.mkdir()
    person = Person(home, {"CANARY": PASSWORD, "TEAM": "team-secret"})
    configure(person, icloud)
    return person


def said(ended: Ended) -> str:
    """What it has to say, but for that it waits: a busy machine takes longer than a second."""
    return "".join(line for line in ended.err.splitlines(keepends=True) if not line.startswith("waiting for "))


def configure(person: Person, icloud: SimulatedIcloud, **changes: str) -> None:
    # Where a caldav connection begins it must stay, and home-sets point to the shard.
    settings = {"url": icloud.bootstrap_url, "other": icloud.shard_url, "primary": "Work", "conflict": "team/Home",
                "feed": f"{icloud.feeds_url}holidays/de_de.ics", "rule": "Home"}  # fmt: skip
    person.configure(CONFIG.format(**{**settings, **changes}))


def test_all_is_well_when_every_login_works_and_every_calendar_is_there(
    person: Person, icloud: SimulatedIcloud
) -> None:
    ended = person.run("check", "--online")
    assert (ended.status, said(ended)) == (0, "")
    assert (
        "connection anna: ok, 6 calendars\nconnection team: ok, 2 calendars\nconnection holidays: ok, 1 calendar\n"
        in ended.out
    )
    assert "anna     primary   anna/Work" in ended.out
    assert "never block: anna/Reminders" in ended.out
    assert {entry.report or entry.method for entry in icloud.log.entries} == {
        "PROPFIND", "GET", "calendar-multiget", "calendar-query",
    }  # fmt: skip


def test_an_event_that_is_listed_and_not_handed_out_is_told(person: Person, icloud: SimulatedIcloud) -> None:
    anna = icloud.accounts["anna@icloud.com"]
    work = next(calendar for calendar in anna.calendars.values() if calendar.name == "Work")
    anna.knobs.ghosts = {min(work.objects())}
    ended = person.run("check", "--online")
    assert ended.status == 0
    assert "warning: anna/Work: its server lists an event that it does not hand out (404)" in ended.err


def test_misspelt_calendars_are_told_by_line_with_what_was_meant(person: Person, icloud: SimulatedIcloud) -> None:
    configure(person, icloud, primary="Wrok", conflict="team/Hone", rule="Hme")
    ended = person.run("check", "--online")
    assert ended.status == 78
    faults = said(ended).splitlines()
    assert [fault.removeprefix(f"{person.config}:").split(": ")[:2] for fault in faults] == [
        ["7:14", "primary"],
        ["10:9", "conflicts"],
        ["13:7", "calendars"],
    ]
    assert [fault.partition(", ")[2].partition(" it has: ")[0] for fault in faults] == [
        "did you mean 'anna/Work'?",
        "did you mean 'team/Home'?",
        "did you mean 'anna/Home'?",
    ]
    assert "ok, 3 connections" not in ended.out


def test_a_primary_nobody_can_write_to_is_a_fault(person: Person, icloud: SimulatedIcloud) -> None:
    configure(person, icloud, primary="Family")
    ended = person.run("check", "--online")
    assert ended.status == 78
    assert said(ended) == f"{person.config}:7:14: primary: anna/Family is read-only; choose a calendar of your own\n"


def test_a_name_that_two_calendars_bear_is_told_with_their_ids(person: Person, icloud: SimulatedIcloud) -> None:
    icloud.account("anna@icloud.com").add_calendar("Work", id="other")
    ended = person.run("check", "--online")
    assert ended.status == 78
    assert "anna/Work names 2 calendars: their ids are work and other" in ended.err


def test_a_renamed_calendar_is_found_by_what_its_name_meant_before(person: Person, icloud: SimulatedIcloud) -> None:
    person.state.mkdir(parents=True)
    ledger = Ledger.open(person.state / LEDGER_FILE)
    ledger.record_links({"anna": {"anna/Work": "/300000001/calendars/work/"}})
    ledger.close()
    icloud.account("anna@icloud.com").calendars["work"].rename("Büro")
    ended = person.run("check", "--online")
    assert (ended.status, said(ended)) == (0, "")
    assert "anna/Büro" in ended.out


def test_a_refused_login_ends_with_77_and_the_others_are_asked_all_the_same(person: Person) -> None:
    person.environment["CANARY"] = "wxyz-wxyz-wxyz-wxyz"
    ended = person.run("check", "--online")
    assert ended.status == 77
    assert "busyd: connection anna: 127.0.0.1 refused this Apple ID" in ended.err
    assert "connection team: ok" in ended.out
    assert "anna/Work" not in ended.err


@pytest.mark.parametrize("words", [(), ("--online",)])
def test_an_ordinary_password_for_apple_ends_with_77_and_the_steps(
    person: Person, icloud: SimulatedIcloud, words: tuple[str, ...]
) -> None:
    person.environment["CANARY"] = "Hunter2-is-mine"
    ended = person.run("check", *words)
    assert ended.status == 77
    assert "busyd: connection anna: the password for 127.0.0.1 is not an app-specific one" in ended.err
    assert "1. create an app-specific password at account.apple.com" in ended.err
    assert "Hunter2" not in ended.out + ended.err
    assert not any(entry.account == "anna@icloud.com" for entry in icloud.log.entries)
    told = person.run("check", "--json", *words)
    assert told.status == 77
    assert (told.json["ok"], told.json["logins"][0]["code"]) == (False, "auth.apple.not-app-specific")
    person.configure(person.config.read_text().replace("{env: CANARY}", "{env: CANARY}, allow_password_shape: any"))
    assert person.run("check").status == 0


def test_a_login_that_used_to_work_was_revoked(person: Person, icloud: SimulatedIcloud) -> None:
    person.state.mkdir(parents=True)
    ledger = Ledger.open(person.state / LEDGER_FILE)
    ledger.record_links({"anna": {"anna/Work": "/300000001/calendars/work/"}})
    ledger.close()
    icloud.account("anna@icloud.com").knobs.revoked = True
    ended = person.run("check", "--online")
    assert ended.status == 77
    assert "refused a password that used to work: it was revoked" in ended.err


def test_a_server_that_is_down_ends_with_69(person: Person, icloud: SimulatedIcloud) -> None:
    with closed_port() as port:
        configure(person, icloud, other=f"http://127.0.0.1:{port}/")
        ended = person.run("check", "--online")
    assert ended.status == 69
    assert "busyd: connection team: 127.0.0.1 refused the connection" in ended.err
    (team,) = [line.split() for line in ended.out.splitlines() if " team/" in line]
    assert team == ["anna", "conflict", "team/Home", "not", "known"]


def test_a_missing_password_ends_with_78(person: Person) -> None:
    del person.environment["TEAM"]
    ended = person.run("check", "--online")
    assert ended.status == 78
    assert "connection team: the environment variable TEAM is not set" in ended.err


def test_json_has_faults_logins_and_links(person: Person, icloud: SimulatedIcloud) -> None:
    configure(person, icloud, conflict="team/Hone")
    person.environment["CANARY"] = "wxyz-wxyz-wxyz-wxyz"
    ended = person.run("check", "--online", "--json")
    answer = ended.json
    assert (ended.status, answer["ok"]) == (78, False)
    assert (answer["faults"][0]["line"], answer["faults"][0]["column"]) == (10, 9)
    assert [(one["name"], one["ok"], one.get("code")) for one in answer["logins"]] == [
        ("anna", False, "auth.apple.rejected"),
        ("team", True, None),
        ("holidays", True, None),
    ]
    assert [(one["role"], one["calendar"], one["writable"]) for one in answer["links"]] == [
        ("conflict", "holidays", False)
    ]


def test_offline_nobody_is_asked(person: Person, icloud: SimulatedIcloud) -> None:
    assert person.run("check").status == 0
    assert icloud.log.entries == []


def test_a_calendar_with_much_ahead_that_no_profile_counts_is_told(person: Person, icloud: SimulatedIcloud) -> None:
    forgotten = icloud.account("team").add_calendar("Shifts", id="shifts")
    today = datetime.now(UTC).date()
    for number in range(1, 7):
        day = today + timedelta(days=number)
        forgotten.put(f"{number}.ics", calendar(event(f"S{number}", "Shift", timed(day, "08:00", end="16:00"))))
    ended = person.run("check", "--online")
    assert ended.status == 0
    assert "warning: team/Shifts: 6 busy times in the next 90 days, and it is in no profile" in ended.err
    assert len(person.run("check", "--online", "--json").json["uncounted"]) == 1
    person.configure(person.config.read_text().replace("      - holidays\n", "      - holidays\n      - team/Shifts\n"))
    assert said(person.run("check", "--online")) == ""
