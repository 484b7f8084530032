"""Times as people type them: days by their names, in the zone that is shown."""

import pytest

from busyd.cli.asked_time import asked_time
from busyd.cli.exit_status import UsageError
from busyd.ical.zones import reading_zone
from busyd.period import Instant

NOW = Instant(1_795_476_600)
"""2026-11-23T23:30:00Z: Tuesday already in Berlin."""


def asked(text: str, zone: str = "Europe/Berlin") -> str:
    return asked_time(text, reading_zone(zone), now=NOW, option="--start", program="busyd freebusy")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("today", "2026-11-24"),
        ("Tomorrow", "2026-11-25"),
        ("yesterday", "2026-11-23"),
        ("tue", "2026-11-24"),
        ("monday", "2026-11-30"),
        ("mon 14:30", "2026-11-30T13:30:00Z"),
        ("today 9:00", "2026-11-24T08:00:00Z"),
        ("2026-12-01 09:00", "2026-12-01T08:00:00Z"),
        ("now", "now"),
        ("+14d", "+14d"),
        ("2026-12-01", "2026-12-01"),
        ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00Z"),
    ],
)
def test_days_have_names(typed: str, meant: str) -> None:
    assert asked(typed) == meant


def test_a_misspelt_day_is_told_with_what_was_meant() -> None:
    with pytest.raises(UsageError, match=r"--start: 'tomorow' is not a point in time, did you mean 'tomorrow'\?"):
        asked("tomorow")
    with pytest.raises(UsageError, match=r"'noon' is not a point in time: write RFC 3339, .* `today`, .* `mon 14:30`"):
        asked("noon")


def test_a_day_is_that_of_the_zone_that_is_shown() -> None:
    assert asked("today", "UTC") == "2026-11-23"


@pytest.mark.parametrize("typed", ["", "soon", "mo", "mon 25:00", "2026-13-01", "2026-02-30 10:00", "12:00"])
def test_anything_else_is_a_fault_of_usage(typed: str) -> None:
    with pytest.raises(UsageError, match="--start"):
        asked(typed)
