"""When to try again: pure policy. Times are monotonic seconds, randomness comes from the caller.

A connection's backoff is a value that each poll's outcome turns into the next one.
"""

from datetime import timedelta
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from busyd.dav.errors import LoginRefused, ServerFault, TooManyRequests
from busyd.errors import RemoteError
from busyd.period import Instant, read_http_date

FIRST_WAIT: Final = 5.0
LONGEST_WAIT: Final = 750.0
"""Before jitter; with it a quarter of an hour at most."""
JITTER: Final = 0.2
"""Waits are lengthened by up to this fraction, never shortened."""
RETRY_AFTER_MOST: Final = 3600.0
HURRY: Final = 5.0
"""Seconds after a failed try until a client that is waiting for an answer may trigger the next one early."""
CHECK_EVERY: Final = 5.0
"""Seconds between the beginnings of two polls that clients have caused."""
REFUSAL_WAITS: Final = (5.0, 60.0, 600.0)
"""After a refused login; a stray 401 from iCloud clears within seconds."""
SLOW_REFUSAL_WAITS: Final = (3600.0, 5 * 3600.0, 24 * 3600.0)
"""After further ones: a try after 1 h, at 6 h, then once a day, for the same password may work again."""
EXTRA_EVERY: Final = 15 * 60
EXTRAS_A_DAY: Final = 6
"""How often a person may have a refused login tried out of turn: more of it might lock the account."""
DAY: Final = 86400
SLOW_FOR: Final = 3600.0
SLOW_FACTOR: Final = 2.0
"""After a request to slow down, polls are this much rarer for `SLOW_FOR`."""


class ConnectionBackoff(Struct, frozen=True):
    """The recent failures of a connection, and what follows from them."""

    failures: int = 0
    """Polls that failed in a row."""
    refusals: int = 0
    """Logins refused in a row."""
    not_before: float = float("-inf")
    slow_until: float = float("-inf")
    yields: bool = False
    """The wait until `not_before` is our own choice; the server has not asked for it."""
    extras: tuple[Instant, ...] = ()
    """When a refused login was last tried out of turn, the oldest first."""

    def may_be_hurried(self, now: float, *, last: float) -> bool:
        """Whether to try early because a client is waiting, after a try at `last`."""
        return self.yields and now >= last + HURRY

    @property
    def is_locked_out(self) -> bool:
        """The login was refused repeatedly, over more than ten minutes: most likely only another password helps."""
        return self.refusals > len(REFUSAL_WAITS)

    def may_be_added(self, wall: Instant) -> bool:
        """Whether a person may have a refused login tried out of turn."""
        recent = [extra for extra in self.extras if abs(wall - extra) < DAY]
        return len(recent) < EXTRAS_A_DAY and all(abs(wall - extra) >= EXTRA_EVERY for extra in recent)

    def with_extra(self, wall: Instant) -> Self:
        """The same once such a try is made."""
        recent = [extra for extra in self.extras if abs(wall - extra) < DAY]
        return replace(self, extras=(*recent, wall))


def after_success(backoff: ConnectionBackoff) -> ConnectionBackoff:
    """A poll succeeded: everything is reset, except that the server asked for rarer polls."""
    return ConnectionBackoff(slow_until=backoff.slow_until)


def after_failure(
    backoff: ConnectionBackoff, error: RemoteError, *, now: float, wall: Instant, chance: float
) -> ConnectionBackoff:
    """A poll failed with `error` at `now` (monotonic; `wall` in UTC). `chance` is anything in [0, 1)."""
    lengthen = 1.0 + JITTER * chance
    if isinstance(error, LoginRefused):
        refusals = backoff.refusals + 1
        wait = wait_after_refusals(refusals) * (lengthen if refusals <= len(REFUSAL_WAITS) else 1.0)
        return ConnectionBackoff(backoff.failures + 1, refusals, now + wait, backoff.slow_until, extras=backoff.extras)
    failures = backoff.failures + 1
    wait = min(FIRST_WAIT * 2.0 ** min(backoff.failures, 16), LONGEST_WAIT)
    slow_until, yields = backoff.slow_until, True
    if isinstance(error, TooManyRequests) or (isinstance(error, ServerFault) and error.status == 503):
        slow_until, yields = now + SLOW_FOR, False
        told = parse_retry_after(error.retry_after, wall) if isinstance(error, TooManyRequests) else None
        if told is not None:
            # Obeying iCloud's Retry-After to the letter trips it again.
            wait = min(max(2.0 * told, wait), RETRY_AFTER_MOST)
    # Another failure in between neither confirms nor clears a refused login.
    return ConnectionBackoff(
        failures, backoff.refusals, now + wait * lengthen, slow_until, yields and not backoff.refusals, backoff.extras
    )


def wait_after_refusals(refusals: int) -> float:
    """Seconds from the last of so many refusals in a row to the next try."""
    waits = (*REFUSAL_WAITS, *SLOW_REFUSAL_WAITS)
    return waits[min(max(refusals, 1), len(waits)) - 1]


def after_restart(refusals: int, *, wait: float, now: float, extras: tuple[Instant, ...] = ()) -> ConnectionBackoff:
    """As things stood before a restart, with so many seconds left; a clock that was set back adds nothing to them."""
    longest = wait_after_refusals(refusals) * (1.0 + JITTER)
    return ConnectionBackoff(refusals, refusals, now + min(max(wait, 0.0), longest), extras=extras)


def next_poll_at(backoff: ConnectionBackoff, poll: timedelta, *, last: float, chance: float) -> float:
    """When to poll after a poll that began at `last`: 0.9 to 1.0 intervals later, or when a failure lets us."""
    interval = poll.total_seconds() * (SLOW_FACTOR if last < backoff.slow_until else 1.0)
    if backoff.failures:
        return backoff.not_before
    return last + interval * (1.0 - JITTER / 2 * chance)


def parse_retry_after(header: str | None, wall: Instant) -> float | None:
    """RFC 9110 §10.2.3: seconds or an HTTP date, as seconds from now, one to an hour; None for neither."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:12])
    else:
        moment = read_http_date(text)
        if moment is None:
            return None
        seconds = float(moment - wall)
    return min(max(seconds, 1.0), RETRY_AFTER_MOST)


class RequestBudget:
    """A token bucket for requests: a first sync may be one burst, while the average rate is kept.

    The defaults are for iCloud, whose limit per account is not published; they stay below rates known to work.
    """

    def __init__(self, *, per_minute: float = 60.0, burst: int = 240) -> None:
        self._rate = per_minute / 60.0
        self._burst = float(burst)
        self._left = float(burst)
        self._at = float("-inf")

    @classmethod
    def generous(cls) -> Self:
        """For a server other than iCloud, often the person's own: ten times the rate."""
        return cls(per_minute=600.0, burst=600)

    def take(self, now: float) -> float:
        """Take one request; the seconds to wait before sending it."""
        if self._at != float("-inf"):
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        self._left -= 1.0
        return max(0.0, -self._left / self._rate)
