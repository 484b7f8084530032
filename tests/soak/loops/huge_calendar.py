"""A calendar of 200,000 objects arrives as fast as its server answers, and is then asked for and started again with."""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.seed import Household
from tests.bench.syncing import running_stub
from tests.ports import free_port
from tests.soak.watching import Watch, tell, watched


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak huge-calendar", description=__doc__)
    parser.add_argument("--objects", type=int, default=200_000, help="how many there are (default: 200,000)")
    parser.add_argument("--minutes", type=float, default=60, help="until when it must be read (default: 60)")
    parser.add_argument("--series", action="store_true", help="one in ten recurs: then they are more than busyd holds")
    wanted = parser.parse_args(arguments)
    options = [] if wanted.series else ["--disjoint"]
    with tempfile.TemporaryDirectory() as folder, running_stub(1, wanted.objects, *options) as stub:
        household = Household(Path(folder) / "huge")
        household.configure(free_port(), url=f"http://127.0.0.1:{stub.port}/", poll="60s")
        with watched(household, Path(folder), "--unpaced") as watch:
            seconds = _until_read(watch, wanted.minutes * 60)
            print(f"read after {seconds:.0f} s, {watch.daemon.cpu:.0f} s CPU", flush=True)
            watch.daemon.settle()
            print(f"then {watch.daemon.memory():.0f} MB", flush=True)
        figures = watch.figures("it arrives")
        with watched(household, Path(folder)) as again:
            seconds = _until_read(again, 60)
            print(f"started again, it answers after {seconds:.1f} s", flush=True)
            time.sleep(20)
            again.daemon.settle()
        figures += again.figures("a start with it")
    return tell(figures)


def _until_read(watch: Watch, most: float) -> float:
    """Seconds until the calendar is read. Raises TimeoutError."""
    began = time.monotonic()
    while not _is_read(watch):
        if time.monotonic() - began > most:
            raise TimeoutError(watch.get("/v1/status").decode())
        time.sleep(0.5)
    return time.monotonic() - began


def _is_read(watch: Watch) -> bool:
    """Whether all of it was read, whatever came of it."""
    (calendar,) = json.loads(watch.get("/v1/calendars"))["calendars"] or [{"state": ""}]
    return bool(calendar["state"] == "read")
