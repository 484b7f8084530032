"""The tables of the outbox in the ledger, and the rules that the database itself enforces whatever the code above does.

A row is one JSON text, and beside it what the rules need of it. (Functions for JSON are not allowed in a schema that is
not trusted, before SQLite 3.41.)
"""

import secrets
import sqlite3
from typing import Final

from busyd.store.sqlite.connection import OVERLAP

_TAKEN: Final = """
EXISTS (SELECT 1 FROM
  (SELECT NEW.starts AS starts, NEW.ends AS ends
   UNION ALL SELECT NEW.target_starts, NEW.target_ends WHERE NEW.target_starts IS NOT NULL) wanted
  CROSS JOIN booking other
  WHERE other.{ends} > wanted.starts AND other.{starts} < wanted.ends AND other.blocks
    AND other.id <> NEW.id AND other.id <> NEW.parent AND other.parent <> NEW.id
    AND (other.profile = NEW.profile OR instr(NEW.counts, char(10) || other.calendar || char(10))))"""
"""Whether a row has time that another one takes. SQLite follows the order of a CROSS JOIN, so that rows of the past are
not looked at (`booking_span`, `booking_target`)."""
_OVERLAP: Final = (
    f"SELECT RAISE(ABORT, '{OVERLAP}') WHERE {_TAKEN.format(starts='starts', ends='ends')}"
    f" OR {_TAKEN.format(starts='target_starts', ends='target_ends')};"
)
"""Aborts where a row takes time that another has. A claim and the appointment that is being moved may have the same."""


def make_outbox(connection: sqlite3.Connection) -> None:
    """A migration of the ledger."""
    for statement in (
        "CREATE TABLE outbox_fact (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
        "CREATE TABLE booking (id TEXT PRIMARY KEY, record TEXT NOT NULL, kind TEXT NOT NULL, profile TEXT NOT NULL,"
        " state TEXT NOT NULL, blocks INTEGER NOT NULL AS (state NOT IN ('cancelled', 'refused', 'removed')),"
        " starts INTEGER NOT NULL, ends INTEGER NOT NULL, target_starts INTEGER, target_ends INTEGER,"
        " calendar TEXT NOT NULL,"
        " counts TEXT NOT NULL,"  # each in a line of its own, with line breaks before and after
        " parent TEXT NOT NULL, uid TEXT NOT NULL, touched INTEGER NOT NULL, forced INTEGER NOT NULL, expires INTEGER,"
        " CHECK (starts < ends), CHECK (target_starts IS NULL OR target_starts < target_ends)) STRICT",
        "CREATE UNIQUE INDEX booking_uid ON booking (uid) WHERE uid <> ''",
        "CREATE INDEX booking_hold ON booking (state, expires) WHERE expires IS NOT NULL",
        "CREATE TRIGGER booking_final AFTER UPDATE ON booking"
        " WHEN OLD.state IN ('cancelled', 'refused') AND NEW.state IN"
        " ('pending', 'sending', 'confirmed', 'booked', 'moving', 'claimed')"
        " BEGIN SELECT RAISE(ABORT, 'final'); END",
        # A key is kept for as long as somebody may ask again; `answer` is what was told, once that is settled.
        "CREATE TABLE booking_key (profile TEXT NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL,"
        " booking TEXT NOT NULL, made INTEGER NOT NULL, keep_until INTEGER NOT NULL, status INTEGER, answer BLOB,"
        " PRIMARY KEY (profile, key)) STRICT",
    ):
        connection.execute(statement)
    # Names are made from it, so that a lost or restored ledger gives the same again; it is part of every backup.
    connection.execute("INSERT INTO outbox_fact (name, value) VALUES ('secret', ?)", (secrets.token_bytes(32),))


def index_times(connection: sqlite3.Connection) -> None:
    """A migration of the ledger: what a booking costs does not grow with what was booked before."""
    for statement in (
        "DROP INDEX IF EXISTS booking_calendar",
        "DROP INDEX IF EXISTS booking_profile",
        "CREATE INDEX booking_profile ON booking (profile, ends, starts)",
        "CREATE INDEX booking_span ON booking (ends, starts, profile, calendar, id, parent) WHERE blocks",
        "CREATE INDEX booking_target ON booking (target_ends, target_starts) WHERE target_ends IS NOT NULL",
        "CREATE INDEX booking_parent ON booking (parent) WHERE parent <> ''",
        "CREATE INDEX booking_key_booking ON booking_key (booking)",
        "DROP TRIGGER IF EXISTS booking_new",
        "DROP TRIGGER IF EXISTS booking_changed",
        # A block says that time is busy; it takes none from what is booked already.
        "CREATE TRIGGER booking_new AFTER INSERT ON booking"
        f" WHEN NEW.blocks AND NOT NEW.forced AND NEW.kind <> 'block' BEGIN {_OVERLAP} END",
        # What a person moved on the phone, or brought back, is where it is: that is told as a conflict.
        "CREATE TRIGGER booking_changed AFTER UPDATE ON booking"
        " WHEN NEW.blocks AND NOT NEW.forced AND NOT NEW.touched AND NEW.kind <> 'block' AND (NOT OLD.blocks"
        " OR (NEW.starts, NEW.ends, NEW.target_starts, NEW.target_ends, NEW.profile, NEW.calendar, NEW.counts) IS NOT"
        " (OLD.starts, OLD.ends, OLD.target_starts, OLD.target_ends, OLD.profile, OLD.calendar, OLD.counts))"
        f" BEGIN {_OVERLAP} END",
    ):
        connection.execute(statement)
