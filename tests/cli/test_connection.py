"""`busyd connection`: accounts are added as setup adds them, listed without secrets, and taken out again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from busyd.config import load_config
from busyd.credentials import Secret
from busyd.credentials.store import CredentialStore
from tests.cli.person import PASSWORD, Person
from tests.icloud import SimulatedIcloud

WRITTEN = """\
# My calendars. The order matters to me.
connections:
  anna: {username: anna@icloud.com, password: {credential: anna}}   # private
  work:
    kind: caldav
    url: https://dav.example.org/
    username: anna
    password: {credential: work}
  holidays: {kind: ics, url: 'https://example.org/s3cret/x.ics'}
profiles:
  anna:
    timezone: Europe/Berlin  # where I live
    primary: work/Plan
    conflicts: ["anna/*", work/Team, holidays]
    calendars: {work/Team: {all_day: free}}
  boss: {timezone: Europe/Berlin, conflicts: [work/Team]}
"""


@pytest.fixture
def person(tmp_path: Path) -> Person:
    home = tmp_path / "person"
    home.mkdir()
    return Person(home)


@pytest.fixture
def icloud() -> Iterator[SimulatedIcloud]:
    with SimulatedIcloud.in_thread() as running:
        running.add_account("anna@icloud.com", password=PASSWORD).add_default_calendars()
        yield running


def test_an_account_is_added_listed_and_removed(person: Person, icloud: SimulatedIcloud) -> None:
    words = ("--url", icloud.bootstrap_url, "--username", "anna@icloud.com", "--password-stdin", "--yes")
    added = person.run("connection", "add", *words, typed=f"{PASSWORD}\n")
    assert added.status == 0, added.err
    assert added.out.endswith("next: start it with `busyd run`\n")
    [row] = person.run("connection", "list", "--json").json
    assert (row["name"], row["username"], row["profiles"]) == ("anna", "anna@icloud.com", ["anna"])
    removed = person.run("connection", "remove", "anna", "--yes")
    assert removed.status == 0, removed.err
    assert "profile anna has no other calendar, so it goes as well" in removed.out
    assert load_config(person.config, {}).connections == {}
    assert CredentialStore(person.state, {}).names() == []
    assert "no account is connected" in person.run("connection", "list").out


def test_what_names_a_connection_goes_with_it_and_the_rest_stays_as_it_was_written(person: Person) -> None:
    person.configure(WRITTEN)
    for name in ("anna", "work"):
        CredentialStore(person.state, {}).set(name, Secret("stored"))
    removed = person.run("connection", "remove", "work", typed="y\n")
    assert removed.status == 0, removed.err
    assert removed.out.splitlines()[:4] == [
        "profile boss has no other calendar, so it goes as well",
        "profile anna has no primary any more (work/Plan)",
        "profile anna no longer counts work/Team",
        "the rules of profile anna for work/Team go",
    ]
    text = person.config.read_text()
    assert "# My calendars. The order matters to me." in text
    assert "# where I live" in text
    profile = load_config(person.config, {}).profiles["anna"]
    assert (profile.primary, [str(one) for one in profile.conflicts]) == (None, ["anna/*", "holidays"])
    assert CredentialStore(person.state, {}).names() == ["anna"]


def test_who_answers_no_keeps_everything_and_a_misspelt_name_is_told(person: Person) -> None:
    person.configure(WRITTEN)
    assert person.run("connection", "remove", "work", typed="n\n").status == 1
    assert person.config.read_text() == WRITTEN
    wrong = person.run("connection", "remove", "wrok", "--yes")
    assert wrong.status == 1
    assert "there is no connection 'wrok', did you mean 'work'?" in wrong.err


def test_nobody_who_answers_is_no_consent_to_a_removal(person: Person) -> None:
    person.configure(WRITTEN)
    for typed in ("", "\n"):
        assert person.run("connection", "remove", "work", typed=typed).status == 1
        assert person.config.read_text() == WRITTEN


def test_the_list_shows_no_secret(person: Person) -> None:
    person.configure(WRITTEN)
    for words in (("connection", "list"), ("connection", "list", "--json")):
        shown = person.run(*words)
        assert "s3cret" not in shown.out + shown.err
        assert "https://example.org/…" in shown.out


def test_a_connection_in_a_file_of_its_own_goes_with_the_file(person: Person) -> None:
    person.configure(WRITTEN)
    extra = person.config.parent / "config.d" / "ben.yaml"
    extra.parent.mkdir()
    extra.write_text(
        "connections: {ben: {username: ben@icloud.com, password: {credential: ben}}}\n"
        "profiles: {anna: {conflicts: [ben/Home]}}\n"
    )
    assert person.run("connection", "remove", "ben", "--yes").status == 0
    assert not extra.exists()
    assert person.config.read_text() == WRITTEN
