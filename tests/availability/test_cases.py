"""The cases of the specification and of other people's test suites, as they stand, shuffled, and in another process."""

import os
import random
import re
import subprocess
import sys

import pytest

from tests.availability.case_files import Case, answer, expected, payloads_of, read_cases

CASES = list(read_cases())
JULY_2027 = 1816743600


@pytest.mark.skipif(not CASES, reason="no case files: neither tests/cases nor ../shared/cases is there")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_case_gives_the_expected_busy_time(case: Case) -> None:
    assert answer(case, payloads_of(case)) == expected(case)


def shuffle(payload: bytes, chance: random.Random) -> bytes:
    """The same object with its components, and the properties of each event, in another order.

    EXDATE and the like may be repeated in any order; of what must not be repeated the first counts, so objects that
    repeat it are left as they are.
    """
    text = re.sub(r"\r?\n[ \t]", "", payload.decode("utf-8", "replace")).replace("\r\n", "\n")
    parts = re.findall(r"^BEGIN:(VEVENT|VTIMEZONE|VFREEBUSY)\n(.*?)^END:\1\n", text, re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^BEGIN:(VEVENT|VTIMEZONE|VFREEBUSY)\n.*?^END:\1\n", "", text, flags=re.DOTALL | re.MULTILINE)
    if not parts or not rest.rstrip().endswith("END:VCALENDAR") or rest.count("BEGIN:") > 1:
        return payload
    chance.shuffle(parts)
    written = []
    for kind, body in parts:
        lines = body.splitlines(keepends=True)
        if kind == "VEVENT" and "BEGIN:" not in body:
            chance.shuffle(lines)
        written.append(f"BEGIN:{kind}\n{''.join(lines)}END:{kind}\n")
    return rest.replace("END:VCALENDAR", "".join(written) + "END:VCALENDAR").encode()


@pytest.mark.skipif(not CASES, reason="no case files")
def test_the_order_of_components_and_properties_changes_nothing() -> None:
    chance = random.Random(20261122)
    different = []
    for case in CASES:
        if case["id"] == "rule-bad-lf":
            continue
        shuffled = [shuffle(payload, chance) for payload in payloads_of(case)]
        if answer(case, shuffled) != expected(case):
            different.append(case["id"])
    assert not different


@pytest.mark.skipif(not CASES, reason="no case files")
@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/Los_Angeles"])
def test_the_time_zone_of_the_process_changes_nothing(zone: str) -> None:
    script = (
        "from tests.availability.test_cases import *\n"
        "bad = [c['id'] for c in CASES if answer(c, payloads_of(c)) != expected(c)]\n"
        "print(len(CASES), *bad)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TZ": zone, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == [str(len(CASES))]
