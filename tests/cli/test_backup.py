"""`busyd backup` and `busyd restore`: what is in the file, and every way in which it is refused."""

import errno
import json
import os
import re
import sqlite3
import stat
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path

import pytest

from busyd.credentials.secret import Secret
from busyd.credentials.store import CredentialStore
from busyd.period import Instant, Period
from busyd.service.archive import pack
from busyd.service.state_dir import locked
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.postgresql.fleet import Fleet
from busyd.store.postgresql.ledger_database import LedgerTables
from busyd.store.postgresql.secrets import SealedTable
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.sqlite.ledger_schema import NEWEST_SCHEMA
from busyd.store.webhooks import Webhook
from tests.cli.conftest import Busyd, write_config
from tests.other_user import NOBODY, owners
from tests.postgres import PostgresServer
from tests.store.filled import dump_database

NOW = Instant(1_900_000_000)
HOOK = Webhook(
    id="h1",
    profile="anna",
    url="https://crm.example/hook",
    events=("busy",),
    private=False,
    created=NOW,
    generation=1,
    rotated=None,
    digest=b"d",
)
TOMORROW = Period(Instant(2_100_000_000), Instant(2_100_003_600))


@dataclass(frozen=True)
class Place:
    """Where a ledger is, and the passwords beside it."""

    state: Path
    database: DatabaseServer | None
    config: Path

    @property
    def options(self) -> tuple[str, ...]:
        return ("--config", str(self.config), "--state", str(self.state))

    def open_ledger(self) -> Ledger:
        if self.database is None:
            return Ledger.open(self.state / LEDGER_FILE)
        return Ledger(LedgerTables(self.database))

    def open_passwords(self) -> CredentialStore:
        shared = SealedTable(self.database) if self.database is not None else None
        return CredentialStore(self.state, {}, shared=shared)

    def contents(self) -> object:
        """All that is there."""
        return contents(self.state), {} if self.database is None else dump_database(self.database)


MakePlace = Callable[[str, str], Place]


@pytest.fixture
def place(home: Path, request: pytest.FixtureRequest) -> MakePlace:
    """Makes a place of this name, with this engine."""

    def make(name: str, engine: str) -> Place:
        config, database = home / f"{name}.yaml", None
        text = write_config(home, f"unix:{home}/no-daemon.sock").read_text()
        if engine == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres")
            database = server.new_database()
            text += f"store: {database.conninfo}\n"
        config.write_text(text)
        return Place(home / name, database, config)

    return make


either_engine = pytest.mark.parametrize("engine", ["sqlite", "postgresql"])


def fill(place: Place) -> None:
    """A token, an appointment, a hold, a local block, and a stored password."""
    with closing(place.open_ledger()) as ledger:
        ledger.add_token("anna", scopes=("book",), details=False, expires=None, name="crm", now=NOW)
        for number, (kind, uid) in enumerate([("appointment", "U1"), ("hold", ""), ("block", "")]):
            start = Instant(TOMORROW.start + number * 7200)
            span = Period(start, Instant(start + 3600))
            row = Booking(str(number), BookingKind(kind), "anna", BookingState.BOOKED, span, NOW, uid=uid)
            ledger.outbox(methodcaller("add", row))
        ledger.webhooks(methodcaller("add", HOOK))
    place.state.mkdir(exist_ok=True)
    place.open_passwords().set("anna", Secret("abcd-efgh-ijkl-mnop"))


@pytest.fixture
def state(place: MakePlace) -> Path:
    """A state directory with all of that."""
    made = place("state", "sqlite")
    fill(made)
    return made.state


@pytest.fixture
def backup(busyd: Busyd, state: Path, home: Path) -> Path:
    path = home / "backup.zip"
    ran = busyd("backup", str(path), "--state", str(state))
    assert ran.status == 0, ran.err
    return path


@pytest.fixture
def restore(busyd: Busyd, place: MakePlace) -> "Restore":
    return Restore(busyd, place("new", "sqlite"))


@pytest.fixture
def restore_to_either(busyd: Busyd, place: MakePlace, engine: str) -> "Restore":
    return Restore(busyd, place("new", engine))


class Restore:
    """Restores into a place of its own."""

    def __init__(self, busyd: Busyd, place: Place) -> None:
        self.place, self.state = place, place.state
        self._busyd = busyd

    def __call__(self, path: Path) -> str:
        ran = self._busyd("restore", str(path), *self.place.options)
        assert ran.status == 0, ran.err
        return ran.out + ran.err

    def refused(self, path: Path, *, status: int = 1) -> str:
        before = self.place.contents()
        ran = self._busyd("restore", str(path), *self.place.options)
        assert (ran.status, ran.out) == (status, "")
        assert self.place.contents() == before
        return ran.err


def contents(folder: Path) -> dict[str, bytes]:
    return {str(one): one.read_bytes() for one in folder.rglob("*") if one.is_file() and one.name != "lock"}


def rows_of(place: Place) -> dict[str, Booking]:
    with closing(place.open_ledger()) as ledger:
        found = [ledger.outbox(methodcaller("find", name)) for name in "012"]
        assert ledger.outbox(lambda outbox: outbox.was_restored())
    return {row.kind.value: row for row in found if row is not None}


def repacked(path: Path, target: Path, *, schema: int = NEWEST_SCHEMA, ledger: bytes | None = None) -> Path:
    """The same backup with another ledger."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}
    if ledger is not None:
        files["ledger.sqlite3"] = ledger
    target.write_bytes(pack(files, version="9", made="2026-12-01T00:00:00Z", schema=schema))
    return target


def changed_ledger(path: Path, *statements: str) -> bytes:
    with zipfile.ZipFile(path) as archive, closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(archive.read("ledger.sqlite3"))
        for statement in statements:
            database.execute(statement)
        database.commit()
        return database.serialize()


@pytest.mark.parametrize("source", ["sqlite", "postgresql"])
@either_engine
def test_a_restored_ledger_has_everything_marked_and_holds_ended(
    busyd: Busyd, place: MakePlace, home: Path, source: str, restore_to_either: Restore
) -> None:
    made, backup, restore = place("made", source), home / "b.zip", restore_to_either
    fill(made)
    ran = busyd("backup", str(backup), *made.options)
    assert ran.status == 0, ran.err
    assert "3 appointments, holds and blocks, 1 token, 1 webhook, stored passwords, of " in ran.out
    said = restore(backup)
    rows = rows_of(restore.place)
    assert (rows["appointment"].restored, rows["appointment"].state) == (1, BookingState.BOOKED)
    assert (rows["hold"].state, rows["hold"].reason) == (BookingState.CANCELLED, "expired")
    assert (rows["block"].restored, rows["block"].state) == (0, BookingState.BOOKED)
    assert "it looks at 1 appointments and blocks" in said
    with closing(restore.place.open_ledger()) as ledger:
        assert [token.name for token in ledger.tokens()] == ["crm"]
        assert [one.webhook for one in ledger.webhooks(methodcaller("all"))] == [HOOK]
    assert [stat.S_IMODE(one.stat().st_mode) for one in restore.state.iterdir() if one.is_file()] == [0o600] * len(
        [one for one in restore.state.iterdir() if one.is_file()]
    )
    assert not (restore.state / "restore.new").exists()


def test_the_key_of_the_passwords_is_in_the_file_only_when_asked_for(
    busyd: Busyd, backup: Path, state: Path, home: Path, restore: Restore
) -> None:
    assert sorted(zipfile.ZipFile(backup).namelist()) == ["credentials", "ledger.sqlite3", "manifest.json"]
    assert b"abcd-efgh" not in backup.read_bytes()
    said = restore(backup)
    assert "cannot be decrypted without their key" in said
    whole = home / "whole.zip"
    ran = busyd("backup", str(whole), "--with-key", "--state", str(state))
    assert "whoever has the file has the passwords" in ran.err
    assert "cannot be decrypted" not in restore(whole)
    assert CredentialStore(restore.state, {}).names() == ["anna"]
    # Those of a backup that cannot be decrypted here never take the place of others.
    CredentialStore(restore.state, {}).rotate_key()
    assert "those that were stay" in restore(backup)
    assert CredentialStore(restore.state, {}).names() == ["anna"]


@pytest.mark.parametrize("source", ["sqlite", "postgresql"])
def test_passwords_come_from_and_go_to_a_database_too_with_the_key_that_is_there(
    busyd: Busyd, place: MakePlace, home: Path, source: str
) -> None:
    made, restore = place("made", source), Restore(busyd, place("new", "postgresql"))
    fill(made)
    for path, options in ((home / "b.zip", ()), (home / "whole.zip", ("--with-key",))):
        ran = busyd("backup", str(path), *options, *made.options)
        assert ran.status == 0, ran.err
        assert b"abcd-efgh" not in path.read_bytes()
    assert "put their key in place, and restore again" in restore(home / "b.zip")
    assert restore.place.open_passwords().names() == []
    assert "cannot be decrypted" not in restore(home / "whole.zip")
    key = (made.state / "credentials.key").read_bytes()
    assert (restore.state / "credentials.key").read_bytes() == key
    restore.place.open_passwords().set("ben", Secret("x"))
    restore.place.open_passwords().rotate_key()  # so that the backup has another one
    rotated = (restore.state / "credentials.key").read_bytes()
    said = restore(home / "whole.zip")
    assert "the passwords that it replaced are kept as the schema secrets_before_restore_" in said
    assert restore.place.open_passwords().open_all().texts == {"anna": "abcd-efgh-ijkl-mnop"}
    assert (restore.state / "credentials.key").read_bytes() == rotated
    assert "those that were stay" in restore(home / "b.zip")
    assert restore.place.open_passwords().names() == ["anna"]
    assert not (restore.state / "credentials").exists()
    (restore.state / "credentials.key").unlink()
    assert "copy the key of a machine that can read them" in restore.refused(home / "whole.zip", status=78)
    into_files = Restore(busyd, place("files", "sqlite"))
    into_files(home / "whole.zip")
    assert into_files.place.open_passwords().names() == ["anna"]


def test_a_damaged_row_is_named_and_the_other_passwords_are_backed_up(
    busyd: Busyd, place: MakePlace, home: Path
) -> None:
    made = place("made", "postgresql")
    fill(made)
    made.open_passwords().set("ben", Secret("zwei"))
    assert made.database is not None
    with closing(made.database.connect("secrets")) as connection:
        connection.execute(b"UPDATE secret SET sealed='x' WHERE name='anna'")
    ran = busyd("backup", str(home / "b.zip"), *made.options)
    assert (ran.status, "not in it: the stored secret anna in" in ran.err) == (0, True)
    (made.state / "credentials").write_bytes(zipfile.ZipFile(home / "b.zip").read("credentials"))
    assert CredentialStore(made.state, {}).open_all().texts == {"ben": "zwei"}


def test_a_key_that_is_elsewhere_is_not_in_the_file(busyd: Busyd, state: Path, home: Path) -> None:
    (state / "credentials.key").unlink()
    ran = busyd("backup", str(home / "b.zip"), "--with-key", "--state", str(state))
    assert (ran.status, "keep a copy of the file it comes from" in ran.err) == (1, True)
    assert not (home / "b.zip").exists()


@either_engine
def test_a_backup_of_another_version_is_migrated_or_refused(
    backup: Path, restore_to_either: Restore, home: Path
) -> None:
    restore = restore_to_either
    newer = changed_ledger(backup, f"PRAGMA user_version={NEWEST_SCHEMA + 1}")
    said = restore.refused(repacked(backup, home / "newer.zip", ledger=newer))
    assert f"made by a newer busyd (schema {NEWEST_SCHEMA + 1}, this one knows {NEWEST_SCHEMA})" in said
    old = changed_ledger(
        backup,
        *(f"DROP TABLE {name}" for name in ("booking", "booking_key", "outbox_fact", "acceptance", "feed")),
        *tables_made_since(backup),
        "PRAGMA user_version=1",
    )
    restore(repacked(backup, home / "old.zip", schema=1, ledger=old))
    assert rows_of(restore.place) == {}


def tables_made_since(backup: Path) -> list[str]:
    with zipfile.ZipFile(backup) as archive, closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(archive.read("ledger.sqlite3"))
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    known = ("token", "link", "booking", "booking_key", "outbox_fact", "acceptance", "feed")
    return [f"DROP TABLE {name}" for name in names if name not in known and not name.startswith("sqlite_")]


@either_engine
def test_another_format_a_damaged_ledger_and_another_file_are_refused(
    backup: Path, restore_to_either: Restore, home: Path, state: Path
) -> None:
    restore = restore_to_either
    restore(backup)
    broken = home / "broken.zip"
    assert "the ledger in the backup is damaged" in restore.refused(repacked(backup, broken, ledger=b"x" * 5000))
    content = bytearray(changed_ledger(backup))
    content[4096:8192] = b"\xff" * 4096
    assert "damaged" in restore.refused(repacked(backup, broken, ledger=bytes(content)))
    for name, text in (("manifest.json", '{"format": 2, "busyd": "7.1"}'), ("other", "{}"), ("manifest.json", "[]")):
        with zipfile.ZipFile(broken, "w") as archive:
            archive.writestr(name, text)
        assert ("newer busyd (7.1)" if "7.1" in text else "not a backup of busyd") in restore.refused(broken)
    assert "is not a backup of busyd" in restore.refused(state)
    assert "is not a backup of busyd" in restore.refused(state / "ledger.sqlite3")
    assert "there is no file" in restore.refused(home / "none")
    os.mkfifo(home / "pipe")
    assert "is not a backup of busyd" in restore.refused(home / "pipe")
    manifest = json.loads(zipfile.ZipFile(backup).read("manifest.json"))
    manifest["files"]["../../escape"] = manifest["files"]["ledger.sqlite3"]
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
    assert "is not a backup of busyd" in restore.refused(broken)


def test_what_a_killed_process_has_left_is_never_applied_to_the_restored_ledger(backup: Path, restore: Restore) -> None:
    restore(backup)
    (restore.state / "ledger.sqlite3-journal").write_bytes(b"left behind")
    (restore.state / "restore.new").mkdir()
    (restore.state / "restore.new" / "ledger.sqlite3").write_bytes(b"x")
    restore(backup)
    assert not (restore.state / "ledger.sqlite3-journal").exists()
    assert len(list(restore.state.glob("before-restore-*"))) == 1
    (restore.state / "ledger.sqlite3").write_bytes(b"damaged")
    restore(backup)
    assert set(rows_of(restore.place)) == {"appointment", "hold", "block"}
    assert len(list(restore.state.glob("before-restore-*"))) == 2


@either_engine
def test_nothing_is_restored_into_a_state_in_use(backup: Path, restore_to_either: Restore) -> None:
    restore = restore_to_either
    restore(backup)
    with locked(restore.state):
        said = restore.refused(backup, status=75)
    assert f"busyd runs on {restore.state} (process {os.getpid()}), so nothing was restored" in said


def test_nothing_is_restored_into_a_database_that_daemons_use(backup: Path, busyd: Busyd, place: MakePlace) -> None:
    restore = Restore(busyd, place("new", "postgresql"))
    restore(backup)
    assert restore.place.database is not None
    with closing(Fleet(restore.place.database)) as fleet:
        fleet.begin("other.example:/var/lib/busyd", "")
        said = restore.refused(backup, status=75)
        assert re.search(
            r"busyd runs on the database test\d+ at .* \(other\.example:/var/lib/busyd\), so nothing", said
        )
        fleet.end()
    assert "the ledger that it replaced is kept as the schema ledger_before_restore_" in restore(backup)


def test_a_database_without_a_ledger_or_that_is_away_is_said_to_be(
    busyd: Busyd, place: MakePlace, postgres: PostgresServer, backup: Path, home: Path
) -> None:
    made = place("made", "postgresql")

    def refused(command: str, path: Path) -> tuple[int, str]:
        ran = busyd(command, str(path), *made.options)
        assert not (home / "b.zip").exists()
        return ran.status, ran.err

    status, said = refused("backup", home / "b.zip")
    assert (status, "there is nothing to back up: the database" in said) == (1, True)
    made.config.write_text(made.config.read_text().replace(str(postgres.folder), "/nowhere"))
    for command, path in (("backup", home / "b.zip"), ("restore", backup)):
        status, said = refused(command, path)
        assert (status, "cannot be used: connection to server on socket" in said) == (75, True)
    assert not list(made.state.glob("*[!k]"))  # but the lock


def test_what_is_in_files_is_not_passed_over_for_a_database(
    busyd: Busyd, place: MakePlace, backup: Path, home: Path
) -> None:
    made = place("made", "postgresql")
    with closing(Ledger.open(made.state / LEDGER_FILE)):
        pass
    for command, path in (("backup", home / "b.zip"), ("restore", backup)):
        ran = busyd(command, str(path), *made.options)
        assert (ran.status, "move it there with `busyd migrate-store postgresql`" in ran.err) == (78, True)


def test_a_backup_that_cannot_be_written_says_why(busyd: Busyd, state: Path, home: Path) -> None:
    def refused(path: Path, *, state: Path = state) -> tuple[int, str]:
        ran = busyd("backup", str(path), "--state", str(state))
        return ran.status, ran.err.splitlines()[0]

    (home / "dangling").symlink_to(home / "nowhere")
    assert refused(home) == (1, f"busyd: {home} is a directory")
    assert refused(home / "dangling")[0] == 1
    assert not (home / "nowhere").exists()
    assert refused(home / "none" / "b.zip") == (
        75,
        f"busyd: cannot write {home}/none/b.zip: no such file or directory",
    )
    assert refused(home / "b.zip", state=home / "empty") == (
        1,
        f"busyd: there is nothing to back up: {home}/empty has no ledger.sqlite3",
    )
    assert not (home / "b.zip").exists()
    (state / "ledger.sqlite3").write_bytes(b"x" * 5000)
    status, said = refused(home / "b.zip")
    assert (status, "damaged" in said) == (78, True)


def test_a_full_disk_leaves_no_half_file(
    busyd: Busyd, state: Path, home: Path, backup: Path, restore: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore(backup)

    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    ran = busyd("backup", str(home / "b.zip"), "--state", str(state))
    assert (ran.status, "no space left" in ran.err) == (75, True)
    assert not (home / "b.zip").exists()
    assert "no space left" in restore.refused(backup, status=75)


@either_engine
def test_root_backs_up_and_restores_the_state_of_another_user(
    busyd: Busyd, foreign_state: Path, backup: Path, home: Path, place: MakePlace, engine: str
) -> None:
    options = ("--config", str(place("new", engine).config), "--state", str(foreign_state))
    ran = busyd("restore", str(backup), *options)
    assert ran.status == 0, ran.err
    assert owners(foreign_state) == {NOBODY.pw_uid}
    ran = busyd("backup", str(home / "b.zip"), *options)
    assert ran.status == 0, ran.err
    assert (home / "b.zip").stat().st_uid == 0
    assert owners(foreign_state) == {NOBODY.pw_uid}
