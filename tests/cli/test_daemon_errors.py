"""What the daemon advises HTTP clients is told in terms of the command line."""

import pytest

from busyd.cli.daemon_errors import _for_the_shell


@pytest.mark.parametrize(
    ("advice", "typed"),
    [
        ("book another one, with another Idempotency-Key", "book another one"),
        ("GET …/appointments lists those in force", "`busyd appointments anna` lists those in force"),
        ("GET …/blocks lists those in force", "`busyd block list anna` lists those in force"),
        ("GET …/holds lists those in force", "`busyd hold anna --list` lists those in force"),
        ("GET it, then ask for another time", "see `busyd appointments anna`, then ask for another time"),
        ("DELETE it here once more", "run `busyd cancel anna ID` once more"),
        ("`busyd explain` says what is there", "`busyd explain anna` says what is there"),
        ("GET /openapi.json describes the fields and their limits", "see the --help of the command"),
    ],
)
def test_advice_names_the_command_to_type(advice: str, typed: str) -> None:
    assert _for_the_shell(advice, profile="anna") == typed


def test_a_command_that_is_advised_has_the_profile_or_its_place() -> None:
    assert _for_the_shell("GET …/holds lists them", profile="") == "`busyd hold PROFILE --list` lists them"
    assert _for_the_shell("GET …/holds lists them", profile="a b") == "`busyd hold 'a b' --list` lists them"
