"""Goals 9 and 11: from the start of a process to its first answer, and the memory it holds, beside the bare handler."""

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.figures import Figure, ratio, spread
from tests.bench.load import Questions, load, question
from tests.bench.processes import REPOSITORY, clean_environment
from tests.bench.seed import ENVIRONMENT, Household, seed_objects
from tests.bench.workshop import Workshop, bare, busyd
from tests.generate import generate_objects
from tests.journey.daemon import TIMEOUT
from tests.ports import free_port


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a process."""

    seconds: float
    body: bytes


def measure_restart(workshop: Workshop) -> list[Figure]:
    """Goal 9: spawn to first answer with 10,000 generated objects in the mirror (and 100,000 with --long)."""
    figures = _restart(workshop, 10_000, at_most=1.0)
    return figures + _restart(workshop, 100_000, at_most=1.2) if workshop.long else figures


def measure_memory(workshop: Workshop) -> list[Figure]:
    """Goal 11, first half: resident memory once all is loaded and asked for (10,000 objects; 100,000 with --long)."""
    figures = [_memory(workshop, 10_000, at_most=1.3)]
    return [*figures, _memory(workshop, 100_000, at_most=1.4)] if workshop.long else figures


def generated(workshop: Workshop, count: int) -> Household:
    """A household with so many generated objects in three calendars."""
    return workshop.household(
        f"generated-{count}", lambda one: seed_objects(one, generate_objects(count, 1), calendars=3)
    )


def _restart(workshop: Workshop, count: int, *, at_most: float) -> list[Figure]:
    household = generated(workshop, count)
    width = Questions().width
    path = question(Questions().range()[0] + 60 * 86_400, width)
    with busyd(household, pin=False) as running:
        before = _ask(running.port, path)
    ours = ["tests.bench.entry", "--plain-loop", *household.arguments()]
    file = workshop.keep("first.json", before)
    starts: list[tuple[Start, Start]] = []
    for number in range(workshop.rounds + 1):
        port = free_port()
        mine = _start(ours, _port_of(household), path=path)
        bare_start = _start(["tests.bench.bare", str(port), str(file)], port, path=path)
        if number:  # the first only warms the caches of the file system
            starts.append((mine, bare_start))
    same = all(mine.body == before for mine, _ in starts)
    workshop.say(f"  busyd {spread([one.seconds * 1000 for one, _ in starts], 'ms')}")
    workshop.say(f"  bare {spread([one.seconds * 1000 for _, one in starts], 'ms')}")
    shown = f"{count // 1000}k objects"
    return [
        ratio(9, f"first answer, {shown}", values=[a.seconds / b.seconds for a, b in starts], at_most=at_most),
        Figure(9, f"first answer byte-identical, {shown}", "yes" if same else "no", "yes", same),
    ]


def _memory(workshop: Workshop, count: int, *, at_most: float) -> Figure:
    household = generated(workshop, count)
    values = []
    for _ in range(1 if workshop.quick else 3):
        with busyd(household) as running:
            load(running, Questions(), seconds=1)
            mine = running.memory()
        with bare(workshop, b"x" * 4096) as limit:
            load(limit, Questions(), seconds=1)
            values.append(mine / limit.memory())
            workshop.say(f"  busyd {mine:.1f} MB, bare {limit.memory():.1f} MB")
    return ratio(11, f"resident memory, {count // 1000}k objects, of bare's", values=values, at_most=at_most)


def _start(arguments: Sequence[str], port: int, *, path: str) -> Start:
    """Start a server, ask again and again until it answers, end it."""
    environment = clean_environment({**ENVIRONMENT, "BUSYD_LOG": "error"})
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-m", *arguments], cwd=REPOSITORY, env=environment) as process:
        try:
            body = _ask(port, path)
            return Start(time.monotonic() - began, body)
        finally:
            process.terminate()


def _ask(port: int, path: str) -> bytes:
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
                connection.sendall(
                    f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
                )
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:
            time.sleep(0.0005)
            continue
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(answer.decode())
        return body
    raise TimeoutError(path)


def _port_of(household: Household) -> int:
    return int(household.config.read_text().split("\n")[0].rpartition(":")[2])
