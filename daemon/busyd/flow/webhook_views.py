"""How a webhook is doing, in words for whoever made it."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from busyd.period import Instant
from busyd.store.webhooks import Webhook, WebhookProgress


class WebhookState(StrEnum):
    """How a hook is doing."""

    OK = "ok"
    FAILING = "failing"
    """The receiver does not take what it is sent; it is tried again."""
    GONE = "gone"
    """The receiver has said that it wants no more."""
    GIVEN_UP = "given-up"
    """Deliveries have failed for 75 hours."""
    UNSIGNED = "unsigned"
    """Its secret cannot be read, so nothing is sent."""
    UNKNOWN_PROFILE = "unknown-profile"
    """Its profile is not configured."""


class WebhookView(Struct, frozen=True):
    """A hook as it is now."""

    id: str
    profile: str
    host: str
    """Of the receiver; the rest of its address may be a secret."""
    events: tuple[str, ...]
    state: WebhookState
    detail: str
    fix: str
    since: Instant | None
    """Since when deliveries fail."""
    attempts: int
    next_attempt: Instant | None
    delivered: Instant | None
    behind: int
    """How many entries there are in the log after the last one that it was told, or need not be."""


_FIXES: Final = {
    WebhookState.OK: "",
    WebhookState.FAILING: "see what its receiver says, and try it with `busyd webhook test {id}`; "
    "`busyd webhook replay {id}` delivers at once",
    WebhookState.GONE: "remove it with `busyd webhook remove {id}`, or take it up with `busyd webhook replay {id}`",
    WebhookState.GIVEN_UP: "once its receiver works, `busyd webhook replay {id}` goes on where it stopped",
    WebhookState.UNSIGNED: "restore the key of the stored passwords, or make another secret with "
    "`busyd webhook rotate {id}`",
    WebhookState.UNKNOWN_PROFILE: "configure the profile again, or remove the webhook with `busyd webhook remove {id}`",
}
_DETAILS: Final = {
    WebhookState.UNSIGNED: "its secret cannot be read, so nothing is sent",
    WebhookState.UNKNOWN_PROFILE: "its profile is not configured, so nothing is sent",
}


def state_of_webhook(progress: WebhookProgress, *, is_unknown: bool = False, is_unsigned: bool = False) -> WebhookState:
    """What counts most of what may be wrong."""
    if progress.ended:
        return WebhookState(progress.ended)
    if is_unknown:
        return WebhookState.UNKNOWN_PROFILE
    if is_unsigned:
        return WebhookState.UNSIGNED
    return WebhookState.OK if progress.failing_since is None else WebhookState.FAILING


def detail_of_webhook(state: WebhookState, progress: WebhookProgress) -> str:
    """What is wrong; empty where nothing is."""
    return _DETAILS.get(state, progress.detail)


def fix_of_webhook(state: WebhookState, webhook: Webhook) -> str:
    """What to do about it."""
    return _FIXES[state].format(id=webhook.id)
