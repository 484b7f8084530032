"""What the daemon advises HTTP clients is told in terms of the command line."""

import pytest

from busyd.cli.daemon_errors import _for_the_shell


@pytest.mark.parametrize(
    ("advice", "typed"),
    [
        ("book another one, with another Idempotency-Key", "book another one"),
        ("GET …/appointments lists those in force", "`busyd appointments` lists those in force"),
        ("GET …/blocks lists those in force", "`busyd block list` lists those in force"),
        ("GET …/holds lists those in force", "`busyd hold --list` lists those in force"),
    ],
)
def test_advice_names_the_command_to_type(advice: str, typed: str) -> None:
    assert _for_the_shell(advice) == typed
