"""How the daemon is, in a line for the service manager."""

import asyncio
from collections.abc import Callable
from typing import Final

from busyd.state.state import State

_PAUSE: Final = 1.0


def describe_counts(state: State, *, refused: str) -> str:
    """Counts, never names; but a fault of the configuration, why a reload was `refused`, is told with its place."""
    before = f"reload refused, the old configuration stays: {refused}; " if refused else ""
    connections = state.connections.values()
    failing = sum(1 for connection in connections if connection.trouble)
    calendars = len(state.links.calendars & state.calendars.keys())
    return (
        f"{before}{len(state.profiles)} profiles, {calendars} calendars linked, "
        f"{len(connections) - failing} of {len(connections)} connections reachable"
    )


class StatusLine:
    """Has the line told whenever it may have changed, at most once a second.

    To count takes longer the more connections there are, and every poll of one may change the counts.
    """

    def __init__(self, tell: Callable[[], None], *, pause: float = _PAUSE) -> None:
        self._tell = tell
        self._pause = pause
        self._pausing: asyncio.TimerHandle | None = None
        self._has_changed = False

    def change(self) -> None:
        """Tell it, now or at the end of the pause."""
        self._has_changed = True
        if self._pausing is None:
            self._tell_and_pause()

    def close(self) -> None:
        """Tell nothing that waits."""
        if self._pausing is not None:
            self._pausing.cancel()
        self._pausing = None

    def _tell_and_pause(self) -> None:
        self._pausing = None
        if self._has_changed:
            self._has_changed = False
            self._tell()
            self._pausing = asyncio.get_running_loop().call_later(self._pause, self._tell_and_pause)
