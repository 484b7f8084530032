"""A feed of 20 MB that has changed at every look, read again and again."""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import count
from tests.bench.processes import server
from tests.bench.seed import Household
from tests.ports import free_port
from tests.soak.watching import tell, watched

CONFIG = """\
listen: 127.0.0.1:{port}
connections:
  feed: {{kind: ics, url: "http://127.0.0.1:{feed}/big.ics", poll: {poll}s}}
profiles:
  anna: {{timezone: Europe/Berlin, conflicts: [feed], max_age: 1h}}
"""


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak big-feed", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=20, help="how large the feed is (default: 20)")
    parser.add_argument("--minutes", type=float, default=5, help="how long it is read (default: 5)")
    parser.add_argument("--poll", type=int, default=60, help="seconds from one look to the next (default: 60)")
    wanted = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as folder,
        server("tests.soak.feed_server", "{port}", str(wanted.megabytes), pin=False) as feed,
    ):
        household = Household(Path(folder) / "feed")
        household.folder.mkdir()
        household.config.write_text(CONFIG.format(port=free_port(), feed=feed.port, poll=wanted.poll))
        with watched(household, Path(folder)) as watch:
            began = time.monotonic()
            while json.loads(watch.get("/v1/profiles"))["profiles"][0]["state"] != "fresh":
                time.sleep(0.5)
            print(f"read after {time.monotonic() - began:.0f} s, {watch.daemon.cpu:.0f} s CPU", flush=True)
            used, began = watch.daemon.cpu, time.monotonic()
            time.sleep(wanted.minutes * 60)
            share = (watch.daemon.cpu - used) / (time.monotonic() - began)
            state = json.loads(watch.get("/v1/profiles"))["profiles"][0]["state"]
        figures = [
            *watch.figures("big feed"),
            count(14, "big feed: CPU of the daemon without its worker", value=share * 100, unit=" % of a core"),
            count(14, "big feed: profiles not fresh at the end", value=state != "fresh", at_most=0),
        ]
    return tell(figures)
