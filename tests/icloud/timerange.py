"""Which objects have an occurrence in a span, asked of recurring-ical-events, not of busyd, which is on trial."""

from datetime import UTC, datetime
from functools import lru_cache

import icalendar
import recurring_ical_events


@lru_cache(maxsize=20_000)
def overlaps(text: str, start: datetime, end: datetime) -> bool:
    """Floating and all-day times are taken as UTC. What cannot be read is always in range."""
    try:
        calendar = icalendar.Calendar.from_ical(text.strip())
        return bool(recurring_ical_events.of(calendar).between(start, end))
    except Exception:
        return True


def expanded(text: str, start: datetime, end: datetime) -> str:
    """Each occurrence as its own VEVENT, RECURRENCE-ID in UTC while DTSTART keeps its zone; unreadable as it is."""
    try:
        calendar = icalendar.Calendar.from_ical(text.strip())
        occurrences = recurring_ical_events.of(calendar, keep_recurrence_attributes=False).between(start, end)
    except Exception:
        return text
    events = []
    for occurrence in occurrences:
        replaced = occurrence["RECURRENCE-ID"].dt if "RECURRENCE-ID" in occurrence else occurrence.start
        if isinstance(replaced, datetime) and replaced.tzinfo is not None:
            occurrence.pop("RECURRENCE-ID", None)
            occurrence.add("RECURRENCE-ID", replaced.astimezone(UTC))
        events.append(occurrence.to_ical().decode())
    return "BEGIN:VCALENDAR\r\n" + "".join(events) + "END:VCALENDAR\r\n"
