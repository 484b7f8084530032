"""Secrets of webhooks, and signatures with them, after the Standard Webhooks specification.

All secrets are derived from one random text in the encrypted store, so that a thousand hooks need no more space there
than one, and the ledger, and a backup without the key, hold none of them.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Final

from busyd.credentials.secret import Secret
from busyd.period import Instant

MASTER_NAME: Final = "busyd-webhooks"
"""The entry of the encrypted store that all secrets are derived from."""
SECRET_PREFIX: Final = "whsec_"
OLD_SIGNS_FOR: Final = 86_400
"""Seconds for which the secret before still signs beside the new one."""
_RANDOM_BYTES: Final = 32


def new_master() -> Secret:
    """A new text to derive secrets from."""
    return Secret(secrets.token_hex(_RANDOM_BYTES))


def derive_secret(master: Secret, webhook: str, *, generation: int) -> Secret:
    """The secret of a hook: `whsec_` and 32 bytes in base64. Each rotation is another generation."""
    message = f"busyd webhook {webhook} {generation}".encode()
    key = hmac.digest(master.reveal().encode(), message, "sha256")
    return Secret(SECRET_PREFIX + base64.b64encode(key).decode())


def digest_of(secret: Secret) -> bytes:
    """What the ledger keeps, to tell whether a derived secret is the one that the receiver was given."""
    return hashlib.sha256(secret.reveal().encode()).digest()


def sign(secrets_in_use: Iterable[Secret], message: str, *, at: Instant, body: bytes) -> str:
    """The header `webhook-signature`: one `v1,BASE64` for each secret, with a space between them."""
    signed = f"{message}.{at}.".encode() + body
    keys = (base64.b64decode(secret.reveal().removeprefix(SECRET_PREFIX)) for secret in secrets_in_use)
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)
