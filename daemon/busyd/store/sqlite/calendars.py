"""Accounts and calendars: the statements."""

import json
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from busyd.connection import CalendarKind, Connection, RemoteCalendar
from busyd.period import Instant
from busyd.store.mirror import AccountRecord, CalendarRecord, ObjectDoubt, SyncMark
from busyd.store.sqlite.statements import Statements

_NEW_CALENDAR: Final = (
    "INSERT INTO calendar (connection, href, listing, epoch) VALUES (?,?,?,lower(hex(randomblob(8))))"
)


class CalendarStatements(Statements):
    """Accounts with the calendars in them."""

    def read_account(self, connection: str) -> AccountRecord | None:
        columns = "connection, root, username, principal, homes, addresses, single, discovered, partial"
        row = self._db.execute(f"SELECT {columns} FROM account WHERE connection=?", (connection,)).fetchone()
        if row is None:
            return None
        homes, addresses = tuple(json.loads(row[4])), tuple(json.loads(row[5]))
        return AccountRecord(row[0], row[1], row[2], row[3], homes, addresses, bool(row[6]), row[7], row[8])

    def record_account(self, account: AccountRecord) -> None:
        """Take what discovery found; the calendars of another account under the same name are forgotten."""
        known = self.read_account(account.connection)
        if known is not None and (known.root, known.username) != (account.root, account.username):
            self._db.execute("DELETE FROM calendar WHERE connection=?", (account.connection,))
        self._db.execute(
            "INSERT OR REPLACE INTO account (connection, root, username, principal, homes, addresses, single,"
            " discovered, partial) VALUES (?,?,?,?,?,?,?,?,?)",
            (
                account.connection,
                account.root,
                account.username,
                account.principal,
                json.dumps(account.homes),
                json.dumps(account.addresses),
                account.single,
                account.discovered,
                account.partial,
            ),
        )

    def record_partial(self, connection: str, partial: str) -> None:
        """Why the listing just taken may lack calendars; empty when it is whole."""
        self._db.execute("UPDATE account SET partial=? WHERE connection=?", (partial, connection))

    def forget_other_accounts(self, connections: Iterable[Connection]) -> None:
        """Forget what was read of accounts that are no longer configured so: another login, another feed, or none.

        Their calendars would answer for somebody else. Everything here can be read again.
        """
        current = {connection.name: connection for connection in connections}
        for name, root, username in self._db.execute("SELECT connection, root, username FROM account").fetchall():
            connection = current.get(name)
            if connection is None or (connection.url, connection.username) != (root, username):
                self._db.execute("DELETE FROM account WHERE connection=?", (name,))
                self._db.execute("DELETE FROM calendar WHERE connection=?", (name,))
        for record in self.read_calendars():
            connection = current.get(record.connection)
            is_other_feed = record.remote.kind is CalendarKind.FEED and (
                connection is None or record.remote.href != connection.url
            )
            if connection is None or is_other_feed:
                self._db.execute("DELETE FROM calendar WHERE id=?", (record.id,))

    def read_calendars(self, connection: str | None = None) -> list[CalendarRecord]:
        """All calendars ever listed and not forgotten, of one connection or of all, in the order they were found."""
        where, values = ("", ()) if connection is None else (" WHERE connection=?", (connection,))
        rows = self._db.execute(
            "SELECT id, connection, listing, missing_since, gone, ctag, sync_token, as_of, reconciled, complete, held,"
            " validators, earlier_token, look_again, doubts, listed_token"
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
                held=json.loads(row[10]),
                validators=json.loads(row[11]),
                earlier_token=row[12],
                look_again=row[13],
                doubts=msgspec.json.decode(row[14], type=dict[str, ObjectDoubt]),
                listed_token=row[15],
            )
            for row in rows
        ]

    def record_listing(
        self,
        connection: str,
        calendars: Iterable[RemoteCalendar],
        *,
        at: Instant,
        unreadable: Iterable[str] = (),
    ) -> None:
        """Take a complete listing: new calendars appear, changed ones change, absent ones are marked, none is dropped.

        `unreadable` hrefs were listed with a fault in place of their properties: they are not missing, and one that was
        never seen before may be a calendar, so its time is not known.
        """
        faulty = set(unreadable)
        listed = {remote.href: remote for remote in calendars}
        known = {record.remote.href: record for record in self.read_calendars(connection)}
        for href, remote in listed.items():
            listing = msgspec.json.encode(remote).decode()
            if href not in known:
                self._db.execute(_NEW_CALENDAR, (connection, href, listing))
            elif known[href].remote != remote or known[href].missing_since is not None:
                self._db.execute(
                    "UPDATE calendar SET listing=?, missing_since=NULL, gone=0 WHERE connection=? AND href=?",
                    (listing, connection, href),
                )
        for href in faulty - known.keys() - listed.keys():
            nameless = msgspec.json.encode(RemoteCalendar(href, "")).decode()
            self._db.execute(_NEW_CALENDAR, (connection, href, nameless))
        for href in known.keys() - listed.keys() - faulty:
            self._db.execute(
                "UPDATE calendar SET missing_since=COALESCE(missing_since, ?) WHERE connection=? AND href=?",
                (at, connection, href),
            )

    def record_listed(self, connection: str, remote: RemoteCalendar) -> None:
        """Take one calendar as it was listed."""
        listing = msgspec.json.encode(remote).decode()
        self._db.execute(
            "UPDATE calendar SET listing=? WHERE connection=? AND href=?", (listing, connection, remote.href)
        )

    def record_gone(self, calendar: int) -> None:
        """A calendar long missing was asked for directly, and is proved to be gone. What is mirrored of it stays."""
        self._db.execute("UPDATE calendar SET gone=1 WHERE id=?", (calendar,))

    def confirm_calendars(self, calendars: Iterable[int], at: Instant) -> None:
        """The remote has just confirmed that the mirror of these calendars is its state."""
        self._db.executemany("UPDATE calendar SET as_of=? WHERE id=?", [(at, calendar) for calendar in calendars])

    def record_validators(self, calendar: int, validators: Mapping[str, str]) -> None:
        """What to ask a feed with the next time, renewed though the feed itself has not changed."""
        self._db.execute("UPDATE calendar SET validators=? WHERE id=?", (json.dumps(dict(validators)), calendar))

    def record_sync(self, calendar: int, mark: SyncMark) -> None:
        self._db.execute(
            "UPDATE calendar SET ctag=?, sync_token=?, as_of=COALESCE(?, as_of), reconciled=COALESCE(?, reconciled),"
            " complete=1, held=?, validators=?, earlier_token=?, look_again=?, doubts=?, listed_token=? WHERE id=?",
            (
                mark.ctag,
                mark.sync_token,
                mark.as_of,
                mark.reconciled,
                json.dumps(dict(mark.held)),
                json.dumps(dict(mark.validators)),
                mark.earlier_token,
                mark.look_again,
                msgspec.json.encode(mark.doubts).decode(),
                mark.listed_token,
                calendar,
            ),
        )
