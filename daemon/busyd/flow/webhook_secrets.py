"""With which secrets a webhook is signed at a moment."""

from busyd.credentials import Secret
from busyd.credentials.webhooks import OLD_SIGNS_FOR, derive_secret, digest_of
from busyd.period import Instant
from busyd.store.webhooks import Webhook


def secrets_in_use(master: Secret | None, webhook: Webhook, *, now: Instant) -> list[Secret]:
    """The newest first; none without what they are made from, or when that is not the same any more."""
    if master is None:
        return []
    secret = derive_secret(master, webhook.id, generation=webhook.generation)
    if digest_of(secret) != webhook.digest:
        return []
    if webhook.rotated is None or now >= webhook.rotated + OLD_SIGNS_FOR:
        return [secret]
    return [secret, derive_secret(master, webhook.id, generation=webhook.generation - 1)]
