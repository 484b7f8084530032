"""How `busyd changes` and `busyd why` say what a span became."""

import pytest

from busyd.cli.changes import show_change


@pytest.mark.parametrize(
    ("kind", "before", "uncertain", "shown"),
    [
        ("BUSY", "FREE", False, "busy (was free)"),
        ("BUSY", "BUSY", True, "busy, uncertain (was busy)"),
        ("BUSY", "BUSY", False, "busy, now certain (was busy)"),
        ("BUSY-UNAVAILABLE", "BUSY-UNAVAILABLE", False, "unavailable, now certain (was unavailable)"),
        ("FREE", "BUSY-UNAVAILABLE", False, "free (was unavailable)"),
    ],
)
def test_a_change_says_what_is_another(kind: str, before: str, uncertain: bool, shown: str) -> None:
    assert show_change({"type": kind, "before": before, "uncertain": uncertain}) == shown
