"""The ledger as the daemon uses it: on a thread of its own, so that the event loop never waits for its disk or lock.

The logic is all in `Ledger`; here is only where it runs, and when uses are written.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from busyd.credentials.tokens import NewToken, Token
from busyd.period import Instant
from busyd.store.acceptances import Acceptance
from busyd.store.errors import StorageError
from busyd.store.kept_properties import KeptProperties
from busyd.store.ledger import Ledger
from busyd.store.outbox import Outbox
from busyd.store.server_traits import MeasuredTraits
from busyd.store.webhooks import KeptWebhooks

logger = logging.getLogger(__name__)

T = TypeVar("T")

USES_ARE_WRITTEN_AFTER: Final = 5.0
"""Seconds from the first use not yet written. `busyd token list` lags behind by as much."""


class LedgerThread:
    """An open ledger and its thread. Its coroutines raise StorageError."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._reading: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def known_token(self, text: str, now: Instant) -> Token | None:
        """The token that this text is, if memory alone can tell: None also when the file must be read first."""
        return self._ledger.known_token(text, now) if self._ledger.is_current() else None

    async def find_token(self, text: str, now: Instant) -> Token | None:
        """The token that this text is, if it is alive at this moment. A change by another process counts at once."""
        await self._follow_changes()
        token = self._ledger.known_token(text, now)
        if token is None and self._ledger.may_lag:
            await self._run(self._ledger.refresh)
            token = self._ledger.known_token(text, now)
        return token

    async def token_of(self, token_id: str, now: Instant) -> Token | None:
        """The token of this id, if it is alive at this moment; the same of changes."""
        await self._follow_changes()
        return self._ledger.token_of(token_id, now)

    async def tokens(self) -> list[Token]:
        """As `Ledger.tokens`."""
        await self._follow_changes()
        return self._ledger.tokens()

    async def add_token(
        self, profile: str, *, scopes: Sequence[str], details: bool, expires: Instant | None, name: str, now: Instant
    ) -> NewToken:
        """As `Ledger.add_token`."""
        return await self._run(
            lambda: self._ledger.add_token(profile, scopes=scopes, details=details, expires=expires, name=name, now=now)
        )

    async def revoke_token(self, token_id: str) -> bool:
        """As `Ledger.revoke_token`."""
        return await self._run(lambda: self._ledger.revoke_token(token_id))

    async def _follow_changes(self) -> None:
        while not self._ledger.is_current():
            # One reading serves all who wait; one that began before the change is followed by another.
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._run(self._ledger.refresh))
            await asyncio.shield(self._reading)

    def note_use(self, token: Token, now: Instant) -> None:
        """Note that the token is used; it is written with others, a few seconds later or at close."""
        if self._ledger.note_use(token, now) and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(USES_ARE_WRITTEN_AFTER, self._begin_writing)

    async def feed_changed(self, token_id: str, tag: str, *, now: Instant) -> Instant:
        """As `Ledger.feed_changed`."""
        return await self._run(lambda: self._ledger.feed_changed(token_id, tag, now=now))

    async def record_links(self, links: Mapping[str, Mapping[str, str]]) -> None:
        """As `Ledger.record_links`."""
        snapshot = {profile: dict(meant) for profile, meant in links.items()}  # the caller's may change meanwhile
        await self._run(lambda: self._ledger.record_links(snapshot))

    async def accept(self, acceptance: Acceptance) -> None:
        """As `Ledger.accept`."""
        await self._run(lambda: self._ledger.accept(acceptance))

    async def withdraw(self, ids: Sequence[str]) -> None:
        """As `Ledger.withdraw`."""
        await self._run(lambda: self._ledger.withdraw(ids))

    async def outbox(self, work: Callable[[Outbox], T]) -> T:
        """As `Ledger.outbox`."""
        return await self._run(lambda: self._ledger.outbox(work))

    async def kept_properties(self, work: Callable[[KeptProperties], T]) -> T:
        """As `Ledger.kept_properties`."""
        return await self._run(lambda: self._ledger.kept_properties(work))

    async def server_traits(self, work: Callable[[MeasuredTraits], T]) -> T:
        """As `Ledger.server_traits`."""
        return await self._run(lambda: self._ledger.server_traits(work))

    async def webhooks(self, work: Callable[[KeptWebhooks], T]) -> T:
        """As `Ledger.webhooks`."""
        return await self._run(lambda: self._ledger.webhooks(work))

    async def revision(self) -> int:
        """Another number once another process has changed the file."""
        await self._follow_changes()
        return self._ledger.readings

    def close(self) -> None:
        """Finish what is queued, write the uses noted, and close the file. Blocks; nothing can be asked afterwards."""
        if self._timer is not None:
            self._timer.cancel()
        self._thread.shutdown(wait=True)
        try:
            self._ledger.write_uses()
        except StorageError as error:
            logger.warning("the last uses of tokens were not written: %s", error)
        self._ledger.close()

    def _begin_writing(self) -> None:
        self._timer = None
        self._writing = asyncio.create_task(self._write_uses(), name="write uses of tokens")

    async def _write_uses(self) -> None:
        try:
            await self._run(self._ledger.write_uses)
        except StorageError as error:
            logger.warning("the use of tokens was not written, the next use tries again: %s", error)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
