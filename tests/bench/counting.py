"""Instructions of an answer, an import and a change, counted by callgrind: steady to a per cent on any machine.

They are to be compared with those of another busyd, with the same Python and the same libraries: there is no bound.
"""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench.counted import seed_household
from tests.bench.figures import Figure, count, missing
from tests.bench.processes import REPOSITORY, clean_environment
from tests.bench.seed import Household
from tests.bench.workshop import Workshop

_SHOWN: Final = (
    (1, "fresh", 300, "answer to a fresh window, 38 busy spans"),
    (1, "repeated", 300, "answer to a repeated window"),
    (1, "bare", 300, "answer of bare aiohttp"),
    (5, "import", 300, "object imported"),
    (13, "change", 24, "change made visible, 1,000 objects"),
)
"""Goal, kind of work, how much of it, and what one piece of it is."""
_QUICK: Final = ("fresh", "bare", "change")
_COUNTED: Final = re.compile(r"^summary: (\d+)", re.MULTILINE)


def measure_counts(workshop: Workshop) -> list[Figure]:
    """Goals 1, 5 and 13 in instructions: a change of 3 % is seen."""
    if not shutil.which("valgrind"):
        return [missing(1, "instructions of an answer, an import and a change", why="no valgrind")]
    household = workshop.household("to-be-counted", seed_household)
    shown = [one for one in _SHOWN if not workshop.quick or one[1] in _QUICK]
    each = partial(_each, workshop.folder, household)
    with ThreadPoolExecutor(os.cpu_count()) as together:  # what else the machine does changes no count
        values = list(together.map(lambda one: each(one[1], one[2]), shown))
    found = {kind: value for (_, kind, _, _), value in zip(shown, values, strict=True)}
    figures = [count(goal, f"instructions, {what}", value=round(found[kind])) for goal, kind, _, what in shown]
    return [*figures, count(1, "instructions, bare's of a fresh window's", value=found["bare"] / found["fresh"])]


def _each(folder: Path, household: Household, kind: str, number: int) -> float:
    """Instructions of one piece of the work: what more of it needs more."""
    own = Household(folder / f"counted-{kind}")  # processes that run beside each other share no mirror
    shutil.copytree(household.folder, own.folder)
    out = folder / f"callgrind-{kind}"
    valgrind = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}")
    numbers = (number // 4, number)
    program = [sys.executable, "-m", "tests.bench.counted", kind, str(own.folder), *map(str, numbers)]
    environment = clean_environment({"PYTHONHASHSEED": "0"})
    subprocess.run([*valgrind, *program], cwd=REPOSITORY, env=environment, capture_output=True, check=True)
    few, many = (_total(Path(f"{out}.{dump}")) for dump in (1, 2))
    return (many - few) / (number - number // 4)


def _total(out: Path) -> int:
    """Instructions of a dump."""
    counted = _COUNTED.search(out.read_text())
    if counted is None:
        raise LookupError(out)
    return int(counted[1])
