"""The files that only the daemon opens: certificate, key and the places of sockets. Looked at by `run` and `check`.

Not by every command: who may ask the daemon need not be able to read its key.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from busyd.address import UnixAddress
from busyd.config.fault import Fault
from busyd.config.model import Config, Tls

_BELONG: Final = "name the key that the certificate was made with, or have both made anew"


def find_file_faults(config: Config) -> list[Fault]:
    """What would keep the daemon from using its certificate."""
    return [Fault(config.places[name], f"{name}: {message}") for name, message in _look_at(config.tls)]


def find_socket_faults(config: Config) -> list[Fault]:
    """Sockets whose directory does not exist. Under systemd it may do so only while the unit runs."""
    return [
        Fault(
            config.places[str(listen)],
            f"listen: there is no directory {listen.path.parent}: make it, or let systemd do so with RuntimeDirectory=",
        )
        for listen in config.listen
        if isinstance(listen, UnixAddress) and not listen.path.parent.is_dir()
    ]


def _look_at(tls: Tls | None) -> Iterator[tuple[str, str]]:
    if tls is None:
        return
    texts: dict[str, bytes] = {}
    for name, path in (("cert", tls.cert), ("key", tls.key)):
        try:
            texts[name] = path.read_bytes()
        except OSError as error:
            yield name, f"cannot read {path}: {_told(error)}"
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


def _told(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"the user busyd runs as (number {os.geteuid()}) may not: change its owner or mode"
    return (error.strerror or "it cannot be opened").lower()
