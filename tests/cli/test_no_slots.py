"""Why there are no open slots, as far as the configuration tells: by the command and in the profile's zone."""

from pathlib import Path
from typing import Any

import pytest

from busyd.cli.no_slots import why_no_slots
from busyd.config import ProfileConfig, load_config
from busyd.period import Instant
from tests.cli.conftest import Busyd, Daemon

NOW = Instant(1_795_435_200)
"""Mon 2026-11-23T12:00:00Z, 13:00 in Berlin."""
OFFICE = "{mon-fri: ['09:00-12:00', '13:00-17:00']}"


def profile(tmp_path: Path, text: str) -> ProfileConfig:
    (tmp_path / "c.yaml").write_text(f"profiles:\n  anna: {{{text}}}\n")
    return load_config(tmp_path / "c.yaml", {}).profiles["anna"]


def why(profile: ProfileConfig, start: str, end: str, **asked: str) -> str:
    return why_no_slots(profile, {"start": start, "end": end}, asked=asked, now=NOW)


@pytest.mark.parametrize(
    ("text", "start", "end", "reason"),
    [
        ("", "2026-11-20T00:00:00Z", "2026-11-23T12:00:00Z", "the window is past"),
        ("", "2026-11-23T12:00:00Z", "2026-11-23T14:00:00Z", "the window ends before the notice of 2h is over"),
        (
            "slots: {window: 30d}",
            "2026-12-24T00:00:00Z",
            "2026-12-25T00:00:00Z",
            "the window starts more than 30d ahead, where `slots: window:` of anna ends",
        ),
        (
            f"hours: {OFFICE}",
            "2026-11-28T00:00:00Z",
            "2026-11-29T00:00:00Z",
            "anna has no working hours from Sat 2026-11-28 01:00 to Sun 2026-11-29 01:00",
        ),
        (
            f"hours: {OFFICE}, slots: {{duration: 5h}}",
            "2026-11-24T00:00:00Z",
            "2026-11-28T00:00:00Z",
            "an appointment takes 5h, and the longest stretch of working hours of anna in it is 4h",
        ),
        (
            "",
            "2026-11-24T09:00:00Z",
            "2026-11-24T09:20:00Z",
            "an appointment takes 30m, and the window has only 20m",
        ),
        ("hours: {mon-sun: []}", "2026-11-24T00:00:00Z", "2026-11-28T00:00:00Z", "`hours:` of anna are empty"),
        (f"hours: {OFFICE}", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z", ""),
        ("", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z", ""),
    ],
)
def test_the_reason_is_told_where_it_is_known(tmp_path: Path, text: str, start: str, end: str, reason: str) -> None:
    anna = profile(tmp_path, f"timezone: Europe/Berlin{', ' if text else ''}{text}")
    assert why(anna, start, end) == reason


def test_what_was_asked_for_counts_instead_of_what_the_profile_has(tmp_path: Path) -> None:
    anna = profile(tmp_path, f"timezone: Europe/Berlin, hours: {OFFICE}")
    weekend = "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"
    assert why(anna, weekend[0], weekend[1], hours="none") == ""
    assert "an appointment takes 2d" in why(anna, weekend[0], weekend[1], hours="none", duration="2d")
    assert why(anna, "2026-11-23T12:00:00Z", "2026-11-23T14:00:00Z", notice="0m") == ""


def test_nothing_is_told_of_hours_in_a_zone_that_only_the_daemon_knows(tmp_path: Path) -> None:
    anna = profile(tmp_path, f"hours: {OFFICE}")
    assert why(anna, "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z") == ""


def test_the_command_says_it(busyd: Busyd, daemon: Daemon) -> None:
    empty: dict[str, Any] = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z", "slots": []}
    daemon.answer("/v1/profiles/anna/slots", empty)
    words = ("slots", "anna", "--start", "2020-01-01", "--end", "2020-01-02")
    assert busyd(*words).out == "there are no open slots: the window is past\n"
    daemon.answer("/v1/profiles/anna/slots", {**empty, "start": "2199-01-01T00:00:00Z", "end": "2199-01-02T00:00:00Z"})
    assert busyd(*words).out == "there are no open slots\n"
    daemon.answer("/v1/slots", empty)
    assert busyd("slots", "anna", "ben", *words[2:]).out == "there are no open slots: the window is past\n"
    assert busyd("slots", "anna", "ben", "--mode", "any", *words[2:]).out == "there are no open slots\n"
