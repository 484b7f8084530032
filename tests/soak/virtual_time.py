"""Virtual time for a whole process: it stands still while anybody works, and jumps to the next timer when nobody does.

`Time` takes the place of the clocks of the module `time`, and `VirtualLoop` that of the event loop. Days pass as fast
as the work in them can be done, and no timeout strikes because the machine is slow: before time passes, all other
threads of the process, its children and the processes named as its partners must be asleep with nothing left to read.
"""

import asyncio
import concurrent.futures
import os
import queue
import selectors
import subprocess
import threading
import time
from collections.abc import Iterable
from typing import Final

_KEEP_REAL_TIME: Final = (concurrent.futures, queue, subprocess, threading)
"""Imported first: these have taken `time.monotonic` for themselves, and wait for locks, which know real time only."""
_LOOK: Final = 0.0001
"""Real seconds between two looks whether somebody still works."""


class Time:
    """Wall and monotonic time. While the machine sleeps the wall goes on alone, as CLOCK_MONOTONIC does in Linux."""

    def __init__(self, wall: float) -> None:
        self._wall, self.passed = wall, 0.0

    def time(self) -> float:
        return self._wall + self.passed

    def monotonic(self) -> float:
        return 1000.0 + self.passed

    def sleep_of_the_machine(self, seconds: float) -> None:
        """A lid is closed and opened again."""
        self._wall += seconds

    def install(self) -> None:
        """Have everything in this process that asks the module `time` ask this one."""
        time.time = self.time
        time.time_ns = lambda: int(self.time() * 1e9)
        time.monotonic = self.monotonic


class _Selector(selectors.DefaultSelector):
    """Where the loop waits. Real time passes here only while somebody works."""

    def __init__(self, clock: Time, partners: Iterable[int]) -> None:
        super().__init__()
        self._clock, self._partners = clock, tuple(partners)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if ready := super().select(0):
            return ready
        if timeout is not None and timeout <= 0:
            return []
        while True:
            before = self._at_rest()
            if ready := super().select(_LOOK if before is None else 0):
                return ready
            if before is not None and before == self._at_rest():
                break
        if timeout is None:
            return super().select(None)
        self._clock.passed += timeout
        return []

    def _at_rest(self) -> dict[str, bytes] | None:
        """How often each thread of all these processes has run, but ours; None when one of them is not asleep."""
        found = {}
        own = os.getpid()
        for pid in (*self._partners, own, *_children(own)):
            for thread in _threads(pid):
                place = f"/proc/{pid}/task/{thread}"
                if pid == own and int(thread) == own:
                    continue
                if _read(f"{place}/stat").rpartition(b") ")[2][:1] not in (b"S", b"Z"):
                    return None
                found[place] = _read(f"{place}/schedstat")
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """The event loop whose timers are those of `clock`."""

    def __init__(self, clock: Time, partners: Iterable[int]) -> None:
        self._virtual = clock
        super().__init__(_Selector(clock, partners))

    def time(self) -> float:
        return self._virtual.monotonic()


def _threads(pid: int) -> list[str]:
    try:
        return [one.name for one in os.scandir(f"/proc/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _children(pid: int) -> list[int]:
    return [int(child) for thread in _threads(pid) for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def _read(path: str) -> bytes:
    """A small file, or nothing when it has just gone. Every microsecond counts: this is done millions of times."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, ProcessLookupError):
        return b""
    try:
        return os.read(descriptor, 4096)
    except ProcessLookupError:
        return b""
    finally:
        os.close(descriptor)
