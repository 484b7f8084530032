"""An account that has been used for 15 years, beside one of the last years only: the past costs no more than disk."""

import re

from tests.bench.figures import Figure, ratio, spread
from tests.bench.load import Questions, load
from tests.bench.seed import Household, seed_objects
from tests.bench.workshop import Workshop, busyd
from tests.generate import generate_objects

OBJECTS = 2000
"""Of each stay of five years. They overlap by one, so that four of them are 17 years together."""
STAYS = 4
_DATE = re.compile(rb"(?<=[:=])(20[0-9]{2})(?=[01][0-9][0-3][0-9])")


def measure_years(workshop: Workshop) -> list[Figure]:
    """Goal 6: an account of 15 years beside one with the last of its events only."""
    old = workshop.household("years", lambda made: seed_objects(made, [one for n in range(STAYS) for one in stay(n)]))
    new = workshop.household("recent", lambda made: seed_objects(made, stay(0)))
    starts, answers, memory = [], [], []
    for _ in range(1 if workshop.quick else 7):
        found = [_stay(household) for household in (old, new)]
        starts.append(found[0][0] / found[1][0])
        answers.append(found[0][1] / found[1][1])
        memory.append(found[0][2] / found[1][2])
    workshop.say(f"  {STAYS * OBJECTS:,} objects: {found[0][0]:.2f} s CPU to start and load, {found[0][2]:.0f} MB")
    workshop.say(f"  {OBJECTS:,} objects: {found[1][0]:.2f} s CPU to start and load, {found[1][2]:.0f} MB")
    workshop.say(f"  CPU of an answer, of that of the recent one: {spread(answers, 'x')}")
    return [
        ratio(6, "15 years: CPU of an answer, of a recent account's", values=answers, at_most=1.2),
        ratio(6, "15 years: memory, of a recent account's", values=memory, at_most=1.2),
        ratio(6, "15 years: CPU to start and load, of a recent account's", values=starts, at_most=STAYS),
    ]


def stay(number: int) -> list[bytes]:
    """The objects of one stay, so many times four years back: a 29th of February stays one."""
    return [
        _DATE.sub(lambda found: b"%d" % (int(found[1]) - 4 * number), payload)
        for payload in generate_objects(OBJECTS, 100 + number)
    ]


def _stay(household: Household) -> tuple[float, float, float]:
    """CPU seconds until all is loaded, CPU microseconds of an answer, megabytes."""
    with busyd(household) as daemon:
        started = daemon.cpu
        answer = load(daemon, Questions(), seconds=1).cpu_each
        return started, answer, daemon.memory()
