"""Logins of the web page: what its cookie holds instead of the token.

A session is signed with the stored hash of the token it was opened with. So nothing of the token is in the browser, a
restart ends no session, and revoking the token, or its expiry, ends all of its sessions.
"""

import hashlib
import hmac
from typing import Final

from msgspec import Struct

from busyd.credentials.tokens import Token
from busyd.period import Instant

SESSION_SECONDS: Final = 7 * 86_400
_PARTS: Final = 3
_MOST_DIGITS: Final = 12


class Session(Struct, frozen=True):
    """What a session says of itself; `admits` tells whether that is true."""

    token_id: str
    expires: Instant
    signature: str

    def admits(self, token: Token, now: Instant) -> bool:
        """Whether it was opened with this token and lasts. Compares in constant time."""
        genuine = _sign(token, self.expires)
        return token.id == self.token_id and now < self.expires and hmac.compare_digest(genuine, self.signature)


def open_session(token: Token, now: Instant) -> str:
    """The text of a new session."""
    expires = Instant(now + SESSION_SECONDS)
    return f"{token.id}.{expires}.{_sign(token, expires)}"


def read_session(text: str) -> Session | None:
    """A session from its text; None when it does not look like one."""
    parts = text.split(".")
    if len(parts) != _PARTS or not (parts[1].isascii() and parts[1].isdigit() and len(parts[1]) <= _MOST_DIGITS):
        return None
    return Session(parts[0], Instant(int(parts[1])), parts[2])


def _sign(token: Token, expires: Instant) -> str:
    return hmac.new(token.digest, f"session {token.id} {expires}".encode(), hashlib.sha256).hexdigest()
