"""Which calendars are read by listing them, because their server refuses the sync-collection report (RFC 6578)."""

from typing import Final

from busyd.dav.errors import ServerFault
from busyd.sync.plan import Look
from busyd.sync.timing import SYNC_REFUSED

_STRIKES: Final = 3
"""Faults of a server in a row: then it is how that server is, and no bad moment."""


class RefusedSyncs:
    """Remembers refusals for a day. Monotonic seconds; a restart forgets, and the report is tried once more."""

    def __init__(self) -> None:
        self._strikes: dict[int, int] = {}
        self._until: dict[int, float] = {}

    def is_refused(self, calendar: int, now: float) -> bool:
        return now < self._until.get(calendar, float("-inf"))

    def note(self, calendar: int, look: Look, *, now: float) -> None:
        """What a look showed of the report. One that did not try it shows nothing."""
        fault = look.sync_fault
        if look.list_only:
            return
        if fault is None:
            self._strikes.pop(calendar, None)
            return
        is_passing = isinstance(fault, ServerFault) and fault.status >= 500 and fault.status != 501
        strikes = self._strikes.get(calendar, 0) + 1
        self._strikes[calendar] = strikes
        if not is_passing or strikes >= _STRIKES:
            self._until[calendar] = now + SYNC_REFUSED
