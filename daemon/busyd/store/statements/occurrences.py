"""The busy index and the snapshots made from it: the statements."""

from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from busyd.ical.facts import Facts, Problem
from busyd.period import Period
from busyd.store.occurrences import IndexEntry, RowCounts
from busyd.store.statements.base import Statements, upsert
from busyd.store.statements.digests import check, digest_of
from busyd.store.statements.objects import OBJECT_COLUMNS, check_object

INDEX: Final = "index"
"""Under what name the store keeps what its index was made with."""
AT_ONCE: Final = 100
"""Objects that are read from the store at once; fewer when they are large."""
BYTES_AT_ONCE: Final = 512 * 1024
_facts_decoder: Final = msgspec.msgpack.Decoder(tuple[Facts, ...])
_problems_decoder: Final = msgspec.msgpack.Decoder(tuple[Problem, ...])
_NAMES: Final = (
    "object", "zone", "span_start", "span_end", "recurring", "occurrences", "facts", "problems", "incomplete",
    "incomplete_since",
)  # fmt: skip
_COLUMNS: Final = f"SELECT {', '.join(_NAMES)}, busy_index.digest FROM busy_index"
_PUT: Final = upsert("busy_index", (*_NAMES, "digest", "rows"), keys=2)


class IndexStatements(Statements):
    """What each object says of time, and what is answered from it."""

    @property
    def keeps_index(self) -> bool:
        """Whether the stored index is made with the same: by nobody else, or by daemons that read time alike.

        Else nothing is put into it: objects lack entries, until somebody expands them who may.
        """
        return self.index_version in ("", self.read_meta(INDEX))

    def replace_entries(self, entries: Mapping[int, Iterable[IndexEntry]], *, withheld: bool = False) -> None:
        """What is known of some objects' time, by their ids, in place of what was."""
        self._db.executemany("DELETE FROM busy_index WHERE object=?", [(number,) for number in entries])
        self.put_entries((entry for of_object in entries.values() for entry in of_object), withheld=withheld)

    def put_entries(self, entries: Iterable[IndexEntry], *, withheld: bool = False) -> None:
        """Add or replace entries one by one: a further reading zone, a later span.

        With `withheld` only how many occurrences there are is kept: the calendar has more than it may have.
        """
        if self.keeps_index:
            self._db.executemany(_PUT, [_row(entry, withheld=withheld) for entry in entries if not entry.postponed])

    def count_rows(self, calendar: int) -> RowCounts:
        """Count the occurrences of a calendar, the withheld ones too."""
        rows = self._db.execute(
            "SELECT zone, SUM(rows), COUNT(*) FILTER (WHERE rows>0 AND length(occurrences)=0) FROM busy_index"
            " JOIN object ON object.id=busy_index.object WHERE calendar=? GROUP BY zone",
            (calendar,),
        ).fetchall()
        return RowCounts({zone: count for zone, count, _ in rows}, sum(withheld for _, _, withheld in rows))

    def forget_withheld(self, calendar: int) -> None:
        """Drop the entries of a calendar whose occurrences were not kept, so that they are expanded anew."""
        self._db.execute(
            "DELETE FROM busy_index WHERE rows>0 AND length(occurrences)=0 AND object IN"
            " (SELECT id FROM object WHERE calendar=?)",
            (calendar,),
        )

    def read_entries(self, calendar: int, zone: str, *, after: int = 0) -> list[tuple[str, str, IndexEntry]]:
        """Href, ETag and entry of the next objects of a calendar, in the order of their ids, as read in `zone`."""
        rows = self._db.execute(
            f"{_COLUMNS.replace(' FROM', f', object.href, object.etag, {OBJECT_COLUMNS} FROM')}"
            " JOIN object ON object.id=busy_index.object"
            " WHERE object.calendar=? AND zone IN ('', ?) AND object>? ORDER BY object LIMIT ?",
            (calendar, zone, after, AT_ONCE),
        )
        part = list(_some(rows, lambda row: len(row[5])))
        for row in part:
            check_object(row[13:])
        return [(row[11], row[12], _entry(row[:11])) for row in part]

    def objects_to_expand(
        self, calendar: int, zone: str, *, span: Period, after: int = 0
    ) -> list[tuple[int, bytes, str, str]]:
        """The next objects that were not yet read in this zone, or, recurring, over another span of time, by their ids.

        All objects while nothing is kept (`keeps_index`). Id, payload, ETag, href.
        """
        rows = self._db.execute(
            f"SELECT id, payload, etag, href, {OBJECT_COLUMNS} FROM object"
            " WHERE calendar=? AND id>? AND (?=0 OR NOT EXISTS (SELECT 1 FROM busy_index"
            " WHERE object=object.id AND zone IN ('', ?) AND (recurring=0 OR (span_start=? AND span_end=?))))"
            " ORDER BY id LIMIT ?",
            (calendar, after, int(self.keeps_index), zone, span.start, span.end, AT_ONCE),
        )
        part = list(_some(rows, lambda row: len(row[1])))
        for row in part:
            check_object(row[4:], row[1])
        return [(row[0], row[1], row[2], row[3]) for row in part]

    def read_recurring(self, calendar: int, zone: str, *, after: int = 0) -> list[tuple[IndexEntry, bytes, str]]:
        """Entry, payload and ETag of the next objects whose occurrences depend on the span asked for, by their ids."""
        rows = self._db.execute(
            f"{_COLUMNS.replace(' FROM', f', payload, etag, {OBJECT_COLUMNS} FROM')}"
            " JOIN object ON object.id=busy_index.object"
            " WHERE object.calendar=? AND object.id>? AND zone IN ('', ?) AND recurring=1 ORDER BY object.id LIMIT ?",
            (calendar, after, zone, AT_ONCE),
        )
        part = list(_some(rows, lambda row: len(row[11]) + len(row[5])))
        for row in part:
            check_object(row[13:], row[11])
        return [(_entry(row[:11]), row[11], row[12]) for row in part]

    def entries_of(self, number: int) -> list[IndexEntry]:
        """The entries of one object, one a reading zone."""
        return [_entry(row) for row in self._db.execute(f"{_COLUMNS} WHERE object=?", (number,))]

    def forget_entries(self) -> None:
        """Drop the whole index, not the mirror: the next look expands everything anew (new time-zone data)."""
        self._db.execute("DELETE FROM busy_index")

    def read_snapshot(self, profile: str) -> tuple[str, bytes] | None:
        """Key and body of the stored snapshot of a profile."""
        row: tuple[str, bytes] | None = self._db.execute(
            "SELECT key, body FROM snapshot WHERE profile=?", (profile,)
        ).fetchone()
        return row

    def read_snapshots(self, profiles: Sequence[str]) -> dict[str, tuple[str, bytes]]:
        """The same of some profiles, of those that have one."""
        places = ",".join("?" * len(profiles))
        rows = self._db.execute(f"SELECT profile, key, body FROM snapshot WHERE profile IN ({places})", profiles)
        return {profile: (key, body) for profile, key, body in rows}

    def record_snapshot(self, profile: str, key: str, *, body: bytes) -> None:
        self._db.execute(upsert("snapshot", ("profile", "key", "body")), (profile, key, body))

    def forget_snapshots(self, profiles: Container[str]) -> None:
        """Drop the snapshots of all other profiles."""
        for (name,) in self._db.execute("SELECT profile FROM snapshot").fetchall():
            if name not in profiles:
                self._db.execute("DELETE FROM snapshot WHERE profile=?", (name,))


def _some(rows: Iterable[Any], size: Callable[[Any], int]) -> Iterator[Any]:
    """The first of the rows, so many bytes of them as may be held at once."""
    held = 0
    for row in rows:
        yield row
        held += size(row)
        if held >= BYTES_AT_ONCE:
            return


def _row(entry: IndexEntry, *, withheld: bool) -> tuple[Any, ...]:
    row = (
        entry.object,
        entry.zone,
        entry.span.start,
        entry.span.end,
        int(entry.recurring),
        b"" if withheld else entry.occurrences.tobytes(),
        msgspec.msgpack.encode(entry.facts),
        msgspec.msgpack.encode(entry.problems),
        entry.incomplete,
        entry.incomplete_since,
    )
    return (*row, digest_of(row), len(entry.occurrences) // 3)


def _entry(row: tuple[int, str, int, int, int, bytes, bytes, bytes, str, int, bytes]) -> IndexEntry:
    """Raises msgspec.ValidationError for a row that is not as it was written."""
    check(row[:10], row[10])
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
        incomplete_since=row[9],
    )
