"""`busyd migrate-store`, as people use it: a service in use moves to a database and back, and nothing begins empty."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from busyd.ownership import as_owner_of
from tests.icloud.accounts import Account
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for
from tests.journey.scheduler import SCHEDULED, Scheduler, scheduler_of
from tests.other_user import NOBODY, owners
from tests.postgres import PostgresServer
from tests.store.filled import make_stores

FILES = ("mirror.sqlite3", "changes.sqlite3", "ledger.sqlite3")


@pytest.fixture
def store(postgres: PostgresServer) -> str:
    """The line of the configuration that names a new database."""
    return f"store: {postgres.new_database().conninfo}\n"


@pytest.fixture
def scheduler(busyd: Busyd, icloud: SimulatedIcloud) -> Scheduler:
    """Of a daemon that runs on files."""
    busyd.configure(SCHEDULED.format(url=icloud.bootstrap_url))
    return scheduler_of(busyd)


def name_store(busyd: Busyd, store: str) -> None:
    busyd.config.write_text(busyd.config.read_text() + store)


def aside(busyd: Busyd) -> set[str]:
    return {path.name.partition("-")[0] for path in busyd.state.glob("*.sqlite3.*")}


def changes_of(busyd: Busyd) -> Any:
    return json.loads(busyd.command("changes", "anna", "--json").stdout)["changes"]


def test_bookings_tokens_and_changes_move_over_and_back(
    scheduler: Scheduler, anna: Account, ten: int, store: str
) -> None:
    busyd = scheduler.busyd
    told = scheduler.book(ten, key="k")
    assert told.status == 201, told.body
    changes = changes_of(busyd)
    assert changes
    busyd.stop()
    name_store(busyd, store)
    moved = busyd.command("migrate-store", "postgresql")
    assert moved.returncode == 0, moved.stderr
    assert "1 appointments, holds and blocks, 2 tokens" in moved.stdout
    assert aside(busyd) == {f"{name}.moved" for name in FILES}
    for is_back in (False, True):
        if is_back:
            busyd.stop()
            back = busyd.command("migrate-store", "sqlite", "--json")
            assert back.returncode == 0, back.stderr
            assert json.loads(back.stdout)["rows"]["ledger"]["booking"] == 1
            busyd.change(store, "")
        busyd.start()
        assert scheduler.book(ten, key="k").body == told.body
        assert changes_of(busyd)[: len(changes)] == changes
        assert all((busyd.state / name).exists() == is_back for name in FILES)
    assert len(anna.calendars["work"].objects()) == 1


def test_a_connection_that_is_seldom_polled_is_not_shown_as_never_polled_after_a_move(
    busyd: Busyd, icloud: SimulatedIcloud, store: str
) -> None:
    busyd.configure(SCHEDULED.format(url=icloud.bootstrap_url).replace("poll: 5s", "poll: 6h"))

    def is_polled() -> bool:
        (connection,) = json.loads(busyd.command("status", "--json").stdout)["connections"]
        return bool(connection["state"] == "ok" and connection["last_poll"])

    busyd.start()
    wait_for(is_polled)
    busyd.stop()
    name_store(busyd, store)
    assert busyd.command("migrate-store", "postgresql").returncode == 0
    busyd.start()
    wait_for(is_polled, describe=busyd.log.read_text)


def test_no_daemon_begins_with_an_empty_ledger_where_one_was_moved_away(scheduler: Scheduler, store: str) -> None:
    busyd = scheduler.busyd
    busyd.stop()
    plain = busyd.config.read_text()
    name_store(busyd, store)
    assert "not where the configuration says" in busyd.command("doctor").stdout
    refused = busyd.command("run")
    assert refused.returncode == 78
    assert "move it there with `busyd migrate-store postgresql`" in refused.stderr
    assert busyd.command("migrate-store", "postgresql").returncode == 0
    named = busyd.config.read_text()
    busyd.config.write_text(plain)
    for command in (("run",), ("token", "list")):
        refused = busyd.command(*command)
        assert refused.returncode == 78
        assert "was moved to a database" in refused.stderr
        assert "busyd migrate-store sqlite" in refused.stderr
    assert "not where the configuration says" in busyd.command("doctor").stdout
    assert "was moved to a database" in busyd.command("backup", str(busyd.folder / "backup.zip")).stderr
    assert not any((busyd.state / name).exists() for name in FILES)
    busyd.config.write_text(named)
    assert busyd.command("migrate-store", "sqlite").returncode == 0
    refused = busyd.command("run")
    assert refused.returncode == 78
    assert "move it there with" in refused.stderr
    for name in FILES:
        (busyd.state / name).rename(busyd.state / f"old-{name}")
    refused = busyd.command("run")
    assert refused.returncode == 78
    assert "was moved to a state directory" in refused.stderr


def test_nothing_is_moved_while_the_daemon_runs_or_without_a_database(scheduler: Scheduler, store: str) -> None:
    busyd = scheduler.busyd
    for target in ("postgresql", "sqlite"):
        refused = busyd.command("migrate-store", target)
        assert refused.returncode == 75
        assert "busyd runs on" in refused.stderr
        assert "nothing was moved" in refused.stderr
    busyd.stop()
    refused = busyd.command("migrate-store", "postgresql")
    assert refused.returncode == 78
    assert "has no `store:`" in refused.stderr
    name_store(busyd, store)
    assert busyd.command("migrate-store", "postgresql").returncode == 0
    busyd.start()
    elsewhere = busyd.command("migrate-store", "sqlite", "--state", str(busyd.folder / "other"))
    assert elsewhere.returncode == 75
    assert "stop every busyd that uses it first" in elsewhere.stderr
    busyd.stop()
    again = busyd.command("migrate-store", "postgresql")
    assert again.returncode == 1
    assert "there is nothing to move" in again.stderr


def test_what_is_at_the_target_is_replaced_only_when_that_is_said(scheduler: Scheduler, store: str) -> None:
    busyd = scheduler.busyd
    busyd.stop()
    name_store(busyd, store)
    empty = ("--state", str(busyd.folder / "other"))
    assert busyd.command("token", "add", "anna", *empty).returncode == 0
    refused = busyd.command("migrate-store", "postgresql")
    assert refused.returncode == 1
    assert "already has a ledger" in refused.stderr
    replaced = json.loads(busyd.command("migrate-store", "postgresql", "--replace", "--json").stdout)["replaced"]
    assert [name.rpartition("_")[0] for name in replaced] == ["ledger_replaced"]
    busyd.start()
    assert scheduler.ask("GET", "/v1/profiles/anna/appointments").status == 200  # with the token that was moved


def test_root_moves_the_stores_of_another_user_as_that_user(busyd: Busyd, foreign_state: Path, store: str) -> None:
    with as_owner_of(foreign_state):
        make_stores(foreign_state)
    busyd.configure(store)
    state = ("--state", str(foreign_state))
    for target in ("postgresql", "sqlite"):
        moved = busyd.command("migrate-store", target, *state)
        assert moved.returncode == 0, moved.stderr
        assert owners(foreign_state) == {NOBODY.pw_uid}
        if target == "postgresql":
            listed = busyd.command("token", "list", *state)
            assert listed.returncode == 0, listed.stderr


def test_how_far_a_long_move_has_come_is_told(busyd: Busyd, store: str) -> None:
    make_stores(busyd.state)
    with closing(sqlite3.connect(busyd.state / "ledger.sqlite3")) as ledger:
        ledger.executemany("INSERT INTO link VALUES (?, '')", [(f"{number}",) for number in range(10_000)])
        ledger.commit()
    busyd.configure(store)
    moved = busyd.command("migrate-store", "postgresql", "--json")
    assert json.loads(moved.stdout)["rows"]["ledger"]["link"] == 10_000
    told = moved.stderr.splitlines()
    assert (len(told), told[-1]) == (11, "link: copied 10000 of 10000")
