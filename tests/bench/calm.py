"""Goal 10: what those who ask notice of a full sync with its import, 200 questions a second that nobody holds back."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.figures import Figure, ratio, spread
from tests.bench.processes import Server
from tests.bench.seed import Household
from tests.bench.steady import ask_steadily, held_up, p99
from tests.bench.stub import Wish, control
from tests.bench.syncing import poll, running_stub, until_complete
from tests.bench.workshop import Workshop, bare, busyd
from tests.ports import free_port

OBJECTS = 10_000
_QUICK_OBJECTS = 4000


@dataclass(frozen=True, slots=True)
class Stay:
    """Some seconds under questions."""

    p99: float
    """Milliseconds from the moment a question was due."""
    longest: float
    stall: float
    """Milliseconds for which the loop was held up at most, wall time."""
    work: float
    """Milliseconds of CPU the loop's thread used at most without letting others run."""
    asked: int


def measure_calm(workshop: Workshop) -> list[Figure]:
    """Goal 10: 10,000 mirrored objects (4,000 with --quick) all change at once, beside 200 questions a second.

    The asker, the server of the calendars, busyd and its worker share two cores, so everybody waits for one at times.
    What that alone costs is told by a bare handler that is asked beside the same sync and has no part in it.
    """
    idle, busy, beside = [], [], []
    for number in range(1 if workshop.quick else 4):
        with _synced(workshop, f"calm-{number}") as (daemon, stalls, changed):
            idle.append(_stay(daemon, stalls, work=lambda: time.sleep(2 if workshop.quick else 4)))
            busy.append(_stay(daemon, stalls, work=changed()))
            daemon.settle()
            with bare(workshop, b"x" * 4096, pin=False) as other:
                beside.append(_stay(other, stalls, work=changed()))
    for name, stays in (("idle", idle), ("full sync", busy), ("bare handler beside a full sync", beside)):
        workshop.say(f"  {name}: p99 {spread([one.p99 for one in stays], 'ms')}, {stays[0].asked} questions a round")
    for name, stays in (("idle", idle), ("full sync", busy)):
        workshop.say(f"  {name}: longest stall {spread([one.stall for one in stays], 'ms')}")
        workshop.say(f"    of it CPU of the loop {spread([one.work for one in stays], 'ms')}")
    return [
        ratio(10, "p99 in a full sync, of a bare handler's beside one", values=_p99s(busy, beside), at_most=1.5),
        ratio(10, "p99 in a full sync, of idle p99", values=_p99s(busy, idle), at_most=1.5),
        ratio(10, "a bare handler's p99 beside a full sync, of idle p99", values=_p99s(beside, idle)),
        ratio(
            10,
            "longest work of the loop in one piece, full sync",
            values=[one.work for one in busy],
            at_most=5,
            unit=" ms",
        ),
        ratio(
            10,
            "longest stall by the wall clock, of an idle one's",
            values=[a.stall / b.stall for a, b in zip(busy, idle, strict=True)],
        ),
    ]


@contextmanager
def _synced(workshop: Workshop, name: str) -> Iterator[tuple[Server, Path, Callable[[], Callable[[], None]]]]:
    """A daemon that is up to date, the file of its stalls, and what changes all objects and returns how to sync.

    It is unpaced: what a server that is not iCloud is asked in a minute would be too little for a second sync.
    """
    objects = _QUICK_OBJECTS if workshop.quick else OBJECTS
    with running_stub(3, objects) as stub:
        os.setpriority(os.PRIO_PROCESS, stub.process.pid, 10)  # it has no core of its own
        household, stalls = Household(workshop.folder / name), workshop.folder / f"stalls-{name}"
        household.configure(free_port(), url=f"http://127.0.0.1:{stub.port}/", poll="1d")
        with busyd(household, "--stalls", str(stalls), "--unpaced", pin=False, settled=False) as daemon:
            until_complete(daemon)
            daemon.settle()

            def changed() -> Callable[[], None]:
                control(stub.port, Wish(objects=objects))
                return partial(poll, household, daemon)

            yield daemon, stalls, changed


def _stay(asked: Server, stalls: Path, *, work: Callable[[], object]) -> Stay:
    """Ask while `work` goes on in a thread of its own."""
    began = time.monotonic()
    thread = threading.Thread(target=work)
    thread.start()
    late = sorted(asyncio.run(ask_steadily(asked.port, thread.is_alive)))
    held = held_up(stalls, began)
    return Stay(
        p99=p99(late),
        longest=late[-1] * 1000,
        stall=max((wall for wall, _ in held), default=1.0),
        work=max((cpu for _, cpu in held), default=0.0),
        asked=len(late),
    )


def _p99s(busy: Sequence[Stay], idle: Sequence[Stay]) -> list[float]:
    return [one.p99 / other.p99 for one, other in zip(busy, idle, strict=True)]
