"""What must never be lost: tokens, which calendar each reference of the configuration was resolved to, and the outbox.
Also when the feed of each token last changed, and what apps have said of collections of the CalDAV server, which no
other place knows after a restart.

The command line opens the same file while the daemon runs, so it keeps the rollback journal and is synchronous; the
daemon runs it on a thread of its own (`ledger_thread.py`).
"""

import contextlib
import hashlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

from msgspec.structs import replace

from busyd.credentials.tokens import TOKEN_PREFIX, NewToken, Token, split_token
from busyd.ownership import as_owner_of, make_state_directory
from busyd.period import Instant
from busyd.store.acceptances import Acceptance
from busyd.store.errors import StorageDamaged
from busyd.store.kept_properties import KeptProperties, make_properties
from busyd.store.outbox import Outbox
from busyd.store.server_traits import MeasuredTraits, make_traits
from busyd.store.sqlite.bookings import make_outbox
from busyd.store.sqlite.database import check, migrate, open_connection, storage_errors, transaction

T = TypeVar("T")

LEDGER_FILE: Final = "ledger.sqlite3"
_IN_PROFILE: Final = "\n"
"""Between a profile and a reference in it."""
_USE_IS_NOTED_EVERY: Final = 60
"""Seconds: "last used" is exact to a minute."""
_MOST_ADMITTED: Final = 256
_CHANGE_COUNTER: Final = 24
"""Where the file header counts changes: four bytes, big-endian (SQLite's file format 1.3.8)."""


class Ledger:
    """The open file. Every change is on the disk when its method returns."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._header = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._lock = threading.Lock()
        """Held while the next three change together; never while waiting for the disk."""
        self._tokens: dict[str, Token] = {}
        self._revisions: frozenset[bytes] = frozenset()
        """The revisions of the file of which `_tokens` holds; empty when that must be read anew."""
        self._uses: dict[str, Instant] = {}
        """Uses not yet written."""
        self._admitted: dict[str, str] = {}
        """Text of a token -> its id, for those of `_tokens` whose secret was found to be right."""

    @classmethod
    def open(cls, path: Path, *, busy_timeout: float = 10.0) -> "Ledger":
        """Open or create the file. `busy_timeout` is how many seconds to wait for another process that writes it.

        Raises StorageError: a damaged ledger is never replaced by an empty one. Raises TryAgain, Misconfigured when
        there is no directory for it.
        """
        make_state_directory(path.parent)
        connection = open_connection(path, journal="DELETE", synchronous="FULL", busy_timeout=busy_timeout)
        try:
            check(connection, path)
            migrate(connection, path, migrations=_MIGRATIONS)
        except StorageDamaged as error:
            connection.close()
            fix = "put a backup of it in place, or move it away: then tokens must be made anew"
            raise StorageDamaged(str(error), fix=fix) from error
        except BaseException:
            connection.close()
            raise
        return cls(connection, path)

    def close(self) -> None:
        self._connection.close()
        if self._header >= 0:
            # Only now: closing any descriptor of a file drops the locks this process has on it.
            os.close(self._header)
            self._header = -1

    def is_current(self) -> bool:
        """Whether the tokens in memory are those of the file, whichever process changed it last: half a microsecond."""
        return self._revision() in self._revisions

    def refresh(self) -> None:
        """Read the tokens anew. Raises StorageError."""
        revision = self._revision()  # first: what changes meanwhile is then seen as a change
        with storage_errors(self._path):
            rows = self._connection.execute(
                "SELECT id, profile, scopes, details, name, created, expires, last_used, digest FROM token"
            ).fetchall()
        tokens = {row[0]: Token(row[0], row[1], frozenset(row[2].split(",")), bool(row[3]), *row[4:9]) for row in rows}
        with self._lock:
            for token_id in self._uses.keys() & tokens.keys():
                tokens[token_id] = replace(tokens[token_id], last_used=self._uses[token_id])
            self._tokens, self._revisions = tokens, frozenset({revision})
            self._admitted = {}

    def known_token(self, text: str, now: Instant) -> Token | None:
        """The token that this text is, by what was read last. Only memory is asked: see `is_current`."""
        token = self._tokens.get(self._admitted.get(text, ""))
        if token is not None:
            return self.token_of(token.id, now)
        parts = split_token(text)
        token = self._tokens.get(parts[0]) if parts is not None else None
        if parts is None or token is None or not token.admits(parts[1], now):
            return None
        if len(self._admitted) >= _MOST_ADMITTED:
            self._admitted.clear()
        self._admitted[text] = token.id
        return token

    def token_of(self, token_id: str, now: Instant) -> Token | None:
        """The token of this id, if it is alive, by what was read last."""
        token = self._tokens.get(token_id)
        return token if token is not None and token.is_alive(now) else None

    def find_token(self, text: str, now: Instant) -> Token | None:
        """The token that this text is, if it is alive at this moment. A change by another process counts at once.

        Raises StorageError.
        """
        if not self.is_current():
            self.refresh()
        return self.known_token(text, now)

    def note_use(self, token: Token, now: Instant) -> bool:
        """Note in memory that the token is used; whether that is news that `write_uses` has yet to write."""
        if token.last_used is not None and 0 <= now - token.last_used < _USE_IS_NOTED_EVERY:
            return False
        with self._lock:
            if token.id not in self._tokens:
                return False
            self._tokens[token.id] = replace(token, last_used=now)
            self._uses[token.id] = now
        return True

    def write_uses(self) -> None:
        """Write what was noted, in one transaction. Raises StorageError; it is then noted still."""
        with self._lock:
            uses, self._uses = self._uses, {}
        if not uses:
            return
        rows = [(now, token_id, now) for token_id, now in uses.items()]
        try:
            with storage_errors(self._path), transaction(self._connection):
                statement = "UPDATE token SET last_used=? WHERE id=? AND last_used IS NOT ?"
                if self._connection.executemany(statement, rows).rowcount:
                    self._expect_own_change()
        except BaseException:
            with self._lock:
                self._revisions = frozenset()
                self._uses = uses | self._uses
            raise

    def add_token(
        self,
        profile: str,
        *,
        scopes: Iterable[str],
        details: bool,
        expires: Instant | None,
        name: str,
        now: Instant,
    ) -> NewToken:
        """Make a token of 32 random bytes."""
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        self._write(
            "INSERT INTO token (id, profile, scopes, details, name, created, expires, digest) VALUES (?,?,?,?,?,?,?,?)",
            (
                token_id,
                profile,
                ",".join(sorted(scopes)),
                details,
                name,
                now,
                expires,
                hashlib.sha256(secret.encode()).digest(),
            ),
        )
        return NewToken(token_id, f"{TOKEN_PREFIX}_{token_id}_{secret}")

    def tokens(self) -> list[Token]:
        """All tokens, oldest first, as they are in the file now. Raises StorageError."""
        if not self.is_current():
            self.refresh()
        return sorted(self._tokens.values(), key=lambda token: (token.created, token.id))

    def revoke_token(self, token_id: str) -> bool:
        """Delete a token; False when there is none of that id."""
        return self._write("DELETE FROM token WHERE id=?", (token_id,)) > 0

    def feed_changed(self, token_id: str, tag: str, *, now: Instant) -> Instant:
        """When the feed of a token became what bears this tag: now, unless that is known from before.

        Later than each earlier change, whatever the clock says: it may then be later than now.
        """
        with storage_errors(self._path):
            known = self._connection.execute("SELECT tag, changed FROM feed WHERE token=?", (token_id,)).fetchone()
        if known is not None and known[0] == tag:
            return Instant(known[1])
        changed = Instant(now if known is None else max(now, known[1] + 1))
        statement = "INSERT OR REPLACE INTO feed (token, tag, changed) VALUES (?,?,?)"
        self._transaction(lambda connection: connection.execute(statement, (token_id, tag, changed)))
        return changed

    def resolved_links(self) -> dict[str, dict[str, str]]:
        """Profile -> reference as written in the configuration -> href of the calendar it was resolved to.

        What an older busyd kept for all profiles alike is under an empty name.
        """
        links: dict[str, dict[str, str]] = {}
        with storage_errors(self._path):
            for key, href in self._connection.execute("SELECT reference, href FROM link"):
                profile, separator, reference = key.partition(_IN_PROFILE)
                links.setdefault(profile if separator else "", {})[reference if separator else key] = href
        return links

    def record_links(self, links: Mapping[str, Mapping[str, str]]) -> None:
        """Remember what references were resolved to, by profile."""
        known = self.resolved_links()
        new = [
            (f"{profile}{_IN_PROFILE}{reference}", href)
            for profile, meant in links.items()
            for reference, href in meant.items()
            if known.get(profile, {}).get(reference) != href
        ]
        if new or "" in known:
            with storage_errors(self._path), transaction(self._connection):
                self._connection.executemany("INSERT OR REPLACE INTO link (reference, href) VALUES (?,?)", new)
                self._connection.execute("DELETE FROM link WHERE instr(reference, ?)=0", (_IN_PROFILE,))

    def acceptances(self) -> dict[str, Acceptance]:
        """What was accepted of objects that cannot be understood, by id. Raises StorageError."""
        with storage_errors(self._path):
            rows = self._connection.execute("SELECT id, calendar, href, uid, reason, at FROM acceptance")
            return {row[0]: Acceptance(*row) for row in rows}

    def accept(self, acceptance: Acceptance) -> None:
        """Keep that an object does not matter. Raises StorageError."""
        self._write(
            "INSERT OR REPLACE INTO acceptance (id, calendar, href, uid, reason, at) VALUES (?,?,?,?,?,?)",
            (acceptance.id, acceptance.calendar, acceptance.href, acceptance.uid, acceptance.reason, acceptance.at),
        )

    def withdraw(self, ids: Iterable[str]) -> None:
        """Forget acceptances. Raises StorageError."""
        with storage_errors(self._path), transaction(self._connection):
            self._connection.executemany("DELETE FROM acceptance WHERE id=?", [(one,) for one in ids])

    def outbox(self, work: Callable[[Outbox], T]) -> T:
        """Do something with the outbox as one transaction: all of it is kept, or nothing. Raises StorageError."""
        return self._transaction(lambda connection: work(Outbox(connection)))

    def kept_properties(self, work: Callable[[KeptProperties], T]) -> T:
        """The same with the properties that apps have given. Raises StorageError."""
        return self._transaction(lambda connection: work(KeptProperties(connection)))

    def server_traits(self, work: Callable[[MeasuredTraits], T]) -> T:
        """The same with what was measured of servers."""
        return self._transaction(lambda connection: work(MeasuredTraits(connection)))

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which changes no right of any token."""
        before, has_changes = self._connection.total_changes, False
        try:
            with storage_errors(self._path), transaction(self._connection):
                result = work(self._connection)
                has_changes = self._connection.total_changes != before
                if has_changes:
                    self._expect_own_change()
                return result
        except BaseException:
            if has_changes:  # the commit failed; what `work` itself refuses leaves the file as it was
                with self._lock:
                    self._revisions = frozenset()
            raise

    def _write(self, statement: str, values: tuple[object, ...]) -> int:
        """Run one statement; how many rows it touched."""
        with storage_errors(self._path):
            return self._connection.execute(statement, values).rowcount

    def _revision(self) -> bytes:
        """Another value after every change of the file, by whichever process (in rollback-journal mode)."""
        return os.pread(self._header, 4, _CHANGE_COUNTER)

    def _expect_own_change(self) -> None:
        """Have the tokens in memory stay valid through the transaction just begun, which changes no right of any.

        No other process can change the file until it ends, so the next revision is its own.
        """
        with self._lock:
            revision = self._revision()
            if revision in self._revisions:
                following = (int.from_bytes(revision, "big") + 1) % 2**32
                self._revisions = frozenset({revision, following.to_bytes(4, "big")})


@contextlib.contextmanager
def ledger_of(state: Path) -> Iterator[Ledger]:
    """The ledger, for a command: root works on it as the owner of the state directory. Raises as `Ledger.open`."""
    with as_owner_of(state), contextlib.closing(Ledger.open(state / LEDGER_FILE)) as ledger:
        yield ledger


def _create(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE token (id TEXT PRIMARY KEY, profile TEXT NOT NULL, scopes TEXT NOT NULL,"
        " details INTEGER NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER, last_used INTEGER,"
        " digest BLOB NOT NULL) STRICT"
    )
    connection.execute("CREATE TABLE link (reference TEXT PRIMARY KEY, href TEXT NOT NULL) STRICT")


def _remember_feeds(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE feed (token TEXT PRIMARY KEY REFERENCES token ON DELETE CASCADE, tag TEXT NOT NULL,"
        " changed INTEGER NOT NULL) STRICT"
    )


def _accept_problems(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE acceptance (id TEXT PRIMARY KEY, calendar TEXT NOT NULL, href TEXT NOT NULL, uid TEXT NOT NULL,"
        " reason TEXT NOT NULL, at INTEGER NOT NULL) STRICT"
    )


_MIGRATIONS: Final = (_create, _remember_feeds, _accept_problems, make_outbox, make_properties, make_traits)
"""In the order in which they were introduced: a file has the first so many of them."""
NEWEST_SCHEMA: Final = len(_MIGRATIONS)
