"""The true busy time of what the simulator holds, computed without busyd: plain events of known start and end."""

import re
from datetime import UTC, datetime
from functools import lru_cache

from tests.icloud.accounts import Account
from tests.icloud.feeds import Feed

Span = tuple[int, int]
Truth = dict[str, Span]
"""UID -> when it blocks. UIDs must not share time, so that a missing one shows."""

_EVENT = re.compile(r"BEGIN:VEVENT.*?END:VEVENT", re.DOTALL)
_LINE = re.compile(r"^(UID|DTSTART|DTEND):(.*?)\r?$", re.MULTILINE)


def event(uid: str, start: int, end: int, *, summary: str = "Meeting") -> str:
    """A whole object of one event."""
    inside = vevent(uid, start, end, summary=summary)
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//chaos//EN\r\n{inside}END:VCALENDAR\r\n"


def vevent(uid: str, start: int, end: int, *, summary: str = "Meeting") -> str:
    return (
        f"BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:{_stamp(start)}\r\nDTEND:{_stamp(end)}\r\n"
        f"SUMMARY:{summary}\r\nEND:VEVENT\r\n"
    )


def feed_of(*events: str, head: str = "") -> str:
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//chaos//EN\r\n{head}{''.join(events)}END:VCALENDAR\r\n"


def truth_of(account: Account, *feeds: Feed) -> Truth:
    """What `anna/*` and the given feeds block."""
    truth: Truth = {}
    for calendar in account.calendars.values():
        if account.home_of(calendar.id) not in account.homes:
            continue
        if calendar.kind == "calendar" and not calendar.transparent and "VEVENT" in calendar.components:
            for stored in calendar.objects().values():
                truth.update(_spans_in(stored.text))
    for feed in feeds:
        truth.update(_spans_in(feed.text))
    return truth


@lru_cache(maxsize=100_000)
def _spans_in(text: str) -> tuple[tuple[str, Span], ...]:
    found = []
    for block in _EVENT.findall(text):
        lines = dict(_LINE.findall(block))
        found.append((lines["UID"], (_instant(lines["DTSTART"]), _instant(lines["DTEND"]))))
    return tuple(found)


def _stamp(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y%m%dT%H%M%SZ")


def _instant(stamp: str) -> int:
    return int(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())
