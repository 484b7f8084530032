"""`check` and `doctor` as root for a daemon of another user: what that user may not read is told, with the cure."""

import encodings.idna  # noqa: F401 - loaded before this process is somebody who may not read it
import os
from pathlib import Path

import pytest

import busyd.cli.doctor  # noqa: F401 - likewise
from busyd.cli.unit_credentials import parse_sources
from tests.cli.conftest import Busyd, write_config
from tests.other_user import NOBODY, being_nobody, give_to_nobody


@pytest.fixture
def config(foreign_state: Path) -> Path:
    """A configuration beside the state of `nobody`, where `nobody` can reach it."""
    folder = foreign_state.parent / "etc"
    folder.mkdir(mode=0o755)
    path = folder / "config.yaml"
    path.write_text(
        f"listen: unix:{foreign_state}/s\nstate: {foreign_state}\n"
        "connections:\n  anna: {username: anna@icloud.com, password: {file: pw}}\n"
    )
    (folder / "pw").write_text("abcd-efgh-ijkl-mnop\n")
    return path


def test_a_password_file_that_its_user_may_not_read_is_told_with_the_cure(busyd: Busyd, config: Path) -> None:
    secret = config.parent / "pw"
    assert busyd("--config", str(config), "check").status == 0
    secret.chmod(0o600)
    ran = busyd("--config", str(config), "check")
    assert ran.status == 78
    assert f"{config}:4:47: password: user nobody may not read {secret}: run `chgrp nogroup {secret}`" in ran.err
    assert "`chmod 640" in ran.err
    give_to_nobody(secret)
    assert busyd("--config", str(config), "check").status == 0
    assert os.geteuid() == 0


def test_a_configuration_that_its_user_may_not_read_is_told_with_the_cure(busyd: Busyd, config: Path) -> None:
    config.chmod(0o600)
    ran = busyd("--config", str(config), "check")
    assert ran.status == 78
    assert f"{config}:1:1: user nobody may not read {config}: " in ran.err
    assert busyd("--config", str(config), "doctor").status == 78


@pytest.mark.parametrize(("mode", "owner"), [(0o600, 0), (0o640, 0), (0o640, NOBODY.pw_uid), (0o644, 0)])
def test_one_advice_makes_a_configuration_with_a_password_in_it_acceptable(
    busyd: Busyd, config: Path, mode: int, owner: int
) -> None:
    config.write_text(config.read_text().replace("{file: pw}", "abcd-efgh-ijkl-mnop"))
    os.chown(config, owner, NOBODY.pw_gid)
    config.chmod(mode)
    told = busyd("--config", str(config), "check")
    assert told.status == 78
    assert f"`chmod 600 {config}`" in told.err
    assert (f"`chown nobody: {config}`" in told.err) == (owner == 0)
    give_to_nobody(config)
    config.chmod(0o600)
    done = busyd("--config", str(config), "check")
    assert done.status == 0
    assert "stored in plain text" in done.err


def test_a_store_of_passwords_that_is_a_link_is_told_as_one(busyd: Busyd, config: Path, foreign_state: Path) -> None:
    closed = config.parent / "closed"
    closed.mkdir(mode=0o700)
    (foreign_state / "credentials").symlink_to(closed / "credentials")
    config.write_text(config.read_text().replace("{file: pw}", "{credential: anna}"))
    told = busyd("--config", str(config), "check").err
    assert f"{foreign_state}/credentials is a symbolic link to where user nobody may not go; " in told
    assert "root" not in told


def test_a_directory_that_its_user_may_not_enter_is_named(busyd: Busyd, config: Path) -> None:
    closed = config.parent / "closed"
    closed.mkdir(mode=0o700)
    (closed / "pw").write_text("abcd-efgh-ijkl-mnop\n")
    (closed / "c.pem").write_text("")
    text = config.read_text().replace("{file: pw}", "{file: closed/pw}")
    config.write_text(f"{text}tls: {{cert: closed/c.pem, key: closed/c.pem}}\n")
    told = busyd("--config", str(config), "check").err
    assert told.count(f"user nobody may not enter {closed}: ") == 3


def test_root_runs_the_command_of_a_password_as_the_user_of_the_daemon(busyd: Busyd, config: Path) -> None:
    program = config.parent / "program"
    program.write_text('#!/bin/sh\nid -u >> "$(dirname "$0")/ran"\necho abcd-efgh-ijkl-mnop\n')
    program.chmod(0o755)
    ran = config.parent / "ran"
    ran.touch(mode=0o666)
    ran.chmod(0o666)
    text = config.read_text().replace("{username", "{kind: caldav, url: 'http://127.0.0.1:1/', username")
    config.write_text(text.replace("{file: pw}", f"{{command: [{program}]}}"))
    busyd("--config", str(config), "check", "--online")
    assert ran.read_text().split() == [str(NOBODY.pw_uid)]


@pytest.mark.parametrize("words", [["doctor"], ["token", "list"], ["token", "add", "anna"], ["status"], ["reload"]])
def test_a_state_that_may_not_be_entered_is_told_and_not_a_crash(
    busyd: Busyd, foreign_state: Path, words: list[str]
) -> None:
    config = write_config(foreign_state.parent, f"unix:{foreign_state}/s")
    os.chown(foreign_state, 0, 0)
    with being_nobody():
        ran = busyd("--config", str(config), "--state", str(foreign_state), *words)
    assert ran.status not in (0, 130)
    assert "may not" in ran.err + ran.out


def test_where_the_unit_loads_its_credentials_from_is_read_from_its_files() -> None:
    text = (
        "# /etc/systemd/system/busyd.service.d/c.conf\n[Service]\nLoadCredential=anna:/etc/busyd/anna\n"
        "LoadCredentialEncrypted = ben:/etc/credstore.encrypted/ben\n#LoadCredential=no:/x\nLoadCredential=rel:name\n"
    )
    assert parse_sources(text) == {"anna": Path("/etc/busyd/anna"), "ben": Path("/etc/credstore.encrypted/ben")}
