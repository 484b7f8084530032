"""Passwords are moved with the stores: to a table where each is sealed, and back to a file that has all of them."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from busyd.credentials import Secret
from busyd.credentials.files import KEY_FILE, STORE_FILE
from busyd.credentials.key import StoreKey
from busyd.credentials.store import CredentialStore, CredentialStoreUnreadable
from busyd.store.errors import StorageUnusable, StoredElsewhere
from busyd.store.moving import Moved, MoveRefused, move
from busyd.store.postgresql.moving import StoreDatabase
from busyd.store.postgresql.secrets import SealedTable
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.sqlite.forms import require_not_moved
from busyd.store.sqlite.moving import StateDirectory
from busyd.store.table_copy import StoreTables
from tests.postgres import PostgresServer
from tests.store.filled import make_stores
from tests.store.test_moving import KILLED, NOW, STAMP, files_of, killed_at

T = TypeVar("T")

KEPT = "database"
"""The password of the database itself."""
STORED = {"anna": "hunter2-canary", "ben": "ünf 🗝", "busyd-webhooks": "0" * 64}


class Machine:
    """A state directory with stores, and a database."""

    def __init__(self, state: Path, database: DatabaseServer) -> None:
        self.state = state
        self.database = database

    def to_database(self, *, replace: bool = False) -> Moved:
        return move(self._files, self._tables, replace=replace, now=NOW)

    def to_files(self, *, replace: bool = False) -> Moved:
        return move(self._tables, self._files, replace=replace, now=NOW)

    @property
    def in_files(self) -> CredentialStore:
        path = self.state / STORE_FILE
        return CredentialStore(self.state, {}, require_in_place=lambda: require_not_moved(path))

    @property
    def in_database(self) -> CredentialStore:
        return CredentialStore(self.state, {}, shared=SealedTable(self.database), kept={KEPT})

    @property
    def _files(self) -> StateDirectory:
        return StateDirectory(self.state, key=StoreKey(self.state, {}), kept={KEPT})

    @property
    def _tables(self) -> StoreDatabase:
        return StoreDatabase(self.database, key=StoreKey(self.state, {}))


@pytest.fixture
def machine(tmp_path: Path, postgres: PostgresServer) -> Machine:
    """With passwords in the file."""
    make_stores(tmp_path)
    store = CredentialStore(tmp_path, {})
    for name, text in STORED.items():
        store.set(name, Secret(text))
    return Machine(tmp_path, postgres.new_database())


def test_passwords_are_moved_there_and_back(machine: Machine) -> None:
    moved = machine.to_database()
    assert moved.rows["secrets"] == {"secret": 3}
    assert machine.in_database.open_all().texts == STORED
    assert f"{STORE_FILE}.moved-{STAMP}" in moved.aside
    assert STORE_FILE not in files_of(machine.state)
    back = machine.to_files()
    assert machine.in_files.open_all().texts == STORED
    assert [name for name in back.aside if name.startswith("secrets_moved_")]
    with pytest.raises(StoredElsewhere, match=r"the password store of .* was moved to a state directory"):
        machine.in_database.names()


def test_no_password_store_is_begun_where_one_was_moved_away(machine: Machine) -> None:
    machine.to_database()
    for action in (machine.in_files.names, lambda: machine.in_files.set("anna", Secret("x"))):
        with pytest.raises(StoredElsewhere, match="was moved to a database"):
            action()
    machine.to_files()
    with pytest.raises(StoredElsewhere, match="was moved to a state directory"):
        machine.in_database.set("anna", Secret("x"))


def test_the_password_of_the_database_stays_in_the_file_all_the_time(machine: Machine) -> None:
    machine.in_files.set(KEPT, Secret("of it"))
    assert machine.to_database().rows["secrets"] == {"secret": 3}
    assert machine.in_files.open_all().texts == {KEPT: "of it"}
    assert machine.in_database.open_all().texts == {**STORED, KEPT: "of it"}
    machine.in_database.set(KEPT, Secret("changed"))
    machine.to_files()
    assert machine.in_files.open_all().texts == {**STORED, KEPT: "changed"}


def test_where_there_is_only_that_one_nothing_is_moved_nor_in_the_way(machine: Machine) -> None:
    for name in STORED:
        machine.in_files.remove(name)
    machine.in_files.set(KEPT, Secret("of it"))
    assert "secrets" not in machine.to_database().rows
    assert machine.in_database.open_all().texts == {KEPT: "of it"}
    machine.in_database.set("anna", Secret("x"))
    machine.to_files()
    assert machine.in_files.open_all().texts == {"anna": "x", KEPT: "of it"}


def test_passwords_at_the_target_are_replaced_only_when_asked_for(machine: Machine) -> None:
    machine.in_database.set("zoe", Secret("z"))
    with pytest.raises(MoveRefused, match="already has stored passwords"):
        machine.to_database()
    assert machine.in_files.open_all().texts == STORED
    moved = machine.to_database(replace=True)
    assert machine.in_database.open_all().texts == STORED
    assert [f"secrets_replaced_{STAMP}"] == [name for name in moved.replaced if name.startswith("secrets")]
    machine.in_database.set(KEPT, Secret("of it"))
    CredentialStore(machine.state, {}).set("zoe", Secret("z"))
    with pytest.raises(MoveRefused, match="already has stored passwords"):
        machine.to_files()
    back = machine.to_files(replace=True)
    assert machine.in_files.open_all().texts == {**STORED, KEPT: "of it"}
    assert [name for name in back.replaced if name.startswith(f"{STORE_FILE}.replaced-")]


@pytest.mark.parametrize("direction", ["to_database", "to_files"])
def test_passwords_that_do_not_open_with_the_key_stay_where_they_are(machine: Machine, direction: str) -> None:
    if direction == "to_files":
        machine.to_database()
    key = machine.state / KEY_FILE
    right = key.read_text()
    key.write_text("o" * 64)
    before = files_of(machine.state)
    with pytest.raises(CredentialStoreUnreadable) as raised:
        getattr(machine, direction)()
    assert raised.value.fix
    assert files_of(machine.state) == before
    key.write_text(right)
    getattr(machine, direction)()
    store = machine.in_database if direction == "to_database" else machine.in_files
    assert store.open_all().texts == STORED


def test_a_damaged_row_is_named_and_nothing_is_moved(machine: Machine) -> None:
    machine.to_database()
    with contextlib.closing(machine.database.connect("secrets")) as connection:
        connection.execute(b"UPDATE secret SET sealed='x' WHERE name='ben'")
    with pytest.raises(CredentialStoreUnreadable, match=r"the stored secret ben in .* is damaged"):
        machine.to_files()
    machine.in_database.set("ben", Secret("again"))
    machine.to_files()
    assert machine.in_files.get("ben") == Secret("again")


def test_what_arrives_otherwise_than_it_was_sent_is_not_put_in_place(machine: Machine) -> None:
    class Mixed(StoreDatabase):
        def fill(self, store: str, *, work: Callable[[StoreTables], T]) -> T:
            result = super().fill(store, work=work)
            if store == "secrets":
                with contextlib.closing(machine.database.connect("secrets_moving")) as connection:
                    connection.execute(b"DELETE FROM secret WHERE name='ben'")
            return result

    target = Mixed(machine.database, key=StoreKey(machine.state, {}))
    with pytest.raises(StorageUnusable, match=r"not what was sent \(secret of secrets\)") as raised:
        move(StateDirectory(machine.state), target, replace=False, now=NOW)
    assert not any(text in f"{raised.value}" for text in STORED.values())
    assert machine.in_files.open_all().texts == STORED


@pytest.mark.parametrize("direction", ["to_database", "to_files"])
def test_a_move_that_is_killed_anywhere_loses_no_password_and_can_be_done_again(
    machine: Machine, direction: str
) -> None:
    machine.in_files.set(KEPT, Secret("of it"))
    everything = {**STORED, KEPT: "of it"}
    there, back = machine.to_database, machine.to_files
    if direction == "to_files":
        there()
        there, back = back, there
    count = killed_at(-1, there)
    back()
    seen = set()
    for step in (count // 2, *range(count - 9, count + 1)):
        assert killed_at(step, there) == KILLED
        # The database can be reached at any time.
        assert CredentialStore(machine.state, {}).get(KEPT) == Secret("of it")
        try:
            there()
            seen.add("finished")
        except MoveRefused:  # it was already
            seen.add("done")
        store = machine.in_database if direction == "to_database" else machine.in_files
        assert store.open_all().texts == everything
        back()
    assert "finished" in seen
