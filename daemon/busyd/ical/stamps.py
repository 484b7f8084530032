"""When an event was created and last changed, as it says itself. Nothing that is decided rests on it."""

import re
from typing import Final, NoReturn

from msgspec import Struct

from busyd.ical.unfolding import unfold
from busyd.period import Instant
from busyd.timetext import BadText, parse_instant

_LINE: Final = re.compile(
    r"\n(?:(BEGIN|END):[ \t]*([A-Z-]+)|(CREATED|LAST-MODIFIED)(?:;[^:\n]*)?:(\d{8})T(\d{6})Z[ \t]*(?=\n))",
    re.IGNORECASE,
)


class Stamps(Struct, frozen=True):
    """RFC 5545 §3.8.7.1 and §3.8.7.3, of all events of an object: the first CREATED, the last LAST-MODIFIED."""

    created: Instant | None = None
    modified: Instant | None = None


def stamps_of(payload: bytes) -> Stamps:
    """What the events of an object say; None where none of them says it in UTC, as it must be."""
    found: dict[str, list[Instant]] = {}
    inside: list[str] = []
    for edge, component, name, date, time in _LINE.findall(unfold(payload)):
        match edge.upper():
            case "BEGIN":
                inside.append(component.upper())
            case "END":
                inside = inside[:-1]
            case _ if inside[-1:] == ["VEVENT"] and (instant := _instant(date, time)) is not None:
                found.setdefault(name.upper(), []).append(instant)
    return Stamps(min(found.get("CREATED", ()), default=None), max(found.get("LAST-MODIFIED", ()), default=None))


def _instant(date: str, time: str) -> Instant | None:
    text = f"{date[:4]}-{date[4:6]}-{date[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}Z"
    try:
        return parse_instant(text, zone=_no_zone)
    except BadText:
        return None


def _no_zone() -> NoReturn:
    raise AssertionError("a time in UTC needs no zone")
