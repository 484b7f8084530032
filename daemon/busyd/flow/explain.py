"""Explain: why is this person busy, or free? Every event that touches a window, with the decision and what made it.

By the same engine and the same rules as the answer; only titles are read from the mirror in addition.
"""

from collections.abc import Container

from msgspec import Struct
from msgspec.structs import replace

from busyd.availability.index import PackedObject
from busyd.availability.policy import ACCEPTED, NO_LENGTH, decide
from busyd.connection import CalendarReference
from busyd.cooperative import in_slices
from busyd.ical.title import Title, title_of
from busyd.index.writer import IndexWriter
from busyd.period import FbType, Instant, Period, clip, flatten
from busyd.state.link_map import connections_of
from busyd.state.links import CalendarRole, Link
from busyd.state.problems import version_of
from busyd.state.profile_state import ProfileState
from busyd.state.state import State
from busyd.state.uncounted import may_count
from busyd.store.acceptances import problem_id
from busyd.store.bookings import Booking
from busyd.store.mirror import CalendarRecord, StoredObject


class _Reading(Struct, frozen=True):
    """How one calendar counts for the profile, and in which window."""

    link: Link
    me: frozenset[str]
    primary_blocks_origin: str
    window: Period
    accepted: bool = False
    """A person has accepted that the object is not understood."""


class Explained(Struct, frozen=True):
    """One occurrence in a window, and what was decided about it."""

    calendar: str
    uid: str
    href: str
    summary: str
    location: str
    start: Instant
    """Of what blocks, travel time included."""
    end: Instant
    fbtype: FbType
    """FREE when it does not block."""
    reason: str
    """As `Verdict.reason`; `unreadable` for an event whose time cannot be read, `never-read` for a calendar that was
    not read, `too-much` for one with more occurrences than can be held, `block` for what busyd itself keeps busy."""
    rule: str
    """The rule of the configuration that decided, or empty when the event itself did."""
    origin: str
    """FILE:LINE where that rule was set; empty when it is the default."""
    notes: tuple[str, ...] = ()
    """What in its object was read leniently, or could not be understood."""


async def explain_window(writer: IndexWriter, profile_state: ProfileState, *, window: Period) -> list[Explained]:
    """Everything that touches the window, in order of time, whether it blocks or not."""
    rows = writer.state.own.of(profile_state.profile.name, profile_state.links)
    own = [explained for row in rows for explained in _explain_row(row, window)]
    written = {(explained.uid, explained.start, explained.end) for explained in own if explained.uid}
    events = await explain_calendars(writer, profile_state, window=window)
    events = [event for event in events if (event.uid, event.start, event.end) not in written] + own
    return sorted(events, key=lambda event: (event.start, event.end, event.calendar, event.uid))


async def explain_calendars(writer: IndexWriter, profile_state: ProfileState, *, window: Period) -> list[Explained]:
    """The same without what busyd itself has booked, holds or blocks; what it has written is in its calendar."""
    events: list[Explained] = []
    for link in profile_state.links:
        if link.role is CalendarRole.BLOCKS:
            continue  # what busyd itself has there is explained by its rows; the rest counts by another link, or not
        reading = _Reading(
            link,
            writer.state.addresses_for(profile_state, link.reference.connection),
            profile_state.profile.primary_blocks_origin,
            window,
        )
        events += await _explain_calendar(writer, reading)
    return events


async def explain_uncounted(
    writer: IndexWriter, profile_state: ProfileState, *, window: Period, calendars: Container[str]
) -> dict[str, tuple[tuple[int, int], ...]]:
    """Label -> when there is something, of the calendars of the profile's connections that do not count for it.

    Only of those with these labels. Of one that no profile names, as it was when it was last looked at, and only as
    far as that reached.
    """
    state, found = writer.state, dict[str, tuple[tuple[int, int], ...]]()
    linked = {link.calendar for link in profile_state.links}
    for name in sorted(connections_of(profile_state.profile)):
        for record in state.calendars_of(name):
            if record.id in linked or record.label not in calendars or not may_count(record):
                continue
            spans = await _spans_elsewhere(writer, record, window=window, me=state.addresses_for(profile_state, name))
            if spans:
                found[record.label] = tuple(spans)
    return found


async def _spans_elsewhere(
    writer: IndexWriter, record: CalendarRecord, *, window: Period, me: frozenset[str]
) -> list[tuple[int, int]]:
    zones = writer.state.zones_of(record.id)
    if not zones:
        known = writer.state.uncounted.get(record.id)
        return list(known.within(window.start, window.end)) if known is not None else []
    if not record.complete:
        return []
    reference = CalendarReference(record.connection, record.remote.id)
    link = Link(reference, CalendarRole.CONFLICT, record.label, record.id, record.remote.href, min(zones))
    events = await _explain_calendar(writer, _Reading(link, me, "", window))
    blocking = ((event.start, event.end, 1) for event in events if event.fbtype is not FbType.FREE)
    return [(start, end) for start, end, _ in flatten(clip(blocking, window))]


async def _explain_calendar(writer: IndexWriter, reading: _Reading) -> list[Explained]:
    link, window = reading.link, reading.window
    record = writer.state.calendars.get(link.calendar or 0)
    if record is None or not record.complete:
        return [_nothing_known(link, window)]
    if writer.state.is_beyond(record.id):
        return [replace(_nothing_known(link, window), reason="too-much")]
    stored = await objects_touching(writer, link, window=window)
    if stored is None:
        return [replace(_nothing_known(link, window), reason="unreadable")]
    read = writer.expansion.index((known.payload for known in stored), link.zone, span=window)
    numbered, events = iter(stored), list[Explained]()
    async for indexed in read:
        known = next(numbered)
        version = version_of(record.connection, known.href, etag=known.etag, doubts=record.doubts)
        accepted = problem_id(known.href, version) in writer.state.problems.accepted
        events += _explain_object(known, indexed, reading=replace(reading, accepted=accepted))
    return events


def told_from(state: State, profile_state: ProfileState) -> object:
    """All that what is told of the events of a profile follows from: while it is equal, they are told alike."""
    links = profile_state.links
    records = [state.calendars.get(link.calendar or 0) for link in links]
    return (
        links,
        [state.tables.generations.get(link.calendar or 0) for link in links],
        [(record.complete, record.doubts) for record in records if record is not None],
        {name: state.addresses_for(profile_state, name) for name in {link.reference.connection for link in links}},
        state.own.of(profile_state.profile.name, links),
        set(state.problems.accepted),
    )


def _explain_row(row: Booking, window: Period) -> list[Explained]:
    """What busyd itself keeps busy: named as what it is, in the calendar `busyd`."""
    return [
        Explained(
            calendar="busyd",
            uid=row.uid,
            href=row.href,
            summary=row.details.summary,
            location=row.details.location,
            start=span.start,
            end=span.end,
            fbtype=FbType(row.fbtype),
            reason=row.kind.value,
            rule="",
            origin="",
        )
        for span in row.spans
        if span.start < window.end and window.start < span.end
    ]


async def objects_touching(writer: IndexWriter, link: Link, *, window: Period) -> list[StoredObject] | None:
    """The objects with an occurrence in or near the window, with their payloads.

    None where another daemon has taken one away meanwhile: it may be in a calendar by now where memory has it not yet.
    """
    for _ in range(2):
        numbers = await numbers_touching(writer, link, window=window)
        if numbers is None:
            return await writer.store.read_objects(link.calendar or 0)
        found = await writer.store.read_objects_by_id(sorted(numbers)) if numbers else {}
        if len(found) == len(numbers):
            return list(found.values())
        async with writer.publisher.changing:
            pass  # what this daemon has taken away itself is in memory then
    return None


async def numbers_touching(writer: IndexWriter, link: Link, *, window: Period) -> set[int] | None:
    """The ids of the objects with an occurrence in or near the window; None while that may be any of the calendar.

    Beyond the horizon every recurring object may have one.
    """
    calendar = link.calendar or 0
    tables = writer.state.tables.get(calendar, link.zone)
    if tables is None:
        return None
    travel = max(tables.table.longest_before, tables.table.longest_after)
    near = Period(Instant(window.start - travel), Instant(window.end + travel))
    wanted = await in_slices(tables.objects_in(near)) | tables.incomplete.keys()
    wanted |= {
        number
        for number, noted in writer.state.problems.items()
        if noted[0].calendar == calendar and writer.state.problems.has_accepted(number)
    }
    if near.start < writer.horizon.start or near.end > writer.horizon.end:
        wanted |= tables.recurring
    return wanted


def _explain_object(stored: StoredObject, indexed: PackedObject, *, reading: _Reading) -> list[Explained]:
    link, window = reading.link, reading.window
    notes = tuple(problem.reason for problem in indexed.problems)
    title: Title | None = None
    events = []
    for start, end, number in indexed.rows():
        facts = indexed.facts[number]
        verdict = decide(facts, link.rules, me=reading.me)
        if reading.accepted and facts.unknown:
            verdict = ACCEPTED
        low, high = start - verdict.before, end + verdict.after
        if low == high:
            verdict = NO_LENGTH
        if low >= window.end or high < window.start or (high == window.start and low < high):
            continue
        title = title or title_of(stored.payload)
        if link.blocks:
            rule, origin = verdict.rule, link.rules.origin.get(verdict.rule, "")
        else:
            rule, origin = "primary_blocks", reading.primary_blocks_origin
        events.append(
            Explained(
                calendar=link.label,
                uid=indexed.uid,
                href=stored.href,
                summary=title.summary,
                location=title.location,
                start=Instant(low),
                end=Instant(high),
                fbtype=verdict.fbtype if link.blocks else FbType.FREE,
                reason=verdict.reason if link.blocks else "primary-does-not-block",
                rule=rule,
                origin=origin,
                notes=notes,
            )
        )
    if indexed.incomplete and indexed.incomplete_since < window.end:
        unplaced = replace(
            _nothing_known(link, window), reason="accepted" if reading.accepted else "unreadable", fbtype=FbType.FREE
        )
        summary = title_of(stored.payload).summary
        events.append(replace(unplaced, uid=indexed.uid, href=stored.href, summary=summary, notes=notes))
    return events


def _nothing_known(link: Link, window: Period) -> Explained:
    return Explained(
        calendar=link.label,
        uid="",
        href="",
        summary="",
        location="",
        start=window.start,
        end=window.end,
        fbtype=FbType.BUSY_UNAVAILABLE,
        reason="never-read",
        rule="",
        origin="",
    )
