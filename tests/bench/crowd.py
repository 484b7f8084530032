"""Goal 13: what a client that behaves notices of those that do not, and what they leave behind in the daemon."""

import asyncio
import json
import re
import subprocess
import time
from collections import Counter
from typing import Final

from tests.bench.figures import Figure, count, ratio, spread
from tests.bench.load import ask_once
from tests.bench.processes import Server, spawn
from tests.bench.seed import seed_spans
from tests.bench.steady import ask_steadily, held_up, p99
from tests.bench.workshop import Workshop, busyd

SECONDS: Final = 12
"""Of one stay in the crowd, and alone: longer than a connection may go without a whole request."""
_WARM: Final = 2
"""Seconds after which a daemon answers as fast as it will."""
SPANS: Final = 3000
"""In the horizon of a year and a half: some 38 a week."""
MALFORMED: Final = 10_000
"""Requests that must have been sent in all rounds together; those that only learned that there is no place aside."""
MEGABYTES_GROWN: Final = 4
"""From the end of the first stay in the crowd to that of the last: what one crowd needed, the next has to do with."""


def measure_crowd(workshop: Workshop) -> list[Figure]:
    """Goal 13: 200 questions a second, alone, and beside malformed requests, slow clients, 1,000 idle connections."""
    household = workshop.household("crowd", lambda one: seed_spans(one, SPANS))
    token, stalls = household.make_token(), workshop.folder / "stalls-crowd"
    alone, beside, work, memory = [], [], [], []
    malformed, others = Counter[str](), Counter[str]()
    with busyd(household, "--stalls", str(stalls), pin=False) as daemon:
        _stay_alone(daemon, token, seconds=_WARM)
        daemon.settle()
        descriptors, before = daemon.descriptors, daemon.memory()
        for _ in range(1 if workshop.quick else 5):
            alone.append(p99(_stay_alone(daemon, token, seconds=SECONDS // 2 if workshop.quick else SECONDS)))
            began = time.monotonic()
            late, told = _stay_beside(daemon, token)
            beside.append(p99(late))
            work.append(max((cpu for _, cpu in held_up(stalls, began)), default=0.0))
            malformed += Counter(told["malformed"])
            others += Counter(told["others"])
            daemon.settle()
            memory.append(daemon.memory())
        descriptors = daemon.descriptors - descriptors
        faults = _faults(daemon)
    for name, values in (("alone", alone), ("in the crowd", beside)):
        workshop.say(f"  {name}: p99 {spread(values, 'ms')}")
    for name, outcomes in (("malformed requests", malformed), ("idle connections", others)):
        workshop.say(f"  {name}: {', '.join(f'{number:,} {what}' for what, number in sorted(outcomes.items()))}")
    errors = sum(number for status, number in (malformed + others).items() if status.startswith("5"))
    found_place = malformed.total() - malformed["full"]
    return [
        ratio(
            0,
            "p99 in the crowd, of p99 alone",
            values=[b / a for a, b in zip(alone, beside, strict=True)],
            at_most=1.5,
        ),
        ratio(0, "longest work of the loop in one piece, in the crowd", values=work, at_most=10, unit=" ms"),
        count(0, "malformed requests for which there was a place", value=found_place, at_least=MALFORMED),
        count(0, "answers 5xx to the crowd, faults of the daemon", value=errors + faults, at_most=0),
        count(0, "places refused to the crowd (503, Retry-After)", value=malformed["full"] + others["full"]),
        count(0, "descriptors still open after the crowd", value=descriptors, at_most=0),
        count(
            13, "memory grown, first to last crowd", value=memory[-1] - memory[0], at_most=MEGABYTES_GROWN, unit=" MB"
        ),
        count(0, "memory grown by the first crowd", value=memory[0] - before, unit=" MB"),
    ]


def _stay_alone(daemon: Server, token: str, *, seconds: float) -> list[float]:
    until = time.monotonic() + seconds
    return asyncio.run(ask_steadily(daemon.port, lambda: time.monotonic() < until, token=token))


def _stay_beside(daemon: Server, token: str) -> tuple[list[float], dict[str, dict[str, int]]]:
    """How late each answer was, and what the attackers were answered: sort of attacker -> answer -> how often."""
    line = ["tests.bench.attackers", str(daemon.port), str(SECONDS)]
    with spawn(line, stdout=subprocess.PIPE) as attackers:
        late = asyncio.run(ask_steadily(daemon.port, lambda: attackers.poll() is None, token=token))
        if attackers.returncode or attackers.stdout is None:
            message = f"the attackers ended with status {attackers.returncode}"
            raise RuntimeError(message)
        told: dict[str, dict[str, int]] = json.load(attackers.stdout)
        return late, told


def _faults(daemon: Server) -> int:
    """Answers 500 that the daemon counted."""
    told = asyncio.run(ask_once(daemon.port, "/metrics")).decode()
    found = re.search(r"^busyd_http_faults_total (\d+)\.0$", told, re.MULTILINE)
    if found is None:
        raise LookupError(told)
    return int(found[1])
