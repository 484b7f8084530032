"""500 of 1,000 profiles change with a reload: other rules, then gone, then there again."""

import argparse
import asyncio
import json
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import count
from tests.bench.many import ManyHousehold, Size, seed_many, until_known
from tests.bench.syncing import running_stub
from tests.soak.watching import Watch, tell, watched


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak profiles-reloaded", description=__doc__)
    parser.add_argument("--connections", type=int, default=100, help="how many there are (default: 100)")
    parser.add_argument("--profiles", type=int, default=1000, help="how many there are; half of them change")
    parser.add_argument("--times", type=int, default=1, help="how often that happens (default: once)")
    wanted = parser.parse_args(arguments)
    size = Size(wanted.connections, 20, 400, wanted.profiles, 0)
    with tempfile.TemporaryDirectory() as folder, running_stub(size.calendars, 0) as stub:
        household = ManyHousehold(Path(folder) / "many")
        household.configure_many(size, url=f"http://127.0.0.1:{stub.port}/")
        asyncio.run(seed_many(household, size))
        with watched(household, Path(folder)) as watch:
            asyncio.run(until_known(household, watch.daemon, began=time.monotonic()))
            watch.daemon.settle()
            slowest = 0.0
            for _ in range(wanted.times):
                for what, text in _changes(household.config.read_text(), size.profiles // 2):
                    slowest = max(slowest, _reload(watch, household, what, text=text))
        figures = watch.figures("500 profiles reloaded")
    figures.append(count(14, "until a reload is answered and all is made anew", value=slowest, at_most=60, unit=" s"))
    return tell(figures)


def _changes(text: str, changed: int) -> list[tuple[str, str]]:
    """What happens, and the configuration for it; the last is the first again."""
    lines = text.splitlines(keepends=True)

    def of_changed(line: str) -> bool:
        found = re.match(r"  p(\d+):", line)
        return found is not None and int(found[1]) < changed

    ruled = [line.replace("}\n", ", rules: {tentative: busy}}\n") if of_changed(line) else line for line in lines]
    gone = [line for line in lines if not of_changed(line)]
    return [("other rules", "".join(ruled)), ("gone", "".join(gone)), ("there again", text)]


def _reload(watch: Watch, household: ManyHousehold, what: str, *, text: str) -> float:
    """Seconds until the reload is applied and nothing more is done for it."""
    household.config.write_text(text)
    began, used = time.monotonic(), watch.daemon.cpu
    outcome = json.loads(watch.get("/v1/reload", method="POST"))["outcome"]
    answered = time.monotonic() - began
    asyncio.run(until_known(household, watch.daemon, began=began))
    watch.daemon.settle()
    took, cpu = time.monotonic() - began, watch.daemon.cpu - used
    print(f"{what}: {outcome} after {answered:.1f} s, all done after {took:.1f} s, {cpu:.1f} s CPU", flush=True)
    return took
