"""Calendar object resources as mirrored: payloads with their ETags. The calendars they lie in are `mirror.py`."""

import sqlite3
from collections.abc import Iterable, Mapping

from msgspec import Struct


class StoredObject(Struct, frozen=True):
    """One calendar object resource as mirrored (RFC 4791 §4.1)."""

    href: str
    etag: str
    uid: str
    payload: bytes


def read_etags(db: sqlite3.Connection, calendar: int) -> dict[str, str]:
    """Href -> ETag of everything mirrored."""
    return dict(db.execute("SELECT href, etag FROM object WHERE calendar=?", (calendar,)))


def read_objects(db: sqlite3.Connection, calendar: int) -> list[StoredObject]:
    """All objects of a calendar."""
    rows = db.execute("SELECT href, etag, uid, payload FROM object WHERE calendar=?", (calendar,))
    return [StoredObject(*row) for row in rows]


def read_objects_by_id(db: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, StoredObject]:
    """The objects of these ids that exist."""
    query = "SELECT href, etag, uid, payload FROM object WHERE id=?"
    found = ((number, db.execute(query, (number,)).fetchone()) for number in numbers)
    return {number: StoredObject(*row) for number, row in found if row}


def record_uids(db: sqlite3.Connection, uids: Mapping[int, str]) -> None:
    """The UIDs of objects that could not be read when they were stored."""
    db.executemany("UPDATE object SET uid=? WHERE id=?", [(uid, number) for number, uid in uids.items()])


def put_object(db: sqlite3.Connection, calendar: int, stored: StoredObject) -> int:
    """Insert or replace an object; its id, which stays the same when it is replaced."""
    row: tuple[int] = db.execute(
        "INSERT INTO object (calendar, href, etag, uid, payload) VALUES (?,?,?,?,?)"
        " ON CONFLICT (calendar, href) DO UPDATE SET etag=excluded.etag, uid=excluded.uid, payload=excluded.payload"
        " RETURNING id",
        (calendar, stored.href, stored.etag, stored.uid, stored.payload),
    ).fetchone()
    return row[0]


def forget_objects(db: sqlite3.Connection, calendar: int, hrefs: Iterable[str]) -> list[int]:
    """Delete objects that are proved to be gone; the ids they had."""
    query = "DELETE FROM object WHERE calendar=? AND href=? RETURNING id"
    return [row[0] for href in hrefs for row in db.execute(query, (calendar, href)).fetchall()]


def mark_unread(db: sqlite3.Connection, calendar: int, hrefs: Iterable[str]) -> dict[int, str]:
    """Objects that are listed but could not be fetched: what the mirror has of them stays, the next sync tries again.

    Returns id -> href of those of which it has nothing.
    """
    without_payload: dict[int, str] = {}
    for href in hrefs:
        row = db.execute(
            "INSERT INTO object (calendar, href, etag, uid, payload) VALUES (?,?,'','',x'')"
            " ON CONFLICT (calendar, href) DO UPDATE SET etag='' RETURNING id, payload",
            (calendar, href),
        ).fetchone()
        if not row[1]:
            without_payload[row[0]] = href
    return without_payload


def objects_with_payload(db: sqlite3.Connection, calendar: int, hrefs: Iterable[str]) -> dict[int, str]:
    """Id -> href of those of which the mirror has something."""
    query = "SELECT id FROM object WHERE calendar=? AND href=? AND payload<>x''"
    found = ((href, db.execute(query, (calendar, href)).fetchone()) for href in hrefs)
    return {row[0]: href for href, row in found if row}
