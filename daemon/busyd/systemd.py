"""Notifications to the service manager (sd_notify(3)): READY, RELOADING, STOPPING, STATUS, pauses and heartbeats."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import sdnotify

_TIME_TO_START: Final = 60.0
"""Seconds a start may take once its pause is over (TimeoutStartSec= of the unit)."""


class ServiceManager:
    """Notifies systemd if `$NOTIFY_SOCKET` is set; otherwise, every call does nothing."""

    def __init__(self) -> None:
        # Without the variable, sdnotify opens a socket that it never uses.
        self._notifier = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None

    @property
    def present(self) -> bool:
        """Whether a service manager started this process and listens to it."""
        return self._notifier is not None and self._notifier.socket is not None

    def starting_later(self, seconds: float, status: str) -> None:
        """The start is delayed, and its timeout extended accordingly."""
        microseconds = round((seconds + _TIME_TO_START) * 1_000_000)
        self._send(f"EXTEND_TIMEOUT_USEC={microseconds}\nSTATUS={_one_line(status)}")

    def ready(self, status: str) -> None:
        """Listening, and answering from the mirror."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def reloading(self) -> None:
        """A new configuration is being read, until `ready`. Type=notify-reload of newer systemd needs the timestamp."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def status(self, text: str) -> None:
        """The status line of `systemctl status`: counts, never names."""
        self._send(f"STATUS={_one_line(text)}")

    def stopping(self) -> None:
        self._send("STOPPING=1\nSTATUS=stopping")

    async def watchdog(self, alive: Callable[[], Awaitable[object]]) -> None:
        """Send heartbeats from the loop at half the interval of the watchdog, each after `alive` has returned.

        If the loop hangs or the store no longer responds, the watchdog restarts the service.
        """
        interval = watchdog_seconds(os.environ)
        while interval is not None:
            await alive()
            self._send("WATCHDOG=1")
            await asyncio.sleep(interval / 2)

    def close(self) -> None:
        """Close the socket; nothing is sent after that."""
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.close()

    def _send(self, state: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(state)


def watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """`$WATCHDOG_USEC` in seconds if it is meant for this process, else None."""
    pid, microseconds = environment.get("WATCHDOG_PID", ""), environment.get("WATCHDOG_USEC", "")
    meant_for_us = not pid or pid == str(os.getpid())
    return int(microseconds) / 1e6 if meant_for_us and microseconds.isdigit() and int(microseconds) > 0 else None


def _one_line(text: str) -> str:
    return " ".join(text.split())
