"""Who is asking, and the 401 that never says why. Wrong, normal, blank-padded or revoked: all look the same."""

import base64
import binascii
from collections.abc import Mapping

from tests.icloud.exchange import Answer, empty

_BASIC = 'Basic realm="MMCalDav"'
_TOKEN = 'X-MobileMe-AuthToken realm="MMCalDav"'


def credentials_of(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """User name and password of a Basic header, exactly as sent; None without a usable one."""
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None


def challenge(*, from_edge: bool = False) -> Answer:
    """401, no body, and two `WWW-Authenticate` lines, or the edge's variant with both in one."""
    if from_edge:
        return empty(401, ("WWW-Authenticate", f"{_TOKEN}, {_BASIC}"), ("X-Apple-Filtered-At-Edge", "true"))
    return empty(401, ("WWW-Authenticate", _BASIC), ("WWW-Authenticate", _TOKEN))
