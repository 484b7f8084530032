"""Connections to the running daemon: TCP, TLS with its own certificate only, or a unix socket."""

import http.client
import socket
import ssl
from pathlib import Path
from typing import Final

from busyd.address import ListenAddress, UnixAddress
from busyd.cli.exit_status import CommandFailed

SYSTEM_TRUST: Final = "system"
"""Instead of a certificate: those that the system trusts, for the name of the host."""
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def connection_to(listen: ListenAddress, certificate: str, *, seconds: float) -> http.client.HTTPConnection:
    """A connection that is not open yet; with `certificate` (PEM, or SYSTEM_TRUST) over TLS."""
    if isinstance(listen, UnixAddress):
        return _UnixConnection(listen.path, seconds)
    host = _EVERY_ADDRESS.get(listen.host, listen.host)
    if not certificate:
        return http.client.HTTPConnection(host, listen.port, timeout=seconds)
    context = ssl.create_default_context() if certificate == SYSTEM_TRUST else _pinned(certificate)
    return http.client.HTTPSConnection(host, listen.port, timeout=seconds, context=context)


def _pinned(certificate: str) -> ssl.SSLContext:
    """Trusts only this certificate, whatever its name: it is issued for the public name, not for the loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=certificate)
    except (OSError, ssl.SSLError):
        raise CommandFailed("the daemon's certificate cannot be used", fix="it must be in PEM format") from None
    return context
