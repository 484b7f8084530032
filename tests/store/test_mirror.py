"""The mirror on disk: a listing drops nothing, an id outlives a change, the file tells what it cannot do."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from busyd.connection import CalendarKind, RemoteCalendar
from busyd.period import Instant
from busyd.store.errors import StorageError
from busyd.store.mirror import UNREAD_ETAG, DoubtKind, ObjectDoubt, StoredObject, SyncMark, other_version_of
from busyd.store.sqlite.connection import migrate, open_connection
from busyd.store.sqlite.schema import MIRROR_MIGRATIONS
from busyd.store.store import Store
from busyd.store.transaction import Transaction
from busyd.sync.timing import GONE_AGAIN

NOW = Instant(1_790_000_000)
WORK = RemoteCalendar("/1/calendars/work/", "Work", ctag="1")
HOME = RemoteCalendar("/1/calendars/home/", "Home", ctag="1")


def names(tx: Transaction) -> list[str]:
    return [record.remote.name for record in tx.read_calendars("anna")]


def test_a_calendar_missing_from_a_listing_stays_and_is_marked(tx: Transaction) -> None:
    tx.record_listing("anna", [WORK, HOME], at=NOW)
    tx.record_listing("anna", [HOME], at=Instant(NOW + 60))
    work, home = tx.read_calendars("anna")
    assert (work.missing_since, work.gone, home.missing_since) == (NOW + 60, False, None)


def test_no_number_of_listings_makes_it_gone_but_its_own_word_does(tx: Transaction) -> None:
    for at in (0, 60, 60 + GONE_AGAIN, 60 + 100 * GONE_AGAIN):
        tx.record_listing("anna", [HOME] if at else [WORK, HOME], at=Instant(NOW + at))
        assert not tx.read_calendars("anna")[0].gone
    tx.record_gone(tx.read_calendars("anna")[0].id)
    work = tx.read_calendars("anna")[0]
    assert (work.gone, work.missing_since) == (True, NOW + 60)


def test_a_calendar_that_turns_up_again_is_as_if_it_had_never_been_away(tx: Transaction) -> None:
    tx.record_listing("anna", [WORK], at=NOW)
    before = tx.read_calendars("anna")
    tx.record_listing("anna", [], at=Instant(NOW + 60))
    tx.record_listing("anna", [WORK], at=Instant(NOW + 120))
    assert tx.read_calendars("anna") == before


def test_what_the_server_could_not_describe_is_neither_new_nor_missing(tx: Transaction) -> None:
    tx.record_listing("anna", [WORK], at=NOW)
    tx.record_listing("anna", [], at=Instant(NOW + 60), unreadable=[WORK.href])
    assert tx.read_calendars("anna")[0].missing_since is None


def test_connections_do_not_see_each_other(tx: Transaction) -> None:
    tx.record_listing("anna", [WORK], at=NOW)
    tx.record_listing("ben", [HOME], at=NOW)
    assert names(tx) == ["Work"]


def test_an_object_keeps_its_id_when_it_changes(tx: Transaction) -> None:
    tx.record_listing("anna", [WORK], at=NOW)
    calendar = tx.read_calendars()[0].id
    first = tx.put_object(calendar, StoredObject("/1/calendars/work/a.ics", '"1"', "a", b"one"))
    again = tx.put_object(calendar, StoredObject("/1/calendars/work/a.ics", '"2"', "a", b"two"))
    assert first == again
    assert tx.read_objects(calendar) == [StoredObject("/1/calendars/work/a.ics", '"2"', "a", b"two")]


def test_an_object_that_cannot_be_fetched_keeps_its_payload_and_loses_its_etag(tx: Transaction) -> None:
    tx.record_listing("anna", [WORK], at=NOW)
    calendar = tx.read_calendars()[0].id
    tx.put_object(calendar, StoredObject("/a.ics", '"1"', "a", b"one"))
    nothing_known = tx.mark_unread(calendar, ["/a.ics", "/b.ics"], etag=UNREAD_ETAG)
    assert list(nothing_known.values()) == ["/b.ics"]
    assert tx.read_etags(calendar) == {"/a.ics": "", "/b.ics": ""}
    assert [one.payload for one in tx.read_objects(calendar)] == [b"one", b""]


def test_a_sync_mark_is_read_back_as_written(tx: Transaction) -> None:
    tx.record_listing("anna", [WORK], at=NOW)
    number = tx.read_calendars()[0].id
    doubts = {"/y": ObjectDoubt(DoubtKind.GONE, NOW, proved=NOW, uid="u")}
    mark = SyncMark("7", "t", NOW, NOW, {"/x": NOW}, doubts, "l", {"etag": '"e"'}, "s", NOW, "n")
    tx.record_sync(number, mark)
    record = tx.read_calendars()[0]
    assert (record.ctag, record.sync_token, record.as_of, record.reconciled) == ("7", "t", NOW, NOW)
    assert (record.complete, record.held, record.validators) == (True, {"/x": NOW}, {"etag": '"e"'})
    assert (record.earlier_token, record.look_again, record.next_earlier_token) == ("s", NOW, "n")
    assert (record.doubts, record.listed_token) == (doubts, "l")
    tx.record_sync(number, replace(mark, as_of=None))
    assert tx.read_calendars()[0].as_of == NOW


def test_a_second_version_of_an_object_is_none_of_those_that_are_compared_with_a_listing(tx: Transaction) -> None:
    tx.record_listing("anna", [WORK], at=NOW)
    calendar = tx.read_calendars()[0].id
    tx.put_object(calendar, StoredObject("/a.ics", '"1"', "a", b"one"))
    tx.put_object(calendar, StoredObject(other_version_of("/a.ics"), '"2"', "a", b"two"))
    assert tx.read_etags(calendar) == {"/a.ics": '"1"'}
    assert [one.payload for one in tx.read_objects(calendar)] == [b"one", b"two"]


def test_how_a_server_spells_an_href_is_remembered_where_it_is_not_canonical(tx: Transaction) -> None:
    tx.record_listing("anna", [WORK], at=NOW)
    calendar = tx.read_calendars()[0].id
    for href in ("/a%40b.ics", "/c.ics"):
        tx.put_object(calendar, StoredObject(href, '"1"', "a", b"one"))
    tx.record_spellings(calendar, {"/a%40b.ics": "/a@b.ics"})
    assert tx.read_spellings(calendar) == {"/a%40b.ics": "/a@b.ics"}


async def test_a_transaction_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "m.sqlite3")

    def half(tx: Transaction) -> None:
        tx.record_listing("anna", [WORK], at=NOW)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        await store.transaction(half)
    assert await store.read_calendars() == []
    store.close()


def test_a_file_of_a_newer_busyd_is_refused_with_words(tmp_path: Path) -> None:
    connection = open_connection(tmp_path / "m.sqlite3", journal="WAL", synchronous="NORMAL")
    connection.execute("PRAGMA user_version=99")
    with pytest.raises(StorageError, match="newer busyd"):
        migrate(connection, tmp_path / "m.sqlite3", migrations=MIRROR_MIGRATIONS)
    connection.close()


def test_what_an_older_busyd_held_back_is_kept_of_feeds_and_looked_at_again_of_calendars(tmp_path: Path) -> None:
    path = tmp_path / "mirror.sqlite3"
    connection = open_connection(path, journal="WAL", synchronous="NORMAL")
    migrate(connection, path, migrations=MIRROR_MIGRATIONS[:3])
    feed = replace(HOME, kind=CalendarKind.FEED)
    for remote in (WORK, feed):
        row = (remote.href, msgspec.json.encode(remote).decode(), f'{{"/x": {NOW}}}')
        connection.execute("INSERT INTO calendar (connection, href, listing, held) VALUES ('anna',?,?,?)", row)
    migrate(connection, path, migrations=MIRROR_MIGRATIONS)
    work, home = Transaction(connection).read_calendars()
    assert (work.held, work.look_again) == ({}, 0)
    assert (home.held, home.look_again) == ({"/x": NOW}, None)
    connection.close()


def test_the_home_of_an_account_that_an_older_busyd_found_stays_its_home(tmp_path: Path) -> None:
    path = tmp_path / "mirror.sqlite3"
    connection = open_connection(path, journal="WAL", synchronous="NORMAL")
    migrate(connection, path, migrations=MIRROR_MIGRATIONS[:4])
    connection.execute(
        "INSERT INTO account (connection, root, username, principal, home, addresses, single, discovered)"
        " VALUES ('anna', 'https://x.test/', 'anna', '/p/', 'https://x.test/h/', '[]', 0, 7)"
    )
    migrate(connection, path, migrations=MIRROR_MIGRATIONS)
    account = Transaction(connection).read_account("anna")
    assert account is not None
    assert (account.homes, account.discovered, account.partial) == (("https://x.test/h/",), 7, "")
    connection.close()
