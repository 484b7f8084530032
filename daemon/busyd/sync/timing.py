"""Every interval of a poll in one place: how long something is doubted, left alone, or taken for current.

Whole seconds of wall time unless a line says monotonic. How long a connection as a whole waits after a failure is
`remote/backoff.py`.
"""

from typing import Final

# Between two looks that must agree.

MOVING: Final = 30
"""What is proved gone keeps its time for so long: it may be moving to a calendar whose listing lags behind."""
MOVING_UNSEEN: Final = 900
"""The same while another calendar has changed and cannot be read. By then that one is stale, and answers say so."""
ARRIVED_LATELY: Final = 120
"""For so long it is remembered that an event has turned up in a calendar: another one may miss it only later."""
HOLD: Final = 60
"""Until a calendar is believed not to count any more, and until a feed's many deletions are."""
FEED_HOLD: Final = 600
"""Until a feed is believed that is empty or lacks a fifth: it is made as a whole, so what is wrong lasts longer."""
CUT_FEED: Final = 86_400
"""Until a feed is read that used to have its last END:VCALENDAR and lacks it."""
GONE_AGAIN: Final = 60
"""Between the two answers by which a calendar says itself that it is gone."""

# What contradicts itself: listed and not handed out, handed out and not listed, or listed as another version.

ASK_AGAIN: Final = 15
"""Until an object in doubt is asked for once more; the wait grows with the age of the doubt ..."""
LONGEST_ASK: Final = 600
"""... up to this."""
SETTLED_AFTER: Final = 3600
"""A contradiction that is so old, and was seen SETTLED_LOOKS times, is how that server is: it makes nothing unproved
or incomplete any more (iCloud and others have listed objects for years that nobody can get)."""
SETTLED_LOOKS: Final = 6
SETTLED_ASK: Final = 86_400
"""Until an object with such a contradiction is asked for again."""

# Until a calendar is looked into again although its listing shows no change.

SETTLE: Final = 15
"""After a change, because more of it may still turn up: iCloud's listings lag some seconds behind, and a token may be
ahead of what was shown with it (icloud.md 6.6). So the next look starts once more from the token before."""
SOUGHT: Final = 150
"""For so long a change is looked for that a ctag or token announced and that neither a delta nor a listing had; the
wait between two looks grows with its age. Most often only a property of the calendar has changed."""
LOOK_LONGEST: Final = 900
"""The longest wait until the second look; a longer one means that the wall clock was set back."""
MISSING_AGAIN: Final = 300
"""Between two questions to a calendar that nobody counts, whether it is there although its listings lack it."""
RECONCILE_EVERY: Final = 86_400
"""Between two comparisons of a calendar as a whole, without its token."""
REREAD_DAYS: Final = 7
"""Within so many of these comparisons every object is read anew, whatever its ETag."""
SYNC_REFUSED: Final = 86_400.0
"""For so long a calendar is listed as a whole whose server refuses the sync-collection report. Monotonic."""
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
LONGEST_RETRY: Final = 3600.0
"""Where the doubling of these ends."""
SECRET_CHECK: Final = 30.0
"""Between two looks whether a password that was refused has been replaced."""

# Between the polls of many connections.

TOGETHER: Final = 10
"""Connections whose polls may begin at once."""
APART: Final = 0.02
"""Between those of all others: their answers would be read one after the other, with nobody else between."""


def has_passed(since: int | None, seconds: int, *, at: int) -> bool:
    """True when so much wall time has passed since a moment, there is no such moment, or it lies ahead.

    A wall clock that was set back must not stop what is due by it.
    """
    return since is None or at - since >= seconds or at < since
