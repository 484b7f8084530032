"""The outbox: rows of what is to be written, and the keys under which it was asked for, in the ledger's file.

Every method runs inside one transaction of `Ledger.outbox`, so that what belongs together is kept together.
"""

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from busyd.errors import BusydError
from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.engine import SqlSession
from busyd.store.statements.base import upsert

KEYS_ARE_KEPT: Final = 400 * 86_400
"""Seconds after the end of what was asked for."""


LONGEST_HOLD: Final = 3600
"""Seconds."""


class KeyMismatch(BusydError):
    """The key was used before, for another request."""


class KeyUse(Struct, frozen=True):
    """A request that was made under a key."""

    booking: str
    status: int | None
    """Of the answer that was told; None while that is not settled."""
    answer: bytes | None

    @property
    def is_refused(self) -> bool:
        """Whether a change was asked for and not carried out; what was told of that is not kept."""
        return self.status is not None and self.answer is None


class Outbox:
    """What may be done in one transaction."""

    def __init__(self, connection: SqlSession) -> None:
        self._connection = connection

    def uid_for(self, profile: str, key: str) -> str:
        """The UID of what is asked for under a key: the same whenever it is asked for, and known to nobody else."""
        row = self._connection.execute("SELECT value FROM outbox_fact WHERE name='secret'").fetchone()
        digest = hmac.new(row[0], f"{profile}\n{key}".encode(), hashlib.sha256).digest()
        return str(uuid.UUID(bytes=digest[:16], version=4)).upper()

    def was_restored(self) -> bool:
        """Whether the ledger ever came from a backup, so that it may have forgotten what was sent."""
        return self._connection.execute("SELECT 1 FROM outbox_fact WHERE name='restored'").fetchone() is not None

    def mark_restored(self, now: Instant, *, since: Instant) -> int:
        """Note that the ledger comes from a backup; how many rows are to be looked at once for that.

        They are those which a server may have, unless they ended before `since`. No hold is in force any more.
        """
        value = str(now).encode()
        self._connection.execute(upsert("outbox_fact", ("name", "value")), ("restored", value))
        for hold in self._select("WHERE kind='hold' AND state='booked'", ()):
            self.record(replace(hold, state=BookingState.CANCELLED, reason="expired", settled=now))
        rows = self.followed(since)
        for row in rows:
            self.record(replace(row, restored=1))
        return len(rows)

    def find_key(self, profile: str, key: str, *, fingerprint: bytes) -> KeyUse | None:
        """What came of the request under this key; None when there was none. Raises KeyMismatch for another request."""
        row = self._connection.execute(
            "SELECT fingerprint, booking, status, answer FROM booking_key WHERE profile=? AND key=?", (profile, key)
        ).fetchone()
        if row is None:
            return None
        if not hmac.compare_digest(row[0], fingerprint):
            raise KeyMismatch("the key was used before, for another request")
        return KeyUse(*row[1:])

    def use_key(self, profile: str, key: str, *, fingerprint: bytes, booking: Booking, now: Instant) -> None:
        """Note that a row was asked for under a key."""
        keep = max(now, booking.span.end) + KEYS_ARE_KEPT
        self._connection.execute(
            "INSERT INTO booking_key (profile, key, fingerprint, booking, made, keep_until) VALUES (?,?,?,?,?,?)",
            (profile, key, fingerprint, booking.id, now, keep),
        )

    def keep_answer(self, profile: str, key: str, *, status: int, answer: bytes) -> None:
        """Keep what was told of a request, to tell it again."""
        self._connection.execute(
            "UPDATE booking_key SET status=?, answer=? WHERE profile=? AND key=?", (status, answer, profile, key)
        )

    def refuse_change(self, profile: str, key: str) -> None:
        """Note that the change that was asked for under a key was not carried out, and will not be."""
        self._connection.execute(
            "UPDATE booking_key SET status=409 WHERE profile=? AND key=? AND status IS NULL", (profile, key)
        )

    def release_change(self, profile: str, key: str) -> None:
        """Let the key under which a change was asked for be used again: nothing came of the request."""
        self._connection.execute("DELETE FROM booking_key WHERE profile=? AND key=? AND status IS NULL", (profile, key))

    def note_told(self, row: Booking) -> None:
        """Note that somebody was told of a row under way: no daemon takes back what was asked for last."""
        self._connection.execute(upsert("outbox_fact", ("name", "value")), (_told_of(row), b""))

    def was_told(self, row: Booking) -> bool:
        """Whether somebody was, by any daemon."""
        query = "SELECT 1 FROM outbox_fact WHERE name=?"
        return self._connection.execute(query, (_told_of(row),)).fetchone() is not None

    def forget_keys(self, now: Instant) -> None:
        """Drop keys that nobody will use again, and who was told of what is settled."""
        self._connection.execute(
            "DELETE FROM outbox_fact WHERE name LIKE 'told %' AND NOT EXISTS (SELECT 1 FROM booking"
            " WHERE outbox_fact.name LIKE 'told ' || id || ' %' AND state IN ('pending', 'sending', 'moving'))"
        )
        self._connection.execute("DELETE FROM booking_key WHERE keep_until < ?", (now,))

    def add(self, booking: Booking) -> None:
        """Add a row. The transaction raises Overlaps."""
        self._change(f"INSERT INTO booking ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})", booking)

    def record(self, booking: Booking) -> None:
        """Take a row as it is now. The transaction raises Overlaps."""
        self._change(
            f"UPDATE booking SET ({', '.join(_COLUMNS)}) = ({', '.join('?' * len(_COLUMNS))}) WHERE id=?",
            booking,
            booking.id,
        )

    def find(self, booking: str) -> Booking | None:
        """A row by its id."""
        found = self._select("WHERE id=?", (booking,))
        return found[0] if found else None

    def of_profile(self, profile: str, window: Period) -> list[Booking]:
        """The rows of a profile that touch a window, in order of start."""
        return self._select("WHERE profile=? AND ends>? AND starts<?", (profile, window.start, window.end))

    def unsettled(self, since: Instant) -> list[Booking]:
        """The rows of which something may still come: all that end after a moment, and what is not final."""
        final = ", ".join(f"'{state.value}'" for state in _FINAL)
        return self._select(f"WHERE ends>? OR state NOT IN ({final}) OR target_starts IS NOT NULL", (since,))

    def moved_after(self, number: int) -> list[Booking]:
        """The rows that were written after a number, in that order. Only a database that daemons share counts so."""
        rows = self._connection.execute("SELECT record FROM booking WHERE moved>? ORDER BY moved", (number,))
        return [msgspec.json.decode(row[0], type=Booking) for row in rows]

    def claims_of(self, booking: str) -> list[Booking]:
        """The claims of an appointment, the last one last."""
        rows = self._connection.execute(
            "SELECT record FROM booking WHERE parent=? AND parent<>'' ORDER BY rowid", (booking,)
        )
        return [msgspec.json.decode(row[0], type=Booking) for row in rows]

    def followed(self, since: Instant) -> list[Booking]:
        """The rows that are, or may turn up, on a server: what ends after a moment, and what is not final."""
        rows = self._select("WHERE uid<>''", ())
        return [
            row for row in rows if row.span.end > since or row.state not in _FINAL or (row.watch_until or since) > since
        ]

    def revive_hold(self, hold: str, now: Instant) -> list[Booking]:
        """Have a hold be in force again that was used up for nothing, as long as it would have lasted."""
        row = self.find(hold)
        if row is None or row.kind is not BookingKind.HOLD or row.reason != "used" or (row.expires or now) <= now:
            return []
        revived = msgspec.structs.replace(row, state=BookingState.BOOKED, reason="", settled=None)
        # What is final stays so, by a rule of the database.
        self._connection.execute("DELETE FROM booking WHERE id=?", (hold,))
        self.add(revived)
        return [revived]

    def release_key(self, booking: str) -> None:
        """Let the key under which a row was asked for be used again: nothing came of the request."""
        self._connection.execute("DELETE FROM booking_key WHERE booking=?", (booking,))

    def holds_of(self, token: str, since: Instant) -> list[Booking]:
        """The holds that were asked for with a token and are in force, or ended after a moment."""
        holds = self._select(
            "WHERE kind='hold' AND state IN ('booked', 'cancelled') AND expires>?", (since - LONGEST_HOLD,)
        )
        return [
            hold
            for hold in holds
            if hold.token == token and (hold.blocks or (hold.settled is not None and hold.settled > since))
        ]

    def has_holds(self) -> bool:
        """Whether any hold is in force."""
        return bool(self._select("WHERE kind='hold' AND state='booked' AND expires IS NOT NULL LIMIT 1", ()))

    def end_expired(self, now: Instant) -> list[Booking]:
        """End the holds whose time is over; those rows, as they are now."""
        ended = []
        for hold in self._select("WHERE expires<=? AND state='booked'", (now,)):
            over = replace(hold, state=BookingState.CANCELLED, reason="expired", settled=now)
            self.record(over)
            ended.append(over)
        return ended

    def _change(self, statement: str, booking: Booking, *condition: object) -> None:
        self._connection.execute(statement, (*_values(booking), *condition))

    def _select(self, condition: str, values: Sequence[object]) -> list[Booking]:
        rows = self._connection.execute(
            f"SELECT record FROM (SELECT * FROM booking {condition}) AS found ORDER BY starts, id", values
        )
        return [msgspec.json.decode(row[0], type=Booking) for row in rows]


def _told_of(row: Booking) -> str:
    """The name of a fact: of a row, and of what was asked for last."""
    return f"told {row.id} {row.wanted.sequence if row.wanted is not None else row.sequence}"


_FINAL: Final = (BookingState.BOOKED, BookingState.CANCELLED, BookingState.REFUSED, BookingState.REMOVED)

_COLUMNS: Final = (
    "id",
    "record",
    "kind",
    "profile",
    "state",
    "starts",
    "ends",
    "target_starts",
    "target_ends",
    "calendar",
    "counts",
    "parent",
    "uid",
    "touched",
    "forced",
    "expires",
)


def _values(booking: Booking) -> tuple[object, ...]:
    """One value for each of the columns."""
    target = booking.target
    return (
        booking.id,
        msgspec.json.encode(booking).decode(),
        booking.kind.value,
        booking.profile,
        booking.state.value,
        booking.span.start,
        booking.span.end,
        target.start if target is not None else None,
        target.end if target is not None else None,
        booking.calendar,
        "\n".join(("", *booking.counts, "")),
        booking.parent,
        booking.uid,
        int(booking.touched),
        int(booking.forced),
        booking.expires,
    )
