"""Goal 10, of tokens: that their use is written down costs the loop nothing anybody could notice."""

import asyncio
import time
from itertools import islice

from busyd.clock import SystemClock
from tests.bench.figures import Figure, ratio
from tests.bench.load import ask_once, question
from tests.bench.seed import seed_objects, spread_objects
from tests.bench.steady import held_up
from tests.bench.workshop import Workshop, busyd

OBJECTS = 1000
A_SECOND = 4


def measure_tokens(workshop: Workshop) -> list[Figure]:
    """Goal 10: four tokens a second are used for the first time, each on a connection of its own.

    A use is noted once a minute, so a token that was not used before is what makes busyd write. The wall clock
    also sees what waits for the disk, and what else the machine does.
    """
    household = workshop.household("tokens", lambda made: seed_objects(made, spread_objects(OBJECTS, 5)))
    work, stalls = [], []
    seconds = 4 if workshop.quick else 12
    tokens = iter([household.make_token() for _ in range(workshop.rounds * seconds * A_SECOND)])
    file = workshop.folder / "stalls-tokens"
    with busyd(household, "--stalls", str(file), pin=False) as daemon:
        for _ in range(workshop.rounds):
            began = time.monotonic()
            asyncio.run(_use(daemon.port, list(islice(tokens, seconds * A_SECOND))))
            held = held_up(file, began)
            work.append(max((cpu for _, cpu in held), default=0.0))
            stalls.append(max((wall for wall, _ in held), default=0.0))
    return [
        ratio(10, "longest work of the loop in one piece, 4 tokens/s", values=work, at_most=5, unit=" ms"),
        ratio(10, "longest stall by the wall clock, 4 tokens/s", values=stalls, unit=" ms"),
    ]


async def _use(port: int, tokens: list[str]) -> None:
    path = question(SystemClock().now(), 7 * 86_400)
    for token in tokens:
        await asyncio.gather(ask_once(port, path, token=token), asyncio.sleep(1 / A_SECOND))
