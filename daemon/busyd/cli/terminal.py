"""Output of commands: tables, JSON and errors, safe for a terminal. Progress is `progress.py`."""

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from busyd.errors import BusydError

_ANNOUNCE_AFTER: Final = 1.0
_NARROWEST: Final = 8
_INDENT: Final = " " * len("busyd: ")
_WHOLE: Final = ("", "ID")
"""Columns that are copied as they are, so not folded unless they would leave no room for the others."""
_LONGEST_WHOLE: Final = 24
_GOOD: Final = ("ok", "fresh", "read", "free", "FREE")
_DOUBTFUL: Final = ("stale", "starting", "loading", "tentative", "BUSY-TENTATIVE", "unused", "not-linked")
_BAD: Final = ("trouble", "missing", "never-read", "incomplete", "not-app-specific", "unconfigured", "BUSY-UNAVAILABLE")
_STYLES: Final = {
    **dict.fromkeys(_GOOD, "green"),
    **dict.fromkeys(_DOUBTFUL, "yellow"),
    **dict.fromkeys((*_BAD, "unavailable"), "red"),
    **dict.fromkeys(("busy", "BUSY"), "bold"),
}
"""What a cell may say in one word, and how it looks on a terminal."""


def print_error(error: BusydError) -> None:
    """`busyd: message` on standard error, and below it what to do; faults of a configuration one per line.

    In the journal, every line has the priority of an error, and of many faults there are only the first.
    """
    from busyd.log import error_prefix, first_few  # not needed by a command that succeeds

    prefix = error_prefix(sys.stderr, os.environ)
    for line in _lines_of(error, shown=first_few if prefix else list):
        print_note(f"{prefix}{line}", indent=_INDENT if line.startswith("busyd:") else "")


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
        yield f"{_INDENT}{printable(step)}"


def print_json(value: Any) -> None:
    """One JSON document, indented, for scripts and people."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns that fit the terminal: what is longer is folded within its column.

    In a pipe or a file each row is one line, so that `grep` finds whole rows. Colour on a terminal alone, and not with
    NO_COLOR (no-color.org). Where neither is needed, rich is not loaded.
    """
    cells = [[printable(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    wide = any(not cell.isascii() for row in cells for cell in row)
    if sys.stdout.isatty() or wide:
        _print_rich_table(cells)
        return
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_rich_table(cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    is_terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for number, header in enumerate(cells[0]):
        whole = header in _WHOLE and widths[number] <= _LONGEST_WHOLE
        table.add_column(
            Text(header), overflow="fold", no_wrap=whole, min_width=None if whole else min(widths[number], _NARROWEST)
        )
    for row in cells[1:]:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    # A character takes two columns at the most; behind each cell there are two of padding.
    unfolded = sum(2 * width + 2 for width in widths)
    console = Console(width=None if is_terminal else unfolded, highlight=False, soft_wrap=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def announce_wait() -> threading.Timer:
    """Say on a terminal, after a second, that the daemon is being waited for; to be cancelled when it has answered."""
    timer = threading.Timer(_ANNOUNCE_AFTER, print_note, ["waiting for the daemon ..."])
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    return timer


def printable(text: str) -> str:
    """The text without control characters: a calendar's name must not control the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def print_reminders(names: Sequence[str], *, gap: str = "\n") -> None:
    """Tell of lists that are no calendars, below those, after a gap; nothing when there are none."""
    if names:
        print(f"{gap}Reminders lists, which hold no events and never block: {', '.join(map(printable, names))}")


def print_note(text: str, *, indent: str = "") -> None:
    """A note beside the result, on standard error so that it is not taken for data.

    On a terminal it is folded between words, and what is folded is indented by `indent` more. Elsewhere it is one line.
    """
    line = printable(text)
    if sys.stderr.isatty():
        import textwrap

        own = line[: len(line) - len(line.lstrip())]
        width = max(shutil.get_terminal_size().columns, 20)
        line = textwrap.fill(
            line, width, subsequent_indent=own + indent, break_long_words=False, break_on_hyphens=False
        )
    print(line, file=sys.stderr)
