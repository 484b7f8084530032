"""The mirror on disk: accounts, calendars and calendar objects as their servers last had them. It can be rebuilt.

Every function takes the connection of one transaction; the caller (`flow/poll.py`) decides what belongs together.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct, field

from busyd.connection import CalendarKind, Connection, RemoteCalendar
from busyd.period import Instant

MIRROR_FILE: Final = "mirror.sqlite3"
GONE_AFTER: Final = 300
"""Seconds for which every listing must lack a calendar before it is asked whether it is gone (icloud.md 9)."""


class AccountRecord(Struct, frozen=True):
    """What discovery found behind a connection; asked for again when it is old or answers 404."""

    connection: str
    root: str
    """The bootstrap URL it was discovered from; with another one, or another user, it is another account."""
    username: str
    principal: str
    home: str
    addresses: tuple[str, ...]
    """calendar-user-address-set (RFC 6638 §2.4.1), as sent."""
    single: bool
    """The home is itself the one calendar."""
    discovered: Instant


class CalendarRecord(Struct, frozen=True):
    """A calendar of a connection, and how far the mirror follows it."""

    id: int
    connection: str
    remote: RemoteCalendar
    """As last listed; its ctag and sync_token are the listing's, not the mirror's."""
    missing_since: Instant | None = None
    """When a complete listing first came without it."""
    gone: bool = False
    """Asked for directly, GONE_AFTER seconds later or more, its server no longer knew it."""
    ctag: str | None = None
    sync_token: str | None = None
    as_of: Instant | None = None
    reconciled: Instant | None = None
    complete: bool = False
    held: Mapping[str, Instant] = field(default_factory=dict)
    """Href -> when it was first found gone, for what is not yet believed to be."""
    validators: Mapping[str, str] = field(default_factory=dict)
    earlier_token: str | None = None
    """While `look_again` is set: a token from which the next look sees the last one's changes too."""
    look_again: Instant | None = None
    """When to look although nothing seems to have changed."""

    @property
    def label(self) -> str:
        """How a person names it: CONNECTION/NAME, or the connection alone for a feed."""
        shown = self.remote.name or self.remote.id
        return self.connection if self.remote.kind == "feed" else f"{self.connection}/{shown}"


def read_account(db: sqlite3.Connection, connection: str) -> AccountRecord | None:
    columns = "connection, root, username, principal, home, addresses, single, discovered"
    row = db.execute(f"SELECT {columns} FROM account WHERE connection=?", (connection,)).fetchone()
    if row is None:
        return None
    return AccountRecord(row[0], row[1], row[2], row[3], row[4], tuple(json.loads(row[5])), bool(row[6]), row[7])


def record_account(db: sqlite3.Connection, account: AccountRecord) -> None:
    """Take what discovery found; the calendars of another account under the same name are forgotten."""
    known = read_account(db, account.connection)
    if known is not None and (known.root, known.username) != (account.root, account.username):
        db.execute("DELETE FROM calendar WHERE connection=?", (account.connection,))
        advance_generation(db)
    db.execute(
        "INSERT OR REPLACE INTO account (connection, root, username, principal, home, addresses, single, discovered)"
        " VALUES (?,?,?,?,?,?,?,?)",
        (
            account.connection,
            account.root,
            account.username,
            account.principal,
            account.home,
            json.dumps(account.addresses),
            account.single,
            account.discovered,
        ),
    )


def forget_strangers(db: sqlite3.Connection, connections: Iterable[Connection]) -> None:
    """Forget what was read of other accounts than those configured now: another login, another feed, or none any more.

    Their calendars would answer for somebody else. Everything here can be read again.
    """
    current = {connection.name: connection for connection in connections}
    changed = False
    for name, root, username in db.execute("SELECT connection, root, username FROM account").fetchall():
        connection = current.get(name)
        if connection is None or (connection.url, connection.username) != (root, username):
            db.execute("DELETE FROM account WHERE connection=?", (name,))
            db.execute("DELETE FROM calendar WHERE connection=?", (name,))
            changed = True
    for record in read_calendars(db):
        connection = current.get(record.connection)
        is_other_feed = record.remote.kind is CalendarKind.FEED and (
            connection is None or record.remote.href != connection.url
        )
        if connection is None or is_other_feed:
            db.execute("DELETE FROM calendar WHERE id=?", (record.id,))
            changed = True
    if changed:
        advance_generation(db)


def read_calendars(db: sqlite3.Connection, connection: str | None = None) -> list[CalendarRecord]:
    """All calendars ever listed and not forgotten, of one connection or of all, in the order they were found."""
    where, values = ("", ()) if connection is None else (" WHERE connection=?", (connection,))
    rows = db.execute(
        "SELECT id, connection, listing, missing_since, gone, ctag, sync_token, as_of, reconciled, complete, held,"
        " validators, earlier_token, look_again"
        f" FROM calendar{where} ORDER BY id",
        values,
    )
    return [
        CalendarRecord(
            id=row[0],
            connection=row[1],
            remote=msgspec.json.decode(row[2], type=RemoteCalendar),
            missing_since=row[3],
            gone=bool(row[4]),
            ctag=row[5],
            sync_token=row[6],
            as_of=row[7],
            reconciled=row[8],
            complete=bool(row[9]),
            held=json.loads(row[10]) or {},
            validators=json.loads(row[11]),
            earlier_token=row[12],
            look_again=row[13],
        )
        for row in rows
    ]


def record_listing(
    db: sqlite3.Connection,
    connection: str,
    calendars: Iterable[RemoteCalendar],
    at: Instant,
    *,
    unreadable: Iterable[str] = (),
) -> None:
    """Take a complete listing: new calendars appear, changed ones change, absent ones are marked, none is dropped.

    `unreadable` hrefs were listed with a fault in place of their properties: they are not missing, and one that was
    never seen before may be a calendar, so its time is not known.
    """
    faulty = set(unreadable)
    listed = {remote.href: remote for remote in calendars}
    known = {record.remote.href: record for record in read_calendars(db, connection)}
    for href, remote in listed.items():
        listing = msgspec.json.encode(remote).decode()
        if href not in known:
            db.execute("INSERT INTO calendar (connection, href, listing) VALUES (?,?,?)", (connection, href, listing))
        elif known[href].remote != remote or known[href].missing_since is not None:
            db.execute(
                "UPDATE calendar SET listing=?, missing_since=NULL, gone=0 WHERE connection=? AND href=?",
                (listing, connection, href),
            )
    for href in faulty - known.keys() - listed.keys():
        nameless = msgspec.json.encode(RemoteCalendar(href, "")).decode()
        db.execute("INSERT INTO calendar (connection, href, listing) VALUES (?,?,?)", (connection, href, nameless))
    for href in known.keys() - listed.keys() - faulty:
        db.execute(
            "UPDATE calendar SET missing_since=COALESCE(missing_since, ?) WHERE connection=? AND href=?",
            (at, connection, href),
        )


def record_listed(db: sqlite3.Connection, connection: str, remote: RemoteCalendar) -> None:
    """Take one calendar as it was listed."""
    listing = msgspec.json.encode(remote).decode()
    db.execute("UPDATE calendar SET listing=? WHERE connection=? AND href=?", (listing, connection, remote.href))


def record_gone(db: sqlite3.Connection, calendar: int) -> None:
    """A calendar long missing was asked for directly, and is proved to be gone. What is mirrored of it stays."""
    db.execute("UPDATE calendar SET gone=1 WHERE id=?", (calendar,))


def confirm_calendars(db: sqlite3.Connection, calendars: Iterable[int], at: Instant) -> None:
    """The remote has just confirmed that the mirror of these calendars is its state."""
    db.executemany("UPDATE calendar SET as_of=? WHERE id=?", [(at, calendar) for calendar in calendars])


def record_validators(db: sqlite3.Connection, calendar: int, validators: Mapping[str, str]) -> None:
    """What to ask a feed with the next time, renewed though the feed itself has not changed."""
    db.execute("UPDATE calendar SET validators=? WHERE id=?", (json.dumps(dict(validators)), calendar))


class SyncMark(Struct, frozen=True):
    """Where a calendar's mirror stands after a sync: committed together with the objects it speaks of."""

    ctag: str | None
    sync_token: str | None
    as_of: Instant
    reconciled: Instant | None = None
    """Set when this sync compared everything, so that the daily comparison can wait."""
    held: Mapping[str, Instant] = field(default_factory=dict)
    validators: Mapping[str, str] = field(default_factory=dict)
    earlier_token: str | None = None
    look_again: Instant | None = None


def record_sync(db: sqlite3.Connection, calendar: int, mark: SyncMark) -> None:
    db.execute(
        "UPDATE calendar SET ctag=?, sync_token=?, as_of=?, reconciled=COALESCE(?, reconciled), complete=1, held=?,"
        " validators=?, earlier_token=?, look_again=? WHERE id=?",
        (
            mark.ctag,
            mark.sync_token,
            mark.as_of,
            mark.reconciled,
            json.dumps(dict(mark.held)),
            json.dumps(dict(mark.validators)),
            mark.earlier_token,
            mark.look_again,
            calendar,
        ),
    )


def generation(db: sqlite3.Connection) -> int:
    """Grows with each change of what could change an answer."""
    return int(db.execute("SELECT value FROM meta WHERE name='generation'").fetchone()[0])


def advance_generation(db: sqlite3.Connection) -> None:
    db.execute("UPDATE meta SET value=CAST(value AS INTEGER)+1 WHERE name='generation'")


def read_meta(db: sqlite3.Connection, name: str) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
    return row[0] if row else None


def record_meta(db: sqlite3.Connection, name: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?,?)", (name, value))
