"""What is wrong with a configuration, where, and what was probably meant. No YAML here."""

import difflib
import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from busyd.credentials import looks_app_specific
from busyd.errors import UserError


class Place(Struct, frozen=True, order=True):
    """Where something stands; lines and columns count from 1."""

    file: str
    line: int = 1
    column: int = 1

    @property
    def short(self) -> str:
        """`FILE:LINE`, as explanations name it."""
        return f"{self.file}:{self.line}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Fault(Struct, frozen=True, order=True):
    """One thing to correct. The message never holds the value of a password."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class ConfigFaults(UserError):
    """Everything that is wrong with a configuration, in the order in which it stands in the files."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class ConfigMissing(UserError):
    """There is no configuration file in any of the usual places."""


_QUOTABLE = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]{1,40}")


def quote(text: str) -> str:
    """What of a value may be shown in a message: its first word, cut short, and nothing that looks like a password.

    A slip of the keyboard can put the rest of a line, and so a password, into the value in front of it.
    """
    if not text:
        return "''"
    if looks_app_specific(text):
        return "'…'"
    found = _QUOTABLE.match(text)
    shown = found.group() if found else ""
    return f"'{shown}'" if shown == text else f"'{shown}…'"


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """`, did you mean 'poll'?` for the nearest known word, else an empty text."""
    words = list(known)
    folded = {word.casefold(): word for word in words}
    near = difflib.get_close_matches(text.casefold(), folded, n=1, cutoff=0.6)
    return f", did you mean '{folded[near[0]]}'?" if near else ""


def one_of(words: Sequence[str]) -> str:
    """`a, b or c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
