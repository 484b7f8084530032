"""Everything that rests on internals of aiohttp and asyncio, so that an upgrade has one file to check.

aiohttp tells what was wrong with a request only in the text of its errors, and answers with it; we say it in our own
words, without quoting the request. Texts may change with any minor version, so pyproject.toml has an upper bound. The
tests of what the parser refuses (`tests/http/test_refusals.py`) fail when one does.
"""

import asyncio
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from aiohttp.http_exceptions import BadHttpMethod, LineTooLong

_READ_AT_ONCE: Final = 16 * 1024


class ParseFault(Enum):
    """What aiohttp's parser refused."""

    TARGET_TOO_LONG = auto()
    FIELD_TOO_LONG = auto()
    TOO_MANY_FIELDS = auto()
    NO_HOST = auto()
    TWO_HOSTS = auto()
    REPEATED_FIELD = auto()
    TWO_LENGTHS = auto()
    BAD_LENGTH = auto()
    UNKNOWN_TRANSFER_ENCODING = auto()
    BAD_CHUNK = auto()
    BAD_FIELD_NAME = auto()
    BAD_FIELD_VALUE = auto()
    HTTP_2 = auto()
    BAD_VERSION = auto()
    BAD_TARGET = auto()
    TLS = auto()
    BAD_METHOD = auto()
    OTHER = auto()


_FAULTS: Final[Mapping[str, ParseFault]] = {
    "Too many headers": ParseFault.TOO_MANY_FIELDS,
    "Missing 'Host'": ParseFault.NO_HOST,
    "Duplicate 'Host'": ParseFault.TWO_HOSTS,
    "Duplicate": ParseFault.REPEATED_FIELD,
    "can't be present with": ParseFault.TWO_LENGTHS,
    "Content-Length": ParseFault.BAD_LENGTH,
    "Transfer-Encoding": ParseFault.UNKNOWN_TRANSFER_ENCODING,
    "chunk": ParseFault.BAD_CHUNK,
    "header token": ParseFault.BAD_FIELD_NAME,
    "header value": ParseFault.BAD_FIELD_VALUE,
    "Pause on PRI": ParseFault.HTTP_2,
    "Invalid HTTP version": ParseFault.BAD_VERSION,
    "url": ParseFault.BAD_TARGET,
    "HTTPS traffic": ParseFault.TLS,
}
"""Part of the message -> fault. The first that fits counts."""


def parse_fault(error: BaseException | None) -> ParseFault:
    """What the parser refused with this error."""
    if isinstance(error, LineTooLong):
        # QUIRK(aiohttp): only the type of what it quotes tells the request target from header fields.
        is_target = isinstance(error.args[0], bytearray)
        return ParseFault.TARGET_TOO_LONG if is_target else ParseFault.FIELD_TOO_LONG
    message = str(getattr(error, "message", ""))
    for part, fault in _FAULTS.items():
        if part in message:
            return fault
    return ParseFault.BAD_METHOD if isinstance(error, BadHttpMethod) else ParseFault.OTHER


def read_less_at_once(transport: asyncio.BaseTransport) -> None:
    """Have a new connection read 16 KiB at a time.

    QUIRK(asyncio): it reads into 256 KiB, which glibc maps and unmaps for every request; what fits in its heap costs
    less. Other loops have no such attribute.
    """
    if hasattr(transport, "max_size"):
        transport.max_size = _READ_AT_ONCE


def release(transport: asyncio.BaseTransport | None) -> None:
    """Let go of a lost connection.

    QUIRK(asyncio): a transport refers to itself by this attribute, and so stays, with its socket and everything that
    hangs on it, until a garbage collection, which then has thousands of them to look through.
    """
    if transport is not None and hasattr(transport, "_read_ready_cb"):
        transport._read_ready_cb = None
