"""Progress of long operations: bars on a terminal, plain lines elsewhere. rich is imported only for bars."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TextIO

from busyd.cli.terminal import printable


class ProgressDisplay(Protocol):
    """Shows one step after another."""

    def show(self, step: Mapping[str, Any]) -> None:
        """A step is `{"connection", "calendar", "phase", "done", "total"}`; any member may be missing."""


@contextlib.contextmanager
def open_progress(stream: TextIO) -> Iterator[ProgressDisplay]:
    """The display that suits the stream; bars are removed at the end."""
    if not stream.isatty():
        yield PlainProgress(stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(file=stream)) as bars:
        yield _BarProgress(bars)


class PlainProgress:
    """A line when a calendar enters a phase, at each tenth of a long one, and at its end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown: dict[str, tuple[str, int]] = {}

    def show(self, step: Mapping[str, Any]) -> None:
        name, phase, done, total = _read(step)
        tenth = done * 10 // total if total else 0
        if self._shown.get(name) != (phase, tenth):
            self._shown[name] = (phase, tenth)
            amount = f" {done} of {total}" if total else ""
            print(f"{name}: {phase}{amount}", file=self._stream, flush=True)


class _BarProgress:
    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def show(self, step: Mapping[str, Any]) -> None:
        name, phase, done, total = _read(step)
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=None)
        self._bars.update(self._tasks[name], description=f"{name} {phase}", completed=done, total=total or None)


def _read(step: Mapping[str, Any]) -> tuple[str, str, int, int]:
    connection, calendar = str(step.get("connection") or ""), str(step.get("calendar") or "")
    name = calendar if calendar.startswith(f"{connection}/") else f"{connection}/{calendar}".strip("/")
    done, total = (value if isinstance(value, int) else 0 for value in (step.get("done"), step.get("total")))
    return printable(name), printable(str(step.get("phase") or "reading")), done, total
