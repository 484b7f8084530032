"""Whatever is wrong with the mirror, it is set aside and begun anew, and nothing damaged is answered from."""

import contextlib
import hashlib
import sqlite3
from array import array
from functools import partial
from pathlib import Path

import pytest

from busyd.connection import RemoteCalendar
from busyd.ical.facts import Facts
from busyd.period import Instant, Period
from busyd.store.errors import StorageDamaged
from busyd.store.mirror import AccountRecord, StoredObject
from busyd.store.occurrences import IndexEntry
from busyd.store.sqlite.seal import seal
from busyd.store.store import Store
from busyd.store.transaction import Transaction
from tests.store.corruptions import corrupt

CORRUPTIONS = 24
"""Of each kind there are some; the numbers are seeds, so that a failure can be had again."""
SPAN = Period(Instant(0), Instant(10**9))


def fill(tx: Transaction) -> None:
    tx.record_account(AccountRecord("anna", "https://x.test/", "anna", "/p/", ("/h/",), (), False, Instant(1)))
    tx.record_listing("anna", [RemoteCalendar(f"/{name}/", name) for name in "abc"], at=Instant(1))
    for record in tx.read_calendars():
        for number in range(40):
            stored = StoredObject(
                f"{record.remote.href}{number}.ics", f'"{number}"', f"u{number}", b"BEGIN:VCALENDAR" * 30
            )
            tx.put_entries([entry(tx.put_object(record.id, stored))])


def entry(number: int) -> IndexEntry:
    return IndexEntry(number, "UTC", SPAN, recurring=False, occurrences=array("q", [10, 20, 0] * 30), facts=(Facts(),))


def filled(folder: Path) -> Path:
    path = folder / "mirror.sqlite3"
    store = Store.open(path)
    store.transaction_now(fill)
    store.close()
    return path


async def opened_and_looked_over(path: Path) -> Store:
    """As a start does it: what is damaged is begun anew, at once or when it is first used."""
    store = Store.open_or_begin_anew(path)
    try:
        await store.ping()
    except StorageDamaged:
        store.close()
        return Store.open_or_begin_anew(path)
    return store


@pytest.mark.parametrize("seed", range(CORRUPTIONS))
async def test_a_damaged_mirror_is_begun_anew_at_the_first_start(tmp_path: Path, seed: int) -> None:
    path = filled(tmp_path)
    before = path.read_bytes()
    kind = corrupt(path, seed)
    if path.read_bytes() == before:
        return  # a page of zeros in place of one: nothing has happened
    again = await opened_and_looked_over(path)
    assert await again.read_calendars() == [], kind
    assert path.with_name("mirror.sqlite3.damaged").exists()
    await again.transaction(fill)
    again.close()
    Store.open(path).close()


@pytest.mark.parametrize(
    "change",
    [
        "occurrences=zeroblob(length(occurrences))", "facts=x'90'", "problems=x'91c0'", "recurring=1-recurring",
        "span_end=span_end+1", "zone='Europe/Berlin'", "incomplete='x'", "incomplete_since=7", "digest=x''",
    ],
)  # fmt: skip
async def test_an_entry_that_is_not_as_it_was_written_is_damage(tmp_path: Path, change: str) -> None:
    path = filled(tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"UPDATE busy_index SET {change} WHERE object=7")
        database.commit()
    seal(path)  # as if it had been damaged while it was in use
    store = Store.open(path)
    noticed: list[bool] = []
    store.call_on_damage(partial(noticed.append, True))
    with pytest.raises(StorageDamaged):
        await store.entries_of(7)
    store.close()
    assert noticed
    again = Store.open_or_begin_anew(path)
    assert await again.read_calendars() == []
    again.close()


def read_all(tx: Transaction) -> None:
    tx.read_account("anna")
    for record in tx.read_calendars():
        tx.read_uids(record.id, [f"{record.remote.href}{number}.ics" for number in range(40)])
        tx.read_objects(record.id)


@pytest.mark.parametrize(
    "change",
    [
        "object SET payload=x'42' WHERE id=7", "object SET uid='u8' WHERE id=7", "object SET calendar=2 WHERE id=110",
        "object SET href='/a/600.ics' WHERE id=7", "object SET tag='' WHERE id=7", "calendar SET as_of=9 WHERE id=2",
        "calendar SET sync_token='2' WHERE id=2", "calendar SET complete=1 WHERE id=2",
        "calendar SET doubts='{\"/a/\":{}}' WHERE id=2", "account SET partial='x'", "account SET homes='[]'",
    ],
)  # fmt: skip
async def test_a_row_of_the_mirror_that_is_not_as_it_was_written_is_damage(tmp_path: Path, change: str) -> None:
    path = filled(tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"UPDATE {change}")
        database.commit()
    seal(path)  # as if it had been damaged while it was in use
    store = Store.open(path)
    with pytest.raises(StorageDamaged):
        await store.transaction(read_all)
    store.close()


async def test_no_change_makes_damage_look_as_if_it_had_been_written(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE calendar SET sync_token='2'")
        database.commit()
    seal(path)
    store = Store.open(path)
    with pytest.raises(StorageDamaged):
        await store.confirm_calendars([2], Instant(7))
    store.close()


@pytest.mark.parametrize("change", ["object SET calendar=77", "busy_index SET object=777"])
async def test_after_a_crash_a_row_that_belongs_to_nothing_is_damage(tmp_path: Path, change: str) -> None:
    path = filled(tmp_path)
    path.with_name("mirror.sqlite3.seal").unlink()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"UPDATE {change} WHERE rowid=7")
        database.commit()
    with pytest.raises(StorageDamaged, match="belongs to nothing"):
        Store.open(path)


async def test_a_file_that_was_closed_in_order_is_believed(tmp_path: Path) -> None:
    path = filled(tmp_path)
    again = Store.open_or_begin_anew(path)
    assert len(await again.read_calendars()) == 3
    again.close()
    assert not path.with_name("mirror.sqlite3.damaged").exists()


async def test_after_a_crash_the_file_is_looked_over_and_believed(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.with_name("mirror.sqlite3.seal").unlink()
    again = Store.open_or_begin_anew(path)
    assert len(await again.read_calendars()) == 3
    again.close()


async def test_a_file_that_an_earlier_release_closed_is_looked_over_and_believed(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.with_name("mirror.sqlite3.seal").write_text(hashlib.blake2b(path.read_bytes()).hexdigest())
    again = Store.open_or_begin_anew(path)
    assert len(await again.read_calendars()) == 3
    again.close()


def alter(path: Path) -> None:
    """Change bytes of the closed file that no check of SQLite's covers."""
    whole, text = path.read_bytes(), b"BEGIN:VCALENDAR" * 30
    assert text in whole
    path.write_bytes(whole.replace(text, text.replace(b"BEGIN", b"BEGUN", 1), 1))


async def test_the_whole_file_is_looked_at_before_its_first_use_and_not_for_the_first_answer(tmp_path: Path) -> None:
    path = filled(tmp_path)
    alter(path)
    store = Store.open(path)
    assert len(store.transaction_now(lambda tx: tx.read_calendars())) == 3
    noticed: list[bool] = []
    store.call_on_damage(partial(noticed.append, True))
    with pytest.raises(StorageDamaged, match="not as it was closed"):
        await store.read_calendars()
    store.close()
    assert noticed == [True]
    again = Store.open_or_begin_anew(path)
    assert await again.read_calendars() == []
    again.close()


def test_no_seal_is_put_on_a_file_that_was_not_looked_at(tmp_path: Path) -> None:
    path = filled(tmp_path)
    alter(path)
    Store.open(path).close()
    assert not path.with_name("mirror.sqlite3.seal").exists()
    with pytest.raises(StorageDamaged, match="found damaged while it was used"):
        Store.open(path)


async def test_much_that_a_start_writes_leaves_the_file_to_be_looked_at(tmp_path: Path) -> None:
    path = filled(tmp_path)
    store = Store.open(path)
    store.transaction_now(lambda tx: tx.record_meta("large", "x" * 8_000_000))  # more than a log usually holds
    assert await store.read_meta("large") == "x" * 8_000_000
    store.close()
    Store.open(path).close()
