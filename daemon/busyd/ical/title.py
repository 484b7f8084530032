"""The title and place of an event, for those who may see them. They do not affect busy time."""

import re
from typing import Final

from msgspec import Struct

from busyd.ical.unfolding import unfold

_LINE: Final = re.compile(r"\n(BEGIN|END|SUMMARY|LOCATION)(?:;(?:[^\":\n]|\"[^\"\n]*\")*)?:([^\n]*)", re.IGNORECASE)
_ESCAPED: Final = re.compile(r"\\([nN;,\\])")


class Title(Struct, frozen=True):
    """Unescaped text (RFC 5545 §3.3.11); empty if the event has none."""

    summary: str = ""
    location: str = ""


def title_of(payload: bytes) -> Title:
    """The title of the first event of an object that has one, which is its master in the order servers use."""
    inside: list[str] = []
    properties: dict[str, str] = {}
    for name, value in _LINE.findall(unfold(payload)):
        match name.upper():
            case "BEGIN":
                inside.append(value.strip().upper())
            case "END":
                inside = inside[:-1]
                if value.strip().upper() == "VEVENT" and properties:
                    break
            case other if inside[-1:] == ["VEVENT"]:
                properties.setdefault(other, _ESCAPED.sub(_unescape, value).strip())
    return Title(properties.get("SUMMARY", ""), properties.get("LOCATION", ""))


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] in "nN" else match[1]
