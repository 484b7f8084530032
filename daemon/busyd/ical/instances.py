"""What calendar-data may ask for in place of a whole object (RFC 4791 §9.6): its instances, or its overrides in a span.

The occurrences are those of the one engine. Whatever of an object is not understood, the object is given as it is.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from busyd.ical.compose import to_utc
from busyd.ical.event import Event
from busyd.ical.exclusions import Future
from busyd.ical.facts import Facts
from busyd.ical.lines import Component
from busyd.ical.parse import CalendarObject, GroupedCalendar, parse_object
from busyd.ical.recurrence import Expander, ReplacedId
from busyd.ical.tree import ComponentTree, Line, read_tree, write_tree
from busyd.ical.zones import NO_OWN_ZONES, OwnZones, Zone, Zones, reading_zone
from busyd.period import Period

MAX_INSTANCES: Final = 5_000
"""Of one object with more of them in the span, the series itself is given."""
_OF_SERIES: Final = frozenset({"DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID"})
_MAKES_SERIES: Final = ("RRULE", "RDATE", "EXRULE")


def expand_instances(payload: bytes, span: Period, *, zone: str, own_zones: OwnZones = NO_OWN_ZONES) -> bytes:
    """RFC 4791 §9.6.5: every instance in the span as an event of its own, in UTC, and nothing that recurs.

    DATE and floating values are read in `zone`; a DATE stays one. The object as it is where something of it is not
    understood, or it has too many instances. Raises UnknownZone when `zone` is no time zone.
    """
    reading = _TracedExpander(parse_object(payload), span, zone=zone, own_zones=own_zones)
    tree = read_tree(payload)
    places = reading.places_in(tree)
    if places is None or reading.result.incomplete or len(reading.result.rows) > MAX_INSTANCES:
        return payload
    instances = list(reading.instances())
    if any(instance is None for instance in instances):
        return payload
    made = [
        _written(places[id(instance.component)], instance)
        for instance in instances
        if instance is not None and _is_in(instance.start, instance.end, span=span)
    ]
    for calendar in tree.inside:
        its = {id(component) for component in calendar.inside}
        calendar.inside = [event for place, event in made if id(place) in its]
        calendar.lines = [line for line in calendar.lines if line[0] != "X-WR-TIMEZONE"]
    return write_tree(tree)


def limit_overrides(payload: bytes, span: Period, *, zone: str, own_zones: OwnZones = NO_OWN_ZONES) -> bytes:
    """RFC 4791 §9.6.6: masters, and of the overrides those that are in the span, or replace an instance in it.

    Raises UnknownZone when `zone` is no time zone.
    """
    if payload.count(b"RECURRENCE-ID") == 0:
        return payload
    reading = _TracedExpander(parse_object(payload), span, zone=zone, own_zones=own_zones)
    tree = read_tree(payload)
    places = reading.places_in(tree)
    if places is None:
        return payload
    dropped = {id(places[component]) for component in reading.overrides_outside()}
    for calendar in tree.inside:
        calendar.inside = [component for component in calendar.inside if id(component) not in dropped]
    return write_tree(tree) if dropped else payload


class _Instance(NamedTuple):
    """One occurrence, and the component that describes it."""

    component: Component
    event: Event
    start: int
    end: int
    original: int | None
    """The instant it would start at without its override; None where nothing recurs."""
    original_zone: Zone | None = None
    """The zone of the original where that is a DATE."""


class _TracedExpander(Expander):
    """An expansion that remembers which component each occurrence comes from."""

    merges = False

    def __init__(self, calendar_object: CalendarObject, span: Period, *, zone: str, own_zones: OwnZones) -> None:
        super().__init__(calendar_object, span, own_zones=own_zones)
        self._object = calendar_object
        self._origins: dict[int, tuple[Component, Event]] = {}
        """Identity of the facts that only one component has -> the component."""
        self._kept: list[Facts] = []
        self._replaced: dict[int, ReplacedId] = {}
        self._masters: dict[int, Event] = {}
        """Identity of an override -> the master it changes."""
        if calendar_object.refused:
            self.refuse(calendar_object.uid, calendar_object.refused)
        reader = reading_zone(zone)
        for calendar in calendar_object.calendars:
            self.take_calendar(calendar, reader)

    def places_in(self, tree: ComponentTree) -> dict[int, ComponentTree] | None:
        """Identity of each event -> where it is in the tree; None when the two do not have the same events."""
        read = [event for calendar in self._object.calendars for event in calendar.text.components]
        written = [event for calendar in tree.inside for event in calendar.inside if event.name == "VEVENT"]
        if len(read) != len(written):
            return None
        for component, place in zip(read, written, strict=True):
            lines = [(parameters, value) for name, parameters, value in place.lines if name == "DTSTART"]
            if component.name != "VEVENT" or component.properties.get("DTSTART", []) != lines:
                return None
        return {id(component): place for component, place in zip(read, written, strict=True)}

    def instances(self) -> Iterator[_Instance | None]:
        """All occurrences in order; None for one that no component describes as it is."""
        for start, end, number in sorted(self.result.rows):
            facts = self.result.facts[number]
            origin = self._origins.get(id(facts))
            if origin is None or facts.unknown or origin[1].zone.spread:
                yield None
                continue
            component, event = origin
            yield _Instance(component, event, start, end, *self._original(component, event, start=start))

    def overrides_outside(self) -> Iterator[int]:
        """The identity of each override that has nothing to do with the span."""
        for component, event in self._origins.values():
            replaced, master = self._replaced.get(id(component)), self._masters.get(id(component))
            if replaced is None or master is None or replaced.and_future:
                continue
            before = replaced.moment.instant
            was_in = _is_in(before, master.end(before, replaced.moment.wall), span=self._span)
            if not was_in and not _is_in(event.start, event.end(event.start, event.wall), span=self._span):
                yield id(component)

    def _original(self, component: Component, event: Event, *, start: int) -> tuple[int | None, Zone | None]:
        replaced = self._replaced.get(id(component))
        if replaced is None:
            recurs = any(name in component.properties for name in _MAKES_SERIES)
            return (start if recurs else None), (event.zone if event.is_date else None)
        moment, master = replaced.moment, self._masters.get(id(component))
        if replaced.and_future and master is not None and start != event.start:
            shift = Future.of(moment, event, master=master).shift
            return master.zone.instant(event.zone.wall(start) - shift), master.zone if master.is_date else None
        return moment.instant, moment.zone if moment.is_date else None

    def _read(self, component: Component, calendar: GroupedCalendar, *, zones: Zones) -> Event | None:
        event = super()._read(component, calendar, zones=zones)
        if event is None:
            return None
        event = event._replace(facts=replace(event.facts))
        self._origins[id(event.facts)] = component, event
        self._kept.append(event.facts)
        return event

    def _replaced_id(self, component: Component, zones: Zones, *, beside: Zone | None) -> ReplacedId | None:
        replaced = super()._replaced_id(component, zones, beside=beside)
        if replaced is not None:
            self._replaced[id(component)] = replaced
        return replaced

    def _take_master(
        self,
        master: Component,
        event: Event,
        *,
        overrides: list[tuple[ReplacedId | None, Component]],
        calendar: GroupedCalendar,
        zones: Zones,
    ) -> None:
        self._masters |= {id(component): event for _, component in overrides}
        super()._take_master(master, event, overrides=overrides, calendar=calendar, zones=zones)


def _is_in(start: int, end: int, *, span: Period) -> bool:
    """RFC 4791 §9.9: also an instance of no length at the start of the span."""
    return (start < span.end and span.start < end) or (start == end and span.start <= start < span.end)


def _written(place: ComponentTree, instance: _Instance) -> tuple[ComponentTree, ComponentTree]:
    """The place of the component an instance comes from, and the instance as a component."""
    rest = [line for line in place.lines if line[0] not in _OF_SERIES]
    return place, ComponentTree(place.name, [*_times(instance), *rest], place.inside)


def _times(instance: _Instance) -> Iterable[Line]:
    zone = instance.event.zone if instance.event.is_date else None
    yield _time("DTSTART", instance.start, day_in=zone)
    if instance.end > instance.start:
        yield _time("DTEND", instance.end, day_in=zone)
    if instance.original is not None:
        yield _time("RECURRENCE-ID", instance.original, day_in=instance.original_zone)


def _time(name: str, instant: int, *, day_in: Zone | None) -> Line:
    if day_in is None:
        return name, "", to_utc(instant)
    return name, ";VALUE=DATE", to_utc(day_in.wall(instant))[:8]
