"""Faults, kills and changes at random in virtual time, with an oracle that knows what must not be free."""

import argparse
import asyncio
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.harness import World
from tests.chaos.run import Chaos


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak chaos", description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000, help="how much happens (default: 10,000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed does the same (default: 1)")
    wanted = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    asyncio.run(_run(wanted.steps, wanted.seed))
    return 0


async def _run(steps: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with World.start(Path(folder)) as world:
            chaos = Chaos(world, seed)
            began = time.monotonic()
            try:
                await chaos.run(steps)
            finally:
                print(f"seed: {seed}\nseconds: {time.monotonic() - began:.0f}\n{chaos.figures}")
    print("lost or wrongly freed: 0")
