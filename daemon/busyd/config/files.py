"""The files that only the daemon opens: certificate, key and the places of sockets. Looked at by `run` and `check`.

Not by every command: who may ask the daemon need not be able to read its key.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from busyd.address import UnixAddress
from busyd.config.errors import Fault
from busyd.config.model import Config, Tls
from busyd.config.permission import is_readable, why_unreadable
from busyd.credentials import FromFile
from busyd.os_errors import fault_of, passes_by_itself
from busyd.regular_file import read_regular_file

_LONGEST_SOCKET: Final = 107
"""Bytes of a path that `sockaddr_un` has room for."""
_BELONG: Final = "name the key that the certificate was made with, or have both made anew"


def find_file_faults(config: Config) -> list[Fault]:
    """What would keep the daemon from using its certificate. Raises TryAgain when the disk does not let us read it."""
    return [Fault(config.places[name], f"{name}: {message}") for name, message in _look_at(config.tls)]


def find_password_faults(config: Config) -> list[Fault]:
    """Files with a password that this user may not read."""
    return [
        Fault(config.places[f"password of {name}"], f"password: {why_unreadable(settings.password.path)}")
        for name, settings in config.connections.items()
        if isinstance(settings.password, FromFile) and not is_readable(settings.password.path)
    ]


def find_socket_faults(config: Config) -> list[Fault]:
    """Paths at which no socket can be. Under systemd the directory may exist only while the unit runs."""
    return [
        Fault(config.places[str(listen)], f"listen: {message}")
        for listen in config.listen
        if isinstance(listen, UnixAddress) and (message := _look_at_socket(listen.path))
    ]


def _look_at_socket(path: Path) -> str:
    length = len(os.fsencode(path))
    if length > _LONGEST_SOCKET:
        return f"the path has {length} bytes, and the path of a socket can have {_LONGEST_SOCKET}: name a shorter one"
    try:
        if not stat.S_ISDIR(path.parent.stat().st_mode):
            return f"{path.parent} is not a directory: name another path"
        if os.path.lexists(path) and not stat.S_ISSOCK(path.lstat().st_mode):
            return f"{path} is not a socket: move it away, or name another path"
    except FileNotFoundError:
        return f"there is no directory {path.parent}: make it, or let systemd do so with RuntimeDirectory="
    except OSError as error:
        if passes_by_itself(error):
            raise fault_of(error, f"cannot look at {path}") from None
        return _told(path, error)
    return ""


def _look_at(tls: Tls | None) -> Iterator[tuple[str, str]]:
    if tls is None:
        return
    texts: dict[str, bytes] = {}
    for name, path in (("cert", tls.cert), ("key", tls.key)):
        try:
            texts[name] = read_regular_file(path)
        except FileNotFoundError:
            yield name, f"there is no file {path}"
        except OSError as error:
            if passes_by_itself(error):
                raise fault_of(error, f"cannot read {path}") from None
            yield name, _told(path, error)
    if "cert" in texts and b"-----BEGIN CERTIFICATE-----" not in texts["cert"]:
        yield "cert", f"{tls.cert} holds no certificate in PEM: it would begin with -----BEGIN CERTIFICATE-----"
    elif "key" in texts and b" PRIVATE KEY-----" not in texts["key"]:
        yield "key", f"{tls.key} holds no private key in PEM: it would begin with -----BEGIN PRIVATE KEY-----"
    elif "key" in texts and b"ENCRYPTED" in texts["key"]:
        yield "key", f"{tls.key} wants a passphrase, and nobody is there to type it: store the key without one"
    elif len(texts) == 2:
        yield from _try_out(tls.cert, tls.key)


def _try_out(cert: Path, key: Path) -> Iterator[tuple[str, str]]:
    import ssl  # ten milliseconds of a start that most configurations need not wait for

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            yield "key", f"{key} does not belong to the certificate {cert}: {_BELONG}"
        else:
            why = (error.reason or "unknown").replace("_", " ").lower()
            yield "cert", f"{cert} and {key} cannot be used ({why}): {_BELONG}"


def _told(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return why_unreadable(path)
    return f"cannot read {path}: {(error.strerror or 'it cannot be opened').lower()}"
