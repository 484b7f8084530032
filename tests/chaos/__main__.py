"""`python -m tests.chaos --steps 10000 --seed 1`: the long run, and its figures."""

import argparse
import asyncio
import logging
import tempfile
import time
from pathlib import Path

from tests.chaos.harness import World
from tests.chaos.run import Chaos


async def run(steps: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with World.start(Path(folder)) as world:
            chaos = Chaos(world, seed)
            began = time.monotonic()
            try:
                await chaos.run(steps)
            finally:
                print(f"seed: {seed}\nseconds: {time.monotonic() - began:.0f}\n{chaos.figures}")
    print("lost or wrongly freed: 0")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    asyncio.run(run(options.steps, options.seed))


if __name__ == "__main__":
    main()
