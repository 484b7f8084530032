"""What belongs to a machine and a state directory: one daemon at a time, a token for its owner, the machine's zone."""

import os
from pathlib import Path

import pytest

from busyd.errors import Misconfigured, TryAgain
from busyd.ownership import as_owner_of
from busyd.period import Instant
from busyd.service.state_dir import (
    ADMIN_TOKEN_FILE,
    StateInUse,
    locked,
    machine_zone,
    prepare_state,
    write_admin_token,
)
from busyd.store.ledger import Ledger

NOW = Instant(1_790_000_000)


def test_a_state_directory_serves_one_daemon_and_names_it_to_the_second(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(StateInUse, match=str(os.getpid())), locked(tmp_path):
        pass
    with locked(tmp_path):
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())


def test_the_local_token_is_for_the_owner_only_and_stays_the_same(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite3")
    write_admin_token(tmp_path, ledger, now=NOW)
    path = tmp_path / ADMIN_TOKEN_FILE
    first = path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    write_admin_token(tmp_path, ledger, now=NOW)
    assert path.read_text() == first
    assert ledger.find_token(first.strip(), NOW) is not None


@pytest.mark.parametrize(
    "damage",
    [lambda path: path.unlink(), lambda path: path.write_text("x"), lambda path: path.write_bytes(b"\xff\xfe")],
)
def test_a_lost_local_token_is_replaced_and_the_old_one_opens_nothing(tmp_path: Path, damage: object) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite3")
    write_admin_token(tmp_path, ledger, now=NOW)
    old = (tmp_path / ADMIN_TOKEN_FILE).read_text().strip()
    damage(tmp_path / ADMIN_TOKEN_FILE)  # type: ignore[operator]
    write_admin_token(tmp_path, ledger, now=NOW)
    assert ledger.find_token(old, NOW) is None
    assert len(ledger.tokens()) == 1


def test_local_tokens_of_other_machines_open_nothing_once_the_ledger_is_not_shared(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    ledger = Ledger.open(own / "ledger.sqlite3")
    other.mkdir()
    write_admin_token(own, ledger, now=NOW, daemon="here")
    write_admin_token(other, ledger, now=NOW, daemon="there")
    texts = [(folder / ADMIN_TOKEN_FILE).read_text().strip() for folder in (own, other)]
    write_admin_token(own, ledger, now=NOW, daemon="here")
    assert all(ledger.find_token(text, NOW) for text in texts)
    write_admin_token(own, ledger, now=NOW)
    assert [ledger.find_token(text, NOW) is not None for text in texts] == [True, False]


def test_a_daemon_of_the_same_name_on_another_machine_keeps_its_local_token(tmp_path: Path) -> None:
    """As on two hosts named `debian`, each with the package."""
    own, other = tmp_path / "own", tmp_path / "other"
    ledger = Ledger.open(own / "ledger.sqlite3")
    other.mkdir()
    for _ in range(2):
        for folder in (own, other):
            write_admin_token(folder, ledger, now=NOW, daemon="debian:/var/lib/busyd")
    texts = [(folder / ADMIN_TOKEN_FILE).read_text().strip() for folder in (own, other)]
    assert all(ledger.find_token(text, NOW) for text in texts)
    (own / ADMIN_TOKEN_FILE).unlink()
    write_admin_token(own, ledger, now=NOW, daemon="debian:/var/lib/busyd")
    assert [ledger.find_token(text, NOW) is not None for text in texts] == [False, True]


def test_a_state_directory_of_one_s_own_is_made_and_is_fit(tmp_path: Path) -> None:
    prepare_state(tmp_path / "state")
    prepare_state(tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_root_does_not_run_on_the_state_of_another_user(foreign_state: Path) -> None:
    for state in (foreign_state, foreign_state / "below"):
        with pytest.raises(Misconfigured, match="belongs to nobody") as refused:
            prepare_state(state)
        assert "run busyd as nobody" in refused.value.fix
    assert list(foreign_state.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["lock", "ledger.sqlite3", "ledger.sqlite3-journal", "mirror.sqlite3", "mirror.sqlite3-wal", "mirror.sqlite3-shm",
     "credentials", "credentials.key"],
)  # fmt: skip
def test_a_file_of_root_among_those_of_the_service_is_told_with_the_cure(foreign_state: Path, name: str) -> None:
    (foreign_state / name).touch(mode=0o600)
    with as_owner_of(foreign_state), pytest.raises(Misconfigured) as refused:
        prepare_state(foreign_state)
    assert f"{name} belongs to root, and user nobody may not use it" in str(refused.value)
    assert refused.value.fix == f"chown -R nobody: {foreign_state}"


def test_a_state_directory_of_root_is_told_to_the_service(foreign_state: Path) -> None:
    (foreign_state.parent / "roots").mkdir(mode=0o700)
    with (
        as_owner_of(foreign_state),
        pytest.raises(Misconfigured, match="belongs to root, and user nobody may not use it"),
    ):
        prepare_state(foreign_state.parent / "roots")


def test_a_directory_in_place_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "mirror.sqlite3").mkdir()
    with pytest.raises(Misconfigured, match=r"mirror\.sqlite3 is not a regular file"):
        prepare_state(tmp_path)


def test_a_lock_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(Misconfigured, match="cannot lock"), locked(tmp_path):
        pass


def test_a_full_disk_without_space_for_the_lock_may_have_some_later(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to("/dev/full")
    with pytest.raises(TryAgain, match=r"cannot lock .*: no space left"), locked(tmp_path):
        pass


def test_the_zone_of_the_environment_wins_when_it_is_one() -> None:
    assert machine_zone({"TZ": "Europe/Berlin"}) == "Europe/Berlin"
    assert machine_zone({"TZ": ":Asia/Tokyo"}) == "Asia/Tokyo"


def test_a_zone_that_is_no_name_is_passed_over() -> None:
    assert machine_zone({"TZ": "CET-1CEST"}) == machine_zone({})


@pytest.mark.parametrize(("named", "zone"), [("UTC", "UTC"), ("Japan", "Japan"), (":Europe/Berlin", "Europe/Berlin")])
def test_a_zone_named_without_a_slash_is_one(named: str, zone: str) -> None:
    assert machine_zone({"TZ": named}) == zone


def test_a_zone_that_is_none_is_not_taken_for_one() -> None:
    assert machine_zone({"TZ": "Foo/Bar"}) != "Foo/Bar"
