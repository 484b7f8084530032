"""What iCloud does to the text of an object: on the way into the store, and on the way out in reports.

Textual, so that a broken object stays as broken as it was put.
"""

import re
from collections.abc import Set

EMPTY_EVENT = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

_TIMEZONE = re.compile(r"BEGIN:VTIMEZONE\r\n.*?END:VTIMEZONE\r\n", re.DOTALL)
_HEADER = re.compile(r"^(?:VERSION|PRODID)[:;].*\r\n(?:[ \t].*\r\n)*", re.MULTILINE)
_EVENT = re.compile(r"BEGIN:VEVENT\r\n.*?END:VEVENT\r\n", re.DOTALL)
_STAMP = re.compile(r"^DTSTAMP[:;].*\r\n", re.MULTILINE)
_FOREIGN = re.compile(r"^X-(?!APPLE-|CALENDARSERVER-).*\r\n(?:[ \t].*\r\n)*", re.MULTILINE)
_ALARM = re.compile(r"BEGIN:VALARM\r\n.*?END:VALARM\r\n", re.DOTALL)


def strip_for_report(text: str) -> str:
    """Without VERSION, PRODID and VTIMEZONE; GET has them all."""
    return _HEADER.sub("", _TIMEZONE.sub("", text))


def mark_exceptions(text: str) -> str:
    """X-RECURRENCE-EXCEPTION on overrides, which only report output has."""

    def mark(event: re.Match[str]) -> str:
        if "\r\nRECURRENCE-ID" not in event[0]:
            return event[0]
        return event[0].replace("END:VEVENT\r\n", "X-RECURRENCE-EXCEPTION:True\r\nEND:VEVENT\r\n")

    return _EVENT.sub(mark, text)


def rewrite_stored(text: str, wanted: Set[str]) -> str:
    """The changes of the `rewriting` knob that happen when an object is put."""
    if "no-x-properties" in wanted:
        text = _FOREIGN.sub("", text)
    if "second-dtstamp" in wanted:
        text = _EVENT.sub(lambda event: _STAMP.sub(lambda stamp: stamp[0] * 2, event[0], count=1), text)
    if "apple-lines" in wanted:
        text = text.replace("END:VEVENT\r\n", "X-APPLE-TRAVEL-ADVISORY-BEHAVIOR:AUTOMATIC\r\nEND:VEVENT\r\n")
    if "schedule-status" in wanted:
        text = re.sub(r"^(ATTENDEE(?!.*SCHEDULE-STATUS)[^:\r\n]*)", r"\1;SCHEDULE-STATUS=1.1", text, flags=re.MULTILINE)
    if "reordered" in wanted:
        text = _EVENT.sub(_reordered, text)
    if "vtimezone-last" in wanted:
        zones = "".join(_TIMEZONE.findall(text))
        text = _TIMEZONE.sub("", text).replace("END:VCALENDAR", zones + "END:VCALENDAR")
    return text


def _reordered(event: re.Match[str]) -> str:
    """Property lines in alphabetical order, alarms behind them."""
    alarms = "".join(_ALARM.findall(event[0]))
    inside = _ALARM.sub("", event[0]).removeprefix("BEGIN:VEVENT\r\n").removesuffix("END:VEVENT\r\n")
    lines = re.findall(r"^[^ \t\r\n].*\r\n(?:[ \t].*\r\n)*", inside, re.MULTILINE)
    return "BEGIN:VEVENT\r\n" + "".join(sorted(lines)) + alarms + "END:VEVENT\r\n"
