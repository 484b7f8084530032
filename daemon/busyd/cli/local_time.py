"""What the clocks of a zone show, for a person, also where they show a time twice or never. Not what a person types."""

from typing import Final

from busyd.ical.zone_transitions import ClockChange
from busyd.ical.zones import Zone
from busyd.period import Instant, to_rfc3339

_DAY: Final = 86_400
_FAR: Final = 2 * _DAY
"""Seconds by which no clock differs from UTC."""
_WEEKDAYS: Final = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")
"""From 1970-01-01 on."""


def moments_of(wall: int, zone: Zone) -> list[Instant]:
    """Every moment at which clocks show a wall time: one, two where they are set back, none where they skip it."""
    offsets = {zone.wall(near) - near for near in (wall - _FAR, wall, wall + _FAR)}
    return [Instant(at) for at in sorted(wall - offset for offset in offsets) if zone.wall(at) == wall]


def gap_around(wall: int, zone: Zone) -> ClockChange | None:
    """The change of the clocks that skips a wall time."""
    for change in zone.changes(wall - _FAR, wall + _FAR):
        if change.instant + change.before <= wall < change.instant + change.after:
            return change
    return None


def show_instant(instant: Instant, zone: Zone) -> str:
    """`Mon 2026-11-23 09:00`, or `Sun 2027-10-31 02:00+02:00` where clocks show that time twice."""
    wall = zone.wall(instant)
    date, _, time = to_rfc3339(Instant(wall)).rstrip("Z").partition("T")
    offset = write_offset(wall - instant) if len(moments_of(wall, zone)) > 1 else ""
    return f"{_WEEKDAYS[wall // _DAY % 7]} {date} {time.removesuffix(':00')}{offset}"


def write_local(instant: Instant, zone: Zone) -> str:
    """`2026-12-01T10:00:00+01:00`."""
    wall = zone.wall(instant)
    return to_rfc3339(Instant(wall)).removesuffix("Z") + write_offset(wall - instant)


def write_offset(seconds: int) -> str:
    """`+01:00`."""
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}"


def starts_day(instant: Instant, zone: Zone) -> bool:
    """Whether a day of the zone begins at the moment."""
    return zone.wall(instant) % _DAY == 0 and zone.instant(zone.wall(instant)) == instant
