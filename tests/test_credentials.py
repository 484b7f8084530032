"""Passwords: hiding them, reading them from every source, and the encrypted store."""

import copy
import json
import os
import pickle
import select
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.credentials import (
    CredentialMissing,
    FromCommand,
    FromCredential,
    FromEnvironment,
    FromFile,
    Literal,
    PasswordSource,
    Secret,
    looks_app_specific,
    normalise_app_specific,
    read_password,
    source,
)
from busyd.credentials.key import StoreKey
from busyd.credentials.sealed_secrets import SealedSecrets
from busyd.credentials.store import CredentialStore
from busyd.errors import Misconfigured
from tests.other_user import NOBODY, owners

CANARY = "hunter2-canary"


def read(wanted: PasswordSource, state: Path, *, environment: dict[str, str] | None = None) -> str:
    return read_password(wanted, state, environment=environment or {}).reveal()


def print_command(text: str) -> FromCommand:
    return FromCommand((sys.executable, "-c", f"print({text!r}, end='')"))


# Hiding


@given(st.text(min_size=6).filter(lambda text: text.strip("*Secrt()") != ""))
def test_a_secret_never_shows_itself_as_text(text: str) -> None:
    secret = Secret(text)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", "%s" % secret, repr(Literal(secret))]  # noqa: UP031
    assert not any(text in one for one in shown)


def test_a_secret_is_not_pickled_not_even_inside_an_error() -> None:
    for holder in (Secret(CANARY), Literal(Secret(CANARY)), ValueError(Secret(CANARY))):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(holder)


def test_a_secret_has_no_dict_and_is_not_json() -> None:
    assert not hasattr(Secret(CANARY), "__dict__")
    with pytest.raises(TypeError):
        json.dumps(Secret(CANARY))


def test_a_copied_secret_is_the_same_secret() -> None:
    secret = Secret(CANARY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_a_secret_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Secret(CANARY)._value = "other"


@given(st.text(), st.text())
def test_secrets_are_equal_exactly_when_their_texts_are(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) == (one == other)
    assert hash(Secret(one)) == hash(Secret(one))
    assert Secret(one) != one


# Shapes


@pytest.mark.parametrize(
    "text",
    ["abcd-efgh-ijkl-mnop", "abcdefghijklmnop", "abcd efgh ijkl mnop", " ABCD-efgh-ijkl-mnop\n", "abcd–efgh–ijkl–mnop"],  # noqa: RUF001
)
def test_an_app_specific_password_is_known_in_every_grouping(text: str) -> None:
    assert looks_app_specific(text)
    assert normalise_app_specific(text) == "abcd-efgh-ijkl-mnop"


@pytest.mark.parametrize(
    "text", ["", "hunter2", "abcd-efgh-ijkl-mno1", "abcd-efgh-ijkl", "abcdefghijklmnopq", "äbcd" * 4]
)
def test_any_other_text_is_not_one_and_stays_as_it_is(text: str) -> None:
    assert not looks_app_specific(text)
    assert normalise_app_specific(text) == text


# Sources


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_a_file_gives_its_line_without_the_newline(tmp_path: Path, ending: str) -> None:
    (tmp_path / "password").write_bytes(f" p w ü{ending}".encode())
    assert read(FromFile(tmp_path / "password"), tmp_path) == " p w ü"


def test_a_variable_gives_its_value_from_the_environment_that_was_passed(tmp_path: Path) -> None:
    assert read(FromEnvironment("PW"), tmp_path, environment={"PW": CANARY}) == CANARY


def test_a_command_does_not_get_the_passwords_of_other_connections(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", "import os; print('PW' in os.environ, 'HOME' in os.environ)")
    source = FromCommand(argv, hidden=frozenset({"PW"}))
    told = read_password(source, tmp_path, environment={"PW": "hunter2-canary", "HOME": "/"})
    assert told.reveal() == "False True"


def test_a_command_gives_what_it_prints_in_the_environment_that_was_passed(tmp_path: Path) -> None:
    command = FromCommand((sys.executable, "-c", "import os; print(os.environ['PW'])"))
    assert read(command, tmp_path, environment={"PW": CANARY}) == CANARY


def test_a_command_is_not_run_by_a_shell(tmp_path: Path) -> None:
    assert read(print_command("$HOME;`id`"), tmp_path) == "$HOME;`id`"


def test_a_systemd_credential_wins_over_the_store(tmp_path: Path) -> None:
    given_directory = tmp_path / "credentials.d"
    given_directory.mkdir()
    environment = {"CREDENTIALS_DIRECTORY": str(given_directory)}
    CredentialStore(tmp_path, environment).set("anna", Secret("stored"))
    assert read(FromCredential("anna"), tmp_path, environment=environment) == "stored"
    (given_directory / "anna").write_text("given\n")
    assert read(FromCredential("anna"), tmp_path, environment=environment) == "given"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (FromCredential("anna"), "there is no credential named anna"),
        (FromCredential("../secret"), "'../secret' is not a valid credential name"),
        (FromCredential("busyd-key"), "'busyd-key' is not a valid credential name"),
        (FromEnvironment("PW"), "the environment variable PW is not set"),
        (FromEnvironment("EMPTY"), "the environment variable EMPTY is empty"),
        (FromCommand(("/nonexistent/prog", "x")), "cannot run the password command prog: no such file or directory"),
        (FromCommand(("sh", "-c", "exit 3")), "sh failed with exit status 3"),
        (FromCommand(("true",)), "the output of true is empty"),
        (FromCommand(("printf", r"a\nb")), "the output of printf contains more than one line, or control characters"),
        (FromCommand(("printf", r"\377")), "the output of printf is not UTF-8 text"),
        (FromCommand(("a\0b",)), "cannot run the password command a\0b: invalid command"),
    ],
)
def test_a_password_that_cannot_be_had_is_explained(tmp_path: Path, wanted: PasswordSource, message: str) -> None:
    environment = {"EMPTY": "", "PATH": os.environ["PATH"]}
    with pytest.raises(CredentialMissing) as raised:
        read_password(wanted, tmp_path, environment=environment)
    assert str(raised.value) == message
    assert raised.value.fix


def test_a_missing_file_and_a_directory_are_explained(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none", "no such file or directory"), (tmp_path, "is a directory")):
        with pytest.raises(CredentialMissing, match=f"cannot read the password from {path}: {reason}"):
            read_password(FromFile(path), tmp_path, environment={})


def test_endless_files_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(CredentialMissing, match="not a regular file"):
        read_password(FromFile(Path("/dev/zero")), tmp_path, environment={})
    (tmp_path / "big").write_bytes(b"x" * 70_000)
    with pytest.raises(CredentialMissing, match="too large"):
        read_password(FromFile(tmp_path / "big"), tmp_path, environment={})


def test_what_a_command_says_on_standard_error_is_not_repeated(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CredentialMissing) as raised:
        read_password(FromCommand(("sh", "-c", f"echo {CANARY} >&2; exit 1")), tmp_path, environment=dict(os.environ))
    assert CANARY not in f"{raised.value}{raised.value.fix}{capfd.readouterr()}"


def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "COMMAND_SECONDS", 0.3)
    hanging = FromCommand(("sh", "-c", f"sleep 987 & echo $! > {tmp_path}/pid; wait"))
    with pytest.raises(CredentialMissing, match="sh printed no password within"):
        read_password(hanging, tmp_path, environment=dict(os.environ))
    child = int((tmp_path / "pid").read_text())
    with suppress(
        ProcessLookupError
    ):  # already gone, or its end is near: a killed process dies when it is next scheduled
        ended, _, _ = select.select([os.pidfd_open(child)], [], [], 30)
        assert ended


def test_the_name_of_a_source_does_not_tell_arguments() -> None:
    assert str(FromCommand(("/usr/bin/pass", "show", CANARY))) == "command pass"
    assert str(Literal(Secret(CANARY))) == "the configuration file"


# The store in the state directory; what is true of one in a database as well is in `tests/store/test_stored_secrets.py`


def test_neither_name_nor_password_can_be_read_in_the_files(tmp_path: Path) -> None:
    CredentialStore(tmp_path, {}).set("findme", Secret(CANARY))
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert CANARY.encode() not in content
    assert b"findme" not in content


def test_all_files_are_private_and_nothing_is_left_over(tmp_path: Path) -> None:
    state = tmp_path / "state"
    CredentialStore(state, {}).set("anna", Secret(CANARY))
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()}
    assert modes == {"credentials": 0o600, "credentials.key": 0o600, "credentials.lock": 0o600}


def test_a_directory_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="file is not a directory"):
        CredentialStore(tmp_path / "file", {}).set("anna", Secret("x"))


def test_what_root_stores_for_a_service_belongs_to_the_user_of_the_service(foreign_state: Path) -> None:
    store = CredentialStore(foreign_state, {})
    store.set("anna", Secret(CANARY))
    assert store.names() == ["anna"]
    assert owners(foreign_state) == {NOBODY.pw_uid}
    assert {path.name for path in foreign_state.iterdir()} == {"credentials", "credentials.key", "credentials.lock"}


def test_a_link_in_the_state_of_another_user_does_not_make_root_write_elsewhere(
    foreign_state: Path, tmp_path: Path
) -> None:
    (foreign_state / "credentials.lock").symlink_to(tmp_path / "lock")
    with pytest.raises(Misconfigured, match="cannot write to"):
        CredentialStore(foreign_state, {}).set("anna", Secret(CANARY))
    assert list(tmp_path.iterdir()) == []


def test_reading_passwords_does_not_load_cryptography(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from busyd.credentials import *;"
        "read_password(FromEnvironment('PW'), Path('.'), environment={'PW': 'x'}); print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    "password", ["abcd-efgh-ijkl-mnop", "abcdefghijklmnop", "Tr0ubadour3", "correct$horse", "pa:ss*word"]
)
def test_a_password_in_the_place_of_its_name_is_not_repeated(password: str, tmp_path: Path) -> None:
    for wanted in (FromCredential(password), FromFile(tmp_path / password), FromEnvironment(password)):
        with pytest.raises(CredentialMissing) as caught:
            read_password(wanted, tmp_path, environment={})
        assert password not in f"{caught.value} {caught.value.fix} {wanted}"


@pytest.mark.parametrize("name", ["anna", "icloud-anna", "anna.2026", "APPLE_PASSWORD", "team_2"])
def test_an_ordinary_name_is_shown(name: str, tmp_path: Path) -> None:
    for wanted in (FromCredential(name), FromFile(tmp_path / name), FromEnvironment(name)):
        with pytest.raises(CredentialMissing, match=name):
            read_password(wanted, tmp_path, environment={})


def test_a_change_of_the_key_that_is_cut_short_twice_loses_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CredentialStore(tmp_path, {})
    store.set("anna", Secret("one"))

    def cut_short(*_: object) -> None:
        raise KeyboardInterrupt

    for owner, method in ((StoreKey, "finish_change"), (SealedSecrets, "seal_anew")):  # after it is sealed, and before
        with monkeypatch.context() as patched:
            patched.setattr(owner, method, cut_short)
            with pytest.raises(KeyboardInterrupt):
                store.rotate_key()
        assert store.get("anna") == Secret("one")
