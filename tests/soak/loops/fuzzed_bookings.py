"""Send bodies to appointments that nobody would send on purpose: no answer is a 5xx, but for the documented 503s."""

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import busyd_in, wait_for
from tests.journey.scheduler import SCHEDULED
from tests.soak.fuzzed_bodies import fuzz

PASSWORD: Final = "abcd-efgh-ijkl-mnop"


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak fuzzed-bookings", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="bodies (default: 10000)")
    parser.add_argument("--seed", type=int, default=1, help="of the bodies (default: 1)")
    wanted = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # the simulator tells of every answer that nobody waited for
    with tempfile.TemporaryDirectory() as folder, SimulatedIcloud.in_thread() as icloud:
        account = icloud.add_account("anna@icloud.com", password=PASSWORD)
        for name in ("Work", "Home"):
            account.add_calendar(name, id=name.lower())
        with busyd_in(Path(folder), environment={"APPLE": PASSWORD}) as busyd:
            busyd.configure(SCHEDULED.format(url=icloud.bootstrap_url))
            busyd.start()
            wait_for(lambda: not busyd.freebusy("now", "+1d")["stale"], describe=busyd.log.read_text)
            made = busyd.command("token", "add", "anna", "--scope", "book", "--json")
            token = json.loads(made.stdout)["token"]
            answers = fuzz(busyd.base, token, seed=wanted.seed, count=wanted.count, now=int(time.time()))
            faults = [line for line in busyd.log.read_text().splitlines() if "internal error" in line.lower()]
    for status, number in sorted(answers.statuses.items()):
        print(f"{status}: {number}")
    print(f"bodies: {answers.statuses.total()}; wrong answers: {len(answers.wrong)}; internal errors: {len(faults)}")
    for line in (*answers.wrong, *faults):
        print(line)
    return 1 if answers.wrong or faults else 0
