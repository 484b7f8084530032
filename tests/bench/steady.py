"""A client that behaves: it asks at a steady rate over connections that stay open, and times each answer."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final

from tests.bench.load import Connection, Questions

RATE: Final = 200
"""Questions a second, whether or not the ones before were answered."""
_CONNECTIONS: Final = 8


async def ask_steadily(port: int, going_on: Callable[[], bool], *, token: str = "") -> list[float]:
    """Ask for as long as something goes on. Seconds from the moment each question was due to its answer.

    Raises RuntimeError for an answer that is not a 200, and an OSError or EOFError for none.
    """
    connections: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(_CONNECTIONS):
        connections.put_nowait(await Connection.open(port, token))
    questions, chance = Questions(), Random(1)
    late: list[float] = []

    async def ask(due: float) -> None:
        connection = await connections.get()
        await connection.get(questions.path(chance))
        late.append(time.monotonic() - due)
        connections.put_nowait(connection)

    async with asyncio.TaskGroup() as asking:
        due = time.monotonic()
        while going_on():
            due += 1 / RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            asking.create_task(ask(due))
    while not connections.empty():
        connections.get_nowait().close()
    return late


def p99(late: Sequence[float]) -> float:
    """Milliseconds that one question in a hundred took longer than."""
    return sorted(late)[int(len(late) * 0.99)] * 1000


def held_up(stalls: Path, since: float) -> list[tuple[float, float]]:
    """Milliseconds of wall and of CPU time for which the loop was held up, each time; see `entry`."""
    lines = [line.split() for line in stalls.read_text().splitlines()]
    return [(float(wall), float(cpu)) for at, wall, cpu in lines if float(at) > since]
