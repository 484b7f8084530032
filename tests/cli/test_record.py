"""`busyd record`: keeps what was said, without who said it, so that it can be replayed."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from busyd.connection import CalendarKind
from busyd.dav.errors import InvalidSyncToken
from busyd.dav.exchange import Operation
from busyd.dav.operation import (
    Account,
    Listing,
    discover_account,
    fetch_object,
    fetch_objects,
    list_calendars,
    list_members,
    sync_collection,
)
from tests.cli.person import PASSWORD, Person
from tests.dav.server_side import read_sync_collection
from tests.icloud import SimulatedIcloud
from tests.icloud.apple_text import made_up
from tests.icloud.realistic_account import build_realistic_account
from tests.wire import recording as wire

CONFIG = """
connections:
  mine: {{url: '{url}', username: anna@icloud.com, password: {{env: CANARY}}}}
  holidays: {{kind: ics, url: 'https://example.org/x.ics'}}
"""


@pytest.fixture
def icloud() -> Iterator[SimulatedIcloud]:
    with SimulatedIcloud.in_thread() as running:
        build_realistic_account(running, date(2026, 11, 22))
        yield running


@pytest.fixture
def person(tmp_path: Path, icloud: SimulatedIcloud) -> Person:
    home = tmp_path / "person"
    home.mkdir()
    person = Person(home, {"CANARY": PASSWORD})
    person.configure(CONFIG.format(url=icloud.bootstrap_url))
    return person


@pytest.fixture
def folder(person: Person) -> Path:
    """Recordings of one conversation."""
    target = person.home / "recordings"
    ended = person.run("record", str(target))
    assert ended.status == 0, ended.err
    assert ended.out == f"mine: wrote 9 files to {target}\n"
    return target


def test_no_name_that_somebody_made_up_is_recorded(person: Person, icloud: SimulatedIcloud) -> None:
    for calendar in icloud.account("anna@icloud.com").calendars.values():
        calendar.put("canary.ics", made_up(date(2026, 11, 22), "Canary"))
    ended = person.run("record", str(person.home / "recordings"))
    assert ended.status == 0, ended.err
    told = "".join(path.read_text() for path in (person.home / "recordings").iterdir())
    assert "TZID=zone-" in told
    assert "canary" not in told.lower()


def replay(operation: Operation[object], folder: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> object:
    """Run a conversation against recordings; what it asks must be what was asked then."""
    monkeypatch.setattr(wire, "FOLDER", folder)
    request = next(operation)
    try:
        for name in names:
            recorded = wire.recording(name)
            assert request.method == recorded.method
            assert request.target.endswith(recorded.path)
            assert request.body == recorded.request_body
            request = operation.send(recorded.response)
    except StopIteration as done:
        return done.value
    raise AssertionError("the conversation wanted more")


def test_a_conversation_is_nine_exchanges_each_a_private_file(folder: Path) -> None:
    assert [path.name for path in sorted(folder.iterdir())] == [
        "01-propfind-207.txt", "02-propfind-207.txt", "03-propfind-207.txt", "04-report-207.txt", "05-report-207.txt",
        "06-report-403.txt", "07-propfind-207.txt", "08-report-207.txt", "09-get-200.txt",
    ]  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_they_replay_as_if_the_server_were_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = "http://server-1.example/"
    account = replay(discover_account(start), folder, monkeypatch, "01-propfind-207", "02-propfind-207")
    assert isinstance(account, Account)
    assert account.homes[0] == "http://server-2.example/100000001/calendars/"
    listing = replay(list_calendars(account.homes[0]), folder, monkeypatch, "03-propfind-207")
    assert isinstance(listing, Listing)
    assert [one.kind for one in listing.calendars].count(CalendarKind.SHARED) == 2
    home = next(one.href for one in listing.calendars if one.id == "home")
    delta = replay(sync_collection(home, None), folder, monkeypatch, "04-report-207")
    members = replay(list_members(home), folder, monkeypatch, "07-propfind-207")
    assert delta.changed == members.etags  # type: ignore[attr-defined]
    hrefs = list(members.etags)[:10]  # type: ignore[attr-defined]
    fetched = replay(fetch_objects(home, hrefs), folder, monkeypatch, "08-report-207")
    assert len(fetched.objects) == len(hrefs) == 9  # type: ignore[attr-defined]
    stored = replay(fetch_object(hrefs[0]), folder, monkeypatch, "09-get-200")
    assert b"BEGIN:VTIMEZONE" in stored.payload  # type: ignore[attr-defined]
    made_up = read_sync_collection(wire.recording("06-report-403").request_body).token
    with pytest.raises(InvalidSyncToken):
        replay(sync_collection(home, made_up), folder, monkeypatch, "06-report-403")


def test_nothing_in_them_gives_anybody_away(folder: Path, icloud: SimulatedIcloud) -> None:
    anna = icloud.account("anna@icloud.com")
    texts = [stored.text for calendar in anna.calendars.values() for stored in calendar.objects().values()]
    told = ("SUMMARY", "LOCATION", "UID", "DESCRIPTION", "ATTENDEE", "ORGANIZER")
    secret = {line.partition(":")[2] for text in texts for line in text.splitlines() if line.startswith(told)}
    secret |= {calendar.name for calendar in anna.calendars.values() if calendar.name}
    secret |= {anna.dsid, anna.user, anna.display_name, anna.principal_token, "anna", PASSWORD, "127.0.0.1", "Basic"}
    secret |= {calendar.token(calendar.revision) for calendar in anna.calendars.values()}
    for path in folder.iterdir():
        # WWW-Authenticate names the scheme, nothing more.
        content = path.read_text().replace("WWW-Authenticate: Basic", "")
        assert not [text for text in secret if len(text) > 3 and text in content], path.name


def test_a_refused_login_is_recorded_too(person: Person, icloud: SimulatedIcloud) -> None:
    icloud.account("anna@icloud.com").knobs.revoked = True
    ended = person.run("record", "--connection", "mine", str(person.home / "refused"))
    assert ended.status == 77
    assert "connection mine: 127.0.0.1 refused this Apple ID" in ended.err
    content = (person.home / "refused" / "01-propfind-401.txt").read_text()
    assert content.count('< WWW-Authenticate: Basic realm="MMCalDav"') == 1


def test_a_used_directory_is_left_alone(person: Person, icloud: SimulatedIcloud) -> None:
    (person.home / "used").mkdir()
    (person.home / "used" / "thesis.txt").write_text("years of work")
    ended = person.run("record", str(person.home / "used"))
    assert (ended.status, "is not empty" in ended.err) == (64, True)
    assert icloud.log.entries == []


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [("yours", 1, "there is no connection 'yours'"), ("holidays", 64, "has no CalDAV exchanges")],
)
def test_what_cannot_be_recorded_is_told(person: Person, name: str, status: int, words: str) -> None:
    ended = person.run("record", "--connection", name, str(person.home / "new"))
    assert (ended.status, words in ended.err) == (status, True), ended.err
    assert not (person.home / "new").exists()
