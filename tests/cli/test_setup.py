"""`busyd setup` as a person meets it: a process, a simulated iCloud, answers piped in or typed at a terminal."""

import grp
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from busyd.cli import setup_file
from busyd.cli.account_setup import _name_of_address
from busyd.config import load_config
from busyd.connection import CalendarReference, Connection, ConnectionKind
from busyd.credentials import FromCredential, Secret
from busyd.credentials.store import CredentialStore
from tests.cli.person import PASSWORD, Person
from tests.icloud import SimulatedIcloud
from tests.icloud.realistic_account import build_realistic_account
from tests.journey.servers import PASSWORD as RADICALE_PASSWORD
from tests.journey.servers import USER, radicale

TODAY = date(2026, 11, 22)
LOGIN = f"anna@icloud.com\n{PASSWORD}\n"


@pytest.fixture
def person(tmp_path: Path) -> Person:
    home = tmp_path / "person"
    home.mkdir()
    return Person(home)


@pytest.fixture
def icloud() -> Iterator[SimulatedIcloud]:
    with SimulatedIcloud.in_thread() as running:
        build_realistic_account(running, TODAY)
        yield running


def test_an_event_that_is_listed_and_not_handed_out_is_told(person: Person, icloud: SimulatedIcloud) -> None:
    anna = icloud.account("anna@icloud.com")
    work = next(calendar for calendar in anna.calendars.values() if calendar.name == "Work")
    anna.knobs.ghosts = {min(work.objects())}
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    assert ended.status == 0, ended.err
    assert "Work: its server lists an event that it does not hand out (404): answers are incomplete" in ended.err


def test_two_answers_are_enough_and_everything_else_has_a_default(person: Person, icloud: SimulatedIcloud) -> None:
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    assert ended.status == 0, ended.err
    config = load_config(person.config, {})
    profile = config.profiles["anna"]
    assert config.warnings == ()
    assert config.connections["anna"].connection.username == "anna@icloud.com"
    assert config.connections["anna"].password == FromCredential("anna")
    assert (profile.primary, profile.conflicts) == (
        CalendarReference("anna", "Home"),
        (CalendarReference("anna", "*"),),
    )
    assert CredentialStore(person.state, {}).get("anna") == Secret(PASSWORD)


def test_it_says_that_no_working_hours_are_set(person: Person, icloud: SimulatedIcloud) -> None:
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    assert "no working hours are set: slots are offered at any hour (set `hours:` of the profile anna)" in ended.out


def test_files_are_private_and_hold_no_password_in_clear(person: Person, icloud: SimulatedIcloud) -> None:
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    assert person.config.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in ended.out + ended.err
    assert not [name for name in person.files if PASSWORD.encode() in (person.home / name).read_bytes()]


def test_it_says_how_to_make_the_password_and_what_to_call_it(person: Person, icloud: SimulatedIcloud) -> None:
    told = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN).out
    assert "account.apple.com" in told
    assert "Sign-In and Security, then App-Specific Passwords" in told
    assert f"for example: busyd@{os.uname().nodename.partition('.')[0]}\n" in told


def test_the_calendars_are_listed_with_kind_and_access(person: Person, icloud: SimulatedIcloud) -> None:
    told = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN).out
    assert "The login works. anna has 6 calendars:" in told
    for line in (
        "1  Home                 own              read and write",
        "3  Family               shared with you  read-only",
        "5  Ideas                own              read and write; not in 'all'",
        "6  Holidays in Germany  subscribed       read-only",
    ):
        assert line in told
    assert "Reminders lists (Reminders) hold no events, so they never block time." in told


@pytest.mark.parametrize(
    ("primary", "conflicts", "expected"),
    [
        ("2", "1,4", ("anna/Work", ["anna/Home", "anna/Team"])),
        ("work", "Family, home", ("anna/Work", ["anna/Family", "anna/Home"])),
        ("none", "none", ("None", [])),
        ("Team", "all", ("anna/Team", ["anna/*"])),
    ],
)
def test_calendars_are_chosen_by_number_or_by_name(
    person: Person, icloud: SimulatedIcloud, primary: str, conflicts: str, expected: tuple[str, list[str]]
) -> None:
    typed = f"{LOGIN}{primary}\n{conflicts}\nboss\nAmerica/New_York\ny\n"
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=typed)
    assert ended.status == 0, ended.err
    profile = load_config(person.config, {}).profiles["boss"]
    assert (str(profile.primary), [str(one) for one in profile.conflicts]) == expected
    assert profile.timezone == "America/New_York"


@pytest.mark.parametrize(
    ("primary", "words"),
    [
        ("Family", "cannot be written to anna/Family, which is read-only"),
        ("Hme", "no calendar 'Hme' in the list, did you mean 'Home'?"),
        ("9", "no calendar '9' in the list"),
    ],
)
def test_a_primary_that_cannot_be_is_refused(person: Person, icloud: SimulatedIcloud, primary: str, words: str) -> None:
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=f"{LOGIN}{primary}\n")
    assert ended.status == 64
    assert words in ended.err
    assert person.files == []


def test_two_calendars_of_one_name_are_told_apart_by_number_and_written_by_id(
    person: Person, icloud: SimulatedIcloud
) -> None:
    icloud.account("anna@icloud.com").add_calendar("Work", id="other-work")
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=f"{LOGIN}Work\n")
    assert "2 calendars are named 'Work'; enter the number instead" in ended.err
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=f"{LOGIN}7\n")
    assert ended.status == 0, ended.err
    assert str(load_config(person.config, {}).profiles["anna"].primary) == "anna/other-work"


def test_scripts_need_no_answers(person: Person, icloud: SimulatedIcloud) -> None:
    secret = person.home / "secret"
    secret.write_text(f"{PASSWORD.replace('-', ' ').upper()}\n")
    ended = person.run(
        "setup", "--url", icloud.bootstrap_url, "--username", "anna@icloud.com", "--password-file", str(secret),
        "--name", "work", "--profile", "boss", "--primary", "Work", "--conflicts", "Home,Family", "--timezone",
        "Europe/Berlin", "--yes",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    assert "account.apple.com in a browser" not in ended.out
    config = load_config(person.config, {})
    assert [str(one) for one in config.profiles["boss"].conflicts] == ["work/Home", "work/Family"]
    assert CredentialStore(person.state, {}).get("work") == Secret(PASSWORD)


def test_the_first_line_of_standard_input_may_be_the_password(person: Person, icloud: SimulatedIcloud) -> None:
    words = ("setup", "--url", icloud.bootstrap_url, "--username", "anna@icloud.com", "--password-stdin", "--yes")
    assert person.run(*words, typed=f"{PASSWORD}\n").status == 0


def test_what_has_no_default_must_be_given_with_yes(person: Person) -> None:
    ended = person.run("setup", "--yes")
    assert ended.status == 64
    assert ended.err == (
        "busyd: Apple ID: there is no default for this; nothing was saved\n       pass --username NAME\n"
    )


def test_the_password_typed_at_a_terminal_is_not_shown(person: Person, icloud: SimulatedIcloud) -> None:
    status, seen = person.at_terminal(
        "setup", "--url", icloud.bootstrap_url,
        answers=[("Apple ID:", "anna@icloud.com"), ("App-specific password:", PASSWORD), ("Primary calendar", "2"),
                 ("Conflict calendars", ""), ("Name of the person", ""), ("Time zone", "Europe/Berlin"),
                 ("Write ", "y")],
    )  # fmt: skip
    assert status == 0, seen
    assert "anna@icloud.com" in seen
    assert PASSWORD not in seen
    assert str(load_config(person.config, {}).profiles["anna"].primary) == "anna/Work"


def test_at_a_terminal_what_is_wrong_is_asked_again(person: Person, icloud: SimulatedIcloud) -> None:
    status, seen = person.at_terminal(
        "setup", "--url", icloud.bootstrap_url,
        answers=[("Apple ID:", "+49 170 1234567"), ("Apple ID:", "anna@icloud.com"),
                 ("App-specific password:", "wxyz-wxyz-wxyz-wxyz"), ("App-specific password:", PASSWORD),
                 ("Primary calendar", "Wrok"), ("Primary calendar", "Work"), ("Conflict calendars", ""),
                 ("Name of the person", ""), ("Time zone", "Berlin"), ("Time zone", "Europe/Berlin"), ("Write ", "")],
    )  # fmt: skip
    assert status == 0, seen
    assert "this is a phone number" in seen
    assert "refused this Apple ID" in seen
    assert "did you mean 'Work'?" in seen
    assert "did you mean 'Europe/Berlin'?" in seen


def test_stopping_before_the_end_saves_nothing(person: Person, icloud: SimulatedIcloud) -> None:
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=f"{LOGIN}1\nall\nanna\nUTC\nn\n")
    assert ended.status == 1
    assert ended.err.endswith("busyd: stopped; nothing was saved\n")
    assert person.files == []


def test_a_second_account_goes_into_a_file_of_its_own(person: Person, icloud: SimulatedIcloud) -> None:
    icloud.add_account("ben@icloud.com").add_default_calendars()
    person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    before = person.config.read_bytes()
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN.replace("anna", "ben"))
    assert ended.status == 0, ended.err
    assert person.config.read_bytes() == before
    assert (person.config.parent / "config.d" / "ben.yaml").is_file()
    assert list(load_config(person.config, {}).profiles) == ["anna", "ben"]
    assert CredentialStore(person.state, {}).names() == ["anna", "ben"]


def test_a_further_account_of_the_same_person_goes_into_the_profile_that_is_there(
    person: Person, icloud: SimulatedIcloud
) -> None:
    icloud.add_account("ben@icloud.com").add_default_calendars()
    person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    typed = f"{LOGIN.replace('anna', 'ben')}anna\nHome,Work\n"
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=typed)
    assert ended.status == 0, ended.err
    assert "Whose calendars are these? (anna; a new name for another person; or 'none')" in ended.err
    assert "Primary calendar" not in ended.err
    assert "Time zone" not in ended.err
    profile = load_config(person.config, {}).profiles["anna"]
    assert str(profile.primary) == "anna/Home"
    assert [str(one) for one in profile.conflicts] == ["anna/*", "ben/Home", "ben/Work"]


def test_a_misspelt_person_is_no_other_person_before_it_is_typed_twice(person: Person, icloud: SimulatedIcloud) -> None:
    icloud.add_account("ben@icloud.com").add_default_calendars()
    person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    status, seen = person.at_terminal(
        "setup", "--url", icloud.bootstrap_url, "--username", "ben@icloud.com",
        answers=[("App-specific password:", PASSWORD), ("Whose calendars", "ana"), ("Whose calendars", "anna"),
                 ("Conflict calendars", ""), ("Write ", "")],
    )  # fmt: skip
    assert status == 0, seen
    assert "there is no 'ana' yet, did you mean 'anna'? Type it again for another person of that name" in seen
    assert list(load_config(person.config, {}).profiles) == ["anna"]


def test_what_is_said_on_a_terminal_is_folded_between_words(person: Person, icloud: SimulatedIcloud) -> None:
    status, seen = person.at_terminal(
        "setup", "--url", icloud.bootstrap_url, "--username", "anna@icloud.com",
        answers=[("App-specific password:", "mistyped"), ("App-specific password:", PASSWORD), ("Primary calendar", ""),
                 ("Conflict calendars", ""), ("Name of the person", ""), ("Time zone", "UTC"), ("Write ", "")],
    )  # fmt: skip
    assert status == 0, seen
    told = seen.partition("The login works")[0]
    assert "This does not look like an app-specific password" in told
    assert [line for line in told.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/cal/holidays.ics", "holidays"),
        ("https://calendar.google.com/calendar/ical/a%40example.org/private-0123456789abcdef/basic.ics", "google"),
        ("webcal://p01-caldav.icloud.com/published/2/MTIzNDU2Nzg5MDEyMzQ1Nq", "icloud"),
        ("https://dav.example.org/feeds/hunter2.ics", "example"),
    ],
)
def test_a_feed_is_never_named_after_its_secret(url: str, name: str) -> None:
    assert _name_of_address(url) == name


def test_a_machine_in_utc_is_no_answer_to_where_a_person_lives(person: Person, icloud: SimulatedIcloud) -> None:
    icloud.add_account("ben@icloud.com").add_calendar("Work", id="work")
    status, seen = person.at_terminal(
        "setup", "--url", icloud.bootstrap_url, "--username", "ben@icloud.com",
        answers=[("App-specific password:", PASSWORD), ("Primary calendar", ""), ("Conflict calendars", ""),
                 ("Name of the person", ""), ("Time zone:", ""), ("Time zone:", "Europe/Berlin"), ("Write ", "")],
    )  # fmt: skip
    assert status == 0, seen
    assert "ATTENTION: this machine is set to UTC" in seen
    assert "an answer is required" in seen
    assert load_config(person.config, {}).profiles["ben"].timezone == "Europe/Berlin"


def test_a_password_that_was_mistyped_or_left_out_is_asked_for_again(person: Person, icloud: SimulatedIcloud) -> None:
    words = ("App-specific password:", "not app-specific")
    status, seen = person.at_terminal(
        "setup", "--url", icloud.bootstrap_url, "--username", "anna@icloud.com",
        answers=[words, words, ("App-specific password:", ""), words, ("App-specific password:", PASSWORD),
                 ("Primary calendar", ""), ("Conflict calendars", ""), ("Name of the person", ""),
                 ("Time zone", "Europe/Berlin"),
                 ("Write ", "")],
    )  # fmt: skip
    assert status == 0, seen
    assert len(icloud.log.requests()) > 0


def test_the_same_account_again_is_pointed_to_its_password(person: Person, icloud: SimulatedIcloud) -> None:
    person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    icloud.log.clear()
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    assert ended.status == 1
    assert "this account is already connected, as anna" in ended.err
    assert "`busyd credential set anna`" in ended.err
    assert icloud.log.requests() == []


def test_a_faulty_configuration_is_not_added_to(person: Person, icloud: SimulatedIcloud) -> None:
    person.configure("lisen: x\n")
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    assert ended.status == 78
    assert "did you mean 'listen'?" in ended.err
    assert icloud.log.requests() == []


def test_what_cannot_be_written_leaves_no_password_behind(person: Person, icloud: SimulatedIcloud) -> None:
    (person.home / ".config").write_text("in the way")
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    assert ended.status == 1
    assert "cannot write" in ended.err
    assert CredentialStore(person.state, {}).names() == []


def test_another_server_is_set_up_alike(person: Person, tmp_path: Path) -> None:
    with radicale(tmp_path) as server:
        typed = f"{server.url}\n{USER}\n{RADICALE_PASSWORD}\n"
        ended = person.run("setup", "--kind", "caldav", typed=typed)
    assert ended.status == 0, ended.err
    assert "app-specific" not in ended.out + ended.err
    config = load_config(person.config, {})
    assert config.connections["anna"].connection.url == server.url
    assert str(config.profiles["anna"].primary) == "anna/Work"


def test_a_stored_password_of_another_connection_is_never_overwritten(person: Person, icloud: SimulatedIcloud) -> None:
    person.configure("connections:\n  mine: {username: other@icloud.com, password: {credential: anna}}\n")
    CredentialStore(person.state, {}).set("anna", Secret("of another account"))
    ended = person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    assert ended.status == 0, ended.err
    assert (person.config.parent / "config.d" / "anna-2.yaml").is_file()
    assert CredentialStore(person.state, {}).get("anna") == Secret("of another account")


@pytest.mark.parametrize(("group", "mode"), [(None, 0o644), ("busyd", 0o640)])
def test_the_systems_configuration_can_be_read_by_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str | None, mode: int
) -> None:
    known = {"busyd": grp.getgrgid(os.getgid())} if group else {}
    monkeypatch.setattr(setup_file, "_SYSTEM", tmp_path)
    monkeypatch.setattr(grp, "getgrnam", known.__getitem__)
    connection = Connection("holidays", ConnectionKind.ICS, "https://example.org/x.ics")
    text = setup_file.render(connection, None, has_password=False, label="")
    place, store = setup_file.ConfigTarget(tmp_path / "config.yaml", None), CredentialStore(tmp_path, {})
    file = setup_file.save(place, "holidays", text=text, password=None, store=store)
    assert file.stat().st_mode & 0o777 == mode


def test_a_feed_needs_only_its_address(person: Person, icloud: SimulatedIcloud) -> None:
    person.run("setup", "--url", icloud.bootstrap_url, typed=LOGIN)
    url = f"{icloud.feeds_url}holidays/de_de.ics"
    ended = person.run("setup", "--kind", "ics", "--url", url, "--name", "holidays", "--yes")
    assert ended.status == 0, ended.err
    assert "to use it in an existing profile, add 'holidays' to the conflicts of that profile" in ended.out
    assert load_config(person.config, {}).connections["holidays"].password is None
    assert CredentialStore(person.state, {}).names() == ["anna"]


def test_a_name_nobody_may_have_is_refused(person: Person) -> None:
    ended = person.run("setup", "--username", "anna@icloud.com", "--name", "Anna Maria", "--yes")
    assert ended.status == 64
    assert "is not a name" in ended.err


def test_names_that_yaml_would_read_otherwise_survive(person: Person, icloud: SimulatedIcloud) -> None:
    icloud.account("anna@icloud.com").add_calendar("Büro: 50 % #1, 'ja'", id="odd")
    words = ("setup", "--url", icloud.bootstrap_url, "--username", "anna@icloud.com", "--password-stdin", "--yes")
    ended = person.run(*words, "--primary", "odd", typed=f"{PASSWORD}\n")
    assert ended.status == 0, ended.err
    assert str(load_config(person.config, {}).profiles["anna"].primary) == "anna/Büro: 50 % #1, 'ja'"
