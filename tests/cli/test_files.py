"""Certificates, keys and sockets that cannot be used: told by place, before the daemon starts."""

from pathlib import Path

import pytest

from tests.cli.conftest import Busyd, write_config
from tests.http.test_listeners import self_signed


@pytest.fixture
def config(home: Path) -> Path:
    """A configuration with a certificate in c.pem and its key in k.pem, and another pair in tls.pem."""
    path = write_config(home, "127.0.0.1:0")
    path.write_text(path.read_text() + "tls:\n  cert: c.pem\n  key: k.pem\n")
    pair = self_signed(path.parent).read_text()
    key, begin, certificate = pair.partition("-----BEGIN CERTIFICATE-----")
    (path.parent / "c.pem").write_text(begin + certificate)
    (path.parent / "k.pem").write_text(key)
    self_signed(path.parent)
    return path


def damage(path: Path, how: str) -> None:
    """Make a file unfit."""
    text = path.read_text()
    changed = {
        "another's": (path.parent / "tls.pem").read_text(),
        "nothing": "nothing",
        "locked": text.replace("PRIVATE", "ENCRYPTED PRIVATE"),
        "cut short": text[:200],
    }
    path.unlink()
    if how == "a directory":
        path.mkdir()
    elif how == "a link to nothing":
        path.symlink_to("nothing")
    else:
        path.write_text(changed[how])


@pytest.mark.parametrize(
    ("name", "how", "place", "said"),
    [
        ("k.pem", "another's", "10:8: key: ", "does not belong"),
        ("k.pem", "nothing", "10:8: key: ", "no PEM private key"),
        ("k.pem", "locked", "10:8: key: ", "without a passphrase"),
        ("k.pem", "a directory", "10:8: key: ", "is a directory"),
        ("k.pem", "a link to nothing", "10:8: key: ", "there is no file"),
        ("c.pem", "nothing", "9:9: cert: ", "no PEM certificate"),
        ("c.pem", "cut short", "9:9: cert: ", "cannot be used"),
    ],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_certificate_that_cannot_be_used_is_a_fault_of_the_configuration(
    busyd: Busyd, config: Path, command: str, name: str, how: str, place: str, said: str
) -> None:
    damage(config.parent / name, how)
    ran = busyd(command)
    assert ran.status == 78
    assert f"{config}:{place}" in ran.err
    assert said in ran.err


def test_a_right_certificate_is_no_fault(busyd: Busyd, config: Path) -> None:
    assert busyd("check").status == 0
    assert (config.parent / "c.pem").is_file()


def test_faults_of_files_are_told_as_json_too(busyd: Busyd, config: Path) -> None:
    (config.parent / "k.pem").write_text("nothing")
    found = busyd("check", "--json")
    assert (found.status, found.json["ok"], found.json["faults"][0]["line"]) == (78, False, 10)


def test_other_commands_do_not_look_at_the_key(busyd: Busyd, config: Path) -> None:
    (config.parent / "k.pem").write_text("nothing")
    assert busyd("token", "list").status == 0


def test_a_socket_without_a_directory_is_a_fault_at_the_start_and_a_warning_before(busyd: Busyd, home: Path) -> None:
    path = write_config(home, "unix:/nonexistent/busyd.sock")
    ran = busyd("run")
    assert ran.status == 78
    assert f"{path}:2:9: listen: there is no directory /nonexistent; create it" in ran.err
    checked = busyd("check")
    assert checked.status == 0
    assert "there is no directory /nonexistent" in checked.err


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("file", "exists and is not a socket"),
        ("file/s", "is not a directory"),
        ("x" * 120, "a socket path can have at most 107"),
    ],
)
def test_a_path_where_no_socket_can_be_is_a_fault_at_the_start(
    busyd: Busyd, home: Path, listen: str, said: str
) -> None:
    (home / "file").write_text("precious")
    path = write_config(home, f"unix:{home}/{listen}")
    ran = busyd("run")
    assert ran.status == 78
    assert f"{path}:2:9: listen: " in ran.err
    assert said in ran.err
    assert (home / "file").read_text() == "precious"
