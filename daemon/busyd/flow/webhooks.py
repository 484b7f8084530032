"""Webhooks: everybody who is to be told of changes, each by a signed request, in order and at least once.

One task follows the log and wakes the hooks that an entry concerns, one follows the ledger, in which the command line
makes and changes hooks, and one writes how far they have come, many in one transaction.
"""

import asyncio
import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from busyd.clock import Clock
from busyd.cooperative import apply, in_slices
from busyd.credentials import Secret
from busyd.credentials.tokens import ALL_PROFILES
from busyd.errors import UserError
from busyd.flow.changes import Changes, NumberGone, Viewer
from busyd.flow.webhook_endpoint import WebhookAnswer, WebhookEndpoint
from busyd.flow.webhook_messages import is_wanted
from busyd.flow.webhook_secrets import secrets_in_use
from busyd.flow.webhook_views import WebhookView
from busyd.period import Instant
from busyd.remote.webhooks import WebhookMessage, WebhookTarget, deliver
from busyd.store.changes import ChangeEntry
from busyd.store.errors import StorageError
from busyd.store.ledger_thread import LedgerThread
from busyd.store.webhooks import RESUME, StoredWebhook, Webhook

logger = logging.getLogger(__name__)

LOOK_EVERY: Final = 1.0
"""Seconds after which a hook that the command line has made or changed is known, at the latest."""
KEY_IS_READ_EVERY: Final = 60.0
"""Seconds between two tries of reading what secrets are made from."""
PASSED_IS_WRITTEN_EVERY: Final = 3600.0
"""Seconds after which it is written what concerned nobody, so that nothing is read twice after a kill."""
_WRITTEN_TOGETHER: Final = 0.25
"""Seconds between two writes of progress; what was delivered in between may be told again after a kill."""
_AGAIN_AFTER: Final = 30.0
_MOST_AT_ONCE: Final = 32
"""Deliveries under way at once to receivers that work: each costs the loop a millisecond."""
_MOST_TRIED_AT_ONCE: Final = 16
"""The same to those that fail: they may hang, and hold up nobody else."""
_GRACE: Final = 2.0
"""Seconds that a stop leaves for the answers to what is being sent."""


class Webhooks:
    """All hooks, while the daemon runs."""

    def __init__(
        self,
        ledger: LedgerThread,
        changes: Changes,
        *,
        clock: Clock,
        read_master: Callable[[], Awaitable[Secret | None]],
    ) -> None:
        """`read_master` reads what the secrets are made from; it raises UserError."""
        self.clock = clock
        self.changes = changes
        self.is_closing = False
        self.endpoints: dict[str, WebhookEndpoint] = {}
        self.outcomes: Counter[str] = Counter(delivered=0, failed=0)
        """How deliveries ended, since the start."""
        self._ledger = ledger
        self._read_master = read_master
        self._master: Secret | None = None
        self._master_read = float("-inf")
        self._revision: int | None = None
        self._seen = changes.newest
        self._noted: dict[str, WebhookEndpoint] = {}
        self._has_noted = asyncio.Event()
        self._passed_written = clock.monotonic()
        self._healthy, self._tried = asyncio.Semaphore(_MOST_AT_ONCE), asyncio.Semaphore(_MOST_TRIED_AT_ONCE)

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.follow_ledger(), name="webhooks: ledger")
                tasks.create_task(self.follow_log(), name="webhooks: log")
                tasks.create_task(self.write_progress(), name="webhooks: progress")
        finally:
            await self.close()

    async def close(self) -> None:
        """End all of them, and write how far they have come."""
        self.is_closing = True
        self._note_passed()
        await asyncio.gather(*(endpoint.close(grace=_GRACE) for endpoint in self.endpoints.values()))
        with contextlib.suppress(StorageError):
            await self._write_noted()

    def views(self) -> list[WebhookView]:
        """How each is doing, the oldest first."""
        newest = self.changes.newest
        return [
            endpoint.view(newest, is_unknown=self.viewer_of(endpoint.webhook) is None)
            for endpoint in self.endpoints.values()
        ]

    async def follow_ledger(self) -> None:
        """Take up what the command line makes and changes, and what had to wait for the configuration."""
        while True:
            wait = LOOK_EVERY
            try:
                if await self._ledger.revision() != self._revision:
                    await self.read_hooks()
            except StorageError as error:
                logger.error("webhooks could not be read, trying again: %s", error)
                wait = _AGAIN_AFTER
            self._begin_configured()
            if self.clock.monotonic() - self._passed_written >= PASSED_IS_WRITTEN_EVERY:
                self._note_passed()
            if any(endpoint.is_unsigned for endpoint in self.endpoints.values()):
                await self._renew_master(patiently=True)
            await self.clock.sleep(wait)

    async def read_hooks(self) -> None:
        """Take the hooks as they are in the ledger now. Raises StorageError."""
        revision = await self._ledger.revision()  # first: what changes meanwhile is then seen as a change
        stored = await self._ledger.webhooks(lambda kept: kept.all())
        known, new = {one.webhook.id for one in stored}, []
        for name in [name for name in self.endpoints if name not in known]:
            await self.endpoints.pop(name).close()
        for one in stored:
            endpoint = self.endpoints.get(one.webhook.id)
            if endpoint is not None and endpoint.webhook != one.webhook:
                endpoint.webhook = one.webhook
            elif endpoint is None and (taken := self._take(one)) is not None:
                new.append(taken)
        await self._renew_master()
        asked = [one for one in stored if one.asked is not None and one.webhook.id in self.endpoints]
        for one in asked:
            await self._start_again(self.endpoints[one.webhook.id], one.asked or RESUME)
        await self._write_noted()  # a kill from now on leaves out nothing that comes after this
        if asked:
            await self._ledger.webhooks(lambda kept: kept.done(asked))
        for endpoint in new:
            endpoint.begin()
        self._revision = revision

    async def follow_log(self) -> None:
        """Wake the hooks that new entries concern."""
        while True:
            await self.changes.added_since(self._seen)
            try:
                entries = await self.changes.entries_after(self._seen)
            except NumberGone:
                self._seen = self.changes.newest
                for endpoint in self.endpoints.values():
                    endpoint.begin()
                continue
            except StorageError as error:
                logger.error("the log of changes could not be read for webhooks, trying again: %s", error)
                await self.clock.sleep(_AGAIN_AFTER)
                continue
            if entries:
                before, self._seen = self._seen, entries[-1].number
                told = _by_profile(entries)
                concerned = [
                    endpoint
                    for endpoint in self.endpoints.values()
                    if endpoint.webhook.profile in told
                    and any(is_wanted(event, endpoint.webhook.events) for event in told[endpoint.webhook.profile])
                ]
                for endpoint in concerned:  # all of them before anything else happens: none rests on this entry
                    endpoint.expect(before)
                await in_slices(apply(WebhookEndpoint.begin, concerned))

    async def write_progress(self) -> None:
        """Write what was noted, much of it together."""
        while True:
            await self._has_noted.wait()
            try:
                await self._write_noted()
            except StorageError as error:
                logger.error("how far webhooks have come could not be written, trying again: %s", error)
                await self.clock.sleep(_AGAIN_AFTER)
            await asyncio.sleep(_WRITTEN_TOGETHER)

    def viewer_of(self, webhook: Webhook) -> Viewer | None:
        """What it may know; None while its profile is not configured."""
        sees_all = webhook.profile == ALL_PROFILES
        profiles = self.changes.visible_profiles(None if sees_all else {webhook.profile})
        if not profiles and not sees_all:
            return None
        return Viewer(profiles, busy_time=True, connections=True, all_connections=sees_all, appointments=True)

    def secrets_of(self, webhook: Webhook) -> list[Secret]:
        """The secrets to sign with, the newest first; none while they cannot be read."""
        return secrets_in_use(self._master, webhook, now=self.clock.now())

    def note(self, endpoint: WebhookEndpoint) -> None:
        """Its progress has changed, and is to be written."""
        self._noted[endpoint.webhook.id] = endpoint
        self._has_noted.set()

    def turn(self, *, is_failing: bool) -> asyncio.Semaphore:
        """To be held while it sends: not all do at once."""
        return self._tried if is_failing else self._healthy

    async def send(
        self, target: WebhookTarget, message: WebhookMessage, *, secrets: Sequence[Secret], now: Instant
    ) -> WebhookAnswer:
        """Deliver once. Raises RemoteError."""
        return await deliver(target, message, secrets=secrets, now=now)

    def _take(self, stored: StoredWebhook) -> WebhookEndpoint | None:
        cursor = stored.progress.cursor
        try:
            endpoint = WebhookEndpoint(stored, cursor=self._seen if cursor is None else cursor, context=self)
        except UserError as error:
            logger.error("webhook %s: %s; %s", stored.webhook.id, error, error.fix)
            return None
        self.endpoints[stored.webhook.id] = endpoint
        if cursor is None:
            self.note(endpoint)
        return endpoint

    async def _start_again(self, endpoint: WebhookEndpoint, since: int) -> None:
        number = endpoint.cursor if since == RESUME else await self.changes.number_before(Instant(since))
        endpoint.start_again(number)

    async def _renew_master(self, *, patiently: bool = False) -> None:
        """Read what secrets are made from, where one is missing; `patiently`: not again and again."""
        missing = [endpoint for endpoint in self.endpoints.values() if not self.secrets_of(endpoint.webhook)]
        now = self.clock.monotonic()
        if not missing or (patiently and now - self._master_read < KEY_IS_READ_EVERY):
            return
        self._master_read = now
        reason = "what it was made from is not the same any more"
        try:
            self._master = await self._read_master() or self._master
        except UserError as error:
            reason = f"{error}; {error.fix}"
        for endpoint in missing:
            was_unsigned, endpoint.is_unsigned = endpoint.is_unsigned, not self.secrets_of(endpoint.webhook)
            if endpoint.is_unsigned and not was_unsigned:
                logger.error("%s: its secret cannot be read, so nothing is sent: %s", endpoint, reason)
            elif was_unsigned and not endpoint.is_unsigned:
                logger.info("%s: its secret can be read again", endpoint)
                endpoint.begin()

    def _begin_configured(self) -> None:
        for endpoint in self.endpoints.values():
            if endpoint.is_unknown and self.viewer_of(endpoint.webhook) is not None:
                endpoint.is_unknown = False
                endpoint.begin()

    def _note_passed(self) -> None:
        """What concerned nobody is over for those who have nothing else to do."""
        self._passed_written = self.clock.monotonic()
        for endpoint in self.endpoints.values():
            if endpoint.is_resting:
                endpoint.pass_to(self._seen)
                if endpoint.cursor != endpoint.progress.cursor:
                    endpoint.progress = replace(endpoint.progress, cursor=endpoint.cursor)
                    self.note(endpoint)

    async def _write_noted(self) -> None:
        """Write everything noted, in one transaction. Raises StorageError; it is then noted still."""
        noted, self._noted = self._noted, {}
        self._has_noted.clear()
        if not noted:
            return
        progress = {name: endpoint.progress for name, endpoint in noted.items()}
        try:
            await self._ledger.webhooks(lambda kept: kept.note(progress))
        except BaseException:
            self._noted = noted | self._noted
            self._has_noted.set()
            raise


def _by_profile(entries: Iterable[ChangeEntry]) -> Mapping[str, set[str]]:
    """Profile, or all of them -> which events there are for it."""
    told: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        for profile in (ALL_PROFILES, *entry.change.profiles):
            told[profile].add(entry.change.event.value)
    return told
