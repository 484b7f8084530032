"""The log of changes: the statements."""

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from busyd.period import Instant, Period, to_rfc3339
from busyd.store.changes import (
    ChangeCause,
    ChangeEntry,
    ChangeEvent,
    NewEntry,
    ProfileReset,
    ToldAppointment,
    ToldState,
)
from busyd.store.engine import SqlSession
from busyd.store.statements.base import upsert

DAY: Final = 86_400
KEPT_DAYS: Final = 7
"""So long every entry is kept."""
LONGEST_DAYS: Final = 30
MOST_ENTRIES: Final = 100_000
"""Of entries older than `KEPT_DAYS` so many are kept at most, the younger ones counted, and for `LONGEST_DAYS`."""
_PER_SECOND: Final = 100
"""More are never written, for long."""
AT_ONCE: Final = 500
"""Entries that are read at once."""
_COLUMNS: Final = "number, at, event, profiles, body, token, origin, starts, ends"


def is_new(db: SqlSession) -> bool:
    row = db.execute("SELECT 1 FROM told UNION ALL SELECT 1 FROM told_appointment LIMIT 1").fetchone()
    return row is None


def first_number(now: Instant) -> int:
    """Where a log begins that cannot know how far an earlier one has come: no number may come again."""
    return now * _PER_SECOND


def reset_all(db: SqlSession, profiles: Iterable[str], *, now: Instant) -> None:
    """Tell a `reset` of these profiles and of all of which anything was told, under numbers that nobody has seen.

    The ledger, or all that is stored, is now as it was earlier or elsewhere: who follows the log by a number, as a
    stream or a webhook does, may have it of another log, or of what this one has lost.
    """
    (newest,) = db.execute("SELECT newest FROM counter").fetchone()
    begin_numbers(db, least=max(newest, first_number(now)))
    names = {*profiles, *(name for (name,) in db.execute("SELECT profile FROM told").fetchall())}
    bodies = (ProfileReset(to_rfc3339(now), name, ChangeCause.RESTART) for name in sorted(names))
    resets = [NewEntry.of(ChangeEvent.RESET, (body.profile,), told=body) for body in bodies]
    append(db, resets, told=ToldState(), now=now)


def begin_numbers(db: SqlSession, *, least: int) -> tuple[int, int]:
    if least:
        db.execute("UPDATE counter SET newest=?", (least,))
    return _oldest(db), db.execute("SELECT newest FROM counter").fetchone()[0]


def _oldest(db: SqlSession) -> int:
    query = "SELECT COALESCE((SELECT MIN(number) FROM entry), (SELECT newest + 1 FROM counter))"
    number: int = db.execute(query).fetchone()[0]
    return number


def append(db: SqlSession, changes: Sequence[NewEntry], *, told: ToldState, now: Instant) -> list[ChangeEntry]:
    entries = []
    for change in (*changes, *_take_appointments(db, told, now=now)):
        names = " ".join(sorted(change.profiles))
        (number,) = db.execute("UPDATE counter SET newest=newest+1 RETURNING newest").fetchone()
        db.execute(
            f"INSERT INTO entry ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)",
            (number, now, change.event, names, change.body, change.token, change.origin, *_edges(change.span)),
        )
        entries.append(ChangeEntry(number, now, change))
    db.execute("UPDATE told SET since=? WHERE since IS NULL", (now,))
    db.executemany(
        "INSERT INTO told (profile, snapshot, since) VALUES (?,?,?)"
        " ON CONFLICT (profile) DO UPDATE SET snapshot=excluded.snapshot",
        [(*one, now) for one in told.snapshots],
    )
    failing = [(name,) for name in told.failing]
    db.executemany("INSERT INTO failing (name) VALUES (?) ON CONFLICT (name) DO NOTHING", failing)
    db.executemany("DELETE FROM failing WHERE name=?", [(name,) for name in told.recovered])
    return entries


def _edges(span: Period | None) -> tuple[int | None, int | None]:
    return (span.start, span.end) if span is not None else (None, None)


def _take_appointments(db: SqlSession, told: ToldState, *, now: Instant) -> list[NewEntry]:
    """Remember appointments as they are told now; the entries that tell those that were told otherwise, or not yet."""
    entries = []
    for one in told.appointments:
        row = db.execute("SELECT told FROM told_appointment WHERE id=?", (one.id,)).fetchone()
        before = msgspec.json.decode(row[0], type=ToldAppointment) if row is not None else None
        if before != one:
            text = msgspec.json.encode(one).decode()
            db.execute(upsert("told_appointment", ("id", "told")), (one.id, text))
            if not told.is_silent:
                entries.append(one.entry_after(before, at=now))
    return entries


def prune(db: SqlSession, now: Instant) -> int:
    """Drop what is too old, from the oldest on and without leaving a gap; the oldest number that is kept."""
    dropped = db.execute(
        "DELETE FROM entry WHERE number < (SELECT COALESCE(MIN(number), ?) FROM entry WHERE at > ?"
        " OR (at > ? AND number > (SELECT MAX(number) FROM entry) - ?)) RETURNING at",
        (2**62, now - KEPT_DAYS * DAY, now - LONGEST_DAYS * DAY, MOST_ENTRIES),
    ).fetchall()
    if dropped:
        db.execute("UPDATE counter SET dropped=?", (max(at for (at,) in dropped),))
    return _oldest(db)


def _read(db: SqlSession, rest: str, *values: object) -> list[ChangeEntry]:
    rows = db.execute(f"SELECT {_COLUMNS} FROM entry {rest}", values)
    return [
        ChangeEntry(
            number,
            at,
            NewEntry(
                ChangeEvent(event),
                frozenset(profiles.split()),
                body,
                token=token,
                span=Period(start, end) if start is not None else None,
                origin=origin,
            ),
        )
        for number, at, event, profiles, body, token, origin, start, end in rows
    ]


def read_next(db: SqlSession, after: int) -> tuple[list[ChangeEntry], int]:
    """The next entries, some at a time, and the number of the oldest."""
    return _read(db, "WHERE number>? ORDER BY number LIMIT ?", after, AT_ONCE), _oldest(db)


def read_touching(db: SqlSession, profile: str, *, moment: Instant, most: int) -> list[ChangeEntry]:
    named = f"% {profile.replace('_', '!_')} %"
    rest = "AND ' '||profiles||' ' LIKE ? ESCAPE '!' ORDER BY number DESC LIMIT ?"
    touching = _read(db, f"WHERE starts<=? AND ends>? {rest}", moment, moment, named, most)
    touching += _read(db, f"WHERE starts IS NULL {rest}", named, most)
    return sorted(touching, key=attrgetter("number"))[-most:]


def read_known_since(db: SqlSession, profile: str) -> Instant | None:
    row = db.execute("SELECT since, dropped FROM told CROSS JOIN counter WHERE profile=?", (profile,)).fetchone()
    return Instant(max(row[0], row[1] or 0)) if row is not None and row[0] is not None else None


def read_last(db: SqlSession, wanted: Callable[[ChangeEntry], bool], *, count: int) -> list[ChangeEntry]:
    found: list[ChangeEntry] = []
    before = 2**62
    while len(found) < count:
        some = _read(db, "WHERE number<? ORDER BY number DESC LIMIT ?", before, AT_ONCE)
        if not some:
            break
        before = some[-1].number
        found += filter(wanted, some)
    return found[:count][::-1]


def note_hours(db: SqlSession, hours: Mapping[str, str], *, now: Instant) -> None:
    last = "SELECT MAX(at) FROM hours AS one WHERE one.profile=hours.profile"
    noted = {
        profile: (text, at)
        for profile, text, at in db.execute(f"SELECT profile, hours, at FROM hours WHERE at=({last})")
    }
    rows = []
    for profile, text in hours.items():
        known, at = noted.get(profile, (None, now - 1))
        if known != text:
            # Others within the same second, or after the clock was set back, come after all the same.
            rows.append((profile, max(now, at + 1), text))
    db.executemany(upsert("hours", ("profile", "at", "hours"), keys=2), rows)
    # The last that were noted before then still say how it was then.
    older = "SELECT MAX(at) FROM hours AS one WHERE one.profile=hours.profile AND at<=?"
    db.execute(f"DELETE FROM hours WHERE at<({older})", (now - LONGEST_DAYS * DAY,))


def keep_told(db: SqlSession, profiles: Container[str], *, connections: Container[str]) -> set[str]:
    for table, column, kept in (("told", "profile", profiles), ("failing", "name", connections)):
        others = [row for row in db.execute(f"SELECT {column} FROM {table}").fetchall() if row[0] not in kept]
        db.executemany(f"DELETE FROM {table} WHERE {column}=?", others)
    return {name for (name,) in db.execute("SELECT name FROM failing")}


def read_told(db: SqlSession, profiles: Collection[str]) -> dict[str, bytes]:
    found = {}
    for name in profiles:
        row = db.execute("SELECT snapshot FROM told WHERE profile=?", (name,)).fetchone()
        if row is not None:
            found[name] = row[0]
    return found
