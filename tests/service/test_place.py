"""What belongs to a machine and a state directory: one daemon at a time, a token for its owner, the machine's zone."""

import os
from pathlib import Path

import pytest

from busyd.period import Instant
from busyd.service.place import ADMIN_TOKEN_FILE, StateInUse, locked, machine_zone, write_admin_token
from busyd.store.ledger import Ledger

NOW = Instant(1_790_000_000)


def test_a_state_directory_serves_one_daemon_and_names_it_to_the_second(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(StateInUse, match=str(os.getpid())), locked(tmp_path):
        pass
    with locked(tmp_path):
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())


def test_the_local_token_is_for_the_owner_only_and_stays_the_same(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite3")
    write_admin_token(tmp_path, ledger, NOW)
    path = tmp_path / ADMIN_TOKEN_FILE
    first = path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    write_admin_token(tmp_path, ledger, NOW)
    assert path.read_text() == first
    assert ledger.find_token(first.strip(), NOW) is not None


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text("x")])
def test_a_lost_local_token_is_replaced_and_the_old_one_opens_nothing(tmp_path: Path, damage: object) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite3")
    write_admin_token(tmp_path, ledger, NOW)
    old = (tmp_path / ADMIN_TOKEN_FILE).read_text().strip()
    damage(tmp_path / ADMIN_TOKEN_FILE)  # type: ignore[operator]
    write_admin_token(tmp_path, ledger, NOW)
    assert ledger.find_token(old, NOW) is None
    assert len(ledger.tokens()) == 1


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
