"""What busyd tells the service manager (sd_notify(3)): READY, RELOADING, STOPPING, STATUS, pauses and heartbeats."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import sdnotify

_TIME_TO_START: Final = 60.0
"""Seconds a start may take once its pause is over (TimeoutStartSec= of the unit)."""


class ServiceManager:
    """Speaks to systemd where `$NOTIFY_SOCKET` is set; elsewhere every call is silent."""

    def __init__(self) -> None:
        # Without the variable sdnotify leaves a socket open that it never uses.
        self._notifier = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None

    @property
    def present(self) -> bool:
        """Whether a service manager started this process and listens."""
        return self._notifier is not None and self._notifier.socket is not None

    def starting_later(self, seconds: float, status: str) -> None:
        """The start begins only after a pause, for which its timeout is extended."""
        microseconds = round((seconds + _TIME_TO_START) * 1_000_000)
        self._send(f"EXTEND_TIMEOUT_USEC={microseconds}\nSTATUS={_one_line(status)}")

    def ready(self, status: str) -> None:
        """Listening, and answering from what is known."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def reloading(self) -> None:
        """A new configuration is being read; `ready` ends it. Newer systemd wants the moment (Type=notify-reload)."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def status(self, text: str) -> None:
        """The line that `systemctl status` shows: counts, never names."""
        self._send(f"STATUS={_one_line(text)}")

    def stopping(self) -> None:
        self._send("STOPPING=1\nSTATUS=stopping")

    async def watchdog(self, alive: Callable[[], Awaitable[object]]) -> None:
        """Send heartbeats from the loop, each after `alive` answered, at half the interval systemd asks for.

        A loop that hangs, or a store that no longer answers, lets the watchdog bite.
        """
        interval = watchdog_seconds(os.environ)
        while interval is not None:
            await alive()
            self._send("WATCHDOG=1")
            await asyncio.sleep(interval / 2)

    def close(self) -> None:
        """Let go of the socket; nothing is sent any more."""
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.close()

    def _send(self, state: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(state)


def watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """`$WATCHDOG_USEC` in seconds when it is meant for this process, else None."""
    pid, microseconds = environment.get("WATCHDOG_PID", ""), environment.get("WATCHDOG_USEC", "")
    meant_for_us = not pid or pid == str(os.getpid())
    return int(microseconds) / 1e6 if meant_for_us and microseconds.isdigit() and int(microseconds) > 0 else None


def _one_line(text: str) -> str:
    return " ".join(text.split())
