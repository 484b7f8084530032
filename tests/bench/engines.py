"""What an answer from memory costs where the stores are in a database, beside one where they are in files."""

import shutil
import subprocess
import sys

from tests.bench.counted import seed_household
from tests.bench.figures import Figure, missing, ratio, spread
from tests.bench.load import Load, Questions, load
from tests.bench.processes import REPOSITORY, clean_environment
from tests.bench.seed import ENVIRONMENT, Household
from tests.bench.workshop import Workshop, busyd
from tests.postgres import PROGRAMS, running

_REQUESTS = 10_000
_QUICK_REQUESTS = 4_000
"""At least, on each side."""


def measure_engines(workshop: Workshop) -> list[Figure]:
    """Beyond one machine: answers from memory, with the stores in PostgreSQL and in files, in turn."""
    if not any(PROGRAMS.glob("*/bin/initdb")):
        return [missing(1, "CPU of an answer from memory on PostgreSQL, of one on files", why="no PostgreSQL")]
    files = workshop.household("on-files", seed_household)
    token = files.make_token()
    shared = Household(workshop.folder / "on-postgresql")
    shutil.copytree(files.folder, shared.folder)
    least = _QUICK_REQUESTS if workshop.quick else _REQUESTS
    with running() as postgres:
        with shared.config.open("a") as config:
            config.write(f"store: {postgres.new_database().conninfo}\n")
        places = ["--config", str(shared.config), "--state", str(shared.state)]
        move = [sys.executable, "-m", "busyd", *places, "migrate-store", "postgresql"]
        subprocess.run(move, cwd=REPOSITORY, env=clean_environment(ENVIRONMENT), capture_output=True, check=True)
        with busyd(files) as on_files, busyd(shared) as on_postgresql:
            rounds: list[tuple[Load, Load]] = []
            while len(rounds) < workshop.rounds or sum(a.requests for a, _ in rounds) < least:
                first, second = (
                    load(one, Questions(), seconds=workshop.seconds, token=token, seed=len(rounds))
                    for one in (on_postgresql, on_files)
                )
                rounds.append((first, second))
    for name, side in (("PostgreSQL", 0), ("files", 1)):
        each = [one[side].cpu_each for one in rounds]
        workshop.say(f"  {name}: {spread(each, 'us CPU')}, {sum(one[side].requests for one in rounds)} requests")
    values = [first.cpu_each / second.cpu_each for first, second in rounds]
    return [ratio(1, "CPU of an answer from memory on PostgreSQL, of one on files", values=values, at_most=1.1)]
