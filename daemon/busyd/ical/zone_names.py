"""Names of zones that are no IANA names and still mean one thing: those of Windows, offsets, abbreviations.

Windows writes a zone by its id (`W. Europe Standard Time`), by the text that it shows people (`(UTC+01:00) Amsterdam,
Berlin, ...`), and Exchange puts a number behind either.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from busyd.ical.zone_transitions import Zone

_NUMBERED: Final = re.compile(r"\s+\d{1,3}\Z", re.ASCII)
_SHOWN_OFFSET: Final = re.compile(r"\((?:utc|gmt)[^)]*\)\s*(?=\S)")
_OFFSET: Final = re.compile(r"\(?(?:utc|gmt|z)?\s*([+\u2212-])\s*(\d{1,2})(?:[:.]?(\d\d))?\)?", re.ASCII)
_UTC: Final = frozenset({"z", "(utc)", "(gmt)", "utc+0", "gmt+0"})
_LARGEST_OFFSET: Final = 14 * 3600
_HOURS: Final = {
    "acdt": 10.5, "acst": 9.5, "adt": -3, "aedt": 11, "aest": 10, "akdt": -8, "akst": -9, "art": -3, "awst": 8,
    "brt": -3, "cat": 2, "cest": 2, "eat": 3, "edt": -4, "eest": 3, "hkt": 8, "jst": 9, "kst": 9, "mdt": -6,
    "mesz": 2, "mez": 1, "msk": 3, "ndt": -2.5, "npt": 5.75, "nst": -3.5, "nzdt": 13, "nzst": 12, "pdt": -7, "pkt": 5,
    "pst": -8, "sast": 2, "sgt": 8, "wat": 1, "west": 1, "wib": 7, "wita": 8,
}  # fmt: skip
"""Abbreviations that mean one offset. Those of which several are in use (BST, CST, IST, AST) mean nothing."""


def windows_zone(name: str) -> str | None:
    """The IANA name of a zone that Windows has, by its id or as it is shown, also with a number behind it."""
    lower = " ".join(name.lower().split())
    for text in dict.fromkeys((lower, _NUMBERED.sub("", lower))):
        ids = _ids()
        found = ids.get(text) or ids.get(text.replace(" daylight time", " standard time"))
        if found is None:
            shown = _shown_names().get(_SHOWN_OFFSET.sub("", text, count=1))
            found = ids[shown] if shown is not None else None
        if found is not None:
            return found
    return None


def fixed_zone(name: str) -> Zone | None:
    """The zone of an offset written as a name, with the sign as people mean it and not POSIX, or of an abbreviation."""
    lower = name.lower().strip()
    if lower in _UTC:
        return _fixed(0)
    hours = _HOURS.get(lower)
    if hours is not None:
        return _fixed(int(hours * 3600))
    written = _OFFSET.fullmatch(lower)
    if written is None:
        return None
    offset = int(written[2]) * 3600 + int(written[3] or 0) * 60
    if offset > _LARGEST_OFFSET or int(written[3] or 0) > 59:
        return None
    return _fixed(offset if written[1] == "+" else -offset)


@lru_cache(maxsize=256)
def _fixed(offset: int) -> Zone:
    sign, size = "-" if offset < 0 else "+", abs(offset) // 60
    return Zone(f"UTC{sign}{size // 60:02}:{size % 60:02}", offset, changes=())


@lru_cache(maxsize=1)
def _ids() -> dict[str, str]:
    """CLDR windowsZones, territory 001, by lower-case Windows id."""
    table = _read_table("windows_zones.json") | {"tzone://Microsoft/Utc": "Etc/UTC"}
    return {name.lower(): olson for name, olson in table.items()}


@lru_cache(maxsize=1)
def _shown_names() -> dict[str, str]:
    """What Windows shows people, in lower case and without the offset before it -> lower-case id."""
    return {shown.lower(): name.lower() for shown, name in _read_table("windows_display_names.json").items()}


def _read_table(file: str) -> dict[str, str]:
    return msgspec.json.decode(Path(__file__).with_name(file).read_bytes(), type=dict[str, str])
