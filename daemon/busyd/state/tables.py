"""The occurrences of all calendars in memory, by calendar and by the zone they are read in."""

from collections.abc import Collection, Iterator, Mapping

from busyd.availability.occurrence_table import OccurrenceTable


class Tables:
    """Filled after the start has answered from stored snapshots; changed with the commit of the index only."""

    def __init__(self) -> None:
        self._by_calendar: dict[int, dict[str, OccurrenceTable]] = {}
        self._by_zone: dict[int, dict[str, int]] = {}
        """Calendar -> zone -> the generation of the stored index that its table equals."""
        self.generations: dict[int, int] = {}
        """Calendar -> the generation of which all its tables are; it lags while they are changed."""

    def get(self, calendar: int, zone: str) -> OccurrenceTable | None:
        return self._by_calendar.get(calendar, {}).get(zone)

    def of(self, calendar: int) -> Mapping[str, OccurrenceTable]:
        """Zone -> the calendar as it is read in it."""
        return self._by_calendar.get(calendar, {})

    def put(self, calendar: int, zone: str, *, table: OccurrenceTable) -> None:
        self._by_calendar.setdefault(calendar, {})[zone] = table

    def note_generation(self, calendar: int, zones: Collection[str], *, generation: int) -> None:
        """The calendar as it is read in these zones is that of this generation of the stored index."""
        by_zone = self._by_zone.setdefault(calendar, {})
        by_zone.update(dict.fromkeys(zones, generation))
        self.generations[calendar] = min(by_zone.get(zone, 0) for zone in (*self.of(calendar), *zones))

    def keep(self, calendar: int, zones: Collection[str]) -> None:
        """Let go of a calendar as it is read in all other zones."""
        kept = {zone: table for zone, table in self.of(calendar).items() if zone in zones}
        if kept:
            self._by_calendar[calendar] = kept
        else:
            self._by_calendar.pop(calendar, None)
            self._by_zone.pop(calendar, None)
            self.generations.pop(calendar, None)

    def clear(self) -> None:
        self._by_calendar.clear()
        self._by_zone.clear()
        self.generations.clear()

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Every (calendar, zone)."""
        return ((calendar, zone) for calendar, by_zone in self._by_calendar.items() for zone in by_zone)

    @property
    def calendars(self) -> list[int]:
        return list(self._by_calendar)
