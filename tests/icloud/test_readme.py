"""The table of README.md is complete, and every test and switch it names exists."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from tests.icloud.faults import KINDS
from tests.icloud.knobs import Knobs

FOLDER = Path(__file__).parent
ROWS = re.findall(r"^\| (\d+) \| (.*) \| (.*) \| (.*) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
TESTS = {name for path in FOLDER.glob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())}


def test_every_item_has_one_row_in_order() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 67))


@pytest.mark.parametrize(("number", "named"), [(number, named) for number, _, _, named in ROWS])
def test_every_item_names_tests_that_exist(number: str, named: str) -> None:
    names = re.findall(r"`(\w+)`", named)
    assert names, f"item {number} has no test"
    assert set(names) <= TESTS


def test_every_knob_and_every_fault_is_in_the_table() -> None:
    switches = " ".join(switch for _, _, switch, _ in ROWS)
    knobs = {knob.name for knob in fields(Knobs)} - {"faults", "throttle_window"}
    plain = {"status", "status-after-applying"}  # fail_next and its variant
    assert {name for name in knobs | set(KINDS) - plain if f"`{name}`" not in switches} == set()
