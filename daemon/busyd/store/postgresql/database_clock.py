"""The database's time, by which daemons whose machines have different clocks date alike."""

import math
import time
from typing import Final

from msgspec import Struct

from busyd.clock import SystemClock
from busyd.period import Instant

_KEPT_FOR: Final = 300.0
"""Seconds for which an answer says something of the clock."""
_DRIFT: Final = 0.2
"""Seconds by which the clocks of two machines drift apart in that time at most; by more, one of them was set."""


def since_boot() -> float:
    """Seconds, those included for which the machine was asleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Renewal(Struct, frozen=True):
    """A session was renewed, and the database has said what time it is."""

    at: float
    """By the database: seconds of UTC since 1970."""
    sent: float
    """When it was asked, as `since_boot` counts."""
    answered: float
    """When the answer was there, likewise."""

    @property
    def round_trip(self) -> float:
        """Seconds."""
        return self.answered - self.sent


class _Bound(Struct, frozen=True):
    """The database's time is ahead of `since_boot` by so much at least."""

    ahead: float
    known: float
    """Since when that is known, as `since_boot` counts."""


class DatabaseClock(SystemClock):
    """Dates by the database; measures waiting by the machine.

    Time is counted from when the database's answer arrived. So this clock is never ahead, and no proof is dated
    younger than it is; and it lags by less than the round trip. Of the answers of the last minutes the one counts that
    leaves the smallest lag, so that a slow one does not set the clock back, unless a later one shows that the
    database's own clock was set back.
    """

    def __init__(self, renewal: Renewal) -> None:
        self.renewal = renewal
        """The last one."""
        self._bounds: tuple[_Bound, ...] = ()
        self._ahead = -math.inf
        self.note(renewal)

    def note(self, renewal: Renewal) -> None:
        """Take a later renewal; on any thread, one at a time."""
        self.renewal = renewal
        self._take(_Bound(renewal.at - renewal.answered, renewal.answered))

    def hear(self, date: Instant) -> None:
        """Another daemon has dated something by the database, whose answers may be quicker there: it is no less late.

        Without that, what it has proved just now would lie ahead of this clock, and what it is asked to prove from now
        on, behind. A date that the last renewal rules out is from before the database's clock was set back.
        """
        here = since_boot()
        if date - here > self._ahead:
            self._take(_Bound(date - here, here))

    def now(self) -> Instant:
        return Instant(math.floor(since_boot() + self._ahead))

    def _take(self, bound: _Bound) -> None:
        at_most = self.renewal.at - self.renewal.sent
        self._bounds = tuple(
            one
            for one in (*self._bounds, bound)
            if bound.known - one.known < _KEPT_FOR and one.ahead <= at_most + _DRIFT
        )
        newest = self.renewal.at - self.renewal.answered
        self._ahead = min(at_most, max([newest, *(one.ahead for one in self._bounds)]))
