"""Output of commands: tables, JSON and errors, safe for a terminal. No colours; progress is `progress.py`."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from busyd.errors import BusydError


def print_error(error: BusydError) -> None:
    """`busyd: message` on standard error, and below it what to do; faults of a configuration one per line.

    In the journal, every line has the priority of an error, and of many faults there are only the first.
    """
    from busyd.log import error_prefix, first_few  # not needed by a command that succeeds

    prefix = error_prefix(sys.stderr, os.environ)
    for line in _lines_of(error, shown=first_few if prefix else list):
        print(f"{prefix}{line}", file=sys.stderr)


def _lines_of(error: BusydError, *, shown: Callable[[Sequence[str]], list[str]]) -> Iterator[str]:
    faults = getattr(error, "faults", None)
    if isinstance(faults, tuple):
        yield from shown([printable(str(fault)) for fault in faults])
        count = "1 error" if len(faults) == 1 else f"{len(faults)} errors"
        yield f"busyd: {count} in the configuration"
        return
    from busyd.advice.errors import next_step  # likewise

    yield f"busyd: {printable(str(error))}"
    if step := next_step(error):
        yield f"       {printable(step)}"


def print_json(value: Any) -> None:
    """One JSON document, indented, for scripts and people."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be; the last one is not padded."""
    cells = [[printable(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def printable(text: str) -> str:
    """The text without control characters: a calendar's name must not control the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def print_note(text: str) -> None:
    """A note beside the result, on standard error so that it is not taken for data."""
    print(printable(text), file=sys.stderr)
