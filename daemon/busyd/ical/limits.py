"""The bounds on what one calendar object may cost, all in one place.

Whatever exceeds a bound is blocked as "not understood" and reported: a malicious object costs bounded time and memory,
and never makes anybody free.
"""

from typing import Final

MAX_OBJECT_BYTES: Final = 10_000_000
"""A larger object is not parsed: all its time is unknown."""
MAX_OVERRIDES: Final = 5_000
"""Overrides of one UID; with more, the whole series is unknown."""
MAX_OCCURRENCES: Final = 100_000
"""Occurrences of one object in one span; beyond them, the rest of the span is unknown."""
MAX_CALENDAR_OCCURRENCES: Final = 500_000
"""Occurrences of one calendar, about 30 bytes each; with more, all time of the calendar is unknown."""
MAX_STEPS: Final = 100_000
"""Steps (days, periods or windows) to expand one rule over one span, including the count of a COUNT from DTSTART."""
MAX_WORK: Final = 300_000
"""The same for all rules of one object together: a second or two of work."""
MAX_DATES: Final = 100_000
"""EXDATE values of one event that are used (the others stay busy), and RDATE values (the others are unknown)."""
MAX_ATTENDEES: Final = 2_000
"""ATTENDEE lines of one event that are parsed; a person who is not among them counts as having accepted."""
MAX_RULES: Final = 20
"""RRULE lines of one event that are expanded; the rest of its span is unknown beyond them."""
MAX_PROBLEMS: Final = 20
"""Problems reported for one object."""
MAX_ONSETS: Final = 10_000
"""Clock changes that one VTIMEZONE may define; with more, it is invalid."""
MAX_ZONES: Final = 50
"""VTIMEZONEs of one object that are parsed; further names count as unknown."""
MAX_OBSERVANCES: Final = 500
"""STANDARD and DAYLIGHT parts of one VTIMEZONE."""
MAX_LENGTH: Final = 366 * 86_400 * 10_000
"""Seconds: a longer event or travel time is limited to it. Longer than all time that can be written, so that the bound
never ends anything early."""
