"""VTIMEZONE components for what busyd writes and hands out, from the same data by which it reads."""

from functools import lru_cache
from typing import Final

from busyd.ical.compose import escape_text, fold, to_utc
from busyd.ical.values import DAY, day_number
from busyd.ical.zones import Zone

_YEAR: Final = 366 * DAY


@lru_cache(maxsize=256)
def timezone_lines(zone: Zone, *, tzid: str, first: int, last: int) -> bytes:
    """The changes of the clocks from one year to another, both included, under the name that a TZID parameter has."""
    start, end = day_number(first, 1, day=1) * DAY, day_number(last + 1, 1, day=1) * DAY
    onsets: dict[tuple[int, int], list[int]] = {}
    begin = zone.instant(start)
    offset = zone.wall(begin) - begin
    changes = zone.changes(begin + 1, zone.instant(end))
    is_summer = bool(changes) and changes[0].after < offset and changes[0].instant < begin + _YEAR
    lines = [
        "BEGIN:VTIMEZONE",
        f"TZID:{escape_text(tzid)}",
        *_observance(is_summer, offset, after=offset, walls=[start]),
    ]
    for change in changes:
        onsets.setdefault((change.before, change.after), []).append(change.instant + change.before)
    for (before, after), walls in onsets.items():
        lines += _observance(after > before, before, after=after, walls=walls)
    lines.append("END:VTIMEZONE")
    return "".join(f"{fold(line)}\r\n" for line in lines).encode()


def _observance(is_summer: bool, before: int, *, after: int, walls: list[int]) -> list[str]:
    """RFC 5545 §3.6.5: onsets are times of the clock as it went before."""
    name = "DAYLIGHT" if is_summer else "STANDARD"
    times = [to_utc(wall).removesuffix("Z") for wall in walls]
    return [
        f"BEGIN:{name}",
        f"DTSTART:{times[0]}",
        *([f"RDATE:{','.join(times[1:])}"] if times[1:] else []),
        f"TZOFFSETFROM:{_offset(before)}",
        f"TZOFFSETTO:{_offset(after)}",
        f"END:{name}",
    ]


def _offset(seconds: int) -> str:
    hours, rest = divmod(abs(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}{minutes:02}{f'{rest:02}' if rest else ''}"
