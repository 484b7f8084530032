"""A calendar object and a span -> the occurrences in it, as UTC spans with their facts. Applies no policy.

RFC 5545 §3.8.5: the occurrences of a series are DTSTART and those of RRULE and RDATE, except EXDATE and those that an
override replaces, all compared as instants.
"""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct, field

from busyd.ical.event import Event, Moment, UnreadableEvent, read_event, read_moment, zone_beside
from busyd.ical.exclusions import Excluded, Future, can_match
from busyd.ical.facts import Facts, Problem, ProblemKind, odd_travel_time
from busyd.ical.limits import MAX_OCCURRENCES, MAX_OVERRIDES, MAX_PROBLEMS, MAX_WORK
from busyd.ical.lines import Component
from busyd.ical.parse import CalendarObject, GroupedCalendar, Series, current, newest, sequence_of
from busyd.ical.recurrence_set import RecurrenceSet
from busyd.ical.rule_times import Budget
from busyd.ical.values import BadValue
from busyd.ical.vfreebusy import read_freebusy
from busyd.ical.zones import NO_OWN_ZONES, OwnZones, Zone, Zones, reading_zone
from busyd.period import EARLIEST, LATEST, Period

Row = tuple[int, int, int]
"""(start, end, number of its facts in `ExpandedObject.facts`), in UTC, before travel time."""
_RECURRING = frozenset({"RRULE", "RDATE", "EXDATE", "EXRULE"})


class ExpandedObject(Struct):
    """The occurrences of one object."""

    rows: list[Row] = field(default_factory=list)
    facts: list[Facts] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    recurring: bool = False
    """The rows depend on the span."""
    zone_dependent: bool = False
    """The rows depend on the reader's zone."""
    incomplete: str = ""
    """Why some of the object's time is entirely unknown; empty when all of it is known."""
    incomplete_since: int = EARLIEST
    """From when on, if `incomplete` is not empty: an unreadable rule leaves the time before DTSTART known."""

    def lose_track(self, why: str, *, since: int = EARLIEST) -> None:
        """Note that something may be at any time from then on."""
        if not self.incomplete or since < self.incomplete_since:
            self.incomplete, self.incomplete_since = why, since


def expand(
    calendar_object: CalendarObject, span: Period, *, zone: str, own_zones: OwnZones = NO_OWN_ZONES
) -> ExpandedObject:
    """All occurrences that overlap the span widened by their own travel times, sorted.

    Series without RRULE give all their occurrences, whatever the span. DATE and floating values are read in `zone`;
    `own_zones` are the person's names for zones. Never raises for what is in the object; raises UnknownZone when `zone`
    is no time zone.
    """
    reader = reading_zone(zone)
    expander = Expander(calendar_object, span, own_zones=own_zones)
    if calendar_object.refused:
        expander.refuse(calendar_object.uid, calendar_object.refused)
    for calendar in calendar_object.calendars:
        expander.take_calendar(calendar, reader)
    expander.result.rows.sort()
    return expander.result


class Expander:
    """Collects the occurrences of the calendars of one object."""

    merges = True

    def __init__(self, calendar_object: CalendarObject, span: Period, *, own_zones: OwnZones) -> None:
        problems = calendar_object.problems[:MAX_PROBLEMS]
        self.result = ExpandedObject(problems=problems, incomplete=calendar_object.damage)
        self._span = span
        self._own_zones = own_zones
        self.budget = Budget(MAX_WORK)
        self._uid = calendar_object.uid
        self._numbers: dict[int, int] = {}

    def take_calendar(self, calendar: GroupedCalendar, reader: Zone) -> None:
        zones = Zones(
            reader, calendar.text.zones, x_wr_timezone=calendar.text.value("X-WR-TIMEZONE"), own=self._own_zones
        )
        for series in calendar.series:
            self._uid = series.uid
            single = len(series.masters) == 1 and not series.overrides
            if single and _RECURRING.isdisjoint(series.masters[0].properties):
                self._take_single(series.masters[0], calendar, zones=zones)
            elif len(self.result.rows) > MAX_OCCURRENCES:
                self.refuse(series.uid, "the object has more occurrences than can be counted")
                break
            else:
                self._take_series(series, calendar, zones=zones)
            if zones.notes or zones.unknown:
                self._report(zones)
        for component in calendar.freebusy:
            self._uid = component.value("UID")
            for start, end, facts, odd in read_freebusy(component, zones):
                if not odd and end <= start:
                    self.problem(ProblemKind.BAD_TIME, "a FREEBUSY period ends before it starts")
                elif odd:
                    self.problem(ProblemKind.BAD_TIME, odd)
                    self.lose_track(odd)
                else:
                    self.add(start, end, facts=facts)
            self._report(zones)
        self.result.zone_dependent |= zones.used_reader

    def _report(self, zones: Zones) -> None:
        """Note what was unknown, and what was read leniently, in the current series."""
        for tzid, why in zones.unknown.items():
            reason = (
                f"its time zone {tzid[:60]!r} is unknown, so it counts from the earliest to the latest time that it may"
                f" mean; `time_zones` in the configuration can name it: {why}"
            )
            self.problem(ProblemKind.UNKNOWN_ZONE, reason)
        for note in zones.notes:
            self.problem(ProblemKind.FORGIVEN, note)
        zones.notes.clear()

    def lose_track(self, why: str, *, since: int = EARLIEST) -> None:
        """Note that something of the object may be at any time from then on."""
        self.result.lose_track(why, since=since)

    def refuse(self, uid: str, why: str) -> None:
        """Block the whole span as not understood."""
        self._uid = uid
        self.unknown(self._span.start, self._span.end, why=why)
        self.problem(ProblemKind.TOO_MUCH, why)

    def unknown(self, start: int, end: int, *, why: str) -> None:
        """Block a span in which something is not understood; it depends on the span asked for."""
        self.result.recurring = True
        self.add(max(start, self._span.start), min(end, self._span.end), facts=Facts(unknown=why))

    def add(self, start: int, end: int, *, facts: Facts) -> None:
        """Add an occurrence; one of no length blocks only its travel times, but `explain` lists it."""
        if start < EARLIEST or end > LATEST:
            start, end = max(start, EARLIEST), min(end, LATEST)
        if start <= end:
            self.result.rows.append((start, end, self._number(facts)))

    def add_many(self, spans: Iterable[tuple[int, int]], facts: Facts) -> None:
        """Occurrences with the same facts."""
        number = self._number(facts)
        rows = [(start, end, number) for start, end in spans]
        if rows and (rows[0][0] < EARLIEST or rows[-1][1] > LATEST):
            rows = [(max(start, EARLIEST), min(end, LATEST), number) for start, end, _ in rows if start < LATEST]
        self.result.rows += rows

    def _number(self, facts: Facts) -> int:
        # By identity: hashing facts would dominate the cost, and equal ones are mostly shared.
        number = self._numbers.get(id(facts))
        if number is None:
            number = self._numbers[id(facts)] = len(self.result.facts)
            self.result.facts.append(facts)
        return number

    def problem(self, kind: ProblemKind, reason: str) -> None:
        """Note a problem of the current series."""
        problem = Problem(kind, self._uid, reason)
        if len(self.result.problems) < MAX_PROBLEMS and problem not in self.result.problems:
            self.result.problems.append(problem)

    def _read(self, component: Component, calendar: GroupedCalendar, *, zones: Zones) -> Event | None:
        """The event of a component, or None when its time is entirely unknown."""
        try:
            event = read_event(component, zones, cancelled=calendar.is_cancelled)
        except UnreadableEvent as error:
            reason = f"an event is left out: {error}"
            self.problem(ProblemKind.BAD_TIME, reason)
            return None
        if event.odd:
            self.problem(ProblemKind.BAD_TIME, event.odd)
        odd = odd_travel_time(component) if "X-APPLE-TRAVEL-DURATION" in component.properties else ""
        if odd:
            self.problem(ProblemKind.BAD_TIME, f"its travel time {odd!r} cannot be read")
        return event

    def _take_single(self, component: Component, calendar: GroupedCalendar, *, zones: Zones) -> None:
        event = self._read(component, calendar, zones=zones)
        if event is not None:
            self.add(event.start, event.end(event.start, event.wall), facts=event.facts)
        elif not calendar.blocks_nothing(component):
            self.lose_track("an event has no readable start")

    def _take_series(self, series: Series, calendar: GroupedCalendar, *, zones: Zones) -> None:
        if len(series.overrides) > MAX_OVERRIDES:
            self.refuse(
                series.uid, f"the series has {len(series.overrides)} changed occurrences, more than busyd reads"
            )
            return
        events = [(master, self._read(master, calendar, zones=zones)) for master in series.masters]
        events = self._current_masters(events)
        if not any(event is not None for _, event in events):
            for master, _ in events:
                self._take_single(master, calendar, zones=zones)
            # Without a master each is a single event: invited to this occurrence only (RFC 4791 §4.1).
            for _, component in self._newest_overrides(series, zones, beside=None):
                self._take_single(component, calendar, zones=zones)
            return
        for master, event in events:
            if event is None:
                self._take_single(master, calendar, zones=zones)
            else:
                overrides = self._newest_overrides(series, zones, beside=zone_beside(master, event))
                self._take_master(master, event, overrides=overrides, calendar=calendar, zones=zones)

    def _current_masters(self, events: list[tuple[Component, Event | None]]) -> list[tuple[Component, Event | None]]:
        """Of several masters those that count: versions of one event are told apart by DTSTART (`parse.current`)."""
        if len(events) < 2:
            return events
        starts = {
            id(master): (event.start, event.is_date) if event is not None else master.value("DTSTART")
            for master, event in events
        }
        kept = current([master for master, _ in events], start=lambda master: starts[id(master)])
        if len({starts[id(master)] for master in kept}) > 1:
            reason = f"{len(kept)} different events have this UID in one object; each of them counts"
            self.problem(ProblemKind.DUPLICATE_UID, reason)
        wanted = set(map(id, kept))
        return [(master, event) for master, event in events if id(master) in wanted]

    def _newest_overrides(
        self, series: Series, zones: Zones, *, beside: Zone | None
    ) -> list[tuple["ReplacedId | None", Component]]:
        by_id: dict[object, list[Component]] = {}
        ids: dict[int, ReplacedId | None] = {}
        for number, component in enumerate(series.overrides):
            ids[id(component)] = replaced = self._replaced_id(component, zones, beside=beside)
            key: object = (replaced.moment.instant, replaced.moment.is_date) if replaced is not None else number
            by_id.setdefault(key, []).append(component)
        return [(ids[id(component)], component) for overrides in by_id.values() for component in newest(overrides)]

    def _replaced_id(self, component: Component, zones: Zones, *, beside: Zone | None) -> "ReplacedId | None":
        line = component.properties["RECURRENCE-ID"][0]
        try:
            moment = read_moment(line, zones, beside=beside)
        except BadValue as error:
            self.problem(
                ProblemKind.BAD_TIME, f"its RECURRENCE-ID cannot be read, so it counts as a separate event: {error}"
            )
            return None
        return ReplacedId(moment, "THISANDFUTURE" in line[0].upper())

    def _take_master(
        self,
        master: Component,
        event: Event,
        *,
        overrides: list[tuple["ReplacedId | None", Component]],
        calendar: GroupedCalendar,
        zones: Zones,
    ) -> None:
        excluded = Excluded(event)
        for reason in excluded.read(master, zones):
            self.problem(ProblemKind.BAD_TIME, reason)
        futures: list[Future] = []
        replaced: list[ReplacedId] = []
        for replaced_id, component in overrides:
            changed = self._read(component, calendar, zones=zones)
            if replaced_id is None or not can_match(replaced_id.moment, event):
                if changed is not None:
                    self._add_event(changed)
                continue
            cancelled = calendar.is_cancelling(component)
            if changed is None and not cancelled:
                if not calendar.blocks_nothing(component):
                    self.lose_track("a changed occurrence has no readable start")
                continue
            dropped = cancelled or sequence_of(component) <= sequence_of(master)
            if dropped and excluded.covers(replaced_id.moment):
                continue
            replaced.append(replaced_id)
            if changed is None:
                continue
            self._add_event(changed)
            if replaced_id.and_future:
                futures.append(Future.of(replaced_id.moment, changed, master=event))
        for replaced_id in replaced:
            excluded.add(replaced_id.moment)
        RecurrenceSet(
            master, event, excluded=excluded, futures=futures, zones=zones, span=self._span, collector=self
        ).add_all()
        if "RRULE" in master.properties or "EXRULE" in master.properties:
            self.result.recurring = True

    def _add_event(self, event: Event) -> None:
        self.add(event.start, event.end(event.start, event.wall), facts=event.facts)


class ReplacedId(NamedTuple):
    """A RECURRENCE-ID."""

    moment: Moment
    and_future: bool
