"""The real daemon on a bad day: what it takes of memory and of the loop meanwhile, held against its bounds."""

import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.figures import Figure, count, table
from tests.bench.processes import Server, waited
from tests.bench.seed import Household
from tests.bench.steady import held_up
from tests.bench.workshop import busyd

LONGEST_PIECE: Final = 50.0
"""Milliseconds of CPU for which the loop may work in one piece."""
MOST_MEMORY: Final = 512.0
"""Megabytes that the unit allows (MemoryMax=), of the daemon and its worker together."""
_STEP: Final = 0.2


@dataclass
class Watch:
    """One daemon under watch."""

    daemon: Server
    household: Household
    stalls: Path
    memory: float = 0.0
    """Megabytes at the most, of all its processes, without what the kernel can take back."""
    slowest: float = 0.0
    """Seconds that `/healthz` took at the most, without those for which others had the processor."""
    _over: threading.Event = field(default_factory=threading.Event)

    def figures(self, what: str) -> list[Figure]:
        """What was seen, with the bounds."""
        longest = max((cpu for _, cpu in held_up(self.stalls, 0)), default=0.0) if self.stalls.exists() else 0.0
        return [
            count(14, f"{what}: longest work of the loop", value=longest, at_most=LONGEST_PIECE, unit=" ms CPU"),
            count(14, f"{what}: /healthz at the slowest", value=self.slowest * 1000, at_most=50, unit=" ms"),
            count(14, f"{what}: memory at most", value=self.memory, at_most=MOST_MEMORY, unit=" MB"),
        ]

    def get(self, path: str, *, method: str = "GET", seconds: float = 600) -> bytes:
        """The body of an answer to the daemon's own user."""
        url = f"http://127.0.0.1:{self.daemon.port}{path}"
        request = urllib.request.Request(url, b"" if method == "POST" else None, method=method)
        request.add_header("Authorization", f"Bearer {self.household.admin_token()}")
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            body: bytes = answer.read()
            return body

    def look_until_over(self) -> None:
        """Look again and again."""
        while not self._over.wait(_STEP):
            self.memory = max(self.memory, anonymous_memory(self.daemon.process.pid))
            before, stolen = time.monotonic(), self.daemon.waited + _waited_here()
            with urllib.request.urlopen(f"http://127.0.0.1:{self.daemon.port}/healthz", timeout=600) as answer:
                answer.read()
            took = time.monotonic() - before - (self.daemon.waited + _waited_here() - stolen)
            self.slowest = max(self.slowest, took)

    def end(self) -> None:
        """Stop looking."""
        self._over.set()


@contextmanager
def watched(household: Household, folder: Path, *options: str) -> Iterator[Watch]:
    """A daemon on a household, watched until the block ends. `options` go to `tests/bench/entry.py`."""
    stalls = folder / f"stalls-{time.monotonic_ns()}"
    with busyd(household, "--stalls", str(stalls), *options, settled=False, pin=False) as daemon:
        watch = Watch(daemon, household, stalls)
        looking = threading.Thread(target=watch.look_until_over)
        looking.start()
        try:
            yield watch
        finally:
            watch.end()
            looking.join()


def tell(figures: Sequence[Figure]) -> int:
    """Print what was found; the exit status."""
    print(table(figures), flush=True)
    return 0 if all(one.reached is not False for one in figures) else 1


def anonymous_memory(pid: int) -> float:
    """Megabytes of a process and those it has started; what it has of files is left out."""
    total, waiting = 0, [pid]
    while waiting:
        one = Path(f"/proc/{waiting.pop()}")
        try:
            for line in (one / "status").read_text().splitlines():
                if line.startswith(("RssAnon:", "RssShmem:")):
                    total += int(line.split()[1])
            for task in (one / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return total / 1024


def _waited_here() -> float:
    """The same for the thread that asks."""
    return waited(threading.get_native_id())
