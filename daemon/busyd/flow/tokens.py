"""Which token is this, and which are there? Every look-up that succeeds counts as a use of the token."""

import logging
from collections.abc import Sequence

from busyd.credentials.sessions import read_session
from busyd.credentials.tokens import NewToken, Token, is_local
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

    async def authenticate_session(self, text: str, now: Instant) -> Token | None:
        """The token with which this session was opened; None when it is none, or has ended. Raises StorageError."""
        session = read_session(text)
        token = await self._ledger.token_of(session.token_id, now) if session is not None else None
        return (
            self._used(token, now) if session is not None and token is not None and session.admits(token, now) else None
        )

    async def find(self, token_id: str, now: Instant) -> Token | None:
        """The token of this id, while it is valid. Raises StorageError."""
        return self._used(await self._ledger.token_of(token_id, now), now)

    async def is_valid(self, token_id: str, now: Instant) -> bool:
        """Whether a token is valid still; asking is no use of it. True while that cannot be looked up."""
        try:
            return await self._ledger.token_of(token_id, now) is not None
        except StorageError:
            return True

    async def all(self) -> list[Token]:
        """All tokens but the daemon's own, oldest first, also those that have expired. Raises StorageError."""
        return [token for token in await self._ledger.tokens() if not is_local(token.name)]

    async def add(
        self, profile: str, *, scopes: Sequence[str], details: bool, expires: Instant | None, name: str, now: Instant
    ) -> NewToken:
        """A new token. Raises StorageError."""
        return await self._ledger.add_token(
            profile, scopes=scopes, details=details, expires=expires, name=name, now=now
        )

    async def revoke(self, token_id: str) -> bool:
        """Have a token be valid no longer; False when there is none of that id. Raises StorageError."""
        return await self._ledger.revoke_token(token_id)

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
