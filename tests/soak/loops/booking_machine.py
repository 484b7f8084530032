"""Let everything happen to bookings in any order, in virtual time, until so many steps are done.

What happens, and what must be true after each step, is in `tests/booking/machine.py`; a failure is told with the
shortest way to it.
"""

import argparse
import logging
import time
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.booking.machine import BookingMachine

_STEPS_OF_ONE = 50
_WORLDS_AT_ONCE = 20


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak booking-machine", description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000, help="at least so many (default: 20,000)")
    parser.add_argument("--seed", type=int, default=1, help="of the dice (default: 1)")
    wanted = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    began, number = time.monotonic(), wanted.seed
    while BookingMachine.steps < wanted.steps:
        run(number, worlds=_WORLDS_AT_ONCE)
        print(f"steps: {BookingMachine.steps}, seconds: {time.monotonic() - began:.0f}", flush=True)
        number += 1
    print("done: " + ", ".join(f"{what} {times}" for what, times in sorted(BookingMachine.done.items())))
    return 0


def run(number: int, *, worlds: int, steps: int = _STEPS_OF_ONE) -> None:
    """Run so many worlds, with so many steps each. Raises AssertionError."""
    chosen = settings(
        max_examples=worlds,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(BookingMachine), settings=chosen)
