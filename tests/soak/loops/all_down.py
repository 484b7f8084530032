"""100 connections go down together and come back together, with 1,000 profiles on them."""

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.figures import count
from tests.bench.many import ManyHousehold, Size, seed_many, until_known
from tests.bench.processes import server
from tests.bench.stub import Wish, control
from tests.ports import free_port
from tests.soak.watching import Watch, tell, watched

SHARE: Final = 0.2
"""Of all connections, those that may ask within one second when they come back."""


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak all-down", description=__doc__)
    parser.add_argument("--connections", type=int, default=100, help="how many there are (default: 100)")
    parser.add_argument("--profiles", type=int, default=1000, help="how many there are (default: 1,000)")
    parser.add_argument("--minutes", type=float, default=3, help="for how long they are down (default: 3)")
    parser.add_argument("--times", type=int, default=1, help="how often that happens (default: once)")
    wanted = parser.parse_args(arguments)
    size = Size(wanted.connections, 20, 400, wanted.profiles, 0)
    port, most = free_port(), 0
    with tempfile.TemporaryDirectory() as folder:
        household = ManyHousehold(Path(folder) / "many")
        household.configure_many(size, url=f"http://127.0.0.1:{port}/")
        asyncio.run(seed_many(household, size))
        with watched(household, Path(folder)) as watch:
            with _stub(size, port):
                asyncio.run(until_known(household, watch.daemon, began=time.monotonic()))
                _until(watch, failing=0)
            for _ in range(wanted.times):
                down = time.monotonic()
                _until(watch, failing=size.connections)
                time.sleep(max(0.0, wanted.minutes * 60 - (time.monotonic() - down)))
                with _stub(size, port):
                    back = time.monotonic()
                    _until(watch, failing=0)
                    print(f"all are back after {time.monotonic() - back:.0f} s", flush=True)
                    asked = Counter(int(one.began) for one in control(port, Wish()))
                    most = max(most, *asked.values())
            state = Counter(one["state"] for one in json.loads(watch.get("/v1/profiles"))["profiles"])
        print(f"profiles: {dict(state)}", flush=True)
        figures = watch.figures("all down and back")
    figures.append(count(14, "the most requests in one second", value=most, at_most=SHARE * size.connections))
    return tell(figures)


@contextmanager
def _stub(size: Size, port: int) -> Iterator[None]:
    with server("tests.bench.stub", "{port}", "--calendars", str(size.calendars), port=port, pin=False):
        yield


def _until(watch: Watch, *, failing: int) -> None:
    """Wait until so many connections have failed at their last poll, and all others are well."""
    while True:
        states = [one["state"] for one in json.loads(watch.get("/v1/status"))["connections"]]
        if states.count("trouble") == failing and states.count("ok") == len(states) - failing:
            return
        time.sleep(2)
