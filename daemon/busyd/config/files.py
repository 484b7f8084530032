"""The files that only the daemon opens: certificate, key and sockets. Checked by `run` and `check`.

Other commands do not check them: a user who may ask the daemon need not be able to read its key.
"""

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from busyd.address import UnixAddress
from busyd.config.errors import ConfigFault
from busyd.config.model import Config, Tls
from busyd.config.permission import is_readable, why_unreadable
from busyd.credentials import FromFile
from busyd.os_errors import fault_of, passes_by_itself
from busyd.regular_file import read_regular_file

_LONGEST_SOCKET: Final = 107
"""Bytes of a path that `sockaddr_un` has room for."""
_BELONG: Final = "use the key that belongs to the certificate, or create both again"


def find_file_faults(config: Config, *, made_at_start: Collection[Path] = ()) -> list[ConfigFault]:
    """What would keep the daemon from using its certificate. Raises TryAgain on a temporary disk error.

    `made_at_start`: directories that systemd makes when it starts the service; nothing is missing in them before.
    """
    faults = _check_tls(config.tls, made_at_start)
    return [ConfigFault(config.locations[name], f"{name}: {message}") for name, message in faults]


def find_password_faults(config: Config) -> list[ConfigFault]:
    """Password files that this user may not read."""
    return [
        ConfigFault(config.locations[f"password of {name}"], f"password: {why_unreadable(settings.password.path)}")
        for name, settings in config.connections.items()
        if isinstance(settings.password, FromFile) and not is_readable(settings.password.path)
    ]


def find_socket_faults(config: Config, *, made_at_start: Collection[Path] = ()) -> list[ConfigFault]:
    """Paths at which no socket can be created; `made_at_start` as above."""
    return [
        ConfigFault(config.locations[str(listen)], f"listen: {message}")
        for listen in config.listen
        if isinstance(listen, UnixAddress) and (message := _check_socket(listen.path, made_at_start))
    ]


def _check_socket(path: Path, made_at_start: Collection[Path]) -> str:
    length = len(os.fsencode(path))
    if length > _LONGEST_SOCKET:
        return f"the path is {length} bytes long, but a socket path can have at most {_LONGEST_SOCKET}"
    try:
        if not stat.S_ISDIR(path.parent.stat().st_mode):
            return f"{path.parent} is not a directory"
        if os.path.lexists(path) and not stat.S_ISSOCK(path.lstat().st_mode):
            return f"{path} exists and is not a socket; move it away, or use another path"
    except FileNotFoundError:
        if _is_made_later(path, made_at_start):
            return ""
        return f"there is no directory {path.parent}; create it, or have systemd create it with RuntimeDirectory="
    except OSError as error:
        if passes_by_itself(error):
            raise fault_of(error, f"cannot access {path}") from None
        return _reason(path, error)
    return ""


def _is_made_later(path: Path, made_at_start: Collection[Path]) -> bool:
    return Path(os.path.realpath(path.parent)) in {Path(os.path.realpath(folder)) for folder in made_at_start}


def _check_tls(tls: Tls | None, made_at_start: Collection[Path]) -> Iterator[tuple[str, str]]:
    if tls is None:
        return
    texts: dict[str, bytes] = {}
    for name, path in (("cert", tls.cert), ("key", tls.key)):
        try:
            texts[name] = read_regular_file(path)
        except FileNotFoundError:
            if not _is_made_later(path, made_at_start):
                yield name, f"there is no file {path}"
        except OSError as error:
            if passes_by_itself(error):
                raise fault_of(error, f"cannot read {path}") from None
            yield name, _reason(path, error)
    if "cert" in texts and b"-----BEGIN CERTIFICATE-----" not in texts["cert"]:
        yield "cert", f"{tls.cert} contains no PEM certificate (-----BEGIN CERTIFICATE-----)"
    elif "key" in texts and b" PRIVATE KEY-----" not in texts["key"]:
        yield "key", f"{tls.key} contains no PEM private key (-----BEGIN PRIVATE KEY-----)"
    elif "key" in texts and b"ENCRYPTED" in texts["key"]:
        yield "key", f"{tls.key} is encrypted; store the key without a passphrase"
    elif len(texts) == 2:
        yield from _try_out(tls.cert, tls.key)


def _try_out(cert: Path, key: Path) -> Iterator[tuple[str, str]]:
    import ssl  # takes ten milliseconds, which a start without TLS need not spend

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            yield "key", f"{key} does not belong to the certificate {cert}: {_BELONG}"
        else:
            why = (error.reason or "unknown").replace("_", " ").lower()
            yield "cert", f"{cert} and {key} cannot be used ({why}): {_BELONG}"


def _reason(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return why_unreadable(path)
    return f"cannot read {path}: {(error.strerror or 'unknown reason').lower()}"
