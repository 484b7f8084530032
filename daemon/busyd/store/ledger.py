"""What must never be lost: tokens, and which calendar each reference of the configuration was resolved to. Also when
the feed of each token last changed, which no other place knows after a restart.

The command line opens the same file while the daemon runs, so it keeps the rollback journal and is synchronous.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from busyd.ownership import as_owner_of, make_state_directory
from busyd.period import Instant
from busyd.store.errors import StorageDamaged
from busyd.store.sqlite.database import check, migrate, open_connection, storage_errors, transaction

LEDGER_FILE: Final = "ledger.sqlite3"
_TOKEN_PREFIX: Final = "bd"


class Token(Struct, frozen=True):
    """A permission as stored: the secret itself is only ever known to its holder."""

    id: str
    profile: str
    """The one profile it opens; `*` for all."""
    scopes: frozenset[str]
    details: bool
    """Whether its feed shows titles and places."""
    name: str
    created: Instant
    expires: Instant | None
    last_used: Instant | None
    digest: bytes
    """SHA-256 of the secret part."""

    def admits(self, secret: str, now: Instant) -> bool:
        """Compare in constant time; an expired token admits nobody."""
        alive = self.expires is None or now < self.expires
        return hmac.compare_digest(self.digest, hashlib.sha256(secret.encode()).digest()) and alive


class NewToken(Struct, frozen=True):
    """Shown once. `text` is what the holder sends; `id` names it for revoking."""

    id: str
    text: str

    def __repr__(self) -> str:
        return f"NewToken(id={self.id!r}, text=***)"


def split_token(text: str) -> tuple[str, str] | None:
    """The public id and the secret of a token text, or None when it does not look like one."""
    prefix, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    return (token_id, secret) if prefix == _TOKEN_PREFIX and token_id and secret else None


class Ledger:
    """The open file. Every change is on the disk when its method returns."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._header = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._seen_version = -1
        self._tokens: dict[str, Token] = {}

    @classmethod
    def open(cls, path: Path, *, patience: float = 10.0) -> "Ledger":
        """Open or create the file. `patience` is how many seconds to wait for another process that writes it.

        Raises StorageError: a damaged ledger is never replaced by an empty one. Raises TryAgain, Misconfigured when
        there is no directory for it.
        """
        make_state_directory(path.parent)
        connection = open_connection(path, journal="DELETE", synchronous="FULL", patience=patience)
        try:
            check(connection, path)
            migrate(connection, path, [_create, _remember_feeds])
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

    def revision(self) -> bytes:
        """Another value after every change of the file, by whichever process: what was read before it is then old.

        SQLite's file change counter (file format 1.3.8, kept in rollback-journal mode), for half a microsecond.
        """
        return os.pread(self._header, 4, 24)

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
        return NewToken(token_id, f"{_TOKEN_PREFIX}_{token_id}_{secret}")

    def tokens(self) -> list[Token]:
        """All tokens, oldest first, as they are in the file now."""
        self._refresh()
        return sorted(self._tokens.values(), key=lambda token: (token.created, token.id))

    def find_token(self, text: str, now: Instant) -> Token | None:
        """The token that this text is, if it is alive at this moment. A change by another process counts at once."""
        parts = split_token(text)
        if parts is None:
            return None
        self._refresh()
        token = self._tokens.get(parts[0])
        return token if token is not None and token.admits(parts[1], now) else None

    def revoke_token(self, token_id: str) -> bool:
        """Delete a token; False when there is none of that id."""
        return self._write("DELETE FROM token WHERE id=?", (token_id,)) > 0

    def record_use(self, token_id: str, now: Instant) -> None:
        """Remember that the token was used."""
        self._write("UPDATE token SET last_used=? WHERE id=?", (now, token_id))

    def feed_changed(self, token_id: str, tag: str, now: Instant) -> Instant:
        """When the feed of a token became what bears this tag: now, unless that is known from before.

        Later than each earlier change, whatever the clock says: it may then be later than now.
        """
        with storage_errors(self._path):
            known = self._connection.execute("SELECT tag, changed FROM feed WHERE token=?", (token_id,)).fetchone()
        if known is not None and known[0] == tag:
            return Instant(known[1])
        changed = Instant(now if known is None else max(now, known[1] + 1))
        self._write("INSERT OR REPLACE INTO feed (token, tag, changed) VALUES (?,?,?)", (token_id, tag, changed))
        return changed

    def resolved_links(self) -> dict[str, str]:
        """Reference as written in the configuration -> href of the calendar it was resolved to."""
        with storage_errors(self._path):
            return dict(self._connection.execute("SELECT reference, href FROM link"))

    def record_links(self, links: dict[str, str]) -> None:
        """Remember what references were resolved to."""
        known = self.resolved_links()
        new = {reference: href for reference, href in links.items() if known.get(reference) != href}
        if new:
            with storage_errors(self._path), transaction(self._connection):
                self._connection.executemany("INSERT OR REPLACE INTO link (reference, href) VALUES (?,?)", new.items())

    def _write(self, statement: str, values: tuple[object, ...]) -> int:
        """Run one statement; how many rows it touched."""
        with storage_errors(self._path):
            touched: int = self._connection.execute(statement, values).rowcount
        self._seen_version = -1
        return touched

    def _refresh(self) -> None:
        # data_version changes when another connection commits: a few microseconds, and exact where a file time is not.
        with storage_errors(self._path):
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if version == self._seen_version:
                return
            rows = self._connection.execute(
                "SELECT id, profile, scopes, details, name, created, expires, last_used, digest FROM token"
            ).fetchall()
        self._tokens = {
            row[0]: Token(row[0], row[1], frozenset(row[2].split(",")), bool(row[3]), *row[4:9]) for row in rows
        }
        self._seen_version = version


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
