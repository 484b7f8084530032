"""Sync tokens, ctags and ETags in the shapes iCloud gives them. Which state a token stands for, its calendar knows."""

import base64
import hashlib
import itertools
import random
from collections.abc import Iterator

_FIRST = bytes.fromhex("1f0a10120c0000")  # in text: HwoQEgwAA
_LAST = bytes.fromhex("28004800")  # in text: KABIAA==
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


def mint_token(scope: str, revision: int) -> str:
    """Base64 text of 64 characters with `+`, `/` and `=` in it, which a client that URL-encodes will break.

    The same scope and revision give the same token; a token is no URI, contrary to RFC 6578.
    """
    for attempt in itertools.count():
        fields = hashlib.sha256(f"{scope} {revision} {attempt}".encode()).digest()[:31]
        token = base64.b64encode(_FIRST + revision.to_bytes(4, "big") + fields + _LAST).decode()
        if "+" in token and "/" in token:
            return token
    raise AssertionError("unreachable")


def mint_etags() -> Iterator[str]:
    """Quoted base-36 words like "kkkgopik": unique, and in no order that means anything."""
    steps = random.Random(36)
    number = int("kkkgopik", 36)
    while True:
        number += steps.randrange(1, 40_000)
        yield f'"{_base36(number)}"'


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _LETTERS[digit] + digits
    return digits
