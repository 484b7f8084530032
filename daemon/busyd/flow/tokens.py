"""Which token is this, and what may its holder do?"""

import logging
from typing import Final

from msgspec import Struct

from busyd.period import Instant
from busyd.store.errors import StorageError
from busyd.store.ledger_thread import LedgerThread
from busyd.store.tokens import Token

logger = logging.getLogger(__name__)

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


class Tokens:
    """Authenticates the texts that clients send, and notes that their tokens are used."""

    def __init__(self, ledger: LedgerThread) -> None:
        self._ledger = ledger
        self._views: dict[str, tuple[Token, TokenView]] = {}
        """Id of a token -> what handlers see of it; holds for that very value only."""

    def remembered(self, text: str, now: Instant) -> TokenView | None:
        """The valid token that this text is, if that is known without waiting."""
        return self._used(self._ledger.known_token(text, now), now)

    async def authenticate(self, text: str, now: Instant) -> TokenView | None:
        """The valid token that this text is; None for an unknown, revoked or expired one. Raises StorageError."""
        return self._used(await self._ledger.find_token(text, now), now)

    async def feed_changed(self, token_id: str, tag: str, *, now: Instant) -> Instant | None:
        """When the feed of a token became what bears this tag; None when that cannot be recorded."""
        try:
            return await self._ledger.feed_changed(token_id, tag, now=now)
        except StorageError as error:
            logger.warning("cannot record a change of the feed of token %s: %s", token_id, error)
            return None

    def _used(self, token: Token | None, now: Instant) -> TokenView | None:
        if token is None:
            return None
        self._ledger.note_use(token, now)
        known, view = self._views.get(token.id, (None, None))
        if view is None or known is not token:
            if len(self._views) >= _MOST_REMEMBERED:
                self._views.clear()
            view = TokenView(
                id=token.id,
                profile=token.profile,
                scopes=token.scopes,
                shows_details=token.details,
                was_used=token.last_used is not None,
                feed_key=token.digest,
            )
            self._views[token.id] = (token, view)
        return view
