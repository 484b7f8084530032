"""`busyd block` and `busyd hold`: what they send and show."""

import json

import pytest

from tests.cli.conftest import Busyd, Daemon

BLOCK = {
    "id": "b1",
    "profile": "anna",
    "start": "2026-11-25T10:00:00Z",
    "end": "2026-11-25T11:00:00Z",
    "type": "BUSY",
    "summary": "Dentist",
    "write": False,
    "state": "booked",
    "created": "2026-11-23T12:00:00Z",
}
HOLD = {**{name: BLOCK[name] for name in ("profile", "start", "end")}, "id": "h1", "expires": "2026-11-23T12:05:00Z"}
PATH = "/v1/profiles/anna/blocks"


def test_a_block_is_added_and_shown_with_its_id(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer(PATH, BLOCK, status=201)
    ran = busyd("block", "add", "anna", "--start", "now", "--end", "+1h", "--summary", "Dentist")
    assert ran.status == 0
    assert ran.out.splitlines()[1] == "b1  Wed 2026-11-25 11:00-12:00  BUSY  Dentist"
    assert [asked[:2] for asked in daemon.asked] == [("POST", PATH)]
    assert json.loads(daemon.bodies[0]) == {
        "start": "now",
        "end": "+1h",
        "summary": "Dentist",
        "type": "BUSY",
        "write": False,
    }


def test_a_block_can_be_given_by_its_length(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer(PATH, BLOCK, status=201)
    assert busyd("block", "add", "anna", "--start", "now", "--duration", "1h").status == 0
    sent = json.loads(daemon.bodies[0])
    assert (sent["start"], sent["duration"], "end" in sent) == ("now", "1h", False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "one of the arguments --end --duration is required"),
        (("--end", "+1h", "--duration", "1h"), "not allowed with"),
        (("--duration", "half"), "--duration: 'half' is not a duration"),
    ],
)
def test_a_block_has_an_end_or_a_length(busyd: Busyd, daemon: Daemon, words: tuple[str, ...], said: str) -> None:
    ran = busyd("block", "add", "anna", "--start", "now", *words)
    assert (ran.status, daemon.asked) == (64, [])
    assert said in ran.err


def test_blocks_are_listed(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer(PATH, {"profile": "anna", "blocks": [BLOCK]})
    assert busyd("block", "list", "anna", "--json").json["blocks"] == [BLOCK]
    assert "Dentist" in busyd("block", "list", "anna", "--end=+7d").out
    assert daemon.asked[1][1] == f"{PATH}?start=now&end=%2B7d"
    daemon.answer(PATH, {"profile": "anna", "blocks": []})
    empty = busyd("block", "list", "anna", "--start", "2026-11-23", "--tz", "UTC").out
    assert empty == (
        "there are no blocks from Mon 2026-11-23 00:00 to Mon 2026-12-07 00:00 (UTC); --start and --end show others\n"
    )


def test_a_block_is_removed(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer(f"{PATH}/b1", b"", status=204)
    ran = busyd("block", "remove", "anna", "b1", "--reason", "done")
    assert (ran.status, ran.out) == (0, "removed: b1\n")
    assert daemon.asked[0][:2] == ("DELETE", f"{PATH}/b1?reason=done")


def test_what_the_daemon_refuses_is_said(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer(PATH, {"detail": "the time is empty", "fix": "write it so"}, status=422)
    ran = busyd("block", "add", "anna", "--start", "now", "--end", "+1h")
    assert ran.status == 1
    assert "the time is empty" in ran.err
    assert "write it so" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ("block", "add", "anna", "--start", "now", "--duration", "0m"),
        ("hold", "anna", "--start", "now", "--ttl", "2h"),
        ("book", "anna", "--summary", "x", "--start", "now", "--duration", "0m"),
    ],
)
def test_values_that_the_daemon_cannot_use_are_a_fault_of_usage(
    busyd: Busyd, daemon: Daemon, words: tuple[str, ...]
) -> None:
    problem = {"type": "https://busyd.invalid/errors/invalid", "detail": "that is too long or too short"}
    for path in (PATH, "/v1/profiles/anna/holds", "/v1/profiles/anna/appointments"):
        daemon.answer(path, problem, status=422)
    ran = busyd(*words)
    assert ran.status == 64
    assert "that is too long or too short" in ran.err


def test_a_slot_is_held_and_given_back(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer("/v1/profiles/anna/holds", HOLD, status=201)
    ran = busyd("hold", "anna", "--start", "2026-11-25T10:00:00Z", "--ttl", "10m")
    assert ran.out.splitlines()[1] == "h1  Wed 2026-11-25 11:00-12:00  Mon 2026-11-23 13:05"
    assert json.loads(daemon.bodies[0]) == {"start": "2026-11-25T10:00:00Z", "ttl": "10m"}
    daemon.answer("/v1/profiles/anna/holds/h1", b"", status=204)
    assert busyd("hold", "anna", "--give-back", "h1").out == "given back: h1\n"


def test_a_slot_that_is_taken_is_answered_with_others(busyd: Busyd, daemon: Daemon) -> None:
    slot = {"start": "2026-11-25T11:00:00Z", "end": "2026-11-25T11:30:00Z"}
    refused = {"detail": "the time is not free", "fix": "x", "alternatives": [slot]}
    daemon.answer("/v1/profiles/anna/holds", refused, status=409)
    ran = busyd("hold", "anna", "--start", "2026-11-25T10:00:00Z")
    assert ran.status == 1
    assert "open instead: Wed 2026-11-25 12:00-12:30 (Europe/Berlin)" in ran.err


@pytest.mark.parametrize("words", [("hold", "anna", "--list"), ("hold", "list", "anna")])
def test_holds_are_listed_as_an_option_or_as_blocks_are(busyd: Busyd, daemon: Daemon, words: tuple[str, ...]) -> None:
    daemon.answer("/v1/profiles/anna/holds", {"holds": [HOLD]})
    assert busyd(*words).out.splitlines()[1].startswith("h1  Wed 2026-11-25 11:00-12:00")
    assert busyd(*words, "--json").json == {"holds": [HOLD]}


def test_a_hold_is_of_one_profile(busyd: Busyd, daemon: Daemon) -> None:
    ran = busyd("hold", "anna", "ben", "--start", "now")
    assert (ran.status, daemon.asked) == (64, [])
    assert "unexpected argument 'ben'" in ran.err
    assert "[of]" not in busyd("hold", "--help").out


def test_what_is_not_there_is_told_with_a_command_that_can_be_run(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer(
        f"{PATH}/b1", {"detail": "there is no block b1", "fix": "GET …/blocks lists those in force"}, status=404
    )
    assert "`busyd block list anna` lists those in force" in busyd("block", "remove", "anna", "b1").err


@pytest.mark.parametrize("words", [(), ("--start", "now", "--give-back", "h1")])
def test_a_hold_needs_one_thing_to_do(busyd: Busyd, words: tuple[str, ...]) -> None:
    ran = busyd("hold", "anna", *words)
    assert ran.status == 64
    assert "--give-back" in ran.err
