"""Goal 10: what those who ask notice of a full sync with its import, 200 questions a second that nobody holds back."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.figures import Figure, ratio, spread
from tests.bench.processes import Server
from tests.bench.seed import Household
from tests.bench.steady import ask_steadily, held_up, p99
from tests.bench.stub import Wish, control
from tests.bench.syncing import poll, running_stub, until_complete
from tests.bench.workshop import Workshop, busyd
from tests.journey.daemon import free_port

OBJECTS = 10_000


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
    """Goal 10: 10,000 mirrored objects all change at once, while 200 questions a second are asked."""
    idle, busy = [], []
    with running_stub(3, OBJECTS) as stub:
        os.setpriority(os.PRIO_PROCESS, stub.process.pid, 10)  # it shares a core with those who ask
        for number in range(2 if workshop.quick else 4):
            household = Household(workshop.folder / f"calm-{number}")
            household.configure(free_port(), url=f"http://127.0.0.1:{stub.port}/", poll="1d")
            stalls = workshop.folder / f"stalls-{number}"
            with busyd(household, "--stalls", str(stalls), pin=False, settled=False) as daemon:
                until_complete(daemon)
                daemon.settle()
                idle.append(_stay(daemon, stalls, lambda: time.sleep(4)))
                control(stub.port, Wish(objects=OBJECTS))
                busy.append(_stay(daemon, stalls, partial(poll, household, daemon)))
    for name, stays in (("idle", idle), ("full sync", busy)):
        workshop.say(f"  {name}: p99 {spread([one.p99 for one in stays], 'ms')}, {stays[0].asked} questions a round")
        workshop.say(f"    longest stall {spread([one.stall for one in stays], 'ms')}")
        workshop.say(f"    of it CPU of the loop {spread([one.work for one in stays], 'ms')}")
    return [
        ratio(10, "p99 in a full sync, of idle p99", _p99s(busy, idle), at_most=1.5),
        ratio(
            10, "longest work of the loop in one piece, full sync", [one.work for one in busy], at_most=10, unit=" ms"
        ),
        ratio(
            10,
            "longest stall by the wall clock, of an idle one's",
            [a.stall / b.stall for a, b in zip(busy, idle, strict=True)],
        ),
    ]


def _stay(daemon: Server, stalls: Path, work: Callable[[], object]) -> Stay:
    """Ask while `work` goes on in a thread of its own."""
    began = time.monotonic()
    thread = threading.Thread(target=work)
    thread.start()
    late = sorted(asyncio.run(ask_steadily(daemon.port, thread.is_alive)))
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
