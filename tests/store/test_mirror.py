"""The mirror on disk: a listing drops nothing, an id outlives a change, the file tells what it cannot do."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from busyd.connection import RemoteCalendar
from busyd.period import Instant
from busyd.store import mirror, objects
from busyd.store.database import Database, StorageError, migrate, open_connection
from busyd.store.mirror import GONE_AFTER, SyncMark
from busyd.store.objects import StoredObject
from busyd.store.schema import MIRROR_MIGRATIONS

NOW = Instant(1_790_000_000)
WORK = RemoteCalendar("/1/calendars/work/", "Work", ctag="1")
HOME = RemoteCalendar("/1/calendars/home/", "Home", ctag="1")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = open_connection(tmp_path / "mirror.sqlite3", journal="WAL", synchronous="NORMAL")
    migrate(connection, tmp_path / "mirror.sqlite3", MIRROR_MIGRATIONS)
    yield connection
    connection.close()


def names(db: sqlite3.Connection) -> list[str]:
    return [record.remote.name for record in mirror.read_calendars(db, "anna")]


def test_a_calendar_missing_from_a_listing_stays_and_is_marked(db: sqlite3.Connection) -> None:
    mirror.record_listing(db, "anna", [WORK, HOME], NOW)
    mirror.record_listing(db, "anna", [HOME], Instant(NOW + 60))
    work, home = mirror.read_calendars(db, "anna")
    assert (work.missing_since, work.gone, home.missing_since) == (NOW + 60, False, None)


def test_no_number_of_listings_makes_it_gone_but_its_own_word_does(db: sqlite3.Connection) -> None:
    for at in (0, 60, 60 + GONE_AFTER, 60 + 100 * GONE_AFTER):
        mirror.record_listing(db, "anna", [HOME] if at else [WORK, HOME], Instant(NOW + at))
        assert not mirror.read_calendars(db, "anna")[0].gone
    mirror.record_gone(db, mirror.read_calendars(db, "anna")[0].id)
    work = mirror.read_calendars(db, "anna")[0]
    assert (work.gone, work.missing_since) == (True, NOW + 60)


def test_a_calendar_that_turns_up_again_is_as_if_it_had_never_been_away(db: sqlite3.Connection) -> None:
    mirror.record_listing(db, "anna", [WORK], NOW)
    before = mirror.read_calendars(db, "anna")
    mirror.record_listing(db, "anna", [], Instant(NOW + 60))
    mirror.record_listing(db, "anna", [WORK], Instant(NOW + 120))
    assert mirror.read_calendars(db, "anna") == before


def test_what_the_server_could_not_describe_is_neither_new_nor_missing(db: sqlite3.Connection) -> None:
    mirror.record_listing(db, "anna", [WORK], NOW)
    mirror.record_listing(db, "anna", [], Instant(NOW + 60), unreadable=[WORK.href])
    assert mirror.read_calendars(db, "anna")[0].missing_since is None


def test_connections_do_not_see_each_other(db: sqlite3.Connection) -> None:
    mirror.record_listing(db, "anna", [WORK], NOW)
    mirror.record_listing(db, "ben", [HOME], NOW)
    assert names(db) == ["Work"]


def test_an_object_keeps_its_id_when_it_changes(db: sqlite3.Connection) -> None:
    mirror.record_listing(db, "anna", [WORK], NOW)
    calendar = mirror.read_calendars(db)[0].id
    first = objects.put_object(db, calendar, StoredObject("/1/calendars/work/a.ics", '"1"', "a", b"one"))
    again = objects.put_object(db, calendar, StoredObject("/1/calendars/work/a.ics", '"2"', "a", b"two"))
    assert first == again
    assert objects.read_objects(db, calendar) == [StoredObject("/1/calendars/work/a.ics", '"2"', "a", b"two")]


def test_an_object_that_cannot_be_fetched_keeps_its_payload_and_loses_its_etag(db: sqlite3.Connection) -> None:
    mirror.record_listing(db, "anna", [WORK], NOW)
    calendar = mirror.read_calendars(db)[0].id
    objects.put_object(db, calendar, StoredObject("/a.ics", '"1"', "a", b"one"))
    nothing_known = objects.mark_unread(db, calendar, ["/a.ics", "/b.ics"])
    assert list(nothing_known.values()) == ["/b.ics"]
    assert objects.read_etags(db, calendar) == {"/a.ics": "", "/b.ics": ""}
    assert [one.payload for one in objects.read_objects(db, calendar)] == [b"one", b""]


def test_a_sync_mark_is_read_back_as_written(db: sqlite3.Connection) -> None:
    mirror.record_listing(db, "anna", [WORK], NOW)
    number = mirror.read_calendars(db)[0].id
    mirror.record_sync(db, number, SyncMark("7", "t", NOW, NOW, {"/x": NOW}, {"etag": '"e"'}, "s", NOW))
    record = mirror.read_calendars(db)[0]
    assert (record.ctag, record.sync_token, record.as_of, record.reconciled) == ("7", "t", NOW, NOW)
    assert (record.complete, record.held, record.validators) == (True, {"/x": NOW}, {"etag": '"e"'})
    assert (record.earlier_token, record.look_again) == ("s", NOW)


async def test_a_transaction_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    database = Database(tmp_path / "m.sqlite3", MIRROR_MIGRATIONS, journal="WAL", synchronous="NORMAL")

    def half(db: sqlite3.Connection) -> None:
        mirror.record_listing(db, "anna", [WORK], NOW)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        await database.write(half)
    assert await database.read(mirror.read_calendars) == []
    database.close()


def test_a_file_of_a_newer_busyd_is_refused_with_words(tmp_path: Path) -> None:
    connection = open_connection(tmp_path / "m.sqlite3", journal="WAL", synchronous="NORMAL")
    connection.execute("PRAGMA user_version=99")
    with pytest.raises(StorageError, match="newer busyd"):
        migrate(connection, tmp_path / "m.sqlite3", MIRROR_MIGRATIONS)
    connection.close()
