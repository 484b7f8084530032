"""`scripts/bench [--row NAME]... [--quick] [--long]`: the speed goals, measured side by side and printed as a table.

The numbers are those of the goals. The row `crowd` is about a client that behaves while others do not: beside
10,000 malformed requests, slow clients and 1,000 idle connections its p99 is at most 1.5 times what it is alone, nobody
gets a 5xx but the 503 of a connection for which there is no place, and neither memory nor descriptors leak.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.bench.answering import measure_answers, measure_flatness
from tests.bench.apps import measure_apps
from tests.bench.booking import measure_booking
from tests.bench.calm import measure_calm
from tests.bench.changing import measure_change
from tests.bench.counting import measure_counts
from tests.bench.crowd import measure_crowd
from tests.bench.engines import measure_engines
from tests.bench.far import measure_far
from tests.bench.feeds import measure_feeds
from tests.bench.figures import Figure, table
from tests.bench.importing import measure_import, measure_old_series
from tests.bench.many import measure_many
from tests.bench.peers import measure_peers
from tests.bench.starting import measure_memory, measure_restart
from tests.bench.syncing import measure_full_sync, measure_polls
from tests.bench.tokens import measure_tokens
from tests.bench.workshop import Workshop
from tests.bench.years import measure_years

ROWS: Final[Mapping[str, Callable[[Workshop], list[Figure]]]] = {
    "answers": measure_answers,
    "flat": measure_flatness,
    "counts": measure_counts,
    "peers": measure_peers,
    "import": measure_import,
    "old-series": measure_old_series,
    "restart": measure_restart,
    "memory": measure_memory,
    "polls": measure_polls,
    "sync": measure_full_sync,
    "calm": measure_calm,
    "change": measure_change,
    "many": measure_many,
    "feeds": measure_feeds,
    "far": measure_far,
    "years": measure_years,
    "tokens": measure_tokens,
    "crowd": measure_crowd,
    "apps": measure_apps,
    "booking": measure_booking,
    "engines": measure_engines,
}
HOW_TO_READ: Final = """
How to read it: every figure is the median of ratios, each taken within one round in which both sides ran one after the
other, with the smallest and the largest ratio behind it; "capacity" is 1 / CPU time of the server for a request. A
machine with other work on it, or a host that steals CPU, widens the brackets; the median moves little. "-" means that
a figure is only shown, or could not be had here.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--row", action="append", choices=sorted(ROWS), help="only this row; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: for a look, not for a verdict")
    parser.add_argument(
        "--long", action="store_true", help="also what takes many minutes: 10k at the peers, 100k mirrors"
    )
    wanted = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="busyd-bench-") as folder:
        workshop = Workshop(Path(folder), _say, quick=wanted.quick, long=wanted.long)
        for name in wanted.row or ROWS:
            began = time.monotonic()
            _say(f"{name}: {(ROWS[name].__doc__ or '').splitlines()[0]}")
            found = ROWS[name](workshop)
            for one in found:
                _say(f"  [{one.goal}] {one.what}: {one.figure} {one.wanted}")
            figures += found
            _say(f"  ({time.monotonic() - began:.0f} s)\n")
    print(table(figures))
    print(HOW_TO_READ)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
