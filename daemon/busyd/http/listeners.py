"""Listens on addresses, and stops without cutting an answer short."""

import asyncio
import errno
import logging
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from ssl import SSLContext
from typing import Final, Self

from msgspec import Struct

from busyd.address import ListenAddress, TcpAddress, UnixAddress
from busyd.errors import Misconfigured
from busyd.http.app import Endpoint
from busyd.http.connections import CountingServer
from busyd.os_errors import fault_of

logger = logging.getLogger(__name__)

BACKLOG: Final = 256
"""Connections that wait in the kernel until they are accepted."""
ACCEPTED_AT_ONCE: Final = 4
"""Before existing connections are served again."""
GRACE_SECONDS: Final = 10.0
"""How long answers under way may take to finish at the end."""
_HANDSHAKE_SECONDS: Final = 10.0
_SOCKET_MODE: Final = 0o660
_FIXES: Final = {
    errno.EACCES: "allow the user that busyd runs as to listen there, or set another `listen:`",
    errno.EPERM: "allow the user that busyd runs as to listen there, or set another `listen:`",
    errno.ENOENT: "create the directory of the socket, or let systemd create it with RuntimeDirectory=",
}
"""More specific advice for an address."""
_NAME_UNKNOWN: Final = "add the name to this machine's resolver, or write an IP address in `listen:`"


class _File(Struct, frozen=True):
    """A unix socket that we made."""

    path: Path
    identity: tuple[int, int]

    @classmethod
    def of(cls, path: Path) -> Self:
        return cls(path, _identity(path))

    def remove(self) -> None:
        """Unless another busyd has replaced it with its own meanwhile, or it is gone already."""
        with suppress(OSError):
            if _identity(self.path) == self.identity:
                self.path.unlink()


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


class _Opened(Struct, frozen=True):
    """An address we listen on; a name such as `localhost` may have several sockets."""

    address: ListenAddress
    servers: tuple[asyncio.Server, ...]
    file: _File | None = None

    def close(self) -> None:
        """Accept nothing more."""
        for server in self.servers:
            server.close()
        if self.file is not None:
            self.file.remove()


class Listeners:
    """The addresses on which the endpoint listens."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._server = endpoint.make_server()
        self._opened: dict[ListenAddress, _Opened] = {}
        self._tls: SSLContext | None = None

    @property
    def ports(self) -> list[int]:
        """The TCP ports in use, in the order of the addresses; useful where port 0 was asked for."""
        servers = [server for opened in self._opened.values() for server in opened.servers]
        names = [opened.getsockname() for server in servers for opened in server.sockets]
        return [name[1] for name in names if isinstance(name, tuple)]

    async def open_new(self, listen: Sequence[ListenAddress], *, tls: SSLContext | None) -> "NewAddresses":
        """Begin to listen on those of these addresses that are new, all or none; then `follow` or `close` them.

        Raises TryAgain when one is in use or not there yet, else Misconfigured.
        """
        opened = NewAddresses({})
        try:
            for address in dict.fromkeys(listen):
                if address not in self._opened:
                    opened.by_address[address] = await _open(self._server, address, tls=tls)
        except BaseException:
            opened.close()
            raise
        return opened

    async def follow(self, listen: Sequence[ListenAddress], new: "NewAddresses", *, tls: SSLContext | None) -> None:
        """Listen on exactly these addresses and with this certificate from now on; no connection is refused for it.

        Answers that are under way go on; clients have to connect anew where their address or certificate has gone.
        """
        kept = {address: opened for address, opened in self._opened.items() if address in listen}
        gone = [opened for address, opened in self._opened.items() if address not in listen]
        if tls is not self._tls:
            for address, before in kept.items():
                if isinstance(address, TcpAddress):
                    # The same sockets go on with another certificate: what waits in their queues is not lost.
                    kept[address] = _Opened(address, await _take_over(self._server, before, tls=tls))
                    gone.append(before)
        known = {**kept, **new.by_address}
        self._opened = {address: known[address] for address in dict.fromkeys(listen)}
        self._tls = tls
        for opened in gone:
            opened.close()
        if gone:
            self._endpoint.gate.close_when_answered()

    async def close(self, grace: float = GRACE_SECONDS) -> None:
        """Accept nothing more, let answers that are under way finish, then close every connection."""
        for opened in self._opened.values():
            opened.close()
        self._endpoint.streams.close()
        self._server.pre_shutdown()
        await self._server.shutdown(timeout=grace)
        self._endpoint.gate.stop()


class NewAddresses(Struct, frozen=True):
    """Addresses that were opened, but do not belong to the others yet."""

    by_address: dict[ListenAddress, _Opened]

    def close(self) -> None:
        """Give them up again."""
        for opened in self.by_address.values():
            opened.close()


async def start_listeners(
    endpoint: Endpoint, listen: Sequence[ListenAddress], *, tls: SSLContext | None = None
) -> Listeners:
    """Listen on every address. Raises TryAgain when one is in use or not there yet, else Misconfigured."""
    for address in listen:
        check_address(address, tls=tls is not None, behind_proxy=endpoint.settings.behind_proxy)
    listeners = Listeners(endpoint)
    await listeners.follow(listen, await listeners.open_new(listen, tls=tls), tls=tls)
    return listeners


def check_address(address: ListenAddress, *, tls: bool, behind_proxy: bool) -> None:
    """Refuse to send busy times over a network unencrypted. Raises Misconfigured."""
    if not (address.loopback or tls or behind_proxy):
        message = f"listening on {address} would send busy times and tokens unencrypted over the network"
        raise Misconfigured(
            message, fix="set `tls: {cert: FILE, key: FILE}`, or `behind_proxy: true` if a proxy of yours does TLS"
        )


async def _open(server: CountingServer, address: ListenAddress, *, tls: SSLContext | None) -> _Opened:
    loop = asyncio.get_running_loop()
    factory = server.site(is_local=address.loopback)
    handshake = _HANDSHAKE_SECONDS if tls is not None else None
    file: _File | None = None
    try:
        match address:
            case TcpAddress(host, port):
                made = await loop.create_server(
                    factory, host, port, ssl=tls, backlog=ACCEPTED_AT_ONCE, ssl_handshake_timeout=handshake
                )
            case UnixAddress(path):
                _remove_old_socket(path)
                made = await loop.create_unix_server(factory, str(path), backlog=ACCEPTED_AT_ONCE)
                # A connection may ask without a token, so only the owner and the group may connect.
                path.chmod(_SOCKET_MODE)
                file = _File.of(path)
    except OSError as error:
        known = _NAME_UNKNOWN if isinstance(error, socket.gaierror) else _FIXES.get(error.errno or 0, "")
        if error.errno is not None and error.errno in errno.errorcode:
            error = OSError(error.errno, os.strerror(error.errno))  # asyncio wraps the reason in its own words
        raise fault_of(error, f"cannot listen on {address}", fix=known) from error
    _lengthen_queues(made)
    return _Opened(address, (made,), file)


async def _take_over(server: CountingServer, before: _Opened, *, tls: SSLContext | None) -> tuple[asyncio.Server, ...]:
    """Servers on copies of the sockets of others, which may be closed then."""
    loop = asyncio.get_running_loop()
    factory = server.site(is_local=before.address.loopback)
    handshake = _HANDSHAKE_SECONDS if tls is not None else None
    made = []
    for listening in [listening for one in before.servers for listening in one.sockets]:
        same = socket.socket(fileno=os.dup(listening.fileno()))
        same.setblocking(False)
        made.append(
            await loop.create_server(
                factory, sock=same, ssl=tls, backlog=ACCEPTED_AT_ONCE, ssl_handshake_timeout=handshake
            )
        )
    for one in made:
        _lengthen_queues(one)
    return tuple(made)


def _remove_old_socket(path: Path) -> None:
    """Remove the socket that a killed busyd has left behind. Raises OSError when somebody listens on it, and
    Misconfigured when it is something else, which is never removed."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        message = f"cannot listen on unix:{path}: there is something else at that path"
        raise Misconfigured(message, fix="move it away, or set another path: busyd removes only sockets")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:  # its queue is full: somebody listens
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _lengthen_queues(made: asyncio.Server) -> None:
    # QUIRK(asyncio): `backlog` is both how many connections may wait and how many are accepted before anything else
    # runs. A burst of new connections held up everything else for 20 ms, so the kernel is told the former separately.
    for listening in made.sockets:
        with socket.socket(fileno=os.dup(listening.fileno())) as same:
            same.listen(BACKLOG)
