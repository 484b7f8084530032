"""Which password goes over the wire: to Apple, none but an app-specific one. Pure.

The password of an Apple Account opens everything that a person has there, and CalDAV never takes it.
"""

import re
from typing import Final

from busyd.connection import Connection, ConnectionKind, PasswordShape
from busyd.credentials import Secret, looks_app_specific, normalise_app_specific
from busyd.remote.allowlist import Address, UnsafeUrl, to_ascii
from busyd.remote.errors import NotAppSpecific

_APPLES: Final = re.compile(r"(.+\.)?icloud\.com(\.cn)?\.?", re.ASCII)


def as_sent(connection: Connection, secret: Secret) -> Secret:
    """An app-specific password in the form that Apple takes, any other one as it is.

    Raises NotAppSpecific for one that may not be sent.
    """
    host = _host_of(connection)
    if not _is_apples(connection, host):
        return secret
    if looks_app_specific(secret.reveal()):
        return Secret(normalise_app_specific(secret.reveal()))
    if connection.allow_password_shape is PasswordShape.ANY:
        return secret
    raise NotAppSpecific(host)


def is_withheld(connection: Connection, secret: Secret) -> bool:
    """Whether this password is not sent for this connection."""
    try:
        as_sent(connection, secret)
    except NotAppSpecific:
        return True
    return False


def _is_apples(connection: Connection, host: str) -> bool:
    """Whether the server is Apple's, whatever the kind of the connection says."""
    return connection.kind is ConnectionKind.ICLOUD or _APPLES.fullmatch(host) is not None


def _host_of(connection: Connection) -> str:
    try:
        return Address.parse(to_ascii(connection.url)).origin.host
    except UnsafeUrl:
        return ""
