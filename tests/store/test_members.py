"""The members of served collections: names, versions, and what is told of those that are gone."""

import sqlite3
from pathlib import Path

import pytest

from busyd.connection import RemoteCalendar
from busyd.period import Instant
from busyd.store.members import TOMBSTONE_SECONDS, MemberChange, member_name, tag_of
from busyd.store.mirror import UNREAD_ETAG, StoredObject, other_version_of
from busyd.store.sqlite.connection import migrate, open_connection
from busyd.store.sqlite.schema import MIRROR_MIGRATIONS
from busyd.store.transaction import Transaction

NOW = Instant(1_795_435_200)
HOME = "/1/calendars/work/"


@pytest.fixture(autouse=True)
def listed(request: pytest.FixtureRequest) -> None:
    """The mirror of most tests has one calendar, with the id 1."""
    if "tx" in request.fixturenames:
        request.getfixturevalue("tx").record_listing("anna", [RemoteCalendar(HOME, "Work")], at=NOW)


def put(tx: Transaction, name: str, payload: bytes, *, etag: str = '"1"') -> None:
    tx.put_object(1, StoredObject(HOME + name, etag, "uid", payload))


def remove(tx: Transaction, name: str, *, at: int = NOW) -> None:
    tx.forget_objects(1, [HOME + name], at=Instant(at))


def changes(tx: Transaction, after: int, limit: int = 100) -> list[tuple[str, bool]]:
    return [(change.name, bool(change.tag)) for change in tx.read_changes(1, after=after, limit=limit)[1]]


def revision(tx: Transaction) -> int:
    return tx.read_marks([1])[1].revision


@pytest.mark.parametrize("name", ["a.ics", "0F-1_x~.ics", "a%40b.ics", "%C3%A9.ics"])
def test_a_plain_name_is_kept(name: str) -> None:
    assert member_name(HOME + name) == name


@pytest.mark.parametrize("name", ["a", "a.txt", "a%2Fb.ics", "a%0Ab.ics", "%FF.ics", "a@b.ics", "x" * 300 + ".ics"])
def test_another_name_becomes_a_plain_one_that_stays_the_same(name: str) -> None:
    made = member_name(HOME + name)
    assert made is not None
    assert made.endswith(".ics")
    assert made == member_name(HOME + name) == member_name(f"{HOME}{made}")


def test_an_object_of_which_there_are_no_bytes_is_no_member(tx: Transaction) -> None:
    tx.mark_unread(1, [HOME + "a.ics"], etag=UNREAD_ETAG)
    assert tx.read_members(1) == []
    put(tx, "a.ics", b"one")
    assert [member.name for member in tx.read_members(1)] == ["a.ics"]


def test_a_second_version_of_an_object_is_no_member(tx: Transaction) -> None:
    put(tx, "a.ics", b"one")
    before = revision(tx)
    put(tx, other_version_of("a.ics"), b"two")
    assert [(member.name, member.tag) for member in tx.read_members(1)] == [("a.ics", tag_of(b"one"))]
    assert changes(tx, before) == []


def test_a_changed_etag_of_the_remote_is_no_change(tx: Transaction) -> None:
    put(tx, "a.ics", b"one")
    before = revision(tx), tx.read_members(1)
    put(tx, "a.ics", b"one", etag='"2"')
    assert (revision(tx), tx.read_members(1)) == before


def test_a_member_changed_twice_is_told_once_with_its_newest_tag(tx: Transaction) -> None:
    put(tx, "a.ics", b"one")
    known = revision(tx)
    put(tx, "a.ics", b"two")
    put(tx, "a.ics", b"three")
    assert tx.read_changes(1, after=known, limit=9)[1] == [MemberChange("a.ics", tag_of(b"three"), revision(tx))]


def test_a_member_that_came_and_went_is_told_as_gone(tx: Transaction) -> None:
    put(tx, "a.ics", b"one")
    known = revision(tx)
    put(tx, "b.ics", b"two")
    remove(tx, "b.ics")
    assert changes(tx, known) == [("b.ics", False)]


def test_a_member_that_is_made_again_is_told_once(tx: Transaction) -> None:
    put(tx, "a.ics", b"one")
    known = revision(tx)
    remove(tx, "a.ics")
    put(tx, "a.ics", b"one")
    assert changes(tx, known) == [("a.ics", True)]


def test_who_knows_nothing_is_told_of_nothing_that_is_gone(tx: Transaction) -> None:
    put(tx, "a.ics", b"one")
    put(tx, "b.ics", b"two")
    remove(tx, "a.ics")
    assert changes(tx, 0) == [("b.ics", True)]


def test_a_limit_takes_the_oldest_changes_and_the_rest_follows(tx: Transaction) -> None:
    for number in range(5):
        put(tx, f"{number}.ics", b"%d" % number)
    mark, first = tx.read_changes(1, after=0, limit=2)
    rest = tx.read_changes(1, after=first[-1].revision, limit=100)[1]
    assert [change.name for change in (*first, *rest)] == [f"{number}.ics" for number in range(5)]
    assert mark.revision == rest[-1].revision


def test_removals_are_told_for_thirty_days_and_then_forgotten(tx: Transaction) -> None:
    put(tx, "a.ics", b"one")
    put(tx, "b.ics", b"one")
    put(tx, "c.ics", b"one")
    known = revision(tx)
    remove(tx, "a.ics")
    gone = revision(tx)
    remove(tx, "b.ics", at=NOW + TOMBSTONE_SECONDS)
    assert (changes(tx, known), tx.read_marks([1])[1].forgotten) == ([("a.ics", False), ("b.ics", False)], 0)
    remove(tx, "c.ics", at=NOW + TOMBSTONE_SECONDS + 1)
    assert tx.read_marks([1])[1].forgotten == gone
    assert changes(tx, gone) == [("b.ics", False), ("c.ics", False)]


def test_a_calendar_in_place_of_another_has_another_epoch_whether_or_not_it_has_its_id(tx: Transaction) -> None:
    before = tx.read_marks([1])[1]
    tx.forget_other_accounts([])
    tx.record_listing("ben", [RemoteCalendar(HOME, "Work")], at=NOW)
    (record,) = tx.read_calendars()
    assert tx.read_marks([record.id])[record.id].epoch != before.epoch


def test_objects_stored_before_have_members_and_revisions(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    connection: sqlite3.Connection = open_connection(path, journal="WAL", synchronous="OFF")
    at = next(i for i, m in enumerate(MIRROR_MIGRATIONS) if m.__name__ == "_members_of_collections")
    migrate(connection, path, migrations=MIRROR_MIGRATIONS[:at])
    connection.execute("INSERT INTO calendar (connection, href, listing) VALUES ('anna',?,'{}')", (HOME,))
    for name, payload in (("a.ics", b"one"), ("b.ics", b""), ("a.ics#other", b"two")):
        row = (HOME + name, payload)
        connection.execute("INSERT INTO object (calendar, href, etag, uid, payload) VALUES (1,?,'','',?)", row)
    migrate(connection, path, migrations=MIRROR_MIGRATIONS)
    tx = Transaction(connection)
    assert [(member.name, member.tag) for member in tx.read_members(1)] == [("a.ics", tag_of(b"one"))]
    mark = tx.read_marks([1])[1]
    assert mark.epoch
    assert changes(tx, 0) == [("a.ics", True)]
    assert changes(tx, mark.revision) == []
    connection.close()
