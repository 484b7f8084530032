"""The words with which a round says why it does what it does. Each word is one rule of `round.py`."""

from enum import StrEnum


class Reason(StrEnum):
    """Why something is done with a calendar, or is not done yet."""

    # Why it is read.

    NEVER_READ = "never-read"
    """No look at it has ended well yet."""
    CHANGED = "changed"
    """Its ctag or sync token in the listing is another one than the mirror's, or the server names neither."""
    LOOK_AGAIN = "look-again"
    """A second look was promised, and its time has come."""
    DAILY_COMPARISON = "daily-comparison"
    """It is a day since the mirror was compared with the whole calendar."""
    LONG_MISSING = "long-missing"
    """The listings have lacked it for GONE_AFTER seconds: only the calendar itself can say whether it is gone."""
    INTERVAL_OVER = "interval-over"
    """A feed is due as often as it asks for."""
    WANTED = "wanted"
    """Somebody waits for a proof younger than the last one."""
    NO_SOURCE = "no-source"
    """A subscribed calendar whose server does not say where its events are: reading it ends in that error."""

    # Why it is asked itself whether it is gone.

    ANSWERED_404 = "answered-404"
    """Long missing, and reading it ended in 404, 410 or 403."""

    # Why the listing alone is proof enough.

    UNCHANGED = "unchanged"
    """Listed with the ctag or token that the mirror stands for, and nothing else is due."""

    # Why it is not known to be as mirrored. While there is such a calendar, nothing that left another is forgotten.

    LISTED_WITH_A_FAULT = "listed-with-a-fault"
    """The listing has an error in place of its properties."""
    MISSING = "missing"
    """The listing lacks it, but not for long enough that it would be asked."""
    STILL_THERE = "still-there"
    """The listings lack it, and it does not say itself that it is gone."""
    BACKING_OFF = "backing-off"
    """It failed lately and is left alone for a while."""
    FAILED = "failed"
    """Reading it failed."""
    CONNECTION_FAILED = "connection-failed"
    """The server refuses the login, asks for fewer requests, or fails again and again: no further calendar is asked."""

    # Why what was found gone is believed, or kept for now. It may be an event, or a whole calendar.

    NOTHING_GONE = "nothing-gone"
    """Nothing was missed; only the sync token moves on."""
    NOTHING_ELSE_CHANGES = "nothing-else-changes"
    """Believed: every other calendar is as mirrored, and a listing taken afterwards still says so."""
    GRACE_PERIOD_OVER = "grace-period-over"
    """Believed: it has been gone for as long as there was doubt."""
    NOT_ALL_READ = "not-all-read"
    """Kept until every calendar of this round was looked at: it may turn up in one of them."""
    OTHERS_UNREAD = "others-unread"
    """Kept without a limit: it may have moved to a calendar that could not be read."""
    OTHERS_CHANGING = "others-changing"
    """Kept for HOLD seconds: another calendar changes, too, so it may have moved there."""
    CHANGED_MEANWHILE = "changed-meanwhile"
    """Kept for HOLD seconds: a listing taken after everything was read shows other calendars changed again."""
    NOT_LISTED_AGAIN = "not-listed-again"
    """Kept for HOLD seconds: the listing that would have shown such changes could not be had."""
    MUCH_AT_ONCE = "much-at-once"
    """Kept for HOLD seconds: so much is more likely a server's mistake than a person's wish."""
    OBJECT_UNREAD = "object-unread"
    """Kept for HOLD seconds: an object of the same calendar could not be had, and may be the same event renamed."""
    DOUBTED_BEFORE = "doubted-before"
    """Kept: the doubt is over, but what was once doubted stays for HOLD seconds."""
    SAID_GONE = "said-gone"
    """Kept: the calendar has said itself that it is gone, is not yet believed, and is asked again later."""
    COUNTS_AGAIN = "counts-again"
    """Listed a moment ago as a calendar that no longer counts, now as one that does, or not at all."""

    # Why nothing is done.

    NOT_LINKED = "not-linked"
    """No profile counts it or writes to it."""
    GONE = "gone"
    """It was proved to be gone in an earlier round, and no listing has had it since."""
    NOT_DUE = "not-due"
    """A subscribed calendar that was read a short while ago."""
