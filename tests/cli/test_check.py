"""`busyd check`: all faults, or what would be linked."""

import sys
import tomllib
from pathlib import Path

import pytest

from busyd.credentials import Secret
from busyd.credentials.store import CredentialStore
from busyd.service.storage import REQUIREMENT
from tests.cli.conftest import Busyd
from tests.postgres import PostgresServer


def test_a_right_configuration_tells_what_would_be_linked(busyd: Busyd, home: Path) -> None:
    ran = busyd("check")
    assert ran.status == 0
    assert ran.out.splitlines() == [
        f"{home}/.config/busyd/config.yaml: valid (2 connections, 1 profile)",
        "",
        "PROFILE  PRIMARY    CONFLICTS  TIME ZONE",
        "anna     anna/Work  anna/*     Europe/Berlin",
    ]


def test_a_password_that_is_not_there_is_a_warning(busyd: Busyd) -> None:
    ran = busyd("check")
    assert ran.err.startswith("connection anna: there is no credential named anna; store it with")
    assert len(ran.err.splitlines()) == 1


def test_a_command_for_a_password_is_not_run(busyd: Busyd, home: Path) -> None:
    path = home / ".config/busyd/config.yaml"
    path.write_text(path.read_text().replace("{credential: anna}", f"{{command: [touch, {home}/ran]}}"))
    assert busyd("check").err == ""
    assert not (home / "ran").exists()


def test_faults_are_told_one_in_a_line_with_status_78(busyd: Busyd, home: Path) -> None:
    path = home / "bad.yaml"
    path.write_text("lisen: x\nprofiles:\n  anna: {max_age: 15}\n")
    ran = busyd("check", "--config", str(path))
    assert ran.status == 78
    assert ran.out == ""
    assert ran.err.splitlines() == [
        f"{path}:1:1: unknown key 'lisen' in the configuration, did you mean 'listen'?",
        f"{path}:3:19: max_age: '15' has no unit, did you mean '15s' or '15m'?",
        "busyd: 2 errors in the configuration",
    ]


def test_a_missing_library_for_the_database_is_told_by_line_together_with_other_faults(
    busyd: Busyd, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "busyd.store.postgresql.storage", None)
    path = home / "bad.yaml"
    path.write_text(f"store: postgresql://busyd@/busyd\ntls: {{cert: {path}, key: {path}}}\n")
    ran = busyd("check", "--config", str(path))
    assert ran.status == 78
    library, cert = ran.err.splitlines()[:2]
    assert library.startswith(f"{path}:1:1: `store:` names a PostgreSQL database, and the library for it cannot be")
    assert library.endswith(f"install it: {sys.executable} -m pip install '{REQUIREMENT}'")
    assert cert.startswith(f"{path}:2:13: cert: ")


def test_the_requirement_of_the_database_is_that_of_the_extra() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["postgresql"] == [REQUIREMENT]


def test_faults_as_json_have_their_places(busyd: Busyd, home: Path) -> None:
    path = home / "bad.yaml"
    path.write_text("state:\n")
    ran = busyd("check", "--json", "--config", str(path))
    assert ran.status == 78
    assert ran.json["faults"] == [{"file": str(path), "line": 1, "column": 7, "message": "state: the value is missing"}]


def test_what_would_be_linked_as_json_shows_no_password(busyd: Busyd) -> None:
    ran = busyd("check", "--json")
    assert ran.json["ok"] is True
    assert ran.json["connections"][1] == {
        "name": "team",
        "kind": "caldav",
        "password": "environment variable TEAM_PASSWORD",
    }
    assert ran.json["profiles"][0]["conflicts"] == ["anna/*"]
    assert "team-canary" not in ran.out


def test_passwords_that_wait_for_a_move_of_the_stores_are_not_to_be_stored_again(
    busyd: Busyd, home: Path, postgres: PostgresServer
) -> None:
    path, state = home / ".config/busyd/config.yaml", home / ".local/state/busyd"
    plain, store = path.read_text(), f"store: {postgres.new_database().conninfo}\n"
    assert busyd("token", "add", "anna").status == 0
    CredentialStore(state, {}).set("anna", Secret("abcd-efgh-ijkl-mnop"))
    path.write_text(plain + store)
    checked = busyd("check")
    assert checked.status == 0
    assert len(checked.err.splitlines()) == 1
    assert "move it there with `busyd migrate-store postgresql`" in checked.err
    assert "the stored passwords move with it" in checked.err
    moved = busyd("migrate-store", "postgresql")
    assert moved.status == 0, moved.err
    assert busyd("check").err == ""
    path.write_text(plain)
    checked = busyd("check")
    assert len(checked.err.splitlines()) == 1
    assert "bring it back with `busyd migrate-store sqlite`" in checked.err
