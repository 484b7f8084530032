"""What `busyd status` and the log say while a connection cannot be polled."""

from typing import Final

from busyd.advice.apple import APP_PASSWORDS
from busyd.advice.errors import describe_error
from busyd.connection import Connection, ConnectionKind
from busyd.dav.errors import LoginRefused
from busyd.errors import BusydError
from busyd.remote.errors import NOTHING_SENT

APPLE_REFUSED: Final = (
    f"Apple refused the login. Create a new app-specific password ({APP_PASSWORDS}) and store it for this connection. "
    "The usual causes, most common first: the password is that of the Apple Account, not an app-specific one; changing "
    "the Apple Account password has revoked all app-specific ones; two-factor authentication is off; the username is "
    "an alias, not the address you sign in with"
)
APPLE_REFUSED_ONCE: Final = (
    "Apple refused a login that has worked before. This happens now and then and usually passes, so busyd tries again; "
    "a new app-specific password is needed only if Apple keeps refusing"
)
LOCKED_OUT: Final = (
    "busyd tries again after an hour, after six, and then once a day; a changed password it notices and tries at once"
)


TRUNCATED_LISTING: Final = (
    "its server does not list all of its events (it says that there are more, and not which), so nothing is proved of "
    "the rest; what was known of it still counts"
)


def describe_false_listing(missing: int) -> str:
    """What to say of a calendar whose listing lacks events that its server hands out all the same."""
    events = "an event" if missing == 1 else f"{missing} events"
    return (
        f"its server's list lacks {events} that it still hands out, so the list proves nothing; what was known of them "
        "still counts, and busyd looks again"
    )


def describe_uncounted(ahead: int) -> str:
    """What to say of a calendar with much ahead that no profile names."""
    return (
        f"{ahead} busy times in the next 90 days, and it is in no profile, so none of them blocks: add it to "
        "`conflicts`, or mark it as not affecting availability in your calendar app"
    )


def describe_elsewhere(calendar: str, profile: str) -> str:
    """What to say of a time at which there is something in a calendar of the same account that does not count."""
    return f"there is something at that time in {calendar}, which does not count for {profile}"


def describe_missing(since: str, *, is_gone: bool) -> str:
    """What to say of a calendar that its server no longer lists, and, `is_gone`, that no longer answers either."""
    if is_gone:
        return f"no longer on the server since {since}: remove it from `conflicts`, or have it shared again"
    return "its server no longer lists it; what was last known of it still counts"


def describe_trouble(connection: Connection, error: BusydError, *, locked_out: bool, worked_before: bool) -> str:
    """One or two sentences; no secret, no path of a link.

    iCloud refuses good passwords now and then, so a login that has worked is called refused only when it stays so.
    """
    message = describe_error(error)
    if isinstance(error, LoginRefused) and connection.kind is ConnectionKind.ICLOUD and error.status == 401:
        message = APPLE_REFUSED_ONCE if worked_before and not locked_out else APPLE_REFUSED
    return f"{message}. {LOCKED_OUT}" if locked_out and not isinstance(error, NOTHING_SENT) else message
