"""The database's time, by which daemons whose machines have different clocks date alike."""

import math
import time

from msgspec import Struct

from busyd.clock import SystemClock
from busyd.period import Instant


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


class DatabaseClock(SystemClock):
    """Dates by the database, as it was asked last; measures waiting by the machine.

    What came later than the database's answer is not counted as its time: it is never ahead, and behind by less than
    the round trip, so that no proof is dated younger than it is.
    """

    def __init__(self, renewal: Renewal) -> None:
        self.renewal = renewal
        """The last one; to be replaced by every later one, on any thread."""

    def now(self) -> Instant:
        last = self.renewal
        return Instant(math.floor(last.at + since_boot() - last.answered))
