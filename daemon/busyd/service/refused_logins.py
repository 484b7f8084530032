"""The logins that were refused, kept across restarts: a daemon that is started over and over must not lock an account.

Of the password only a salted scrypt hash is kept, to tell a changed one, which is tried at once.
"""

import hashlib
import hmac
import logging
import os
import secrets
import threading
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from busyd.clock import Clock
from busyd.connection import Connection
from busyd.credentials import Secret
from busyd.errors import BusydError
from busyd.own_thread import in_own_thread
from busyd.period import Instant
from busyd.regular_file import read_regular_file
from busyd.remote.backoff import ConnectionBackoff, after_restart
from busyd.remote.transport import Transport

logger = logging.getLogger(__name__)

FILE: Final = "refused-logins.json"
_SALT: Final = 16


class Refusals(Struct, frozen=True):
    """A login that was refused, and how often in a row."""

    url: str
    username: str
    salt: bytes
    password: bytes
    """scrypt of the password and the salt."""
    refusals: int
    due: Instant
    """When it is to be tried again."""
    extras: tuple[Instant, ...] = ()

    def is_of(self, connection: Connection, secret: Secret) -> bool:
        """Whether this is what the connection would send now."""
        same = (self.url, self.username) == (connection.url, connection.username)
        return same and hmac.compare_digest(self.password, _hash(secret, self.salt))


class RefusedLogins:
    """The file of them. Blocking; what cannot be read counts as nothing, what cannot be written is logged."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE
        self._lock = threading.Lock()
        self._known = self._read()

    def get(self, name: str) -> Refusals | None:
        """What is known of a connection's login."""
        return self._known.get(name)

    def put(self, name: str, refusals: Refusals) -> None:
        """Keep it."""
        with self._lock:
            self._known[name] = refusals
            self._write()

    def forget(self, name: str) -> None:
        """The login works, or is another one."""
        with self._lock:
            if self._known.pop(name, None) is not None:
                self._write()

    def _read(self) -> dict[str, Refusals]:
        try:
            return msgspec.json.decode(read_regular_file(self._path), type=dict[str, Refusals])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be read, so refused logins are tried anew: %s", self._path, error)
            return {}

    def _write(self) -> None:
        temporary = self._path.with_suffix(".new")
        try:
            temporary.unlink(missing_ok=True)
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.encode(self._known) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            logger.warning("%s cannot be written: %s", self._path, error)


class RefusedLogin:
    """What outlives the daemon of the refused login of one connection."""

    def __init__(self, connection: Connection, transport: Transport, *, logins: RefusedLogins, clock: Clock) -> None:
        self._connection = connection
        self._transport = transport
        self._logins = logins
        self._clock = clock

    async def recall(self) -> ConnectionBackoff | None:
        """How things stood before; None when the login was not refused, or is another one now."""
        known = self._logins.get(self._connection.name)
        if known is None:
            return None
        try:
            secret = await self._transport.take_as_refused()
        except BusydError:
            return None  # the poll will tell why there is no password
        if secret is None or not await in_own_thread(
            lambda: known.is_of(self._connection, secret), name="compare a password"
        ):
            self._transport.refused = None
            return None
        wait = float(known.due - self._clock.now())
        return after_restart(known.refusals, wait=wait, now=self._clock.monotonic(), extras=known.extras)

    async def remember(self, backoff: ConnectionBackoff) -> None:
        """Keep it for the next start; without refusals, forget it."""
        name, secret = self._connection.name, self._transport.refused
        if not backoff.refusals or secret is None:
            await in_own_thread(lambda: self._logins.forget(name), name="forget a refused login")
            return
        due = Instant(self._clock.now() + int(backoff.not_before - self._clock.monotonic()) + 1)
        connection, salt = self._connection, secrets.token_bytes(_SALT)

        def keep() -> None:
            hashed = _hash(secret, salt)
            refusals = Refusals(
                connection.url, connection.username, salt, hashed, backoff.refusals, due, backoff.extras
            )
            self._logins.put(name, refusals)

        await in_own_thread(keep, name="note a refused login")


def _hash(secret: Secret, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.reveal().encode("utf-8", "surrogatepass"), salt=salt, n=2**14, r=8, p=1)
