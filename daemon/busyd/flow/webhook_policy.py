"""What follows from how a receiver answers: pure policy. When to try again, when to end, and in which words."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from busyd.period import Instant
from busyd.remote.backoff import parse_retry_after

GIVES_UP_AFTER: Final = 75 * 3600
"""Seconds for which deliveries may fail in a row, as the specification recommends."""
_FIRST_WAIT: Final = 5.0
_LONGEST_WAIT: Final = 3600.0
_JITTER: Final = 0.2
"""Waits are lengthened by up to this fraction, so that hooks do not all come back at once."""
_GONE: Final = 410
_SLOW_DOWN: Final = (429, 503)


class WebhookEnd(StrEnum):
    """Why a hook is told nothing any more."""

    GONE = "gone"
    """The receiver has said that it wants no more."""
    GIVEN_UP = "given-up"
    """Deliveries have failed for too long."""


class DeliveryVerdict(Struct, frozen=True):
    """What an answer means. `detail` is empty when the message was taken."""

    detail: str = ""
    is_gone: bool = False
    wait_at_least: float = 0.0
    """Seconds that the receiver wants to be left alone."""


def judge(host: str, status: int, *, retry_after: str | None, now: Instant) -> DeliveryVerdict:
    """What a status means (Standard Webhooks, "Deliverability and reliability")."""
    if 200 <= status < 300:
        return DeliveryVerdict()
    if status == _GONE:
        return DeliveryVerdict(f"{host} answered 410: it wants no more messages", is_gone=True)
    if 300 <= status < 400:
        return DeliveryVerdict(f"{host} answered with a redirect ({status}), and redirects are not followed")
    wanted = parse_retry_after(retry_after, now) if status in _SLOW_DOWN else None
    return DeliveryVerdict(f"{host} answered {status}", wait_at_least=wanted or 0.0)


def wait_after(failures: int, *, chance: float) -> float:
    """Seconds after so many failures in a row until the next try: 5 s, doubled each time, an hour at most.

    `chance` is anything in [0, 1).
    """
    return min(_FIRST_WAIT * 2.0 ** min(max(failures, 1) - 1, 16), _LONGEST_WAIT) * (1.0 + _JITTER * chance)
