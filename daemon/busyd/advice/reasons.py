"""Why an event blocks time or not: the stable words of `explain`, as phrases for people."""

from collections.abc import Mapping
from typing import Final

PHRASES: Final[Mapping[str, str]] = {
    "opaque": "takes up time",
    "transparent": "marked as free",
    "cancelled": "cancelled",
    "declined": "invitation declined",
    "delegated": "invitation delegated",
    "tentative": "marked tentative",
    "unanswered": "invitation not answered",
    "all-day": "all-day event",
    "vendor-free": "shown as free in Outlook",
    "out-of-office": "out of office",
    "freebusy": "published free/busy time",
    "no-length": "takes no time",
    "not-understood": "could not be understood",
    "unreadable": "may be at any time",
    "accepted": "not understood, and accepted by you",
    "never-read": "calendar never read",
    "too-much": "calendar with too many occurrences",
    "appointment": "booked through busyd",
    "block": "marked as busy by hand",
    "claim": "the new time of an appointment that is being moved",
    "hold": "kept for somebody who is deciding",
    "primary-does-not-block": "primary does not block",
}


def describe_reason(reason: str, *, rule: str = "", origin: str = "") -> str:
    """``marked tentative (rule `tentative`, config.yaml:7)``; a reason that is not known stays as it is."""
    phrase = PHRASES.get(reason, reason)
    return f"{phrase} (rule `{rule}`, {origin or 'default'})" if rule else phrase
