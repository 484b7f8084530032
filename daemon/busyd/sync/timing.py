"""Every interval of a poll in one place: how long something is doubted, left alone, or taken for current.

Whole seconds of wall time unless a line says monotonic. How long a connection as a whole waits after a failure is
`remote/backoff.py`.
"""

from typing import Final

# Between two looks that must agree.

HOLD: Final = 60
"""Until a second look may believe what looks deleted but is doubted: whatever confuses a server has passed by then."""
FEED_HOLD: Final = 600
"""The same for a feed, which is made anew as a whole: whatever makes it empty or half lasts longer than a poll."""
UNTIL_READ: Final = 1 << 60
"""Without an end: what left a calendar is kept while another one, to which it may have moved, cannot be read."""
GONE_AFTER: Final = 300
"""Every listing must lack a calendar for so long before it is asked itself whether it is gone (icloud.md 9)."""

# Until a calendar is looked into again although its listing shows no change.

SETTLE: Final = 15
"""After a change, because more of it may still turn up: iCloud's listings lag some seconds behind, and a token may be
ahead of what was shown with it (icloud.md 6.6). So the next look starts once more from the token before."""
UNREAD_AGAIN: Final = 900
"""After an object could not be had twice."""
RECONCILE_EVERY: Final = 86_400
"""Between two comparisons of a calendar as a whole, without its token."""
REREAD_DAYS: Final = 7
"""Within so many of these comparisons every object is read anew, whatever its ETag."""
REDISCOVER_EVERY: Final = 3600
"""Between two discoveries of an account, which cost two requests: a home that the account has left may go on answering,
and nothing but the principal says so. Its shard or its addresses may have changed, too."""

# Between two looks at a feed.

SUBSCRIPTION_INTERVAL: Final = 3600
"""At a subscribed calendar's source; conditional, so an unchanged one costs a 304."""
SHORTEST_INTERVAL: Final = 900
LONGEST_INTERVAL: Final = 86_400
"""Bounds of what a feed itself may ask for."""

# After a failure; monotonic seconds.

REFUSAL_PAUSE: Final = 2.0
"""Until a request is repeated that was refused in the middle of a good poll."""
CALENDAR_RETRY: Final = 30.0
"""Until a calendar that failed is read again; doubles, so that one that always fails costs next to nothing."""
SUBSCRIPTION_RETRY: Final = 300.0
"""The same for a subscribed calendar, whose host may be a small one."""
GONE_RETRY: Final = 30.0
"""Until a calendar that says it is gone, but is not yet believed, is asked again; doubles."""
LONGEST_RETRY: Final = 3600.0
"""Where the doubling of these ends."""
SECRET_CHECK: Final = 30.0
"""Between two looks whether a password that was refused has been replaced."""


def has_passed(since: int | None, seconds: int, *, at: int) -> bool:
    """True when so much wall time has passed since a moment, there is no such moment, or it lies ahead.

    A wall clock that was set back must not stop what is due by it.
    """
    return since is None or at - since >= seconds or at < since
