"""Goals 7, 8 and 11: a full sync beside the raw download of the same requests, an idle poll, and one changed event."""

import asyncio
import json
import math
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from busyd.clock import SystemClock
from tests.bench.download import BATCH
from tests.bench.figures import Figure, count, missing, ratio, spread
from tests.bench.load import Connection, question
from tests.bench.processes import LOAD_CORE, REPOSITORY, Server, clean_environment, put_on_core, server
from tests.bench.seed import Household
from tests.bench.stub import Exchange, Wish, control
from tests.bench.workshop import Workshop, busyd
from tests.journey.daemon import wait_for
from tests.ports import free_port

CALENDARS = 3
OBJECTS = 10_000
_SETTLED = 60.0
"""Seconds within which a poll must have become idle after a change."""
_LONGEST = 120.0
"""Seconds after which a sync has failed."""


@dataclass(frozen=True, slots=True)
class FullSync:
    """One first sync of an empty mirror."""

    seconds: float
    requests: int
    """Without those that discover the account."""
    discovery: int
    cpu: float
    memory: float
    """Megabytes at the highest."""


def measure_full_sync(workshop: Workshop) -> list[Figure]:
    """Goals 7 and 11: 10,000 objects in three calendars, every answer 30 ms late."""
    rounds = 1 if workshop.quick else 5
    raw, plain, whole = [], [], []
    with running_stub(CALENDARS, OBJECTS, "--delay", "30") as stub:
        for number in range(rounds):
            raw.append(download(stub, CALENDARS, objects=OBJECTS))
            plain.append(first_sync(workshop, stub, f"plain-{number}", "--without-expansion"))
            whole.append(first_sync(workshop, stub, f"whole-{number}"))
    for name, found in (("raw download", raw), ("durable store", plain), ("with expansion", whole)):
        wall, cpu = spread([one.seconds for one in found], "s"), spread([one.cpu for one in found], "s CPU")
        workshop.say(f"  {name}: {wall}, {cpu}, {spread([one.memory for one in found], 'MB at most')}")
    bound = 1 + CALENDARS + CALENDARS * math.ceil(OBJECTS / CALENDARS / BATCH)
    workshop.say(f"  and {whole[0].discovery} requests to find the account, before the first sync only")
    return [
        ratio(7, "full sync without expansion, of raw download", values=_times(plain, raw), at_most=1.2),
        ratio(7, "full sync with expansion", values=_times(whole, raw), at_most=1.35),
        count(7, "requests of a full sync", value=max(one.requests for one in whole), at_most=bound),
        missing(7, "CPU beside vdirsyncer, requests beside python-caldav", why="not installed"),
        ratio(
            11,
            "peak memory of a full sync, of raw download",
            values=[a.memory / b.memory for a, b in zip(whole, raw, strict=True)],
            at_most=1.45,
        ),
    ]


def measure_polls(workshop: Workshop) -> list[Figure]:
    """Goal 8: polls of ten calendars with 10,000 objects, without and with a changed event."""
    household = Household(workshop.folder / "polls")
    with running_stub(10, OBJECTS, "--disjoint") as stub:
        household.configure(free_port(), url=f"http://127.0.0.1:{stub.port}/", poll="1d")
        with busyd(household) as daemon:
            until_complete(daemon)
            idle = _idle_poll(household, daemon, stub=stub)
            workshop.say(f"  an idle poll: {len(idle)} request, {sum(one.size for one in idle)} bytes")
            changes = [_change(household, daemon, stub=stub, number=number) for number in range(workshop.rounds)]
    delays = [one.seconds * 1000 for one in changes]
    return [
        count(8, "requests of an idle poll", value=len(idle), at_most=1),
        count(8, "bytes of an idle poll, 10 calendars", value=sum(one.size for one in idle), at_most=5000),
        count(8, "requests after a changed event", value=max(one.requests for one in changes), at_most=3),
        count(8, "objects fetched and read again", value=max(one.objects for one in changes), at_most=1),
        ratio(8, "answer visible after the last byte", values=delays, at_most=20, unit=" ms"),
    ]


@dataclass(frozen=True, slots=True)
class Change:
    """What one changed event cost."""

    requests: int
    objects: int
    seconds: float
    """From the end of the last answer of the server to the first answer of busyd that shows the change."""


def _change(household: Household, daemon: Server, *, stub: Server, number: int) -> Change:
    """Change an event, have busyd poll, and ask it without pause until it shows the change."""
    start = SystemClock().now() // 86_400 * 86_400 + (number + 2) * 86_400
    stamp = datetime.fromtimestamp(start, UTC).strftime("%Y%m%dT%H%M%SZ")
    control(stub.port, Wish(touch=number, start=stamp, length=60 * 20 + number, forget=True))
    seen = threading.Thread(target=poll, args=(household, daemon))
    seen.start()
    at = asyncio.run(_ask_until_changed(daemon.port, question(start, 86_400)))
    seen.join()
    log = [one for one in control(stub.port, Wish()) if one.kind != "account"]
    last = max(one.ended for one in log if one.ended < at)
    return Change(len(log), sum(one.objects for one in log), at - last)


async def _ask_until_changed(port: int, path: str) -> float:
    connection = await Connection.open(port)
    before = _busy(await connection.get(path))
    async with asyncio.timeout(_LONGEST):
        while _busy(await connection.get(path)) == before:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.0005)
    connection.close()
    return time.monotonic()


def _busy(answer: bytes) -> object:
    return json.loads(answer)["busy"]


def _idle_poll(household: Household, daemon: Server, *, stub: Server) -> list[Exchange]:
    """Poll until nothing of the last change is looked at again: the log of that poll."""
    until = time.monotonic() + _SETTLED
    while True:
        control(stub.port, Wish(forget=True))
        poll(household, daemon)
        log = control(stub.port, Wish())
        if len(log) == 1 or time.monotonic() > until:
            return log
        time.sleep(1)


def poll(household: Household, daemon: Server) -> None:
    """`busyd sync --now`, without the start of a Python for it."""
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.port}/v1/sync", b"", method="POST")
    request.add_header("Authorization", f"Bearer {household.admin_token()}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def first_sync(workshop: Workshop, stub: Server, name: str, *options: str) -> FullSync:
    """Start busyd on an empty state; the sync begins with its first request and ends with a complete answer."""
    household = Household(workshop.folder / name)
    household.configure(free_port(), url=f"http://127.0.0.1:{stub.port}/", poll="1d")
    control(stub.port, Wish(forget=True))
    with busyd(household, *options, settled=False) as daemon:
        ended = until_complete(daemon)
        log = control(stub.port, Wish())
        discovery = sum(1 for one in log if one.kind == "account")
        first = min(one.began for one in log if one.kind != "account")
        return FullSync(ended - first, len(log) - discovery, discovery, daemon.cpu, daemon.memory("VmHWM"))


def until_complete(daemon: Server, most: float = _LONGEST) -> float:
    """The moment at which an answer is complete."""

    async def wait() -> float:
        connection = await Connection.open(daemon.port)
        path = question(SystemClock().now(), 86_400)
        while not json.loads(await connection.get(path))["complete"]:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.005)
        connection.close()
        return time.monotonic()

    return asyncio.run(asyncio.wait_for(wait(), most))


def download(stub: Server, calendars: int, *, objects: int) -> FullSync:
    """The same requests with nothing done about their answers."""
    control(stub.port, Wish(forget=True))
    arguments = ["-m", "tests.bench.download", str(stub.port), str(calendars), str(objects)]
    told = subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, env=clean_environment(), capture_output=True, check=True
    )
    used = json.loads(told.stdout)
    log = control(stub.port, Wish())
    seconds = max(one.ended for one in log) - min(one.began for one in log)
    return FullSync(seconds, len(log), 0, used["cpu"], used["memory"])


def _times(sides: list[FullSync], limits: list[FullSync]) -> list[float]:
    return [one.seconds / limit.seconds for one, limit in zip(sides, limits, strict=True)]


@contextmanager
def running_stub(calendars: int, objects: int, *options: str) -> Iterator[Server]:
    options = ("--calendars", str(calendars), "--objects", str(objects), *options)
    with server("tests.bench.stub", "{port}", *options, pin=False) as stub:
        put_on_core(stub.process.pid, LOAD_CORE)
        wait_for(lambda: control(stub.port, Wish()) == [])
        yield stub
