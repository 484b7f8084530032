"""Which token is this? Every look-up that succeeds counts as a use of the token."""

import logging

from busyd.credentials.tokens import Token
from busyd.period import Instant
from busyd.store.errors import StorageError
from busyd.store.ledger_thread import LedgerThread

logger = logging.getLogger(__name__)


class Tokens:
    """Authenticates the texts that clients send, and notes that their tokens are used.

    The tokens handed out are as they were before this use: `last_used` is the use before.
    """

    def __init__(self, ledger: LedgerThread) -> None:
        self._ledger = ledger

    def remembered(self, text: str, now: Instant) -> Token | None:
        """The valid token that this text is, if that is known without waiting."""
        return self._used(self._ledger.known_token(text, now), now)

    async def authenticate(self, text: str, now: Instant) -> Token | None:
        """The valid token that this text is; None for an unknown, revoked or expired one. Raises StorageError."""
        return self._used(await self._ledger.find_token(text, now), now)

    async def is_valid(self, text: str, now: Instant) -> bool:
        """Whether this text is a valid token still; asking is no use of it. True while that cannot be looked up."""
        try:
            return await self._ledger.find_token(text, now) is not None
        except StorageError:
            return True

    async def feed_changed(self, token_id: str, tag: str, *, now: Instant) -> Instant | None:
        """When the feed of a token became what bears this tag; None when that cannot be recorded."""
        try:
            return await self._ledger.feed_changed(token_id, tag, now=now)
        except StorageError as error:
            logger.warning("cannot record a change of the feed of token %s: %s", token_id, error)
            return None

    def _used(self, token: Token | None, now: Instant) -> Token | None:
        if token is not None:
            self._ledger.note_use(token, now)
        return token
