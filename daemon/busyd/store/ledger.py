"""What must never be lost: tokens, which calendar each reference of the configuration was resolved to, the outbox, and
webhooks. Also when the feed of each token last changed, and what apps have said of collections of the CalDAV server,
which no other place knows after a restart.

The command line opens it while the daemon runs; the daemon runs it on a thread of its own (`ledger_thread.py`).
"""

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from msgspec.structs import replace

from busyd.credentials.tokens import ALL_PROFILES, TOKEN_PREFIX, NewToken, Token, split_token
from busyd.period import Instant
from busyd.store.acceptances import Acceptance
from busyd.store.engine import LedgerDatabase, SqlSession
from busyd.store.kept_properties import KeptProperties
from busyd.store.outbox import Outbox
from busyd.store.server_traits import MeasuredTraits
from busyd.store.sqlite.ledger_file import LedgerFile
from busyd.store.statements.base import upsert
from busyd.store.webhooks import KeptWebhooks

T = TypeVar("T")

LEDGER_FILE: Final = "ledger.sqlite3"
_IN_PROFILE: Final = "\n"
"""Between a profile and a reference in it."""
_USE_IS_NOTED_EVERY: Final = 60
"""Seconds: "last used" is exact to a minute."""
_MOST_ADMITTED: Final = 256


class Ledger:
    """The open ledger. Every change is on the disk when its method returns."""

    def __init__(self, database: LedgerDatabase) -> None:
        self._database = database
        self.may_lag = database.may_lag
        """Whether a token that another process has just made may be unknown until `refresh`."""
        self._lock = threading.Lock()
        """Held while the next three change together; never while waiting for the disk."""
        self._tokens: dict[str, Token] = {}
        self.readings = 0
        """How often the tokens were read: grows with each change by another process, once that is noticed."""
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
        return cls(LedgerFile(path, busy_timeout=busy_timeout))

    def close(self) -> None:
        self._database.close()

    def is_current(self) -> bool:
        """Whether the tokens in memory are those of the ledger, whichever process changed it last. Asks no disk."""
        return self._database.is_current()

    def refresh(self) -> None:
        """Read the tokens anew. Raises StorageError."""
        self._database.read_tokens(self._take_tokens)

    def _take_tokens(self, db: SqlSession) -> None:
        query = "SELECT id, profile, scopes, details, name, created, expires, last_used, digest FROM token"
        rows = db.execute(query).fetchall()
        tokens = {row[0]: Token(row[0], row[1], frozenset(row[2].split(",")), bool(row[3]), *row[4:9]) for row in rows}
        with self._lock:
            for token_id in self._uses.keys() & tokens.keys():
                tokens[token_id] = replace(tokens[token_id], last_used=self._uses[token_id])
            self._tokens = tokens
            self._admitted = {}
            self.readings += 1

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
        token = self.known_token(text, now)
        if token is None and self.may_lag:
            self.refresh()
            token = self.known_token(text, now)
        return token

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
        statement = "UPDATE token SET last_used=? WHERE id=? AND (last_used IS NULL OR last_used<>?)"
        try:
            self._database.write_beside_tokens(lambda db: db.executemany(statement, rows))
        except BaseException:
            with self._lock:
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
                int(details),
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
        query = "SELECT tag, changed FROM feed WHERE token=?"
        known = self._database.read(lambda db: db.execute(query, (token_id,)).fetchone())
        if known is not None and known[0] == tag:
            return Instant(known[1])
        changed = Instant(now if known is None else max(now, known[1] + 1))
        statement = upsert("feed", ("token", "tag", "changed"))
        self._database.write_beside_tokens(lambda db: db.execute(statement, (token_id, tag, changed)))
        return changed

    def resolved_links(self) -> dict[str, dict[str, str]]:
        """Profile -> reference as written in the configuration -> href of the calendar it was resolved to.

        What an older busyd kept for all profiles alike is under an empty name.
        """
        links: dict[str, dict[str, str]] = {}
        for key, href in self._database.read(lambda db: db.execute("SELECT reference, href FROM link").fetchall()):
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
            self._database.write_beside_tokens(lambda db: _keep_links(db, new))

    def acceptances(self) -> dict[str, Acceptance]:
        """What was accepted of objects that cannot be understood, by id. Raises StorageError."""
        query = "SELECT id, calendar, href, uid, reason, at FROM acceptance"
        return {row[0]: Acceptance(*row) for row in self._database.read(lambda db: db.execute(query).fetchall())}

    def accept(self, acceptance: Acceptance) -> None:
        """Keep that an object does not matter. Raises StorageError."""
        values = (acceptance.id, acceptance.calendar, acceptance.href, acceptance.uid, acceptance.reason, acceptance.at)
        statement = upsert("acceptance", ("id", "calendar", "href", "uid", "reason", "at"))
        self._database.write_beside_tokens(lambda db: db.execute(statement, values))

    def withdraw(self, ids: Iterable[str]) -> None:
        """Forget acceptances. Raises StorageError."""
        rows = [(one,) for one in ids]
        self._database.write_beside_tokens(lambda db: db.executemany("DELETE FROM acceptance WHERE id=?", rows))

    def profiles(self) -> frozenset[str]:
        """The profiles of which there is anything. Raises StorageError."""
        return self._database.read(profiles_in)

    def outbox(self, work: Callable[[Outbox], T]) -> T:
        """Do something with the outbox as one transaction. Raises StorageError, Overlaps."""
        return self._database.write_beside_tokens(lambda db: work(Outbox(db)))

    def kept_properties(self, work: Callable[[KeptProperties], T]) -> T:
        """The same with the properties that apps have given. Raises StorageError."""
        return self._database.write_beside_tokens(lambda db: work(KeptProperties(db)))

    def server_traits(self, work: Callable[[MeasuredTraits], T]) -> T:
        """The same with what was measured of servers."""
        return self._database.write_beside_tokens(lambda db: work(MeasuredTraits(db)))

    def webhooks(self, work: Callable[[KeptWebhooks], T]) -> T:
        """The same with webhooks."""
        return self._database.write_beside_tokens(lambda db: work(KeptWebhooks(db)))

    def _write(self, statement: str, values: tuple[object, ...]) -> int:
        """Run one statement, which changes a token; how many rows it touched."""
        return self._database.write(lambda db: db.execute(statement, values).rowcount)


def profiles_in(db: SqlSession) -> frozenset[str]:
    """As `Ledger.profiles`, in a transaction of one's own."""
    query = "SELECT profile FROM token UNION SELECT profile FROM webhook UNION SELECT profile FROM booking"
    return frozenset(name for (name,) in db.execute(query).fetchall()) - {ALL_PROFILES}


def _keep_links(db: SqlSession, new: Iterable[tuple[str, str]]) -> None:
    db.executemany(upsert("link", ("reference", "href")), new)
    db.execute("DELETE FROM link WHERE instr(reference, ?)=0", (_IN_PROFILE,))
