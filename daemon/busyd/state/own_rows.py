"""What busyd itself has booked, holds and blocks: one more source of busy time of a profile, beside its calendars.

It is a table like that of a calendar, so that snapshots, slots, feeds and every other answer hold it by the same code.
Its times have a free/busy type of their own, to which no rule of a profile applies. It is made of the rows of the
outbox in memory, which follow the ledger commit by commit. The event that a server hands back lies in the same span,
and spans are merged: it counts once.
"""

from array import array
from bisect import bisect_left, insort
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from busyd.availability.building import Reading
from busyd.availability.occurrence_table import FactsTable, OccurrenceTable
from busyd.availability.policy import Rules
from busyd.cooperative import in_one_go
from busyd.ical.facts import Facts
from busyd.period import FbType, Instant, Period
from busyd.state.links import Link, calendar_keys
from busyd.store.bookings import Booking, BookingKind
from busyd.store.occurrences import IndexEntry

OWN: Final = -1
"""Stands for the id of a calendar where busyd's own rows are meant."""

OwnSpan = tuple[str, int, int, int]
"""Id of a row, start, end and free/busy type."""
OwnStart = tuple[int, str]
"""When an appointment or a hold starts, and the id of its row."""


class _Made(Struct, frozen=True):
    """A table, and what it was made from."""

    numbers: Mapping[OwnSpan, int]
    """Each span with the number of its object in the table."""
    following: int
    """The next number that no object had yet."""
    table: OccurrenceTable
    spans: tuple[OwnSpan, ...] = ()


class _Spans(Struct, frozen=True):
    """What the rows of a profile take, and what it follows from."""

    revision: int
    links: tuple[Link, ...]
    spans: tuple[OwnSpan, ...]


class OwnRows:
    """The rows of the outbox of which something may still come, by profile and by calendar."""

    def __init__(self) -> None:
        self._rows: dict[str, Booking] = {}
        self._by_profile: dict[str, dict[str, None]] = {}
        self._by_calendar: dict[str, dict[str, None]] = {}
        self._made: dict[str, _Made] = {}
        self._revision = 0
        """Grows with every change of what the rows take: a booking changes its row often, and its time once."""
        self._spans: dict[str, _Spans] = {}
        self._starts: dict[str, list[OwnStart]] = {}
        """By profile, in order."""

    def take(self, rows: Iterable[Booking]) -> None:
        """Take rows as the ledger has them. What takes no time any more is let go of."""
        for row in rows:
            known = self._rows.pop(row.id, None)
            self._revision += known is None or _taken(known) != _taken(row)
            if known is not None:
                starts = self._starts.get(known.profile, [])
                for start in _starts(known):
                    del starts[bisect_left(starts, start)]
                self._by_profile[known.profile].pop(known.id)
                self._by_calendar.get(known.calendar, {}).pop(known.id, None)
            if not row.spans:
                continue
            self._rows[row.id] = row
            self._by_profile.setdefault(row.profile, {})[row.id] = None
            for start in _starts(row):
                insort(self._starts.setdefault(row.profile, []), start)
            if row.calendar:
                self._by_calendar.setdefault(row.calendar, {})[row.id] = None

    def warnings(self, profiles: Container[str]) -> Iterator[str]:
        """What there is to say of rows whose profile is none of those configured: nobody asks for their time."""
        for name, ids in self._by_profile.items():
            if ids and name not in profiles:
                yield f"profile {name} is not configured: its blocks and holds ({len(ids)}) keep nobody busy"

    def of(self, profile: str, links: Iterable[Link] = ()) -> list[Booking]:
        """The rows of a profile, and those in calendars that block for it."""
        ids = dict(self._by_profile.get(profile, {}))
        if any(self._by_calendar.values()):
            for calendar in calendar_keys(links) & self._by_calendar.keys():
                ids |= self._by_calendar[calendar]
        return [self._rows[number] for number in ids]

    def spans(self, profile: str, links: Iterable[Link]) -> tuple[OwnSpan, ...]:
        """What they take, in order."""
        links, known = tuple(links), self._spans.get(profile)
        if known is None or known.revision != self._revision or known.links != links:
            spans = [
                (row.id, int(span.start), int(span.end), row.fbtype)
                for row in self.of(profile, links)
                for span in row.spans
            ]
            known = self._spans[profile] = _Spans(self._revision, links, tuple(sorted(spans)))
        return known.spans

    def starts(self, profile: str) -> tuple[OwnStart, ...]:
        """When the appointments and holds of a profile start, in order; of one being moved both the old and the new."""
        return tuple(self._starts.get(profile, ()))

    def readings(self, profile: str, links: Iterable[Link], *, facts: FactsTable) -> tuple[Reading, ...]:
        """The same as a table, which is another only when something changed; none when there never was a row."""
        spans, made = self.spans(profile, links), self._made.get(profile)
        if made is None and not spans:
            return ()
        if made is None or made.table.table is not facts:
            made = _Made({}, 0, OccurrenceTable(facts))
        if made.spans != spans or profile not in self._made:
            made = _changed(made, spans)
        self._made[profile] = made
        return (Reading(made.table, Rules(), frozenset(), OWN),)

    def in_calendar(self, link: Link, *, facts: FactsTable) -> Reading:
        """What the rows of all profiles take in the calendar of a link."""
        made = _changed(_Made({}, 0, OccurrenceTable(facts)), self.spans("", (link,)))
        return Reading(made.table, Rules(), frozenset(), OWN)


def _taken(row: Booking) -> object:
    """What others learn of a row: where it takes which time, and for whom."""
    return row.spans, row.fbtype, row.profile, row.calendar


def _starts(row: Booking) -> list[OwnStart]:
    """When it starts, if it is one of those whose number may be limited."""
    counts = row.kind in (BookingKind.APPOINTMENT, BookingKind.HOLD)
    return [(int(span.start), row.id) for span in row.spans] if counts else []


def _changed(made: _Made, spans: tuple[OwnSpan, ...]) -> _Made:
    """The table with these spans, which shares with the one before what is in both."""
    wanted = dict.fromkeys(spans)
    changes: dict[int, IndexEntry | None] = {
        number: None for span, number in made.numbers.items() if span not in wanted
    }
    numbers, following = {}, made.following
    for span in wanted:
        known = made.numbers.get(span)
        if known is None:
            known, following = following, following + 1
            changes[known] = _entry(known, span)
        numbers[span] = known
    return _Made(numbers, following, in_one_go(made.table.changed(changes)), spans)


def _entry(number: int, span: OwnSpan) -> IndexEntry:
    _, start, end, fbtype = span
    return IndexEntry(
        object=number,
        zone="",
        span=Period(Instant(start), Instant(end)),
        recurring=False,
        occurrences=array("q", (start, end, 0)),
        facts=(Facts(fbtype=FbType(fbtype)),),
    )
