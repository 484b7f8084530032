"""The busy index on disk: what each object says of time within the horizon, so that a start needs no parsing."""

import sqlite3
from array import array
from collections.abc import Container, Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from busyd.ical.facts import Facts, Problem
from busyd.period import Period

ANY_ZONE: Final = ""
"""The zone of entries that do not depend on the reader's."""


class IndexEntry(Struct, frozen=True):
    """The occurrences of one object, read in one zone."""

    object: int
    zone: str
    span: Period
    """What the occurrences of a recurring object cover; others are complete whatever the span."""
    recurring: bool
    occurrences: "array[int]"
    """Flat triples of start, end and number in `facts`."""
    facts: tuple[Facts, ...]
    problems: tuple[Problem, ...] = ()
    incomplete: str = ""
    postponed: bool = False
    """The object could not be read just now. Such an entry is never stored: it is lacking, until it is read."""


_facts_decoder: Final = msgspec.msgpack.Decoder(tuple[Facts, ...])
_problems_decoder: Final = msgspec.msgpack.Decoder(tuple[Problem, ...])
_COLUMNS: Final = (
    "SELECT object, zone, span_start, span_end, recurring, occurrences, facts, problems, incomplete FROM busy_index"
)


def replace_entries(db: sqlite3.Connection, entries: Mapping[int, Iterable[IndexEntry]]) -> None:
    """What is known of some objects' time, by their ids, in place of what was."""
    db.executemany("DELETE FROM busy_index WHERE object=?", [(number,) for number in entries])
    put_entries(db, [entry for found in entries.values() for entry in found])


def put_entries(db: sqlite3.Connection, entries: Iterable[IndexEntry]) -> None:
    """Add or replace entries one by one: a further reading zone, a later span."""
    db.executemany(
        "INSERT OR REPLACE INTO busy_index (object, zone, span_start, span_end, recurring, occurrences, facts,"
        " problems, incomplete) VALUES (?,?,?,?,?,?,?,?,?)",
        [
            (
                entry.object,
                entry.zone,
                entry.span.start,
                entry.span.end,
                entry.recurring,
                entry.occurrences.tobytes(),
                msgspec.msgpack.encode(entry.facts),
                msgspec.msgpack.encode(entry.problems),
                entry.incomplete,
            )
            for entry in entries
            if not entry.postponed
        ],
    )


def read_entries(
    db: sqlite3.Connection, calendar: int, zone: str, *, after: int = 0, count: int = 100
) -> list[tuple[str, IndexEntry]]:
    """Href and entry of the next objects of a calendar, in the order of their ids, as somebody in `zone` reads them."""
    rows = db.execute(
        f"{_COLUMNS.replace(' FROM', ', object.href FROM')} JOIN object ON object.id=busy_index.object"
        " WHERE object.calendar=? AND zone IN ('', ?) AND object>? ORDER BY object LIMIT ?",
        (calendar, zone, after, count),
    )
    return [(row[9], _entry(row[:9])) for row in rows]


def objects_to_expand(
    db: sqlite3.Connection, calendar: int, zone: str, span: Period, *, after: int = 0, count: int = 100
) -> list[tuple[int, bytes, bool]]:
    """The next objects that were not yet read in this zone, or, recurring, over another span of time, by their ids.

    Id, payload, and whether the server has another version that could not be fetched.
    """
    rows = db.execute(
        "SELECT id, payload, etag='' FROM object WHERE calendar=? AND id>? AND NOT EXISTS (SELECT 1 FROM busy_index"
        " WHERE object=object.id AND zone IN ('', ?) AND (recurring=0 OR (span_start=? AND span_end=?)))"
        " ORDER BY id LIMIT ?",
        (calendar, after, zone, span.start, span.end, count),
    )
    return [(row[0], row[1], bool(row[2])) for row in rows]


def recurring_payloads(db: sqlite3.Connection, calendar: int, zone: str) -> list[tuple[int, bytes]]:
    """Id and payload of the objects whose occurrences depend on the span asked for."""
    return db.execute(
        "SELECT id, payload FROM object JOIN busy_index ON busy_index.object=object.id"
        " WHERE calendar=? AND zone IN ('', ?) AND recurring=1",
        (calendar, zone),
    ).fetchall()


def read_recurring(db: sqlite3.Connection, calendar: int, zone: str) -> list[IndexEntry]:
    """The entries of those objects."""
    rows = db.execute(
        f"{_COLUMNS} JOIN object ON object.id=busy_index.object"
        " WHERE object.calendar=? AND zone IN ('', ?) AND recurring=1",
        (calendar, zone),
    )
    return [_entry(row) for row in rows]


def entries_of(db: sqlite3.Connection, number: int) -> list[IndexEntry]:
    """The entries of one object, one a reading zone."""
    return [_entry(row) for row in db.execute(f"{_COLUMNS} WHERE object=?", (number,))]


def forget_entries(db: sqlite3.Connection) -> None:
    """Drop the whole index, not the mirror: the next look expands everything anew (new time-zone data)."""
    db.execute("DELETE FROM busy_index")


def read_snapshot(db: sqlite3.Connection, profile: str) -> tuple[str, bytes] | None:
    """Key and body of the stored snapshot of a profile."""
    row: tuple[str, bytes] | None = db.execute("SELECT key, body FROM snapshot WHERE profile=?", (profile,)).fetchone()
    return row


def record_snapshot(db: sqlite3.Connection, profile: str, key: str, body: bytes) -> None:
    db.execute("INSERT OR REPLACE INTO snapshot (profile, key, body) VALUES (?,?,?)", (profile, key, body))


def forget_snapshots(db: sqlite3.Connection, profiles: Container[str]) -> None:
    """Drop the snapshots of all other profiles."""
    for (name,) in db.execute("SELECT profile FROM snapshot").fetchall():
        if name not in profiles:
            db.execute("DELETE FROM snapshot WHERE profile=?", (name,))


def _entry(row: tuple[int, str, int, int, int, bytes, bytes, bytes, str]) -> IndexEntry:
    occurrences = array("q")
    occurrences.frombytes(row[5])
    return IndexEntry(
        object=row[0],
        zone=row[1],
        span=Period(row[2], row[3]),  # type: ignore[arg-type]
        recurring=bool(row[4]),
        occurrences=occurrences,
        facts=_facts_decoder.decode(row[6]),
        problems=_problems_decoder.decode(row[7]),
        incomplete=row[8],
    )
