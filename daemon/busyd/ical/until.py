"""UNTIL of a rule -> where it ends, on the wall clock of its DTSTART and as an instant."""

from typing import Final

from busyd.ical.event import Event
from busyd.ical.rule import Rule
from busyd.ical.values import DAY, date_of_utc, read_time

NO_END: Final = 1 << 60


def until_of(rule: Rule, master: Event, *, high: int) -> tuple[int, int]:
    """(last wall time, last instant) that UNTIL allows, none of them beyond the wall time `high`.

    For zoned times, the RFC requires UTC. A DATE means the whole local day, a local time the clock of DTSTART. For
    all-day events, a time in UTC is a common misspelling of a date (`values.date_of_utc`).
    """
    if not rule.until:
        return high, NO_END
    wall, is_date, is_utc = read_time(rule.until)
    if is_date or master.is_date:
        last = date_of_utc(wall) if is_utc else wall // DAY
        return min(high, last * DAY + DAY - 1), NO_END
    if is_utc:
        return min(high, master.zone.wall(wall) + DAY), wall
    return min(high, wall), NO_END
