"""Reload a changing configuration again and again while clients ask: none of them may get an answer 5xx."""

import argparse
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.icloud.server import SimulatedIcloud
from tests.journey.conftest import PASSWORD
from tests.journey.reloads import reload_under_load


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak reloads", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="reloads (default: 100)")
    wanted = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # the simulator tells of every answer that nobody waited for
    with tempfile.TemporaryDirectory() as folder, SimulatedIcloud.in_thread() as icloud:
        anna = icloud.add_account("anna@icloud.com", password=PASSWORD)
        for name in ("Work", "Home"):
            anna.add_calendar(name, id=name.lower())
        clients = reload_under_load(Path(folder), icloud, reloads=wanted.count)
    faults = sum(count for status, count in clients.statuses.items() if status >= 500)
    told = ", ".join(f"{status}: {count:,}" for status, count in sorted(clients.statuses.items()))
    print(f"reloads: {wanted.count}\nanswers by status: {told}\nanswers 5xx: {faults}")
    for line in clients.faults:
        print(line)
    return 1 if faults else 0
