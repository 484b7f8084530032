"""Stored secrets, in the file of a state directory and in a table of a database: the same is true of both."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from busyd.credentials import CredentialMissing, FromCredential, Secret, read_password
from busyd.credentials.files import KEY_FILE, STORE_FILE
from busyd.credentials.key import StoreKey
from busyd.credentials.records import SealedFile, SealedRecords
from busyd.credentials.sealed_secrets import WITNESS, SealedSecrets
from busyd.credentials.store import CredentialStore, CredentialStoreUnreadable
from busyd.store.errors import StorageError
from busyd.store.postgresql.fleet import Fleet
from busyd.store.postgresql.secrets import FollowedSecrets, SealedTable, put_records
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from tests.postgres import LossyProxy, PostgresServer, find_programs

CANARY = "hunter2-canary"


class Places:
    """Machines with stored secrets: with a file, each of them has its own; with a database, they share them."""

    def __init__(self, folder: Path, database: DatabaseServer | None) -> None:
        self.folder = folder
        self.database = database

    def state(self, machine: str = "one") -> Path:
        """The state directory of a machine, which may not be there yet."""
        return self.folder / machine

    def store(self, machine: str = "one", environment: Mapping[str, str] | None = None) -> CredentialStore:
        shared = SealedTable(self.database) if self.database is not None else None
        return CredentialStore(self.state(machine), environment or {}, shared=shared)

    def records(self) -> dict[str, bytes]:
        """What is kept, as it is kept."""
        return dict(self._place().read())

    def replace(self, records: Mapping[str, bytes]) -> None:
        """Have other records, as nobody has written them."""
        if self.database is None:
            (self.state() / STORE_FILE).write_bytes(records[""])
            return
        with contextlib.closing(self.database.connect("secrets")) as connection:
            put_records(PostgresSession(connection), {**dict.fromkeys(self.records()), **records})

    def _place(self) -> SealedRecords:
        return SealedFile.of(self.state()) if self.database is None else SealedTable(self.database)


@pytest.fixture(params=["file", "table"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    if request.param == "file":
        return Places(tmp_path, None)
    server: PostgresServer = request.getfixturevalue("postgres")
    return Places(tmp_path, server.new_database())


@pytest.fixture
def shared(tmp_path: Path, postgres: PostgresServer) -> Places:
    """Machines on one database."""
    return Places(tmp_path, postgres.new_database())


def copy_key(places: Places, machine: str) -> None:
    places.state(machine).mkdir(exist_ok=True)
    shutil.copy(places.state() / KEY_FILE, places.state(machine) / KEY_FILE)


def test_names_and_passwords_are_kept(places: Places) -> None:
    store = places.store()
    assert store.names() == []
    assert store.get("anna") is None
    store.set("ben", Secret("zwei"))
    store.set("anna", Secret("eins"))
    store.set("anna", Secret("ünf 🗝"))
    assert store.names() == ["anna", "ben"]
    assert places.store().get("anna") == Secret("ünf 🗝")
    assert store.remove("anna")
    assert not store.remove("anna")
    assert store.names() == places.store().names() == ["ben"]
    assert store.get("anna") is None


def test_no_password_can_be_read_in_what_is_kept(places: Places) -> None:
    places.store().set("anna", Secret(CANARY))
    assert CANARY.encode() not in b"".join(places.records().values())


def test_the_same_password_is_sealed_differently_every_time(places: Places) -> None:
    places.store().set("anna", Secret(CANARY))
    first = places.records()
    places.store().set("anna", Secret(CANARY))
    for name, sealed in places.records().items():
        assert sealed[20:36] != first[name][20:36], "the salt"
        assert sealed[36:48] != first[name][36:48], "the nonce"
        assert sealed[48:] != first[name][48:]


def test_any_changed_byte_is_noticed(places: Places) -> None:
    places.store().set("anna", Secret(CANARY))
    kept = places.records()
    name = "" if "" in kept else "anna"
    for at in range(0, len(kept[name]), 3):
        sealed = kept[name]
        places.replace({**kept, name: sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]})
        with pytest.raises(CredentialStoreUnreadable) as raised:
            places.store().get("anna")
        assert CANARY not in f"{raised.value} {raised.value.fix}"
        assert raised.value.fix


@pytest.mark.parametrize("length", [0, 10, 20, 40, 60])
def test_what_was_cut_short_is_an_error_and_never_empty(places: Places, length: int) -> None:
    places.store().set("anna", Secret(CANARY))
    places.replace({name: sealed[:length] for name, sealed in places.records().items()})
    store = places.store()
    for action in (store.names, lambda: store.get("anna"), lambda: store.set("ben", Secret("x"))):
        with pytest.raises(CredentialStoreUnreadable):
            action()


def test_what_a_newer_version_has_sealed_is_not_touched(places: Places) -> None:
    places.store().set("anna", Secret(CANARY))
    newer = dict.fromkeys(places.records(), b"busyd-credentials 2\nwhatever")
    places.replace(newer)
    with pytest.raises(CredentialStoreUnreadable, match="written by a newer busyd"):
        places.store().set("ben", Secret("x"))
    assert places.records() == newer


def test_a_lost_key_is_not_replaced_by_a_new_one(places: Places) -> None:
    places.store().set("anna", Secret(CANARY))
    before = places.records()
    (places.state() / KEY_FILE).unlink()
    with pytest.raises(CredentialStoreUnreadable, match=r"credentials\.key") as raised:
        places.store().set("ben", Secret("x"))
    assert raised.value.fix
    assert not (places.state() / KEY_FILE).exists()
    assert places.records() == before


def test_the_key_comes_from_systemd_then_from_the_named_file(places: Places, tmp_path: Path) -> None:
    key_file, given = tmp_path / "named", tmp_path / "given"
    given.mkdir()
    key_file.write_text("k" * 32 + "\n")
    (given / "busyd-key").write_text("g" * 32)
    named = {"BUSYD_KEY_FILE": str(key_file)}
    places.store(environment=named).set("anna", Secret(CANARY))
    assert not (places.state() / KEY_FILE).exists()
    assert places.store(environment=named).get("anna") == Secret(CANARY)
    with pytest.raises(CredentialStoreUnreadable, match=r"key .*/given/busyd-key"):
        places.store(environment={**named, "CREDENTIALS_DIRECTORY": str(given)}).get("anna")


def test_a_short_or_missing_named_key_is_explained(places: Places, tmp_path: Path) -> None:
    environment = {"BUSYD_KEY_FILE": str(tmp_path / "key")}
    with pytest.raises(CredentialStoreUnreadable, match=r"cannot read the key .*/key: no such file"):
        places.store(environment=environment).set("anna", Secret("x"))
    (tmp_path / "key").write_text("short")
    with pytest.raises(CredentialStoreUnreadable, match="shorter than 32 bytes"):
        places.store(environment=environment).set("anna", Secret("x"))


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "busyd-key", "a b", "a\0", "x" * 300])
def test_a_bad_name_is_refused(places: Places, name: str) -> None:
    with pytest.raises(CredentialMissing, match="not a valid credential name"):
        places.store().set(name, Secret("x"))


_WRITE = """
import sys
from pathlib import Path
from busyd.credentials import Secret
from busyd.credentials.store import CredentialStore
from busyd.store.postgresql.secrets import SealedTable
from busyd.store.postgresql.server import DatabaseServer
state, letter, database = sys.argv[1:]
shared = SealedTable(DatabaseServer(database)) if database else None
store = CredentialStore(Path(state), {}, shared=shared)
for number in range(5):
    store.set(f'{letter}{number}', Secret('x'))
"""


def test_writers_in_several_processes_lose_nothing(places: Places) -> None:
    database = places.database.conninfo if places.database is not None else ""
    line = [sys.executable, "-c", _WRITE, str(places.state())]
    writers = [subprocess.Popen([*line, letter, database]) for letter in "abc"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert len(places.store().names()) == 15


def test_a_secret_that_is_made_when_it_is_missing_is_made_once(places: Places) -> None:
    made = places.store().get_or_set("busyd-webhooks", lambda: Secret("first"))
    assert made == places.store().get_or_set("busyd-webhooks", lambda: Secret("second")) == Secret("first")


def test_another_key_encrypts_everything_and_the_old_one_opens_nothing(places: Places) -> None:
    store = places.store()
    store.set("anna", Secret("one"))
    store.set("ben", Secret("two"))
    old = (places.state() / KEY_FILE).read_bytes()
    assert store.rotate_key() == places.state() / KEY_FILE
    assert (places.state() / KEY_FILE).read_bytes() != old
    assert [places.store().get(name) for name in ("anna", "ben")] == [Secret("one"), Secret("two")]
    (places.state() / KEY_FILE).write_bytes(old)
    with pytest.raises(CredentialStoreUnreadable):
        places.store().names()


@pytest.mark.parametrize("step", ["seal_anew", "finish_change"])
def test_a_change_of_the_key_that_is_cut_short_loses_no_password(
    places: Places, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store = places.store()
    store.set("anna", Secret("one"))

    def cut_short(*_: object) -> None:
        raise KeyboardInterrupt

    for owner, method in ((SealedSecrets, "seal_anew"), (StoreKey, "finish_change")):
        if method == step:
            with monkeypatch.context() as patched:
                patched.setattr(owner, method, cut_short)
                with pytest.raises(KeyboardInterrupt):
                    store.rotate_key()
    assert places.store().get("anna") == Secret("one")
    store.set("ben", Secret("two"))
    store.rotate_key()
    assert [places.store().get(name) for name in ("anna", "ben")] == [Secret("one"), Secret("two")]


def test_a_key_that_comes_from_elsewhere_is_replaced_by_one_that_is_given(places: Places, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).write_text(f"{name}-" * 16)
    store = places.store(environment={"BUSYD_KEY_FILE": str(tmp_path / "old")})
    store.set("anna", Secret("one"))
    with pytest.raises(CredentialMissing, match="which busyd does not replace"):
        store.rotate_key()
    for _ in range(2):  # also what has been sealed with it already
        store.rotate_key(tmp_path / "new")
    assert places.store(environment={"BUSYD_KEY_FILE": str(tmp_path / "new")}).get("anna") == Secret("one")


# Machines on one database


def test_what_one_machine_stores_another_with_the_same_key_reads(shared: Places) -> None:
    shared.store().set("anna", Secret(CANARY))
    copy_key(shared, "two")
    assert shared.store("two").get("anna") == Secret(CANARY)
    read = read_password(FromCredential("anna"), shared.state("two"), environment={}, store=shared.store("two"))
    assert read == Secret(CANARY)
    assert not (shared.state() / STORE_FILE).exists()


@pytest.mark.parametrize("has_key", [True, False])
def test_a_machine_with_another_key_or_none_changes_nothing_and_says_what_to_do(shared: Places, has_key: bool) -> None:
    shared.store().set("anna", Secret(CANARY))
    before = shared.records()
    if has_key:
        shared.state("two").mkdir()
        (shared.state("two") / KEY_FILE).write_text("o" * 64)
    two = shared.store("two")
    for action in (
        two.names,
        lambda: two.get("anna"),
        lambda: two.set("anna", Secret("x")),
        lambda: two.set("ben", Secret("x")),
        lambda: two.remove("anna"),
        lambda: two.get_or_set("anna", lambda: Secret("x")),
        two.rotate_key,
    ):
        with pytest.raises(CredentialStoreUnreadable, match="the database test") as raised:
            action()
        told = f"{raised.value}; {raised.value.fix}"
        assert str(shared.state("two") / KEY_FILE) in told
        assert "copy the key of a machine that can read them" in told
    assert shared.records() == before
    assert (shared.state("two") / KEY_FILE).exists() == has_key
    assert not list(shared.state("two").glob("*.new"))


def test_a_row_under_the_name_of_another_one_does_not_open(shared: Places) -> None:
    shared.store().set("anna", Secret("one"))
    shared.store().set("ben", Secret("two"))
    kept = shared.records()
    shared.replace({**kept, "anna": kept["ben"], "ben": kept["anna"]})
    assert set(shared.store().open_all().damaged) == {"anna", "ben"}
    assert shared.store().open_all().texts == {}
    with pytest.raises(CredentialStoreUnreadable, match=r"the stored secret ben in .* is damaged"):
        shared.store().get("ben")


def test_a_damaged_row_is_named_the_others_open_and_it_can_be_stored_again(shared: Places) -> None:
    for name in ("anna", "ben"):
        shared.store().set(name, Secret(CANARY))
    shared.replace({**shared.records(), "anna": b"\0" * 90})
    store = shared.store()
    assert store.get("ben") == Secret(CANARY)
    with pytest.raises(CredentialStoreUnreadable, match=r"the stored secret anna in .* is damaged") as raised:
        store.get("anna")
    assert raised.value.fix == "store it again with `busyd credential set anna`"
    assert store.names() == ["anna", "ben"]
    store.set("anna", Secret("again"))
    assert shared.store().open_all().texts == {"anna": "again", "ben": CANARY}


def test_a_damaged_row_that_is_the_only_one_is_told_from_another_key(shared: Places) -> None:
    shared.store().set("anna", Secret(CANARY))
    shared.replace({**shared.records(), "anna": b"\0" * 90})
    with pytest.raises(CredentialStoreUnreadable, match=r"the stored secret anna in .* is damaged"):
        shared.store().get("anna")
    assert shared.store().remove("anna")
    assert shared.store().names() == []


def test_a_damaged_witness_hides_no_password_and_is_written_again(shared: Places) -> None:
    shared.store().set("anna", Secret(CANARY))
    shared.replace({**shared.records(), WITNESS: b""})
    assert shared.store().open_all().texts == {"anna": CANARY}
    shared.store().set("anna", Secret("two"))
    assert shared.records()[WITNESS] != b""


def test_the_key_stays_known_when_the_last_password_is_removed(shared: Places) -> None:
    shared.store().set("anna", Secret(CANARY))
    shared.store().remove("anna")
    with pytest.raises(CredentialStoreUnreadable, match="no key for them here"):
        shared.store("two").set("anna", Secret("x"))


def test_the_password_of_the_database_itself_stays_in_the_file(shared: Places) -> None:
    assert shared.database is not None
    state = shared.state()
    store = CredentialStore(state, {}, shared=SealedTable(shared.database), kept={"database"})
    store.set("database", Secret("of it"))
    store.set("anna", Secret("one"))
    assert set(shared.records()) == {"anna", WITNESS}
    assert CredentialStore(state, {}).names() == ["database"]
    assert store.names() == ["anna", "database"]
    assert store.where("database") == str(state)
    store.rotate_key()
    assert [store.get(name) for name in ("anna", "database")] == [Secret("one"), Secret("of it")]
    assert store.remove("database")
    assert store.names() == ["anna"]


# A daemon


@pytest.fixture
def fleet(shared: Places) -> Iterator[Fleet]:
    assert shared.database is not None
    with contextlib.closing(Fleet(shared.database)) as fleet:
        yield fleet


def test_a_daemon_sees_what_is_changed_and_which(shared: Places, fleet: Fleet) -> None:
    shared.store().set("anna", Secret("one"))
    shared.store().set("ben", Secret("two"))
    followed = FollowedSecrets(fleet, StoreKey(shared.state(), {}))
    daemon = CredentialStore(shared.state(), {}, shared=followed)
    assert followed.take_changed() == frozenset()
    shared.store().set("anna", Secret("three"))
    shared.store().remove("ben")
    assert daemon.get("anna") == Secret("one")
    followed.look()
    assert (daemon.get("anna"), daemon.get("ben")) == (Secret("three"), None)
    assert followed.take_changed() - {WITNESS} == {"anna", "ben"}
    followed.look()
    assert followed.take_changed() == frozenset()
    shared.store().set("anna", Secret("three"))
    followed.look()
    assert "anna" in followed.take_changed(), "also the same one again: a person wants it to be tried"


def test_a_daemon_does_not_begin_without_the_key_of_what_there_is(shared: Places, fleet: Fleet) -> None:
    FollowedSecrets(fleet, StoreKey(shared.state("two"), {}))  # there is nothing yet
    shared.store().set("anna", Secret(CANARY))
    with pytest.raises(CredentialStoreUnreadable, match="no key for them here"):
        FollowedSecrets(fleet, StoreKey(shared.state("two"), {}))
    copy_key(shared, "two")
    FollowedSecrets(fleet, StoreKey(shared.state("two"), {}))


def test_a_daemon_goes_on_with_what_it_knows_until_it_has_a_new_key_too(
    shared: Places, fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    shared.store().set("anna", Secret(CANARY))
    copy_key(shared, "two")
    followed = FollowedSecrets(fleet, StoreKey(shared.state("two"), {}))
    daemon = CredentialStore(shared.state("two"), {}, shared=followed)
    shared.store().rotate_key()
    shared.store().set("anna", Secret("new"))
    for _ in range(3):
        followed.look()
    assert daemon.get("anna") == Secret(CANARY)
    assert caplog.text.count("copy the key") == 1
    copy_key(shared, "two")
    followed.look()
    assert daemon.get("anna") == Secret("new")
    assert "anna" in followed.take_changed()
    assert CANARY not in caplog.text


def test_while_the_database_is_away_a_daemon_has_what_it_has_read_and_commands_wait_for_it_once(
    shared: Places, postgres: PostgresServer
) -> None:
    shared.store().set("anna", Secret(CANARY))
    assert shared.database is not None
    with LossyProxy(postgres) as proxy, contextlib.closing(Fleet(proxy.in_front_of(shared.database))) as fleet:
        followed = FollowedSecrets(fleet, StoreKey(shared.state(), {}))
        proxy.is_cut.set()
        with pytest.raises(StorageError):
            followed.look()
        assert CredentialStore(shared.state(), {}, shared=followed).get("anna") == Secret(CANARY)
        table = SealedTable(proxy.in_front_of(shared.database))
        away = CredentialStore(shared.state(), {}, shared=table)
        for _ in range(2):
            with pytest.raises(StorageError, match="cannot be used"):
                away.get("anna")
        proxy.is_cut.clear()
        with pytest.raises(StorageError, match="cannot be used"):
            away.get("anna")


def test_a_dump_of_the_database_has_no_password_in_it(shared: Places) -> None:
    assert shared.database is not None
    for number in range(3):
        shared.store().set(f"anna-{number}", Secret(f"{CANARY}-{number}"))
    shared.store().rotate_key()
    key = (shared.state() / KEY_FILE).read_text().strip()
    programs = find_programs()
    assert programs is not None
    line = [str(programs / "pg_dump"), shared.database.conninfo]
    dump = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert "anna-2" in dump
    for planted in (CANARY, CANARY.encode().hex(), key, key.encode().hex()):
        assert planted not in dump
