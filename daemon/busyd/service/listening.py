"""How the running daemon is reached: its addresses, its certificate, and the record by which the command line finds it.

A reload changes all of it without a restart, except where a new address overlaps one that is still in use.
"""

import logging
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.address import ListenAddress, TcpAddress, UnixAddress
from busyd.clock import Clock
from busyd.config import Config
from busyd.http.app import Endpoint
from busyd.http.listeners import NewAddresses, start_listeners
from busyd.period import to_rfc3339
from busyd.running import Running, remove_record, write_record
from busyd.service.settings import certificate_text, endpoint_settings, tls_context

logger = logging.getLogger(__name__)

_KEYS: Final = ("behind_proxy", "hosts", "public_url", "local_access", "cors")
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})


class Wanted(Struct, frozen=True):
    """A configuration, and the files it names as they were read with it."""

    config: Config
    certificate: str
    """The text of the TLS certificate; empty without TLS."""
    tls: ssl.SSLContext | None

    @classmethod
    def read(cls, config: Config) -> "Wanted":
        """Raises TryAgain, Misconfigured when the certificate cannot be used."""
        return cls(config, certificate_text(config), tls_context(config))


class PreparedListening(Struct, frozen=True):
    """What is wanted, as far as it had to be done before anything of it counts."""

    wanted: Wanted
    listen: tuple[ListenAddress, ...]
    new: NewAddresses

    def close(self) -> None:
        """Give it up."""
        self.new.close()


class Listening:
    """The sockets of a daemon, and its record."""

    def __init__(self, endpoint: Endpoint, *, config_path: Path, state: Path, clock: Clock) -> None:
        self._endpoint = endpoint
        self._config_path = config_path
        self._state = state
        self._started = to_rfc3339(clock.now())

    async def begin(self, config: Config) -> None:
        """Listen, and say where. Raises TryAgain, Misconfigured."""
        self._now = Wanted.read(config)
        self._listen = config.listen
        self._listeners = await start_listeners(self._endpoint, config.listen, tls=self._now.tls)
        self._write_record()
        self._log()

    async def close(self) -> None:
        """Let answers that are under way finish, then listen nowhere."""
        remove_record(self._state)
        await self._listeners.close()

    async def prepare(self, wanted: Wanted) -> PreparedListening:
        """Open the addresses that are new. Raises TryAgain, Misconfigured; then nothing has changed."""
        listen = wanted.config.listen if not _overlap(self._listen, wanted.config.listen) else self._listen
        if not self._changes_certificate(wanted):
            wanted = replace(wanted, tls=self._now.tls)
        return PreparedListening(wanted, listen, await self._listeners.open_new(listen, tls=wanted.tls))

    async def apply(self, prepared: PreparedListening) -> list[str]:
        """Go over to what was prepared; the keys of the configuration that have changed by it."""
        wanted, before = prepared.wanted, self._now.config
        changed = [key for key in _KEYS if getattr(before, key) != getattr(wanted.config, key)]
        if prepared.listen != self._listen:
            changed.append("listen")
        if before.tls != wanted.config.tls:
            changed.append("tls")
        elif self._changes_certificate(wanted):
            changed.append("tls (another certificate is in the file)")
        self._endpoint.take(endpoint_settings(wanted.config))
        await self._listeners.follow(prepared.listen, prepared.new, tls=wanted.tls)
        self._now, self._listen = wanted, prepared.listen
        if changed:
            self._write_record()
        if "listen" in changed:
            self._log()
        return changed

    @property
    def needs_restart(self) -> list[str]:
        """The keys that do not count yet."""
        overlaps = "listen (the port is in use by the address it had)"
        return [overlaps] if self._now.config.listen != self._listen else []

    def _changes_certificate(self, wanted: Wanted) -> bool:
        return wanted.certificate != self._now.certificate or wanted.config.tls != self._now.config.tls

    def _log(self) -> None:
        logger.info("listening on %s", ", ".join(str(place) for place in self._listen))

    def _write_record(self) -> None:
        """Tell the command line how this daemon is reached, whatever becomes of the file it was started with."""
        listen = tuple(
            f"unix:{place.path.absolute()}" if isinstance(place, UnixAddress) else str(place) for place in self._listen
        )
        record = Running(
            pid=os.getpid(),
            config=str(self._config_path.absolute()),
            listen=listen,
            started=self._started,
            certificate=self._now.certificate,
            credentials=os.environ.get("CREDENTIALS_DIRECTORY", ""),
        )
        try:
            write_record(self._state, record)
        except OSError as error:
            logger.error("the command line will not find this daemon: %s", error)


def _overlap(old: Sequence[ListenAddress], new: Sequence[ListenAddress]) -> bool:
    """Whether a new address cannot be had before an old one is given up: one of them is all addresses of a port."""
    gone = [one for one in old if isinstance(one, TcpAddress) and one not in new]
    added = [one for one in new if isinstance(one, TcpAddress) and one not in old]
    return any(
        one.port == other.port and (one.host in _EVERYWHERE or other.host in _EVERYWHERE)
        for one in gone
        for other in added
    )
