"""`busyd doctor --write`: tries every kind of write in a scratch calendar, leaves nothing there, keeps what it saw."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from busyd.connection import Connection, ConnectionKind
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.server_traits import ReadLag, ServerTraits
from tests.cli.person import PASSWORD, Ended, Person
from tests.icloud import Account, SimulatedIcloud
from tests.icloud.conftest import meeting
from tests.journey.cyrus import cyrus
from tests.journey.daemon import wait_for
from tests.journey.servers import PASSWORD as SERVER_PASSWORD
from tests.journey.servers import USER, CaldavServer, radicale, xandikos

CONFIG = """
connections:
  mine: {{kind: {kind}, url: '{url}', username: {user}, password: {{env: CANARY}}}}
profiles:
  boss: {{timezone: Europe/Berlin, primary: mine/Work}}
"""
ALL = [
    "write-calendar",
    "write-create",
    "write-read",
    "write-create-again",
    "write-same-uid",
    "write-update",
    "write-stale-update",
    "write-update-nothing",
    "write-stale-delete",
    "write-delete",
    "write-create-deleted",
    "write-race",
    "write-no-end",
    "write-late",
    "write-learned",
    "write-remove-calendar",
]


@pytest.fixture
def icloud() -> Iterator[SimulatedIcloud]:
    with SimulatedIcloud.in_thread() as running:
        account = running.add_account("anna@icloud.com", password=PASSWORD)
        account.add_calendar("Work", id="work").put("kept.ics", meeting("KEPT"))
        yield running


@pytest.fixture
def anna(icloud: SimulatedIcloud) -> Account:
    return icloud.account("anna@icloud.com")


@pytest.fixture
def person(tmp_path: Path, icloud: SimulatedIcloud) -> Person:
    home = tmp_path / "person"
    home.mkdir()
    person = Person(home, {"CANARY": PASSWORD})
    person.configure(CONFIG.format(kind="icloud", url=icloud.bootstrap_url, user="anna@icloud.com"))
    return person


def findings(ended: Ended) -> dict[str, dict[str, Any]]:
    return {finding["check"]: finding for finding in ended.json["findings"] if finding["check"].startswith("write")}


def levels(found: dict[str, dict[str, Any]]) -> set[str]:
    return {finding["level"] for finding in found.values()}


def contents(anna: Account) -> dict[str, dict[str, str]]:
    return {
        calendar.id: {name: stored.text for name, stored in calendar.objects().items()}
        for calendar in anna.calendars.values()
    }


def learned(person: Person, icloud: SimulatedIcloud) -> ServerTraits | None:
    """As the outbox reads it."""
    connection = Connection("mine", ConnectionKind.ICLOUD, icloud.bootstrap_url, username="anna@icloud.com")
    with closing(Ledger.open(person.state / LEDGER_FILE)) as ledger:
        return ledger.server_traits(lambda traits: traits.find(connection))


def test_every_kind_of_write_is_tried_and_nothing_stays(person: Person, icloud: SimulatedIcloud, anna: Account) -> None:
    before = contents(anna)
    ended = person.run("doctor", "--json", "--write")
    assert ended.status == 0, ended.out
    found = findings(ended)
    assert list(found) == ALL
    assert levels(found) == {"ok"}
    assert contents(anna) == before
    assert anna.mails == []
    traits = learned(person, icloud)
    assert traits is not None
    assert traits.lag == ReadLag(0.0, 0.0, 0.0)
    assert (traits.keeps_marks, traits.keeps_stamps, traits.buries_names, traits.needs_end) == (True, True, True, True)
    assert found["write-learned"]["details"]["learned"]["lag"] == {"get": 0.0, "listing": 0.0, "sync": 0.0}
    assert not [text for text in ("anna", PASSWORD, "mine", str(person.home)) if text in json.dumps(ended.json)]


def test_a_daemon_that_counts_all_calendars_does_not_count_it_meanwhile(
    person: Person, icloud: SimulatedIcloud, anna: Account
) -> None:
    anna.knobs.lag_seconds = 0.5  # so that there is time to look
    seen: set[bool | None] = set()
    command = [sys.executable, "-m", "busyd", "doctor", "--write"]
    environment = {"HOME": str(person.home), "PATH": os.environ["PATH"], **person.environment}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        wait_for(lambda: any(entry.method == "PUT" for entry in icloud.log.entries))
        seen = {calendar.transparent for calendar in anna.calendars.values() if calendar.name == "busyd self-test"}
        process.communicate(timeout=60)
    assert (process.returncode, seen) == (0, {True})


def test_it_is_a_report_for_people_as_well(person: Person) -> None:
    ended = person.run("doctor", "--write")
    assert "ok       connection 1: a new event is shown: GET at once, listing at once, sync at once (" in ended.out
    assert "ok       connection 1: removed the scratch calendar again" in ended.out


@pytest.mark.parametrize("start", [radicale, xandikos, cyrus])
def test_other_servers_pass_too(tmp_path: Path, start: Callable[[Path], AbstractContextManager[CaldavServer]]) -> None:
    person = Person(tmp_path, {"CANARY": SERVER_PASSWORD})
    with start(tmp_path) as server:
        person.configure(CONFIG.format(kind="caldav", url=server.url, user=USER))
        ended = person.run("doctor", "--json", "--write")
        left = person.run("doctor")
    assert ended.status == 0, ended.out
    assert levels(findings(ended)) == {"ok"}
    assert "logged in: 1 calendars (1 own)" in left.out


@pytest.mark.parametrize(
    ("knobs", "lag", "said"),
    [
        ({"lag_seconds": 0.5}, ("get", 0.0), "GET at once, listing after"),
        ({"get_lag_seconds": 0.5}, ("listing", 0.0), ", listing at once, sync at once"),
    ],
)
def test_how_long_reads_lag_is_measured_and_kept(
    person: Person, icloud: SimulatedIcloud, anna: Account, knobs: dict[str, object], lag: tuple[str, float], said: str
) -> None:
    anna.knobs.apply(knobs)
    before = contents(anna)
    found = findings(person.run("doctor", "--json", "--write"))
    assert said in found["write-create"]["message"]
    assert said in found["write-delete"]["message"]
    traits = learned(person, icloud)
    assert traits is not None
    assert getattr(traits.lag, lag[0]) == lag[1]
    assert traits.lag.seconds >= 0.5
    assert contents(anna) == before


def test_a_sync_token_that_goes_by_a_change_is_found_out(person: Person, anna: Account) -> None:
    anna.knobs.apply({"lag_seconds": 0.5, "lag_token_ahead": True})
    told = findings(person.run("doctor", "--json", "--write"))["write-create"]
    assert told["level"] == "warning"
    assert "the sync token goes by it before it is shown" in told["message"]


def test_the_ways_of_a_server_are_found_out(person: Person, icloud: SimulatedIcloud, anna: Account) -> None:
    anna.knobs.apply({"rewriting": ["no-x-properties"], "tombstone_seconds": 0, "uid_conflict": "403"})
    ended = person.run("doctor", "--json", "--write")
    told = findings(ended)
    assert ended.status == 0
    assert told["write-read"]["level"] == "warning"
    assert told["write-read"]["message"] == "an X- property does not come back with the event; DTSTAMP comes back"
    assert "refused (status 403, no-uid-conflict)" in told["write-same-uid"]["message"]
    assert told["write-create-deleted"]["message"] == "a deleted event can be created again under its name"
    traits = learned(person, icloud)
    assert traits is not None
    assert (traits.keeps_marks, traits.keeps_stamps, traits.buries_names) == (False, True, False)


def test_a_server_that_writes_events_in_its_own_way_is_no_worse(
    person: Person, icloud: SimulatedIcloud, anna: Account
) -> None:
    anna.knobs.apply({"rewriting": ["reordered", "apple-lines"], "put_gives_etag": False, "put_created_status": 204})
    found = findings(person.run("doctor", "--json", "--write"))
    assert levels(found) == {"ok"}
    assert "refused (status 412), and so is its UID" in found["write-create-deleted"]["message"]
    traits = learned(person, icloud)
    assert traits is not None
    assert (traits.keeps_marks, traits.buries_names) == (True, True)


def test_a_write_that_arrives_after_its_client_has_gone_is_seen_and_removed(
    person: Person, icloud: SimulatedIcloud, anna: Account
) -> None:
    late = anna.knobs.play("late", method="PUT", skip=14, seconds=0.6)  # a 404 is asked about a second time
    before = contents(anna)
    ended = person.run("doctor", "--json", "--write", "--scratch", "Trial")
    assert late not in anna.knobs.faults.waiting
    told = findings(ended)["write-late"]
    assert told["level"] == "warning", ended.out
    assert "a write that was cut off was carried out" in told["message"]
    traits = learned(person, icloud)
    assert traits is not None
    assert traits.late is not None
    assert contents(anna) == before


def test_a_scratch_calendar_that_is_named_and_there_is_used_and_stays(person: Person, anna: Account) -> None:
    anna.add_calendar("Trial", id="trial")
    before = contents(anna)
    ended = person.run("doctor", "--json", "--write", "--scratch", "Trial")
    assert ended.status == 0, ended.out
    assert findings(ended)["write-remove-calendar"]["message"] == "removed all events that were made"
    assert "trial" in anna.calendars
    assert contents(anna) == before
    assert "Trial" not in json.dumps(ended.json)


def test_one_that_is_named_and_not_there_is_made_under_that_name_and_removed(
    person: Person, icloud: SimulatedIcloud, anna: Account
) -> None:
    ended = person.run("doctor", "--json", "--write", "--scratch", "Trial")
    assert ended.status == 0, ended.out
    assert [entry.method for entry in icloud.log.entries].count("MKCALENDAR") == 1
    assert [calendar.name for calendar in anna.calendars.values() if calendar.kind == "calendar"] == ["Work"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scratch", "Work"), "the calendar given with --scratch is not empty (1 events)"),
        (("--scratch", "Twice"), "more than one calendar has the name given with --scratch; give an id instead"),
        (("--scratch", "Shared"), "the calendar given with --scratch is read-only (shared)"),
    ],
)
def test_a_calendar_that_is_not_for_scratching_is_not_written_to(
    person: Person, icloud: SimulatedIcloud, anna: Account, words: tuple[str, ...], said: str
) -> None:
    anna.add_calendar("Twice", id="twice-1")
    anna.add_calendar("Twice", id="twice-2")
    anna.add_calendar("Shared", id="shared", shared="read-only", privileges="read-only")
    before = contents(anna)
    ended = person.run("doctor", "--json", "--write", *words)
    assert ended.status == 1
    assert findings(ended)["write-calendar"]["message"] == said
    assert not {entry.method for entry in icloud.log.entries} & {"PUT", "DELETE", "MKCALENDAR"}
    assert contents(anna) == before


def test_one_with_events_is_used_when_that_is_said_and_they_stay_as_they_were(person: Person, anna: Account) -> None:
    before = contents(anna)
    ended = person.run("doctor", "--json", "--write", "--scratch", "Work", "--not-empty")
    assert ended.status == 0, ended.out
    assert contents(anna) == before


def test_where_no_calendar_can_be_made_one_can_be_named(person: Person, anna: Account) -> None:
    anna.knobs.fail_next(403, method="MKCALENDAR", times=None)
    ended = person.run("doctor", "--json", "--write")
    told = findings(ended)
    assert ended.status != 0
    assert told["write-calendar"]["level"] == "failed"
    assert told["write-calendar"]["steps"][0] == "create an empty calendar by hand, and name it with --scratch"
    assert list(told) == ["write-calendar"]
    anna.add_calendar("Trial", id="trial")
    assert person.run("doctor", "--json", "--write", "--scratch", "trial").status == 0


def test_the_words_for_a_scratch_calendar_need_the_word_for_writing(person: Person) -> None:
    ended = person.run("doctor", "--scratch", "Work")
    assert (ended.status, "--scratch and --not-empty are for --write" in ended.err) == (64, True)


def test_the_scratch_calendar_goes_even_when_a_write_fails(person: Person, icloud: SimulatedIcloud) -> None:
    anna = icloud.account("anna@icloud.com")
    anna.knobs.fail_next(507, method="PUT")
    before = contents(anna)
    ended = person.run("doctor", "--json", "--write")
    assert ended.status == 1
    assert findings(ended)["write-create"]["message"] == "creating an event was refused (status 507)"
    assert findings(ended)["write-remove-calendar"]["level"] == "ok"
    assert contents(anna) == before
    assert learned(person, icloud) is None


@pytest.mark.parametrize(("kind", "skip"), [("late", 0), ("reset-after-applying", 3), ("late", 9)])
def test_what_was_made_goes_whatever_became_of_a_write(person: Person, anna: Account, kind: Any, skip: int) -> None:
    anna.add_calendar("Trial", id="trial")
    fault = anna.knobs.play(kind, method="PUT", skip=skip, seconds=0.3)
    before = contents(anna)
    ended = person.run("doctor", "--json", "--write", "--scratch", "Trial")
    assert fault not in anna.knobs.faults.waiting
    assert findings(ended)["write-remove-calendar"]["level"] == "ok"
    assert contents(anna) == before


def test_a_server_that_does_not_protect_changes_is_found_out(person: Person, anna: Account) -> None:
    anna.knobs.play("status", status=204, method="PUT", skip=4)
    ended = person.run("doctor", "--json", "--write")
    assert ended.status == 1
    assert "cannot protect changes made elsewhere" in findings(ended)["write-stale-update"]["message"]
    assert findings(ended)["write-learned"]["level"] == "ok"


def test_a_scratch_calendar_that_stays_is_told(person: Person, anna: Account) -> None:
    anna.knobs.fail_next(403, method="DELETE", path="/$", times=None)
    ended = person.run("doctor", "--write")
    assert ended.status != 0
    assert "delete the calendar named 'busyd self-test' by hand" in ended.out
    assert "DELETE -> 403, request " in ended.out
    assert not [text for id, texts in contents(anna).items() if id != "work" for text in texts.values()]


def test_a_calendar_that_cannot_be_used_at_once_is_waited_for(person: Person, anna: Account) -> None:
    fault = anna.knobs.fail_next(404, method="PROPFIND", path="/[0-9A-F]{8}-[0-9A-F-]{27}/$", times=2)
    ended = person.run("doctor", "--json", "--write")
    assert fault not in anna.knobs.faults.waiting
    assert levels(findings(ended)) == {"ok"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_made_is_removed_when_the_test_is_interrupted(
    person: Person, icloud: SimulatedIcloud, anna: Account, number: signal.Signals
) -> None:
    anna.knobs.lag_seconds = 3600
    before = contents(anna)
    environment = {"HOME": str(person.home), "PATH": os.environ["PATH"], **person.environment}
    command = [sys.executable, "-m", "busyd", "doctor", "--write"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(lambda: any(entry.method == "PUT" and entry.finished for entry in icloud.log.entries))
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "removing what the test has made ...\nremoved the scratch calendar again\n" in told
    assert contents(anna) == before


def test_what_is_kept_is_of_one_account(tmp_path: Path) -> None:
    traits = ServerTraits(
        measured=1_790_000_000,  # type: ignore[arg-type]
        lag=ReadLag(None, 1.0),
        keeps_marks=True,
        keeps_stamps=True,
        buries_names=False,
        needs_end=False,
    )
    anna = Connection("mine", ConnectionKind.ICLOUD, "https://caldav.icloud.com/", username="anna@icloud.com")
    ben = Connection("mine", ConnectionKind.ICLOUD, "https://caldav.icloud.com/", username="ben@icloud.com")
    with closing(Ledger.open(tmp_path / "state" / LEDGER_FILE)) as ledger:
        ledger.server_traits(lambda measured: measured.keep(anna, traits))
    with closing(Ledger.open(tmp_path / "state" / LEDGER_FILE)) as ledger:
        assert ledger.server_traits(lambda measured: measured.find(anna)) == traits
        assert ledger.server_traits(lambda measured: measured.find(ben)) is None
    assert traits.lag.seconds == 60.0
