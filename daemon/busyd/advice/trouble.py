"""What a person is told when a connection fails: what happened, and what to do in the words of their own menus."""

from typing import Final

from busyd.connection import Connection, ConnectionKind
from busyd.dav.errors import LoginRefused
from busyd.errors import BusydError

APPLE_REFUSED: Final = (
    "Apple refuses the login. Make a new app-specific password (account.apple.com, Sign-In and Security, App-Specific "
    "Passwords) and store it for this connection. The usual reasons, in order: it is not an app-specific password but "
    "that of the Apple Account; changing the Apple Account password has revoked all app-specific ones; two-factor "
    "authentication is off; the username is an alias and not the address you sign in with"
)
APPLE_HESITATES: Final = (
    "Apple refused the login just now, which happens and mostly passes; busyd tries again, and only when Apple keeps "
    "refusing is a new app-specific password needed"
)
LOCKED_OUT: Final = "busyd asks no more until the password is another one; it notices that by itself"


def describe_trouble(connection: Connection, error: BusydError, *, locked_out: bool, worked_before: bool) -> str:
    """One or two sentences; no secret, no path of a link.

    iCloud refuses good passwords now and then, so a login that has worked is called refused only when it stays so.
    """
    told = str(error)
    if isinstance(error, LoginRefused) and connection.kind is ConnectionKind.ICLOUD and error.status == 401:
        told = APPLE_HESITATES if worked_before and not locked_out else APPLE_REFUSED
    return f"{told}. {LOCKED_OUT}" if locked_out else told
