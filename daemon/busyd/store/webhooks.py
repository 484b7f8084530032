"""Webhooks and how far each has come, in the ledger's file. Their secrets are not here: `credentials/webhooks.py`.

The command line writes what a hook is and what it asks of the daemon; the daemon writes how far the hook has come.
Every method runs inside one transaction of `Ledger.webhooks`.
"""

import secrets
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import astuple

from busyd.errors import UserError
from busyd.period import Instant
from busyd.store.changes import ChangeEvent
from busyd.store.engine import SqlSession

WEBHOOK_EVENTS: Final = tuple(event.value for event in ChangeEvent if event is not ChangeEvent.RESET)
"""What can be asked for; a hook is told `reset` whatever it has asked for, where that concerns it."""
MOST_WEBHOOKS: Final = 1000
RESUME: Final = 0
"""Asked of the daemon instead of a moment: go on where it stopped."""
_MOST_DETAIL: Final = 500


class TooManyWebhooks(UserError):
    """There is no place for another one."""


class Webhook(Struct, frozen=True):
    """Who is told what."""

    id: str
    profile: str
    """Or ALL_PROFILES."""
    url: str
    events: tuple[str, ...]
    private: bool
    """Whether the receiver may be in the private network."""
    created: Instant
    generation: int
    """How often its secret was rotated."""
    rotated: Instant | None
    digest: bytes
    """SHA-256 of its secret."""


class WebhookProgress(Struct, frozen=True):
    """How far a hook has come, and how its receiver is doing."""

    cursor: int | None = None
    """The number of the last entry that it was told, or need not be; None before the daemon has seen it."""
    ended: str = ""
    """Why nothing is delivered any more: `gone` or `given-up`."""
    failing_since: Instant | None = None
    failed_for: int = 0
    """Seconds for which deliveries have failed in a row, those in which busyd did not run left out."""
    attempts: int = 0
    """How many deliveries have failed in a row."""
    detail: str = ""
    """Why the last one failed."""
    delivered: Instant | None = None
    """When the last one did not."""


class StoredWebhook(Struct, frozen=True):
    """A row."""

    webhook: Webhook
    progress: WebhookProgress
    asked: int | None
    """What the daemon is asked: to begin again with what came from this moment on, or RESUME."""


class KeptWebhooks:
    """What may be done in one transaction."""

    def __init__(self, connection: SqlSession) -> None:
        self._connection = connection

    def all(self) -> list[StoredWebhook]:
        """All hooks, the oldest first."""
        return [_stored(row) for row in self._connection.execute(f"{_SELECT} ORDER BY created, id")]

    def find(self, webhook: str) -> StoredWebhook | None:
        """The hook of this id."""
        row = self._connection.execute(f"{_SELECT} WHERE id=?", (webhook,)).fetchone()
        return _stored(row) if row is not None else None

    def add(self, webhook: Webhook) -> None:
        """Add one. Raises TooManyWebhooks."""
        (count,) = self._connection.execute("SELECT COUNT(*) FROM webhook").fetchone()
        if count >= MOST_WEBHOOKS:
            message = f"there are {MOST_WEBHOOKS} webhooks already"
            raise TooManyWebhooks(message, fix="remove those that are not needed: `busyd webhook list` shows them")
        self._connection.execute(
            "INSERT INTO webhook (id, profile, url, events, private, created, generation, rotated, digest)"
            " VALUES (?,?,?,?,?,?,?,?,?)",
            (
                webhook.id,
                webhook.profile,
                webhook.url,
                " ".join(webhook.events),
                int(webhook.private),
                webhook.created,
                webhook.generation,
                webhook.rotated,
                webhook.digest,
            ),
        )

    def remove(self, webhook: str) -> bool:
        """Remove one; False when there is none of this id."""
        return self._connection.execute("DELETE FROM webhook WHERE id=?", (webhook,)).rowcount > 0

    def rotate(self, webhook: str, *, generation: int, digest: bytes, now: Instant) -> None:
        """Take another secret from now on."""
        self._connection.execute(
            "UPDATE webhook SET generation=?, rotated=?, digest=? WHERE id=?", (generation, now, digest, webhook)
        )

    def ask(self, webhook: str, since: int) -> bool:
        """Ask the daemon to begin again from a moment, or with RESUME; False when there is no such hook."""
        return self._connection.execute("UPDATE webhook SET asked=? WHERE id=?", (since, webhook)).rowcount > 0

    def done(self, asked: Iterable[StoredWebhook]) -> None:
        """What was asked of these has been done, unless something else was asked meanwhile."""
        rows = [(stored.webhook.id, stored.asked) for stored in asked]
        self._connection.executemany("UPDATE webhook SET asked=NULL WHERE id=? AND asked=?", rows)

    def note(self, progress: Mapping[str, WebhookProgress]) -> None:
        """Keep how far hooks have come; those that were removed stay so."""
        self._connection.executemany(
            "UPDATE webhook SET cursor=?, ended=?, failing_since=?, failed_for=?, attempts=?, detail=?, delivered=?"
            " WHERE id=?",
            [(*astuple(one)[:5], one.detail[:_MOST_DETAIL], one.delivered, name) for name, one in progress.items()],
        )


def new_webhook_id() -> str:
    """An id that no hook had before."""
    return secrets.token_hex(6)


_SELECT: Final = (
    "SELECT id, profile, url, events, private, created, generation, rotated, digest,"
    " cursor, ended, failing_since, failed_for, attempts, detail, delivered, asked FROM webhook"
)


def _stored(row: tuple[object, ...]) -> StoredWebhook:
    webhook_id, profile, url, events, private, *rest = row
    webhook = Webhook(webhook_id, profile, url, tuple(str(events).split()), bool(private), *rest[:4])  # type: ignore[arg-type]
    return StoredWebhook(webhook, WebhookProgress(*rest[4:11]), asked=rest[11])  # type: ignore[arg-type]
