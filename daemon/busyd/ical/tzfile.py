"""Time zone data of the machine or the package tzdata, whichever is newer, from RFC 9636 files. Exact names only."""

import re
import struct
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final
from zoneinfo import TZPATH

from busyd.ical.values import DAY, day_number
from busyd.ical.zone_transitions import Zone

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
_NOT_A_ZONE: Final = ("posix/", "right/", "posixrules", "localtime", "Factory", "leap", "zone", "iso3166", "tzdata")
_SPAN: Final = 402
"""Years for which the rule at the end of a file is expanded: a whole Gregorian cycle and some more."""


@lru_cache(maxsize=1)
def tzdata_version() -> str:
    """The release in use, such as `2026f`; empty when neither source states one."""
    return max(_system()[0], _package_version())


@lru_cache(maxsize=1024)
def load_zone(name: str) -> Zone | None:
    """The zone of an exact IANA name or alias, or None when there is none."""
    if not _NAME.fullmatch(name) or name.startswith(_NOT_A_ZONE):
        return None
    if zone_names() and name.lower() not in zone_names():
        return None
    data = _read(name)
    if data is None or data[:4] != b"TZif":
        return None
    return _parse(name, data)


@lru_cache(maxsize=1)
def zone_names() -> dict[str, str]:
    """Every IANA name and alias by its lower-case form, for names written in another case."""
    try:
        names = (_package() / "zones").read_text(encoding="utf-8").split()
    except OSError:
        names = []
    release, folder = _system()
    if folder is not None and _package_version() < release:
        names += _names_in_source(folder / "tzdata.zi")
    return {name.lower(): name for name in names}


def _names_in_source(path: Path) -> list[str]:
    """The names that a `tzdata.zi` defines: `Z NAME ...` and `L TARGET NAME` (zic(8))."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    words = [line.split() for line in lines if line.startswith(("Z ", "L "))]
    return [line[1] if line[0] == "Z" else line[2] for line in words if len(line) > 2]


def forget_if_replaced() -> bool:
    """Check whether the machine has another release of the data by now; if so, discard everything read before."""
    before = tzdata_version()
    for read in (tzdata_version, _package_version, _system):
        read.cache_clear()
    if tzdata_version() == before:
        return False
    load_zone.cache_clear()
    zone_names.cache_clear()
    return True


def _read(name: str) -> bytes | None:
    places: list[Callable[[str], bytes]] = [_package_file, _system_file]
    if _package_version() < _system()[0]:
        places.reverse()
    for read in places:
        try:
            return read(name)
        except (OSError, ValueError):
            continue
    return None


def _system_file(name: str) -> bytes:
    folder = _system()[1]
    if folder is None:
        raise FileNotFoundError(name)
    return (folder / name).read_bytes()


def _package_file(name: str) -> bytes:
    return (_package() / "zoneinfo" / name).read_bytes()


def _package() -> Path:
    """The folder of the package tzdata; it does not exist if the package is not installed."""
    # Not importlib.resources, whose import alone takes a fifth of the load time of the engine.
    try:
        import tzdata
    except ModuleNotFoundError:
        return Path("/nonexistent")
    return Path(tzdata.__path__[0])


@lru_cache(maxsize=1)
def _package_version() -> str:
    try:
        with (_package() / "zoneinfo" / "tzdata.zi").open(encoding="utf-8") as lines:
            return _release(lines.readline())
    except OSError:
        return ""


@lru_cache(maxsize=1)
def _system() -> tuple[str, Path | None]:
    """(release, folder) of the first zone folder of the machine; the release is empty when it is not stated."""
    for path in map(Path, TZPATH):
        if not (path / "UTC").is_file() and not (path / "Etc" / "UTC").is_file():
            continue
        for name in ("+VERSION", "tzdata.zi"):
            try:
                with (path / name).open(encoding="utf-8") as lines:
                    release = _release(lines.readline())
            except OSError:
                continue
            if release:
                return release, path
        return "", path
    return "", None


def _release(line: str) -> str:
    """`2026f` out of `2026f` or `# version 2026f`."""
    written = re.match(r"(?:# version )?(\d{4}[a-z]+)", line)
    return written[1] if written else ""


def _parse(name: str, data: bytes) -> Zone:
    """RFC 9636: the 64-bit block of the file, then its TZ string expanded for 400 years."""
    at, wide = 0, data[4:5] >= b"2"
    if wide:
        utc_count, std_count, leaps, times, types, letters = struct.unpack_from(">6l", data, 20)
        at = 44 + times * 5 + types * 6 + letters + leaps * 8 + std_count + utc_count
    utc_count, std_count, leaps, times, types, letters = struct.unpack_from(">6l", data, at + 20)
    at += 44
    size = 8 if wide else 4
    instants = struct.unpack_from(f">{times}{'q' if wide else 'l'}", data, at)
    indexes = data[at + times * size : at + times * (size + 1)]
    at += times * (size + 1)
    offsets = [struct.unpack_from(">lbb", data, at + 6 * index)[0] for index in range(types)]
    at += types * 6 + letters + leaps * (size + 4) + std_count + utc_count
    footer = data[at:].strip().decode("ascii") if wide else ""
    changes = [(instant, offsets[at]) for instant, at in zip(instants, indexes, strict=True) if instant > -(1 << 58)]
    last_offset = changes[-1][1] if changes else offsets[0]
    tail = _footer_changes(footer, changes[-1][0] if changes else None, offset=last_offset)
    if tail is None:
        return Zone(name, offsets[0], changes=changes)
    return Zone(name, offsets[0], changes=[*changes, *tail], repeats=len(tail) > _SPAN)


def _footer_changes(footer: str, after: int | None, *, offset: int) -> list[tuple[int, int]] | None:
    """The clock changes of a POSIX TZ string after an instant."""
    rule = _FOOTER.fullmatch(footer)
    if rule is None:
        return None
    standard = -_seconds(rule["std"])
    if not rule["begin"]:
        return [] if standard == offset or after is None else [(after + 1, standard)]
    summer = -_seconds(rule["dst"]) if rule["dst"] else standard + 3600
    first_year = 1970 if after is None else _year(after)
    changes: list[tuple[int, int]] = []
    for year in range(first_year, first_year + _SPAN):
        changes.append((_rule_wall(rule["begin"], year) - standard, summer))
        changes.append((_rule_wall(rule["end"], year) - summer, standard))
    changes.sort()
    return changes[bisect_left(changes, (after + 1, -(1 << 30))) :] if after is not None else changes


def _year(instant: int) -> int:
    low = instant // (366 * DAY) + 1970 if instant >= 0 else instant // (365 * DAY) + 1969
    year = max(low, 1)
    while day_number(year + 1, 1, day=1) * DAY <= instant:
        year += 1
    return year


def _rule_wall(rule: str, year: int) -> int:
    """The wall time of `M3.2.0/2`, `J60` or `59/3` in a year."""
    day, _, time = rule.partition("/")
    seconds = _seconds(time) if time else 7200
    first = day_number(year, 1, day=1)
    if day.startswith("M"):
        month, week, weekday = map(int, day[1:].split("."))
        start = day_number(year, month, day=1)
        change_day = start + (weekday - (start + 4)) % 7 + 7 * (week - 1)
        end = day_number(year + month // 12, month % 12 + 1, day=1)
        while change_day >= end:
            change_day -= 7
        return change_day * DAY + seconds
    if day.startswith("J"):
        number = int(day[1:])
        leap = day_number(year, 3, day=1) - first == 60
        return (first + number - 1 + (leap and number > 59)) * DAY + seconds
    return (first + int(day)) * DAY + seconds


def _seconds(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    parts = [int(part) for part in text.lstrip("+-").split(":")]
    return sign * sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))


_FOOTER: Final = re.compile(
    r"(?:[A-Za-z]{3,}|<[^>]+>)(?P<std>[+-]?[\d:]+)"
    r"(?:(?:[A-Za-z]{3,}|<[^>]+>)(?P<dst>[+-]?[\d:]+)?,"
    r"(?P<begin>[JM\d.]+(?:/[+-]?[\d:]+)?),(?P<end>[JM\d.]+(?:/[+-]?[\d:]+)?))?"
)
