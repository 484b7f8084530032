"""One webhook: delivers what the log has for it, in order, each entry until the receiver takes it.

There is a task only while something is to be delivered. The cursor moves once the receiver has said 2xx: what was taken
when busyd was killed is sent again, with the same id.
"""

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Final, Protocol

from msgspec.structs import replace

from busyd.clock import Clock, sleep_unless
from busyd.credentials import Secret
from busyd.errors import RemoteError
from busyd.flow.changes import Changes, NumberGone, Viewer
from busyd.flow.webhook_messages import is_wanted, message_of, reset_message
from busyd.flow.webhook_policy import GIVES_UP_AFTER, DeliveryVerdict, WebhookEnd, judge, wait_after
from busyd.flow.webhook_views import WebhookView, detail_of_webhook, fix_of_webhook, state_of_webhook
from busyd.period import Instant
from busyd.remote.webhooks import WebhookMessage, WebhookTarget, webhook_address
from busyd.store.errors import StorageError
from busyd.store.webhooks import StoredWebhook, Webhook, WebhookProgress

logger = logging.getLogger(__name__)

_READ_AGAIN_AFTER: Final = 30.0
"""Seconds after which the log is read again when the disk did not let us."""


class WebhookAnswer(Protocol):
    """What of an answer counts."""

    @property
    def status(self) -> int: ...

    def header(self, name: str) -> str | None: ...


class DeliveryContext(Protocol):
    """What all endpoints share: `Webhooks`."""

    clock: Clock
    changes: Changes
    is_closing: bool
    outcomes: Counter[str]

    def viewer_of(self, webhook: Webhook) -> Viewer | None:
        """What it may know; None while its profile is not configured."""

    def secrets_of(self, webhook: Webhook) -> Sequence[Secret]:
        """The secrets to sign with; none while they cannot be read."""

    def note(self, endpoint: "WebhookEndpoint") -> None:
        """Its progress has changed, and is to be written."""

    def turn(self, *, is_failing: bool) -> "contextlib.AbstractAsyncContextManager[object]":
        """Wait until it may send: not all do at once."""

    def send(
        self, target: WebhookTarget, message: WebhookMessage, *, secrets: Sequence[Secret], now: Instant
    ) -> Awaitable[WebhookAnswer]:
        """Deliver once. Raises RemoteError."""


class WebhookEndpoint:
    """A hook, how far it has come, and the task that brings it on."""

    def __init__(self, stored: StoredWebhook, *, cursor: int, context: DeliveryContext) -> None:
        self.webhook = stored.webhook
        self.progress = replace(stored.progress, cursor=cursor)
        self.target = WebhookTarget(webhook_address(stored.webhook.url), private=stored.webhook.private)
        self.is_unsigned = False
        self.is_unknown = False
        self.next_try: Instant | None = None
        self.cursor = cursor
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self._is_sending = False
        self._has_caught_up = False
        """Whether there was nothing left for it when its task ended."""
        self._nudged = asyncio.Event()
        self._lost_at: int | None = None
        """The entry after which the log has lost something, once that was noticed."""
        self._failed_before = stored.progress.failed_for
        self._failing_from: float | None = None

    def __str__(self) -> str:
        return f"webhook {self.webhook.id} of {self.webhook.profile} to {self.host}"

    @property
    def host(self) -> str:
        """The receiver, without the path, which may be a secret."""
        return self.target.address.origin.authority

    @property
    def is_idle(self) -> bool:
        return self._task is None or self._task.done()

    @property
    def is_resting(self) -> bool:
        """Whether it was told all there was for it, and may be told more."""
        return self.is_idle and self._has_caught_up and not self.progress.ended

    def view(self, newest: int, *, is_unknown: bool) -> WebhookView:
        """How it is doing, with `newest` as the number of the last entry of the log."""
        webhook, progress = self.webhook, self.progress
        state = state_of_webhook(progress, is_unknown=is_unknown, is_unsigned=self.is_unsigned)
        return WebhookView(
            id=webhook.id,
            profile=webhook.profile,
            host=self.host,
            events=webhook.events,
            state=state,
            detail=detail_of_webhook(state, progress),
            fix=fix_of_webhook(state, webhook),
            since=progress.failing_since,
            attempts=progress.attempts,
            next_attempt=self.next_try,
            delivered=progress.delivered,
            behind=0 if self.is_resting else newest - self.cursor,
        )

    def begin(self) -> None:
        """Bring it on until there is nothing left to deliver; nothing changes where that is under way."""
        if self.is_idle and not self.progress.ended and not self._context.is_closing:
            self._has_caught_up = False
            self._task = asyncio.create_task(self._deliver(), name=str(self))

    def pass_to(self, number: int) -> None:
        """Nothing up to this entry concerns it."""
        self.cursor = max(self.cursor, number)

    def expect(self, number: int) -> None:
        """What comes after this entry concerns it: it rests no more, though it was told all there was before."""
        if self.is_resting:
            self.pass_to(number)
            self._has_caught_up = False

    def start_again(self, number: int) -> None:
        """Go on after this entry, now and for another 75 hours; what is being sent is not held up."""
        self.cursor = number
        self.progress = replace(self.progress, cursor=number, ended="", failed_for=0, attempts=0)
        self._failed_before, self._failing_from, self.next_try = 0, None, None
        self._context.note(self)
        self._nudged.set()
        self.begin()

    async def close(self, *, grace: float = 0.0) -> None:
        """End it; what is being sent may still get its answer for so many seconds."""
        task = self._task
        if task is None:
            return
        if self._is_sending and grace:
            await asyncio.wait([task], timeout=grace)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _deliver(self) -> None:
        context = self._context
        while not self.progress.ended and not context.is_closing:
            webhook = self.webhook
            viewer, secrets = context.viewer_of(webhook), context.secrets_of(webhook)
            self.is_unknown, self.is_unsigned = viewer is None, not secrets
            if viewer is None or not secrets:
                return
            begun = self.cursor
            if begun == context.changes.newest:
                self._has_caught_up = True
                return
            try:
                views, upto = await context.changes.after(begun, viewer)
            except NumberGone:
                newest = context.changes.newest
                if self._lost_at != begun:
                    logger.warning("%s: what it has not been told is no longer in the log; it is told `reset`", self)
                self._lost_at = begun
                message = reset_message(webhook.id, after=begun, newest=newest, now=context.clock.now())
                await self._tell(message, secrets=secrets, begun=begun, number=newest)
                continue
            except StorageError as error:
                logger.error("%s: the log of changes could not be read, trying again: %s", self, error)
                await self._sleep(_READ_AGAIN_AFTER)
                continue
            for view in views:
                if not is_wanted(view.event, webhook.events):
                    continue
                message = message_of(webhook.id, view)
                if not await self._tell(message, secrets=secrets, begun=begun, number=view.number):
                    break
                begun = view.number
                if self.webhook is not webhook:
                    break  # it has another secret now
            else:
                if self.cursor == begun:
                    self.cursor = upto

    async def _tell(self, message: WebhookMessage, *, secrets: Sequence[Secret], begun: int, number: int) -> bool:
        """Try to deliver once, and wait where that failed; whether it was taken, and what follows is still to come."""
        context = self._context
        verdict = await self._try(message, secrets)
        if self.cursor != begun:
            return False  # it was to start again elsewhere meanwhile
        if verdict.is_gone:
            context.outcomes["failed"] += 1
            self._end(WebhookEnd.GONE, verdict.detail)
        elif verdict.detail:
            await self._failed(verdict)
        else:
            self.cursor, self.next_try = number, None
            context.outcomes["delivered"] += 1
            if self.progress.failing_since is not None:
                logger.info("%s: takes messages again", self)
            self._failed_before, self._failing_from = 0, None
            self.progress = WebhookProgress(cursor=number, delivered=context.clock.now())
            context.note(self)
            return not context.is_closing
        return False

    async def _try(self, message: WebhookMessage, secrets: Sequence[Secret]) -> DeliveryVerdict:
        context, host = self._context, self.host
        async with context.turn(is_failing=self.progress.failing_since is not None):
            self._is_sending = True
            try:
                now = context.clock.now()
                answer = await context.send(self.target, message, secrets=secrets, now=now)
            except RemoteError as error:
                return DeliveryVerdict(str(error))
            finally:
                self._is_sending = False
        return judge(host, answer.status, retry_after=answer.header("Retry-After"), now=context.clock.now())

    async def _failed(self, verdict: DeliveryVerdict) -> None:
        """Note that a try failed, and wait for the next one; or give up."""
        context, known = self._context, self.progress
        context.outcomes["failed"] += 1
        moment = context.clock.monotonic()
        if self._failing_from is None:
            self._failing_from = moment
        failed_for = self._failed_before + moment - self._failing_from
        self.progress = replace(
            known,
            cursor=self.cursor,
            failing_since=known.failing_since or context.clock.now(),
            failed_for=int(failed_for),
            attempts=known.attempts + 1,
            detail=verdict.detail,
        )
        if known.failing_since is None:
            logger.warning("%s: %s; it is tried again for %d hours", self, verdict.detail, GIVES_UP_AFTER // 3600)
        if failed_for >= GIVES_UP_AFTER:
            self._end(WebhookEnd.GIVEN_UP, verdict.detail)
            return
        context.note(self)
        wait = max(wait_after(self.progress.attempts, chance=random.random()), verdict.wait_at_least)
        wait = min(wait, GIVES_UP_AFTER - failed_for)
        self.next_try = Instant(context.clock.now() + int(wait))
        await self._sleep(wait)
        self.next_try = None

    async def _sleep(self, seconds: float) -> None:
        """Wait so long, or until somebody asks for more."""
        self._nudged.clear()
        await sleep_unless(self._nudged, seconds, clock=self._context.clock)

    def _end(self, end: WebhookEnd, detail: str) -> None:
        self.progress = replace(self.progress, cursor=self.cursor, ended=end.value, detail=detail)
        self._context.note(self)
        how = f"`busyd webhook replay {self.webhook.id}` takes it up again"
        logger.warning("%s: %s; nothing is sent to it any more, and %s", self, detail, how)
