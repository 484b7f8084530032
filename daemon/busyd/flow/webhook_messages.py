"""What a webhook is sent: the payload form of the Standard Webhooks specification, around what the streams have.

Nothing here knows a title: the log of changes has none.
"""

import secrets
from typing import Final

import msgspec
from msgspec import Struct

from busyd.flow.changes import ChangeView
from busyd.period import Instant, to_rfc3339
from busyd.remote.webhooks import WebhookMessage
from busyd.store.changes import ChangeEvent

_OF_SPANS: Final = frozenset({ChangeEvent.BUSY.value, ChangeEvent.FREE.value})
_NOTHING: Final = msgspec.Raw(b"{}")


class WebhookBody(Struct, frozen=True):
    """The payload."""

    id: int
    """The number of the entry in the log of changes, as in the streams."""
    type: str
    timestamp: str
    """When it happened."""
    data: msgspec.Raw
    """What the streams have as the data of the event."""


def is_wanted(event: str, asked: tuple[str, ...]) -> bool:
    """Whether a hook for these events is told of another entry; a `reset` in the log is about spans."""
    return event in asked or (event == ChangeEvent.RESET.value and not _OF_SPANS.isdisjoint(asked))


def message_of(webhook: str, view: ChangeView) -> WebhookMessage:
    """The message about an entry of the log: always the same."""
    body = WebhookBody(view.number, view.event, to_rfc3339(view.at), msgspec.Raw(view.body))
    return WebhookMessage(f"msg_{webhook}_{view.number}", msgspec.json.encode(body))


def reset_message(webhook: str, *, after: int, newest: int, now: Instant) -> WebhookMessage:
    """Says that what came after an entry cannot be told any more: the receiver should ask for the busy time anew."""
    body = WebhookBody(newest, ChangeEvent.RESET.value, to_rfc3339(now), _NOTHING)
    return WebhookMessage(f"msg_{webhook}_reset_{after}", msgspec.json.encode(body))


def probe_message(webhook: str, *, now: Instant) -> WebhookMessage:
    """A message that says nothing: for trying a receiver."""
    body = WebhookBody(0, "test", to_rfc3339(now), _NOTHING)
    return WebhookMessage(f"msg_{webhook}_test_{secrets.token_hex(6)}", msgspec.json.encode(body))
