"""Which token is this, and what may its holder do? Remembers what the ledger said for as long as that is true."""

import logging
from typing import Final

from msgspec import Struct

from busyd.period import Instant
from busyd.store.errors import StorageError
from busyd.store.ledger import Ledger

logger = logging.getLogger(__name__)

USE_RECORDED_EVERY: Final = 60
"""Seconds: "last used" is exact to a minute, as recording it is a write that waits for the disk."""
_MOST_REMEMBERED: Final = 256


class TokenView(Struct, frozen=True):
    """A valid token, without its secret."""

    id: str
    profile: str
    """The one profile it is for; `*` for all."""
    scopes: frozenset[str]
    shows_details: bool
    """Whether its feed shows titles and places."""
    was_used: bool
    """Whether it had been used before, by what the ledger knew when it was looked up."""
    feed_key: bytes
    """Known to busyd alone: what the UIDs of its feed are derived from."""


class _Remembered(Struct, frozen=True):
    token: TokenView
    since: Instant
    until: Instant
    """When to look again: it expires, or its use is to be recorded."""


class Tokens:
    """Authenticates the texts that clients send."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._revision = b""
        """Of the ledger: what is remembered holds for this one only."""
        self._remembered: dict[str, _Remembered] = {}
        self._recorded: dict[str, Instant] = {}
        """Id of a token -> when its use was last recorded."""

    def remembered(self, text: str, now: Instant) -> TokenView | None:
        """The valid token that this text is, if that is known without waiting."""
        revision = self._ledger.revision()
        if revision != self._revision:
            self._remembered.clear()
            self._revision = revision
            return None
        known = self._remembered.get(text)
        return known.token if known is not None and known.since <= now < known.until else None

    async def authenticate(self, text: str, now: Instant) -> TokenView | None:
        """The valid token that this text is; None for an unknown, revoked or expired one."""
        known = self.remembered(text, now)
        if known is not None:
            return known
        token = self._ledger.find_token(text, now)
        if token is None:
            return None
        recorded = self._recorded.get(token.id)
        if recorded is None or not 0 <= now - recorded < USE_RECORDED_EVERY:
            recorded = self._recorded[token.id] = now
            self._record_use(token.id, now)
        until = Instant(recorded + USE_RECORDED_EVERY)
        view = TokenView(
            id=token.id,
            profile=token.profile,
            scopes=token.scopes,
            shows_details=token.details,
            was_used=token.last_used is not None,
            feed_key=token.digest,
        )
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[text] = _Remembered(view, now, until if token.expires is None else min(until, token.expires))
        return view

    async def feed_changed(self, token_id: str, tag: str, now: Instant) -> Instant | None:
        """When the feed of a token became what bears this tag; None when that cannot be recorded."""
        try:
            return self._ledger.feed_changed(token_id, tag, now)
        except StorageError as error:
            logger.warning("cannot record a change of the feed of token %s: %s", token_id, error)
            return None

    def _record_use(self, token_id: str, now: Instant) -> None:
        try:
            self._ledger.record_use(token_id, now)
        except StorageError as error:
            logger.warning("cannot record the use of token %s: %s", token_id, error)
