"""`busyd credential`: set, list and remove, without ever showing one."""

import io
import sys
from pathlib import Path

import pytest

from busyd.credentials import Secret
from busyd.credentials.store import CredentialStore
from tests.cli.conftest import Busyd

APP_PASSWORD = "abcd-efgh-ijkl-mnop"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Standard input that holds nothing until a test says so."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    return monkeypatch


def stored(home: Path, name: str) -> Secret | None:
    return CredentialStore(home / ".local/state/busyd", {}).get(name)


def test_a_password_is_taken_from_standard_input(busyd: Busyd, home: Path, typed: pytest.MonkeyPatch) -> None:
    typed.setattr(sys, "stdin", io.StringIO(f"{APP_PASSWORD}\n"))
    ran = busyd("credential", "set", "anna")
    assert (ran.status, ran.out, ran.err) == (0, "stored anna\n", "")
    assert stored(home, "anna") == Secret(APP_PASSWORD)


def test_a_password_for_icloud_is_stored_as_apple_shows_it(busyd: Busyd, home: Path, typed: pytest.MonkeyPatch) -> None:
    typed.setattr(sys, "stdin", io.StringIO("ABCD EFGH ijklmnop\n"))
    assert busyd("credential", "set", "anna").status == 0
    assert stored(home, "anna") == Secret(APP_PASSWORD)


def test_a_password_that_nobody_links_to_icloud_stays_as_it_is(
    busyd: Busyd, home: Path, typed: pytest.MonkeyPatch
) -> None:
    typed.setattr(sys, "stdin", io.StringIO("ABCD EFGH ijklmnop\n"))
    told = busyd("credential", "set", "other").err
    assert told == "no connection uses it yet; refer to it by `password: {credential: other}`\n"
    assert stored(home, "other") == Secret("ABCD EFGH ijklmnop")


def test_an_ordinary_password_for_icloud_is_stored_with_a_word_of_warning(
    busyd: Busyd, home: Path, typed: pytest.MonkeyPatch
) -> None:
    typed.setattr(sys, "stdin", io.StringIO("hunter2\n"))
    ran = busyd("credential", "set", "anna")
    assert ran.status == 0
    assert "does not look like an app-specific password" in ran.err
    assert "hunter2" not in ran.err + ran.out
    assert stored(home, "anna") == Secret("hunter2")


def test_on_a_terminal_it_is_asked_for_without_an_echo(busyd: Busyd, home: Path, typed: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    typed.setattr(terminal, "isatty", lambda: True)
    typed.setattr(sys, "stdin", terminal)
    typed.setattr("getpass.getpass", lambda prompt: APP_PASSWORD if prompt == "Password for anna: " else "")
    assert busyd("credential", "set", "anna").status == 0
    assert stored(home, "anna") == Secret(APP_PASSWORD)


@pytest.mark.parametrize("given", ["", "\n", "a\x1b[Ab\n"])
def test_nothing_or_nonsense_stores_nothing(busyd: Busyd, home: Path, typed: pytest.MonkeyPatch, given: str) -> None:
    typed.setattr(sys, "stdin", io.StringIO(given))
    assert busyd("credential", "set", "anna").status == 1
    assert not (home / ".local/state/busyd").exists()


def test_the_list_shows_names_and_who_uses_them(busyd: Busyd, typed: pytest.MonkeyPatch) -> None:
    assert busyd("credential", "list").out == "no passwords are stored\n"
    for name in ("anna", "old"):
        typed.setattr(sys, "stdin", io.StringIO(f"{APP_PASSWORD}\n"))
        busyd("credential", "set", name)
    ran = busyd("credential", "list")
    assert ran.out.splitlines() == ["NAME  USED BY", "anna  anna", "old   none"]
    assert busyd("credential", "list", "--json").json == [
        {"name": "anna", "connections": ["anna"]},
        {"name": "old", "connections": []},
    ]


def test_a_password_can_be_removed_once(busyd: Busyd, home: Path, typed: pytest.MonkeyPatch) -> None:
    typed.setattr(sys, "stdin", io.StringIO(f"{APP_PASSWORD}\n"))
    busyd("credential", "set", "anna")
    ran = busyd("credential", "remove", "anna")
    assert (ran.status, ran.out) == (0, "removed anna\n")
    assert ran.err == "warning: the configuration still refers to it (connections: anna)\n"
    assert stored(home, "anna") is None
    assert busyd("credential", "remove", "anna").status == 1


def test_with_a_named_state_no_configuration_is_needed(busyd: Busyd, home: Path, typed: pytest.MonkeyPatch) -> None:
    (home / ".config/busyd/config.yaml").unlink()
    typed.setattr(sys, "stdin", io.StringIO("x\n"))
    assert busyd("credential", "set", "anna", "--state", str(home / "state")).status == 0
    assert CredentialStore(home / "state", {}).get("anna") == Secret("x")
