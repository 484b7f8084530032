"""How much one calendar object may ask for before busyd stops counting. Every bound of the reader is here.

Whatever goes beyond a bound is blocked as "not understood" and reported: a bomb costs bounded time and memory, and
never makes anybody free.
"""

from typing import Final

MAX_OBJECT_BYTES: Final = 10_000_000
"""A larger object is refused whole: its whole span is unknown."""
MAX_OVERRIDES: Final = 5_000
"""Overrides of one UID; more refuse the whole series."""
MAX_OCCURRENCES: Final = 100_000
"""Occurrences of one object in one span; from there on the rest of the span is unknown."""
MAX_CALENDAR_OCCURRENCES: Final = 500_000
"""Occurrences of one calendar that are kept, about 30 bytes each; of one that has more nothing is known."""
MAX_STEPS: Final = 100_000
"""Days, periods or windows of one rule looked at for one span; counting a COUNT from DTSTART is part of it."""
MAX_WORK: Final = 300_000
"""The same of all rules of one object together: a second or two of work."""
MAX_DATES: Final = 100_000
"""EXDATE values of one event that are honoured (the rest stays busy), and RDATE values (the rest is unknown)."""
MAX_ATTENDEES: Final = 2_000
"""ATTENDEE lines of one event that are read; who is not found among them is taken as having accepted."""
MAX_RULES: Final = 20
"""RRULE lines of one event that are expanded; the rest of its span is unknown beyond them."""
MAX_PROBLEMS: Final = 20
"""Problems reported for one object."""
MAX_ONSETS: Final = 10_000
"""Clock changes that one VTIMEZONE may define before it counts as unreadable."""
MAX_ZONES: Final = 50
"""VTIMEZONEs of one object that are interpreted; further names count as unknown."""
MAX_OBSERVANCES: Final = 500
"""STANDARD and DAYLIGHT parts of one VTIMEZONE."""
MAX_LENGTH: Final = 366 * 86_400 * 400
"""Seconds: a longer event or travel time is cut to it."""
