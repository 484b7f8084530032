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
    WRITTEN = "written"
    """busyd has just written to it and looked into it: a listing that does not show that is from before."""
    DAILY_COMPARISON = "daily-comparison"
    """It is a day since the mirror was compared with the whole calendar."""
    INTERVAL_OVER = "interval-over"
    """A feed is due as often as it asks for."""
    WANTED = "wanted"
    """Somebody waits for a proof younger than the last one."""
    NO_SOURCE = "no-source"
    """A subscribed calendar whose server does not say where its events are: reading it ends in that error."""

    # Why it is asked itself whether it is gone.

    ANSWERED_404 = "answered-404"
    """Missing, and reading it ended in 404, 410 or 403. Of an event: missing, and its own GET said so, too, and nothing
    could have moved anywhere."""

    # Why the listing alone is proof enough.

    UNCHANGED = "unchanged"
    """Listed with the ctag or token that the mirror stands for, and nothing else is due."""

    # Why it is not known to be as mirrored.

    LISTED_WITH_A_FAULT = "listed-with-a-fault"
    """The listing has an error in place of its properties."""
    MISSING = "missing"
    """The listing lacks it: only the calendar itself can say how it is, or that it is gone."""
    STILL_THERE = "still-there"
    """The listings lack it, and it does not say itself that it is gone."""
    BACKING_OFF = "backing-off"
    """It failed lately and is left alone for a while."""
    FAILED = "failed"
    """Reading it failed."""
    CONNECTION_FAILED = "connection-failed"
    """The server refuses the login, asks for fewer requests, or fails again and again: no further calendar is asked."""

    # What becomes of what the calendar lacks, or does not hand out as it lists it.

    NOT_ALL_READ = "not-all-read"
    """Every calendar of this round is looked at first: what is gone here may turn up there."""
    NOTHING_GONE = "nothing-gone"
    """Nothing was missed; only the sync token moves on."""
    ARRIVED_ELSEWHERE = "arrived-elsewhere"
    """Believed: an object of the same UID has turned up in another calendar."""
    NOT_MOVING = "not-moving"
    """Believed: its own 404 confirmed it, and MOVING seconds have passed without its turning up elsewhere."""
    MAY_BE_MOVING = "may-be-moving"
    """Kept for MOVING seconds: its own 404 confirmed that it is gone, and it may turn up in another calendar."""
    NOT_ASKED = "not-asked"
    """Kept: it was not asked itself yet, or gave no clear answer."""
    HANDED_OUT = "handed-out"
    """Kept: the listing lacks it, and its server hands it out all the same. The listing proves nothing."""
    NOT_HANDED_OUT = "not-handed-out"
    """Something is listed that its server does not hand out; it is asked for again."""
    OTHER_VERSION = "other-version"
    """Something is handed out as another version than listed; both block, and it is asked for again."""
    NOT_IN_FEED = "not-in-feed"
    """Of a feed: it no longer has it, and little else is missing."""
    MUCH_AT_ONCE = "much-at-once"
    """Of a feed: so much is more likely a server's mistake than a person's wish."""

    # What becomes of a calendar as a whole.

    SAID_GONE = "said-gone"
    """Kept: the calendar has said itself that it is gone, and is asked once more a minute later."""
    SAID_GONE_TWICE = "said-gone-twice"
    """Believed."""
    NOT_COUNTING = "not-counting"
    """Listed as a calendar that does not count: kept until it has been for HOLD seconds, then believed."""

    # Why nothing is done.

    NOT_LINKED = "not-linked"
    """No profile counts it or writes to it."""
    GONE = "gone"
    """It was proved to be gone in an earlier round, and no listing has had it since."""
    NOT_DUE = "not-due"
    """A subscribed calendar that was read a short while ago."""
