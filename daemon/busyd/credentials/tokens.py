"""Tokens of clients: what is stored of a permission, and the text its holder sends."""

import hashlib
import hmac
from typing import Final

from msgspec import Struct

from busyd.period import Instant

TOKEN_PREFIX: Final = "bd"
ALL_PROFILES: Final = "*"
"""Instead of the name of a profile: every one."""
SCOPES: Final = ("freebusy", "details", "book", "metrics", "admin")
LOCAL_TOKEN_NAME: Final = "local-admin-token"
"""Of the daemon's own token for the command line, and of the file it is in. Nobody lists or revokes it."""


def is_local(token_name: str) -> bool:
    """Whether that is the name of a daemon's own token. Daemons that share a database have one each, `NAME:DAEMON`."""
    return token_name.partition(":")[0] == LOCAL_TOKEN_NAME


class Token(Struct, frozen=True):
    """A permission as stored: the secret itself is only ever known to its holder."""

    id: str
    profile: str
    """The one profile it opens, or ALL_PROFILES."""
    scopes: frozenset[str]
    details: bool
    """Whether its feed shows titles and places."""
    name: str
    created: Instant
    expires: Instant | None
    last_used: Instant | None
    """Exact to a minute, and up to a few seconds late in the file: the daemon writes uses down in batches."""
    digest: bytes
    """SHA-256 of the secret part. Never leaves busyd; the UIDs of the feed are derived from it."""

    def is_alive(self, now: Instant) -> bool:
        """Whether it has not expired."""
        return self.expires is None or now < self.expires

    def admits(self, secret: str, now: Instant) -> bool:
        """Compare in constant time; an expired token admits nobody."""
        return hmac.compare_digest(self.digest, hashlib.sha256(secret.encode()).digest()) and self.is_alive(now)


class NewToken(Struct, frozen=True):
    """Shown once. `text` is what the holder sends; `id` names it for revoking."""

    id: str
    text: str

    def __repr__(self) -> str:
        return f"NewToken(id={self.id!r}, text=***)"


def split_token(text: str) -> tuple[str, str] | None:
    """The public id and the secret of a token text, or None when it does not look like one."""
    prefix, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    return (token_id, secret) if prefix == TOKEN_PREFIX and token_id and secret else None
