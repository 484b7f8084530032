"""Faults of a configuration: what is wrong, where, and what was probably meant. No YAML here."""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from busyd.credentials import looks_app_specific
from busyd.errors import UserError


class SourceLocation(Struct, frozen=True, order=True):
    """Where something is written; lines and columns count from 1."""

    file: str
    line: int = 1
    column: int = 1

    @property
    def short(self) -> str:
        """`FILE:LINE`, as explanations name it."""
        return f"{self.file}:{self.line}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ConfigFault(Struct, frozen=True, order=True):
    """One thing to correct. The message never holds the value of a password."""

    location: SourceLocation
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


class ConfigFaults(UserError):
    """Everything that is wrong with a configuration, in the order of the files."""

    def __init__(self, faults: Iterable[ConfigFault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class ConfigMissing(UserError):
    """There is no configuration file in any of the standard locations."""


_QUOTABLE = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]{1,40}")


def quote(text: str) -> str:
    """The part of a value that may appear in a message: its first word, shortened, and never an app-specific password.

    A typing mistake can pull the rest of a line, and with it a password, into the value before it.
    """
    if not text:
        return "''"
    if looks_app_specific(text):
        return "'…'"
    match = _QUOTABLE.match(text)
    shown = match.group() if match else ""
    return f"'{shown}'" if shown == text else f"'{shown}…'"


def one_of(words: Sequence[str]) -> str:
    """`a, b or c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
