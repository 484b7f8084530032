"""What changes the occurrences of a master: EXDATE and overrides exclude some, RANGE=THISANDFUTURE moves the rest."""

from collections.abc import Iterator

from msgspec import Struct

from busyd.ical.event import Event, Moment, read_moment, zone_beside
from busyd.ical.limits import MAX_DATES
from busyd.ical.lines import Component, with_whole_zone
from busyd.ical.values import DAY, BadValue, date_of_utc
from busyd.ical.zones import UTC, Zones


def local_day(moment: Moment, master: Event) -> int:
    """The day of a value on the master's calendar: as written, or for UTC the day that somebody's midnight means."""
    if moment.is_date or moment.zone is not UTC:
        return moment.wall // DAY
    return date_of_utc(moment.wall) if master.is_date else master.zone.wall(moment.wall) // DAY


def can_match(moment: Moment, master: Event) -> bool:
    """Whether a value can be held against the master's occurrences: not where one of their zones is unknown."""
    if moment.is_date != master.is_date or moment.zone is master.zone:
        return True
    return not moment.zone.spread and not master.zone.spread


class Excluded:
    """The occurrences of a master that are excluded from its rules: by EXDATE, and by an override."""

    __slots__ = ("_days", "_instants", "_master")

    def __init__(self, master: Event) -> None:
        self._master = master
        self._instants: set[int] = set()
        self._days: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._instants or self._days)

    @property
    def instants(self) -> set[int]:
        return self._instants

    @property
    def days(self) -> set[int]:
        """Local days of the master without an occurrence."""
        return self._days

    def add(self, moment: Moment) -> None:
        """Exclude a value: by instant, or by local day where it and the master are of different types."""
        if moment.is_date != self._master.is_date:
            self._days.add(local_day(moment, self._master))
        else:
            self._instants.add(moment.instant)

    def covers(self, moment: Moment) -> bool:
        """Whether the occurrence with this value is excluded."""
        if moment.is_date != self._master.is_date:
            return local_day(moment, self._master) in self._days
        return moment.instant in self._instants or (
            bool(self._days) and self._master.zone.wall(moment.instant) // DAY in self._days
        )

    def has(self, instant: int, wall: int) -> bool:
        return instant in self._instants or wall // DAY in self._days

    def read(self, component: Component, zones: Zones) -> Iterator[str]:
        """Add the EXDATEs of a component. Yields a sentence for each that cannot be used, which excludes nothing."""
        taken = 0
        beside = zone_beside(component, self._master)
        for parameters, text in map(with_whole_zone, component.properties.get("EXDATE", ())):
            for value in text.split(","):
                if not value.strip():
                    continue
                taken += 1
                if taken > MAX_DATES:
                    yield "it has more EXDATEs than busyd reads; the remaining dates stay busy"
                    return
                try:
                    moment = read_moment((parameters, value), zones, beside=beside)
                except BadValue as error:
                    yield f"an EXDATE cannot be read, so its date stays busy: {error}"
                    continue
                if can_match(moment, self._master):
                    self.add(moment)
                else:
                    yield "an EXDATE is in another zone than the event, and one of them is unknown, so it stays busy"


class Future(Struct, frozen=True):
    """A RANGE=THISANDFUTURE override: how it changes the occurrences after it (RFC 5545 §3.8.4.4)."""

    after: int
    """The instant of its RECURRENCE-ID."""
    shift: int
    """Seconds on the wall clock by which it moves them."""
    event: Event

    @classmethod
    def of(cls, replaced: Moment, event: Event, *, master: Event) -> "Future":
        """The shift is measured on the master's wall clock; between a DATE and a time, it is counted in days."""
        if replaced.is_date or replaced.zone is master.zone:
            before = replaced.wall
        else:
            before = master.zone.wall(replaced.instant)
        if event.is_date != master.is_date or event.zone is master.zone:
            wall = event.wall
        else:
            wall = master.zone.wall(event.start)
        if event.is_date != master.is_date:
            return cls(replaced.instant, (wall // DAY - before // DAY) * DAY, event)
        return cls(replaced.instant, wall - before, event)

    def move(self, wall: int, master: Event) -> tuple[int, int]:
        """(instant, wall) of a later occurrence of the master that starts at the wall time."""
        moved = wall + self.shift
        if self.event.is_date == master.is_date:
            return master.zone.instant(moved), moved
        moved = moved // DAY * DAY + self.event.wall % DAY
        return self.event.zone.instant(moved), moved
