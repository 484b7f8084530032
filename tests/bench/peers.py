"""Goal 3: the same calendar in Radicale and in Xandikos, asked for the same weeks.

Everything is on one core here, servers and clients alike. One client and its server never work at the same time; on a
core each, one has to wake the other from idling for every question and every answer, and on a virtual machine that
takes as long as the answer itself: the rate would be that of the waking.
"""

import base64
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from tests.bench.figures import Figure, missing, ratio, spread
from tests.bench.load import Load, Questions, load
from tests.bench.processes import SERVER_CORE, Server, on_core
from tests.bench.seed import seed_objects
from tests.bench.workshop import Workshop, bare, busyd
from tests.generate import generate_objects
from tests.journey.servers import PASSWORD, USER, CaldavServer, radicale, xandikos

_QUERY = (
    '<?xml version="1.0" encoding="utf-8"?><C:free-busy-query xmlns:C="urn:ietf:params:xml:ns:caldav">'
    '<C:time-range start="{start}" end="{end}"/></C:free-busy-query>'
)
WEEK = 7 * 86_400


def measure_peers(workshop: Workshop) -> list[Figure]:
    """Goal 3: answers a second of one client and of eight, 1,000 generated objects (and 10,000 with --long)."""
    with on_core(SERVER_CORE):
        figures = _beside(workshop, 1000, at_least=3000)
        return figures + _beside(workshop, 10_000, at_least=80_000) if workshop.long else figures


def _beside(workshop: Workshop, count: int, *, at_least: float) -> list[Figure]:
    payloads = generate_objects(count, 1)
    household = workshop.household(f"peers-{count}", lambda one: seed_objects(one, payloads))
    figures: list[Figure] = []
    with busyd(household, plain_loop=False) as daemon:
        for name, server in (("radicale", radicale), ("xandikos", xandikos)):
            what = f"answers a second, {count // 1000}k objects, of {name}'s"
            if find_spec(name) is None:
                figures.append(missing(3, what, why=f"{name} is not installed"))
                continue
            values = list(_rounds(workshop, daemon, name=name, server=server, payloads=payloads))
            figures.append(ratio(3, what, values=values, at_least=at_least))
        with bare(workshop, b"x" * 4096) as limit:
            rounds = [_round(workshop, daemon, limit=limit, number=number) for number in range(workshop.rounds)]
    for at, name in enumerate(("busyd, one client", "busyd, eight", "bare aiohttp, one client, as a scale")):
        workshop.say(f"  {name}: {spread([one[at].rate for one in rounds], 'answers/s')}")
    return [
        *figures,
        ratio(3, "busyd, eight clients to one", values=[eight.rate / one.rate for one, eight, _ in rounds], at_least=1),
    ]


def _rounds(
    workshop: Workshop,
    daemon: Server,
    *,
    name: str,
    server: Callable[..., AbstractContextManager[CaldavServer]],
    payloads: list[bytes],
) -> Iterator[float]:
    folder = workshop.folder / f"{name}-{len(payloads)}"
    folder.mkdir()
    began = time.monotonic()
    with server(folder) as peer:
        _FILL[name](folder / name, payloads)
        _ask(peer, 0)
        workshop.say(f"  {name}: {len(payloads)} objects stored and read in {time.monotonic() - began:.0f} s")
        asked = 1 if workshop.quick else 2 if len(payloads) > 1000 else 3
        theirs = []
        for number in range(min(workshop.rounds, 7) if len(payloads) <= 1000 else 2):
            seconds = [_ask(peer, number * asked + one) for one in range(asked)]
            theirs.append(1 / median(seconds))
            ours = _load(daemon, 1, seed=number + 1)
            yield ours.rate / theirs[-1]
    workshop.say(f"  {name}: {spread(theirs, 'answers/s')}")


def _fill_radicale(storage: Path, payloads: Sequence[bytes]) -> None:
    """Its storage is a folder with a file for each object."""
    (calendar,) = storage.glob("collection-root/*/work")
    for number, payload in enumerate(payloads):
        (calendar / f"{number}.ics").write_bytes(payload)


def _fill_xandikos(storage: Path, payloads: Sequence[bytes]) -> None:
    """Its storage is a git repository a calendar; objects in one commit, where a PUT makes one each."""
    from dulwich import porcelain

    (calendar,) = storage.glob("*/calendars/work")
    for number, payload in enumerate(payloads):
        (calendar / f"{number}.ics").write_bytes(payload)
    porcelain.add(str(calendar), [str(calendar / f"{number}.ics") for number in range(len(payloads))])
    porcelain.commit(str(calendar), message=b"objects", author=b"bench <b@x>", committer=b"bench <b@x>")


_FILL: Final = {"radicale": _fill_radicale, "xandikos": _fill_xandikos}


def _round(workshop: Workshop, daemon: Server, *, limit: Server, number: int) -> tuple[Load, Load, Load]:
    """busyd for one client and for eight, and the bare handler for one."""
    one, eight = (_load(daemon, workshop.seconds, clients=clients, seed=number + 1) for clients in (1, 8))
    return one, eight, _load(limit, workshop.seconds, seed=number + 1)


def _load(server: Server, seconds: float, *, clients: int = 1, seed: int = 1) -> Load:
    return load(server, Questions(), seconds=seconds, clients=clients, seed=seed, core=SERVER_CORE)


def _ask(peer: CaldavServer, seed: int) -> float:
    """Seconds for one free-busy-query over a week."""
    first, last = Questions().range()
    start = Random(seed).randrange(first, last)
    stamps = [datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ") for at in (start, start + WEEK)]
    body = _QUERY.format(start=stamps[0], end=stamps[1]).encode()
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Depth": "1", "Content-Type": "application/xml; charset=utf-8"}
    request = urllib.request.Request(peer.calendar, body, headers, method="REPORT")
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=600) as answer:
        if b"VFREEBUSY" not in answer.read():
            raise RuntimeError(peer.url)
    return time.monotonic() - began
