"""`busyd backup` and `busyd restore`: what is in the file, and every way in which it is refused."""

import errno
import json
import os
import sqlite3
import stat
import zipfile
from collections.abc import Iterator
from contextlib import closing
from operator import methodcaller
from pathlib import Path

import pytest

from busyd.credentials.secret import Secret
from busyd.credentials.store import CredentialStore
from busyd.period import Instant, Period
from busyd.service.archive import pack
from busyd.service.state_dir import locked
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.ledger import Ledger, ledger_of
from busyd.store.sqlite.ledger_schema import NEWEST_SCHEMA
from tests.cli.conftest import Busyd
from tests.other_user import NOBODY, owners

NOW = Instant(1_900_000_000)
TOMORROW = Period(Instant(2_100_000_000), Instant(2_100_003_600))


@pytest.fixture
def state(home: Path) -> Path:
    """A state directory with a token, an appointment, a hold, a local block, and a stored password."""
    state = home / "state"
    with ledger_of(state) as ledger:
        ledger.add_token("anna", scopes=("book",), details=False, expires=None, name="crm", now=NOW)
        for number, (kind, uid) in enumerate([("appointment", "U1"), ("hold", ""), ("block", "")]):
            start = Instant(TOMORROW.start + number * 7200)
            span = Period(start, Instant(start + 3600))
            row = Booking(str(number), BookingKind(kind), "anna", BookingState.BOOKED, span, NOW, uid=uid)
            ledger.outbox(methodcaller("add", row))
    CredentialStore(state, {}).set("anna", Secret("abcd-efgh-ijkl-mnop"))
    return state


@pytest.fixture
def backup(busyd: Busyd, state: Path, home: Path) -> Path:
    path = home / "backup.zip"
    ran = busyd("backup", str(path), "--state", str(state))
    assert ran.status == 0, ran.err
    return path


@pytest.fixture
def restore(busyd: Busyd, home: Path) -> "Iterator[Restore]":
    yield Restore(busyd, home / "new")


class Restore:
    """Restores into a state directory of its own."""

    def __init__(self, busyd: Busyd, state: Path) -> None:
        self.state = state
        self._busyd = busyd

    def __call__(self, path: Path) -> str:
        ran = self._busyd("restore", str(path), "--state", str(self.state))
        assert ran.status == 0, ran.err
        return ran.out + ran.err

    def refused(self, path: Path, *, status: int = 1) -> str:
        before = contents(self.state)
        ran = self._busyd("restore", str(path), "--state", str(self.state))
        assert (ran.status, ran.out) == (status, "")
        assert contents(self.state) == before
        return ran.err


def contents(folder: Path) -> dict[str, bytes]:
    return {str(one): one.read_bytes() for one in folder.rglob("*") if one.is_file() and one.name != "lock"}


def rows_of(state: Path) -> dict[str, Booking]:
    with closing(Ledger.open(state / "ledger.sqlite3")) as ledger:
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


def test_a_restored_ledger_has_everything_marked_and_holds_ended(backup: Path, restore: Restore) -> None:
    said = restore(backup)
    rows = rows_of(restore.state)
    assert (rows["appointment"].restored, rows["appointment"].state) == (1, BookingState.BOOKED)
    assert (rows["hold"].state, rows["hold"].reason) == (BookingState.CANCELLED, "expired")
    assert (rows["block"].restored, rows["block"].state) == (0, BookingState.BOOKED)
    assert "it looks at 1 appointments and blocks" in said
    with ledger_of(restore.state) as ledger:
        assert [token.name for token in ledger.tokens()] == ["crm"]
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


def test_a_key_that_is_elsewhere_is_not_in_the_file(busyd: Busyd, state: Path, home: Path) -> None:
    (state / "credentials.key").unlink()
    ran = busyd("backup", str(home / "b.zip"), "--with-key", "--state", str(state))
    assert (ran.status, "keep a copy of the file it comes from" in ran.err) == (1, True)
    assert not (home / "b.zip").exists()


def test_a_backup_of_another_version_is_migrated_or_refused(backup: Path, restore: Restore, home: Path) -> None:
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
    assert rows_of(restore.state) == {}


def tables_made_since(backup: Path) -> list[str]:
    with zipfile.ZipFile(backup) as archive, closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(archive.read("ledger.sqlite3"))
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    known = ("token", "link", "booking", "booking_key", "outbox_fact", "acceptance", "feed")
    return [f"DROP TABLE {name}" for name in names if name not in known and not name.startswith("sqlite_")]


def test_another_format_a_damaged_ledger_and_another_file_are_refused(
    backup: Path, restore: Restore, home: Path, state: Path
) -> None:
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
    assert set(rows_of(restore.state)) == {"appointment", "hold", "block"}
    assert len(list(restore.state.glob("before-restore-*"))) == 2


def test_nothing_is_restored_into_a_state_in_use(backup: Path, restore: Restore) -> None:
    restore(backup)
    with locked(restore.state):
        said = restore.refused(backup, status=75)
    assert f"busyd runs on {restore.state} (process {os.getpid()}), so nothing was restored" in said


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


def test_root_backs_up_and_restores_the_state_of_another_user(
    busyd: Busyd, foreign_state: Path, backup: Path, home: Path
) -> None:
    ran = busyd("restore", str(backup), "--state", str(foreign_state))
    assert ran.status == 0, ran.err
    assert owners(foreign_state) == {NOBODY.pw_uid}
    ran = busyd("backup", str(home / "b.zip"), "--state", str(foreign_state))
    assert ran.status == 0, ran.err
    assert (home / "b.zip").stat().st_uid == 0
    assert owners(foreign_state) == {NOBODY.pw_uid}
