"""Have a receiver of webhooks answer anything, and busyd be killed, and look whether anything was left out."""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.flow.webhook_stage import fail_and_kill


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak webhooks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long (default: 600)")
    parser.add_argument("--seed", type=int, default=0, help="where to begin (default: 0)")
    parser.add_argument("--rounds", type=int, default=40, help="starts of busyd for each seed (default: 40)")
    wanted = parser.parse_args(arguments)
    began, seed = time.monotonic(), wanted.seed
    while time.monotonic() - began < wanted.seconds:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(fail_and_kill(Path(folder), seed, rounds=wanted.rounds))
        seed += 1
    print(f"{seed - wanted.seed} seeds, {wanted.rounds} starts each: nothing left out, nothing overtaken")
    return 0
