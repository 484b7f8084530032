"""Accounts and calendars: the statements."""

import json
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from busyd.connection import CalendarKind, Connection, RemoteCalendar
from busyd.period import Instant
from busyd.store.mirror import AccountRecord, CalendarRecord, ObjectDoubt, SyncMark
from busyd.store.statements.base import Statements, upsert
from busyd.store.statements.digests import check, digest_of

_NEW_CALENDAR: Final = "INSERT INTO calendar (connection, href, listing, epoch) VALUES (?,?,?,?) RETURNING id"
_COLUMNS: Final = (
    "id", "connection", "href", "listing", "missing_since", "gone", "ctag", "sync_token", "as_of", "reconciled",
    "complete", "held", "validators", "earlier_token", "look_again", "doubts", "listed_token",
    "next_earlier_token",
)  # fmt: skip
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)}, digest FROM calendar"
_ACCOUNT: Final = (
    "connection", "root", "username", "principal", "homes", "addresses", "single", "discovered", "partial",
)  # fmt: skip


class CalendarStatements(Statements):
    """Accounts with the calendars in them."""

    def read_account(self, connection: str) -> AccountRecord | None:
        query = f"SELECT {', '.join(_ACCOUNT)}, digest FROM account WHERE connection=?"
        row = self._db.execute(query, (connection,)).fetchone()
        return _account(row) if row is not None else None

    def read_accounts(self) -> list[AccountRecord]:
        """Those of all connections."""
        return [_account(row) for row in self._db.execute(f"SELECT {', '.join(_ACCOUNT)}, digest FROM account")]

    def record_account(self, account: AccountRecord) -> None:
        """Take what discovery found; the calendars of another account under the same name are forgotten."""
        known = self.read_account(account.connection)
        if known is not None and (known.root, known.username) != (account.root, account.username):
            self.has_changed_members = True
            self._db.execute("DELETE FROM calendar WHERE connection=?", (account.connection,))
        self._put_account(account)

    def forget_account(self, connection: str) -> None:
        """Forget an account and all that was read of it, as if it had never been asked."""
        self.has_changed_members = True
        for table in ("account", "calendar"):
            self._db.execute(f"DELETE FROM {table} WHERE connection=?", (connection,))

    def record_partial(self, connection: str, partial: str) -> None:
        """Why the listing just taken may lack calendars; empty when it is whole."""
        account = self.read_account(connection)
        if account is not None and account.partial != partial:
            self._put_account(replace(account, partial=partial))

    def _put_account(self, account: AccountRecord) -> None:
        row = (
            account.connection,
            account.root,
            account.username,
            account.principal,
            json.dumps(account.homes),
            json.dumps(account.addresses),
            int(account.single),
            account.discovered,
            account.partial,
        )
        self._db.execute(upsert("account", (*_ACCOUNT, "digest")), (*row, digest_of(row)))

    def forget_other_accounts(self, connections: Iterable[Connection], *, kept: Collection[str] = ()) -> None:
        """Forget what was read of accounts that are no longer configured so: another login, another feed, or none.

        `kept` are connections that others have configured, of which only the former is forgotten.

        Their calendars would answer for somebody else. Everything here can be read again.
        """
        current = {connection.name: connection for connection in connections}
        for name, root, username in self._db.execute("SELECT connection, root, username FROM account").fetchall():
            connection = current.get(name)
            if connection is None and name in kept:
                continue
            if connection is None or (connection.url, connection.username) != (root, username):
                self._db.execute("DELETE FROM account WHERE connection=?", (name,))
                self.has_changed_members = True
                self._db.execute("DELETE FROM calendar WHERE connection=?", (name,))
        for record in self.read_calendars():
            connection = current.get(record.connection)
            if connection is None and record.connection in kept:
                continue
            is_other_feed = record.remote.kind is CalendarKind.FEED and (
                connection is None or record.remote.href != connection.url
            )
            if connection is None or is_other_feed:
                self.has_changed_members = True
                self._db.execute("DELETE FROM calendar WHERE id=?", (record.id,))

    def read_calendars(self, connection: str | None = None) -> list[CalendarRecord]:
        """All calendars ever listed and not forgotten, of one connection or of all, in the order they were found."""
        where, values = ("", ()) if connection is None else (" WHERE connection=?", (connection,))
        return [_record(row) for row in self._db.execute(f"{_SELECT}{where} ORDER BY id", values)]

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
                self._add(connection, href, listing=listing)
            elif known[href].remote != remote or known[href].missing_since is not None:
                self._change(known[href].id, listing=listing, missing_since=None, gone=0)
        for href in faulty - known.keys() - listed.keys():
            nameless = msgspec.json.encode(RemoteCalendar(href, "")).decode()
            self._add(connection, href, listing=nameless)
        for href in known.keys() - listed.keys() - faulty:
            if known[href].missing_since is None:
                self._change(known[href].id, missing_since=at)

    def record_listed(self, connection: str, remote: RemoteCalendar) -> None:
        """Take one calendar as it was listed."""
        query = "SELECT id FROM calendar WHERE connection=? AND href=?"
        for (number,) in self._db.execute(query, (connection, remote.href)).fetchall():
            self._change(number, listing=msgspec.json.encode(remote).decode())

    def record_gone(self, calendar: int) -> None:
        """A calendar long missing was asked for directly, and is proved to be gone. What is mirrored of it stays."""
        self._change(calendar, gone=1)

    def confirm_calendars(self, calendars: Iterable[int], at: Instant) -> None:
        """The remote has just confirmed that the mirror of these calendars is its state."""
        for calendar in calendars:
            self._change(calendar, as_of=at)

    def record_validators(self, calendar: int, validators: Mapping[str, str]) -> None:
        """What to ask a feed with the next time, renewed though the feed itself has not changed."""
        self._change(calendar, validators=json.dumps(dict(validators)))

    def record_sync(self, calendar: int, mark: SyncMark) -> None:
        proved = {"as_of": mark.as_of, "reconciled": mark.reconciled}
        self._change(
            calendar,
            ctag=mark.ctag,
            sync_token=mark.sync_token,
            complete=1,
            held=json.dumps(dict(mark.held)),
            validators=json.dumps(dict(mark.validators)),
            earlier_token=mark.earlier_token,
            look_again=mark.look_again,
            doubts=msgspec.json.encode(mark.doubts).decode(),
            listed_token=mark.listed_token,
            next_earlier_token=mark.next_earlier_token,
            **{name: at for name, at in proved.items() if at is not None},
        )

    def _add(self, connection: str, href: str, *, listing: str) -> None:
        (number,) = self._db.execute(_NEW_CALENDAR, (connection, href, listing, secrets.token_hex(8))).fetchone()
        row = self._db.execute(f"{_SELECT} WHERE id=?", (number,)).fetchone()
        self._db.execute("UPDATE calendar SET digest=? WHERE id=?", (digest_of(row[:-1]), number))

    def _change(self, calendar: int, **values: str | int | None) -> None:
        """Change columns of one calendar, which must be as it was written: no digest may be put on damage."""
        row = self._db.execute(f"{_SELECT} WHERE id=?", (calendar,)).fetchone()
        if row is None:
            return
        check(row[:-1], row[-1])
        new = tuple(values.get(name, old) for name, old in zip(_COLUMNS, row, strict=False))
        columns = ", ".join(f"{name}=?" for name in values)
        query = f"UPDATE calendar SET {columns}, digest=? WHERE id=?"
        self._db.execute(query, (*values.values(), digest_of(new), calendar))


def _record(row: tuple[Any, ...]) -> CalendarRecord:
    """Raises msgspec.ValidationError for a row that is not as it was written."""
    check(row[:-1], row[-1])
    column = dict(zip(_COLUMNS, row, strict=False))
    return CalendarRecord(
        id=column["id"],
        connection=column["connection"],
        remote=msgspec.json.decode(column["listing"], type=RemoteCalendar),
        missing_since=column["missing_since"],
        gone=bool(column["gone"]),
        ctag=column["ctag"],
        sync_token=column["sync_token"],
        as_of=column["as_of"],
        reconciled=column["reconciled"],
        complete=bool(column["complete"]),
        held=json.loads(column["held"]),
        validators=json.loads(column["validators"]),
        earlier_token=column["earlier_token"],
        look_again=column["look_again"],
        doubts=msgspec.json.decode(column["doubts"], type=dict[str, ObjectDoubt]),
        listed_token=column["listed_token"],
        next_earlier_token=column["next_earlier_token"],
    )


def _account(row: Sequence[Any]) -> AccountRecord:
    check(tuple(row[:-1]), row[-1])
    homes, addresses = tuple(json.loads(row[4])), tuple(json.loads(row[5]))
    return AccountRecord(row[0], row[1], row[2], row[3], homes, addresses, bool(row[6]), row[7], row[8])
