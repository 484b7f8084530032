"""Servers as processes: started, put on a core, asked what CPU time and memory they took, ended. No measuring."""

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.journey.daemon import TIMEOUT
from tests.ports import free_port

REPOSITORY: Final = Path(__file__).parents[2]
SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
"""Server and load generator each have their own core, where there are two."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server on a port of this machine."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def cpu(self) -> float:
        """Seconds of CPU it has used, all threads together, to the nanosecond (`/proc` counts in steps of 10 ms)."""
        return time.clock_gettime((~self.process.pid << 3) | 2)  # MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)

    @property
    def waited(self) -> float:
        """Seconds its main thread was ready to run while others had the processor."""
        return waited(self.process.pid)

    def memory(self, field: str = "VmRSS") -> float:
        """Megabytes from `/proc/PID/status`: VmRSS now, VmHWM at the highest."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
        raise LookupError(field)

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def settle(self) -> None:
        """Wait until it has nothing more to do of its own: a fifth of a second with little CPU used."""
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            before = self.cpu
            time.sleep(0.2)
            if self.cpu - before < 0.03:
                return


@contextmanager
def server(
    module: str,
    *arguments: str,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
    pin: bool = True,
) -> Iterator[Server]:
    """Run `python -m MODULE ARGUMENTS...`, which listens on `port`, until the block ends.

    `{port}` in an argument is replaced. It is waited for until somebody accepts a connection.
    """
    number = port or free_port()
    with spawn([module, *(one.replace("{port}", str(number)) for one in arguments)], environment) as process:
        until = time.monotonic() + TIMEOUT
        while process.poll() is None and not _accepts(number) and time.monotonic() < until:
            time.sleep(0.02)
        if process.poll() is not None:
            message = f"{module} ended with status {process.returncode}"
            raise RuntimeError(message)
        if pin:
            put_on_core(process.pid, SERVER_CORE)
        yield Server(process, number)


@contextmanager
def spawn(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None, *, stdout: int | None = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process with a module; ended with SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=REPOSITORY,
        env=clean_environment(environment),
        stdout=stdout,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def environment_of_the_unit() -> dict[str, str]:
    """The variables that systemd gives the service; they decide how the allocator works."""
    unit = (REPOSITORY / "systemd" / "busyd.service").read_text()
    lines = [line.partition("=")[2] for line in unit.splitlines() if line.startswith("Environment=")]
    return dict(variable.split("=", 1) for line in lines for variable in line.split())


def clean_environment(further: Mapping[str, str] | None = None) -> dict[str, str]:
    """Nothing of the caller's that changes what is measured."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, "TZ": "UTC", **(further or {})}


def waited(pid: int | None = None) -> float:
    """Seconds the main thread of a process, or of this one, was ready to run while others had the processor."""
    return int(Path(f"/proc/{pid or 'self'}/schedstat").read_text().split()[1]) / 1e9


def put_on_core(pid: int, core: int) -> None:
    """Keep a process, and the threads it starts from now on, on one core; does nothing where there is only one."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {core})


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Keep this process, and those it starts meanwhile, on one core; does nothing where there is only one."""
    before = os.sched_getaffinity(0)
    put_on_core(os.getpid(), core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def children_cpu() -> float:
    """CPU seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
