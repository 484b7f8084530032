"""`busyd doctor`: finds what is wrong, says what to do, and gives nobody away."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from busyd.cli.doctor_report import Labels
from tests.cli.person import PASSWORD, Ended, Person, closed_port
from tests.icloud import SimulatedIcloud
from tests.icloud.apple_text import made_up
from tests.icloud.realistic_account import build_realistic_account
from tests.journey.daemon import busyd_in, wait_for

TODAY = datetime.now(UTC).date()
CONFIG = """
connections:
  mine: {{url: '{url}', username: anna@icloud.com, password: {{env: CANARY}}}}
profiles:
  boss: {{timezone: Europe/Berlin, primary: mine/{primary}, conflicts: [mine/Home]}}
"""
READING = ["login", "options", "sync-empty", "sync-token", "sync-made-up-token", "multiget-1", "multiget-50", "query"]


@pytest.fixture
def icloud() -> Iterator[SimulatedIcloud]:
    with SimulatedIcloud.in_thread() as running:
        build_realistic_account(running, TODAY)
        yield running


@pytest.fixture
def person(tmp_path: Path, icloud: SimulatedIcloud) -> Person:
    home = tmp_path / "person"
    home.mkdir()
    person = Person(home, {"CANARY": PASSWORD})
    person.configure(CONFIG.format(url=icloud.bootstrap_url, primary="Work"))
    return person


def findings(ended: Ended) -> dict[str, dict[str, Any]]:
    """By check; of several the last one."""
    return {finding["check"]: finding for finding in ended.json["findings"]}


def test_a_good_account_passes_every_step_and_is_only_read(person: Person, icloud: SimulatedIcloud) -> None:
    ended = person.run("doctor", "--json")
    assert ended.status == 0, ended.err
    found = findings(ended)
    assert {found[check]["level"] for check in READING} == {"ok"}
    assert not [check for check in found if check.startswith("write")]
    assert {entry.method for entry in icloud.log.entries} == {"PROPFIND", "REPORT", "OPTIONS"}


def test_each_step_keeps_its_exchanges_with_the_request_ids_of_apple(person: Person) -> None:
    exchange = findings(person.run("doctor", "--json"))["sync-made-up-token"]["details"]["exchanges"][0]
    assert (exchange["method"], exchange["status"]) == ("REPORT", 403)
    assert len(exchange["request_id"]) == 36
    assert "valid-sync-token" in exchange["body"]


def test_the_report_for_people_has_a_line_for_each(person: Person) -> None:
    ended = person.run("doctor")
    assert "ok       connection 1: logged in: 6 calendars (3 own, 2 shared, 1 subscribed), 5 own addresses" in ended.out
    assert "ok       connection 1: an invalid sync token is refused (status 403)" in ended.out
    assert "ok       profile 1: its primary calendar is writable (own)" in ended.out
    assert ended.out.splitlines()[-1] == "15 ok, 4 warning"


@pytest.mark.parametrize("words", [(), ("--json",), ("--json", "--write")])
@pytest.mark.parametrize("knobs", [{}, {"revoked": True}, {"bootstrap_redirect": 301, "redirect_to": "other-domain"}])
def test_nothing_in_it_gives_anybody_away(
    person: Person, icloud: SimulatedIcloud, words: tuple[str, ...], knobs: dict[str, Any]
) -> None:
    anna = icloud.account("anna@icloud.com")
    anna.knobs.apply(knobs)
    ended = person.run("doctor", *words)
    texts = [stored.text for calendar in anna.calendars.values() for stored in calendar.objects().values()]
    lines = [line for text in texts for line in text.splitlines()]
    secret = {
        line.partition(":")[2] for line in lines if line.startswith(("SUMMARY", "LOCATION", "UID", "DESCRIPTION"))
    }
    secret |= {calendar.name for calendar in anna.calendars.values() if calendar.name} - {"Home", "Work"}
    secret |= {
        anna.dsid,
        anna.user,
        anna.display_name,
        anna.principal_token,
        "anna@example.com",
        PASSWORD,
        "mine",
        "boss",
    }
    secret |= {"127.0.0.1", "localhost", str(person.home), "anna"}
    report = json.dumps(ended.json) if "--json" in words else ended.out
    assert not [text for text in secret if len(text) > 3 and text in report + ended.err]


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("dav.example.org cannot be reached", "HOST cannot be reached"),
        ("carried out 0.25 s later, 12.50 MB", "carried out 0.25 s later, 12.50 MB"),
        ("see 192.0.2.7:8443, [2001:db8::1]:80 or fe80::1", "see HOST, HOST or HOST"),
        ("anna@example.org at http://localhost:8008/x", "ADDRESS at http://HOST/x"),
        ("p180-caldav.icloud.com, account.apple.com > Sign-In", "p180-caldav.icloud.com, account.apple.com > Sign-In"),
        ("connection mine: it says 2026-11-18 13:20 UTC", "connection 1: it says 2026-11-18 13:20 UTC"),
        ("use `busyd credential set mine`; mine is mine", "use `busyd credential set NAME`; mine is mine"),
    ],
)
def test_words_of_others_are_scrubbed_of_hosts_and_addresses(text: str, scrubbed: str) -> None:
    labels = Labels(show_names=False)
    labels.of("connection", "mine")
    assert labels.scrub(text) == scrubbed
    assert Labels(show_names=True).scrub(text) == text


def test_with_names_it_is_for_ones_own_eyes(person: Person) -> None:
    assert "ok       connection mine: logged in" in person.run("doctor", "--names").out


@pytest.mark.parametrize(
    ("knob", "value", "check", "words"),
    [
        ("invalid_token", "everything", "sync-made-up-token", "an invalid sync token is accepted"),
        ("invalid_token", "500", "sync-made-up-token", "an invalid sync token causes an internal server error"),
        ("invalid_token", "410", "sync-made-up-token", "an invalid sync token is refused (status 410)"),
        ("multiget_returns_at_most", 3, "multiget-50", "returns 3 of 14 events"),
        ("sync_truncates_at", 5, "sync-empty", "lists 14 events"),
    ],
)
def test_a_server_with_ways_of_its_own_is_described(
    person: Person, icloud: SimulatedIcloud, knob: str, value: Any, check: str, words: str
) -> None:
    setattr(icloud.account("anna@icloud.com").knobs, knob, value)
    ended = person.run("doctor", "--json")
    assert ended.status == 0, ended.out
    assert words in findings(ended)[check]["message"]


def test_a_primary_that_is_read_only_is_a_fault_of_the_configuration(person: Person, icloud: SimulatedIcloud) -> None:
    person.configure(CONFIG.format(url=icloud.bootstrap_url, primary="Family"))
    ended = person.run("doctor", "--json")
    assert ended.status == 78
    assert findings(ended)["primary"]["message"] == "its primary calendar is read-only (shared)"


def test_a_primary_that_is_not_there_is_a_fault_of_the_configuration(person: Person, icloud: SimulatedIcloud) -> None:
    person.configure(CONFIG.format(url=icloud.bootstrap_url, primary="Wrok"))
    ended = person.run("doctor")
    assert ended.status == 78
    assert "failed   profile 1: its primary calendar does not exist" in ended.out
    assert "busyd check --online" in ended.out


def test_an_event_that_is_listed_and_not_handed_out_is_a_warning(person: Person, icloud: SimulatedIcloud) -> None:
    anna = icloud.account("anna@icloud.com")
    work = next(calendar for calendar in anna.calendars.values() if calendar.name == "Work")
    anna.knobs.ghosts = {min(work.objects())}
    told = [one for one in person.run("doctor", "--json").json["findings"] if one["check"] == "handed-out"]
    assert ["lists an event that it does not hand out" in one["message"] for one in told].count(True) == 1
    assert [one["level"] for one in told].count("warning") == 1


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_no_name_that_somebody_made_up_is_in_it(
    person: Person, icloud: SimulatedIcloud, words: tuple[str, ...]
) -> None:
    for calendar in icloud.account("anna@icloud.com").calendars.values():
        calendar.put("canary.ics", made_up(TODAY, "Canary"))
    ended = person.run("doctor", *words)
    assert "canary" not in (ended.out + ended.err).lower()


def test_a_full_calendar_that_counts_for_nobody_is_a_warning(person: Person, icloud: SimulatedIcloud) -> None:
    side = icloud.account("anna@icloud.com").add_calendar("Side business", id="side")
    for number in range(5):
        day = TODAY + timedelta(days=number + 1)
        side.put(f"{number}.ics", _event(f"E{number}", f"{day:%Y%m%d}", transp="OPAQUE"))
        side.put(f"free-{number}.ics", _event(f"F{number}", f"{day:%Y%m%d}", transp="TRANSPARENT"))
    told = [one for one in person.run("doctor", "--json").json["findings"] if one["check"] == "uncounted"]
    assert [one["level"] for one in told] == ["ok", "warning", "warning"]
    assert "(own) is used by no profile, but has 5 busy times in the next 90 days" in told[-1]["message"]


def _event(uid: str, day: str, *, transp: str) -> str:
    lines = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//x//EN", "BEGIN:VEVENT", f"UID:{uid}", f"TRANSP:{transp}",
             f"DTSTAMP:{day}T080000Z", f"DTSTART:{day}T090000Z", f"DTEND:{day}T100000Z", "END:VEVENT",
             "END:VCALENDAR", "")  # fmt: skip
    return "\r\n".join(lines)


def test_a_refused_login_ends_with_77_and_what_to_do(person: Person, icloud: SimulatedIcloud) -> None:
    icloud.account("anna@icloud.com").knobs.revoked = True
    ended = person.run("doctor")
    assert ended.status == 77
    assert "failed   connection 1: HOST refused this Apple ID" in ended.out
    assert " [auth.apple." in ended.out
    found = json.loads(person.run("doctor", "--json").out)["findings"]
    assert [one["code"].partition(".")[0] for one in found if "code" in one] == ["auth"]
    assert "account.apple.com > Sign-In and Security > App-Specific Passwords" in ended.out


def test_a_server_that_is_down_ends_with_69(person: Person) -> None:
    with closed_port() as port:
        person.configure(CONFIG.format(url=f"http://127.0.0.1:{port}/", primary="Work"))
        ended = person.run("doctor")
    assert ended.status == 69
    assert "failed   connection 1: the server cannot be reached: IPv4 refused" in ended.out


def test_a_missing_password_ends_with_78(person: Person) -> None:
    person.environment.clear()
    ended = person.run("doctor")
    assert ended.status == 78
    assert "CANARY" not in ended.out
    assert "connection 1: the password could not be read" in ended.out


def test_an_ordinary_password_is_not_sent(person: Person, icloud: SimulatedIcloud) -> None:
    person.environment["CANARY"] = "Hunter2-is-mine"
    ended = person.run("doctor")
    assert ended.status == 77
    assert "failed   connection 1: the password is not an app-specific one, so it is not sent to Apple" in ended.out
    assert "[auth.apple.not-app-specific]" in ended.out
    assert "App-Specific Passwords" in ended.out
    assert "Hunter2" not in ended.out + ended.err
    assert icloud.log.requests() == []


def test_a_faulty_or_missing_configuration_ends_with_78(person: Person) -> None:
    person.configure("lisen: secret-canary\n")
    ended = person.run("doctor")
    assert (ended.status, "canary" in ended.out) == (78, False)
    assert "failed   configuration: 1 error in the configuration" in ended.out
    person.config.unlink()
    assert "no configuration found" in person.run("doctor").out


def test_a_state_that_others_can_read_is_told(person: Person) -> None:
    person.state.mkdir(parents=True)
    person.state.chmod(0o755)
    (person.state / "credentials").write_text("x")
    (person.state / "credentials").chmod(0o644)
    ended = person.run("doctor", "--json")
    found = findings(ended)
    assert ended.status == 1
    assert found["state-mode"]["message"] == "other users can access the state directory (mode 0755)"
    assert found["state-files"]["steps"] == ["run `chmod 600 credentials` in the state directory"]


def test_one_connection_may_be_looked_at_alone(person: Person) -> None:
    ended = person.run("doctor", "--connection", "yours")
    assert (ended.status, "configured connections: mine" in ended.err) == (1, True)
    assert person.run("doctor", "--connection", "mine").status == 0


def test_a_running_daemon_is_asked_how_old_the_mirror_is(tmp_path: Path, icloud: SimulatedIcloud) -> None:
    with busyd_in(tmp_path, environment={"CANARY": PASSWORD}) as busyd:
        busyd.configure(CONFIG.format(url=icloud.bootstrap_url, primary="Work"))
        busyd.start()
        wait_for(lambda: busyd.freebusy("now", "+1d", profile="boss")["complete"], describe=busyd.log.read_text)
        running = busyd.command("doctor")
        assert "ok       daemon: running and answering" in running.stdout, running.stderr
        assert "ok       profile 1: its oldest data was confirmed" in running.stdout
        busyd.stop()
        icloud.account("anna@icloud.com").knobs.revoked = True
        stopped = busyd.command("doctor")
    assert "warning  daemon: not running" in stopped.stdout
    assert "ok       profile 1: its oldest data was confirmed" in stopped.stdout
    assert "refused a password that used to work: it was revoked" in stopped.stdout


def test_a_calendar_that_is_too_much_to_hold_is_told_with_what_to_do(tmp_path: Path, icloud: SimulatedIcloud) -> None:
    rule = "DTSTART:20260101T000000Z\nDURATION:PT5M\nRRULE:FREQ=HOURLY"
    events = "".join(f"BEGIN:VEVENT\nUID:{number}\n{rule}\nEND:VEVENT\n" for number in range(40))
    feed = icloud.add_feed("/published/2/crowd", f"BEGIN:VCALENDAR\nVERSION:2.0\n{events}END:VCALENDAR\n")
    with busyd_in(tmp_path) as busyd:
        busyd.configure(
            f"connections:\n  crowd: {{kind: ics, url: '{feed.url}'}}\nprofiles:\n  boss: {{conflicts: [crowd]}}\n"
        )
        busyd.start()
        wait_for(lambda: busyd.freebusy("now", "+1d", profile="boss")["as_of"], describe=busyd.log.read_text)
        assert not busyd.freebusy("now", "+1d", profile="boss")["complete"]
        doctor, status = busyd.command("doctor"), busyd.command("status")
    assert "warning  connection 1: 1 calendar could be fetched, but not fully parsed" in doctor.stdout
    assert "warning  profile 1: nothing can be proved to be free: every answer is incomplete" in doctor.stdout
    assert "incomplete" in status.stdout
    assert "fresh" not in status.stdout
    assert "crowd: it has more than 500,000 occurrences" in status.stdout + status.stderr


def test_a_lone_refusal_in_between_is_forgiven(person: Person, icloud: SimulatedIcloud) -> None:
    icloud.account("anna@icloud.com").knobs.fail_next(401, method="OPTIONS")
    assert person.run("doctor").status == 0
