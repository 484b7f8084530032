"""`busyd book`, `move`, `cancel` and `appointments`: what they send, what they say, and with which exit status."""

import json
import re
from typing import Any

import pytest

from tests.cli.conftest import Busyd, Daemon

PATH = "/v1/profiles/anna/appointments"
BOOKED = {
    "id": "a1",
    "start": "2026-11-25T10:00:00Z",
    "end": "2026-11-25T10:30:00Z",
    "summary": "Intro call",
    "state": "booked",
    "reason": "",
    "changed_elsewhere": "",
}
SLOT = {"start": "2026-11-26T10:00:00Z", "end": "2026-11-26T10:30:00Z"}
WORDS = ("book", "anna", "--start", "2026-11-25T11:00:00+01:00", "--summary", "Intro call")


def body_of(daemon: Daemon) -> Any:
    return json.loads(daemon.bodies[-1])


def test_what_was_booked_is_shown_with_its_id_in_the_zone_of_the_profile(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer(PATH, BOOKED, status=201)
    ran = busyd(*WORDS)
    assert ran.status == 0
    assert ran.out.splitlines()[1] == "a1  Wed 2026-11-25 11:00-11:30  booked  Intro call"
    assert daemon.asked[0][:2] == ("POST", PATH)
    assert body_of(daemon) == {"start": "2026-11-25T10:00:00Z", "summary": "Intro call"}
    assert daemon.keys[0]
    assert busyd(*WORDS, "--json").json == BOOKED
    assert daemon.keys[0] != daemon.keys[1]


def test_every_field_is_sent(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer(PATH, BOOKED, status=201)
    fields = ("--end", "2026-11-25 12:00", "--description", "d", "--location", "l", "--url", "https://example.org/",
              "--class", "private", "--tentative", "--reminder", "15m", "--reminder", "1h", "--hold", "h1",
              "--guest", "ben@example.org", "--guest", "Cleo <cleo@example.org>", "--override", "hours",
              "--override", "busy", "--invite", "server", "--key", "k1")  # fmt: skip
    assert busyd(*WORDS, *fields).status == 0
    assert daemon.keys == ["k1"]
    assert body_of(daemon) == {
        "start": "2026-11-25T10:00:00Z",
        "end": "2026-11-25T11:00:00Z",
        "summary": "Intro call",
        "description": "d",
        "location": "l",
        "url": "https://example.org/",
        "class": "private",
        "tentative": True,
        "reminders": ["15m", "1h"],
        "hold": "h1",
        "guests": [{"email": "ben@example.org"}, {"email": "cleo@example.org", "name": "Cleo"}],
        "invite": "server",
        "override": ["hours", "busy"],
    }


def test_a_refusal_names_what_is_open_in_the_zone_of_the_profile(busyd: Busyd, daemon: Daemon) -> None:
    refused = {"detail": "the time is not free", "fix": "take one of the alternatives", "alternatives": [SLOT]}
    daemon.answer(PATH, refused, status=409)
    ran = busyd(*WORDS)
    assert (ran.status, ran.out) == (1, "")
    assert "busyd: the time is not free\n" in ran.err
    assert "take one of the alternatives; open instead: Thu 2026-11-26 11:00-11:30 (Europe/Berlin)" in ran.err
    assert "--key" not in ran.err


def test_what_is_not_settled_is_told_with_the_key(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer(PATH, {**BOOKED, "state": "pending"}, status=202)
    ran = busyd(*WORDS)
    assert ran.status == 75
    assert "a1  Wed 2026-11-25 11:00-11:30  pending  Intro call" in ran.out
    assert f"--start 2026-11-25T10:00:00Z --key {daemon.keys[0]}" in ran.err
    assert "`busyd appointments anna` shows it" in ran.err


def test_what_could_not_be_proven_may_be_asked_for_again(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer(PATH, {"detail": "anna/Work could not be confirmed", "fix": "try again in a moment"}, status=503)
    ran = busyd(*WORDS, "--key", "k1")
    assert ran.status == 75
    assert "anna/Work could not be confirmed" in ran.err
    assert "--key k1" in ran.err


def test_a_login_that_was_refused_is_no_matter_of_trying_again(busyd: Busyd, daemon: Daemon) -> None:
    refused = {"detail": "the login is refused", "fix": "store the right password", "cause": "login-refused"}
    daemon.answer(PATH, refused, status=503)
    ran = busyd(*WORDS)
    assert ran.status == 77
    assert "store the right password" in ran.err


def test_an_answer_that_is_lost_leaves_the_key(busyd: Busyd, daemon: Daemon) -> None:
    daemon.is_dying = True
    ran = busyd(*WORDS)
    assert ran.status == 75
    assert "whether it was done is not known" in ran.err
    assert f"--key {daemon.keys[0]}" in ran.err


def test_where_no_daemon_answers_nothing_was_asked(busyd: Busyd) -> None:
    ran = busyd(*WORDS)
    assert ran.status == 69
    assert "--key" not in ran.err


@pytest.mark.parametrize("command", ["book", "move", "cancel", "reload"])
def test_exit_statuses_in_the_help_have_that_of_no_daemon(busyd: Busyd, command: str) -> None:
    told = " ".join(busyd(command, "--help").out.partition("Exit status")[2].split())
    assert re.search(r"\b69\b:? no daemon (answers|runs)", told)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("book", "anna", "--start", "now"), "--summary"),
        (("book", "anna", "--summary", "x"), "--start"),
        (("book", "anna", "--start", "now", "--summary", ""), "--summary: say what the appointment is called"),
        (("book", "anna", "--start", "now", "--summary", " "), "--summary: say what the appointment is called"),
        ((*WORDS, "--duration", "half"), "--duration: 'half' is not a duration"),
        ((*WORDS, "--duration", "30m", "--end", "now"), "not allowed with"),
        ((*WORDS, "--reminder", "15"), "--reminder: '15' has no unit"),
        ((*WORDS, "--guest", "Ben"), "--guest: 'Ben' is no email address"),
        ((*WORDS, "--key", "two words"), "--key: must be 1 to 255 visible ASCII characters"),
        ((*WORDS, "--override", "sleep"), "--override"),
        (("book", "anna", "--start", "someday", "--summary", "x"), "--start: 'someday' is not a point in time"),
        (("move", "anna", "a1"), "--start"),
    ],
)
def test_a_line_that_cannot_be_used_says_why(busyd: Busyd, words: tuple[str, ...], said: str) -> None:
    ran = busyd(*words)
    assert ran.status == 64
    assert said in ran.err


@pytest.mark.parametrize(
    "words",
    [("book", "anna", "--summary", "x"), ("move", "anna", "a1"), ("hold", "anna"),
     ("block", "add", "anna", "--duration", "30m")],
)  # fmt: skip
def test_nothing_is_written_at_a_time_that_clocks_skip_or_show_twice(
    busyd: Busyd, daemon: Daemon, words: tuple[str, ...]
) -> None:
    ran = busyd(*words, "--start", "2027-03-28 02:30")
    assert (ran.status, daemon.asked) == (64, [])
    assert "--start: 02:30 does not exist on 2027-03-28 in Europe/Berlin: clocks go from 02:00 to 03:00" in ran.err
    ran = busyd(*words, "--start", "2027-10-31 02:00")
    assert (ran.status, daemon.asked) == (64, [])
    assert "write 2027-10-31T02:00:00+02:00 or 2027-10-31T02:00:00+01:00" in ran.err


def test_a_move_keeps_the_length_unless_another_is_given(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer(f"{PATH}/a1", {**BOOKED, **SLOT})
    ran = busyd("move", "anna", "a1", "--start", "2026-11-26 11:00")
    assert (ran.status, ran.out.splitlines()[1]) == (0, "a1  Thu 2026-11-26 11:00-11:30  booked  Intro call")
    assert daemon.asked[0][:2] == ("PATCH", f"{PATH}/a1")
    assert body_of(daemon) == {"start": SLOT["start"]}
    busyd("move", "anna", "a1", "--start", "2026-11-26 11:00", "--duration", "1h")
    assert body_of(daemon) == {"start": SLOT["start"], "duration": "1h"}
    assert None not in daemon.keys


def test_an_appointment_is_cancelled(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer(f"{PATH}/a1", b"", status=204)
    ran = busyd("cancel", "anna", "a1", "--reason", "ill")
    assert (ran.status, ran.out) == (0, "cancelled: a1\n")
    assert daemon.asked[0][:2] == ("DELETE", f"{PATH}/a1?reason=ill")
    daemon.answer(f"{PATH}/a1", {**BOOKED, "state": "cancelling"}, status=202)
    ran = busyd("cancel", "anna", "a1")
    assert ran.status == 75
    assert "cancelling" in ran.out


def test_an_appointment_that_was_never_booked_is_listed_with_the_reason(busyd: Busyd, daemon: Daemon) -> None:
    unproven = {**BOOKED, "state": "cancelled", "reason": "not-proven"}
    refused = {**BOOKED, "id": "a2", "state": "cancelled", "reason": "refused-by-server 403"}
    daemon.answer(PATH, {"profile": "anna", "appointments": [unproven, refused]})
    listed = busyd("appointments", "anna", "--start", "2026-11-25").out
    assert "cancelled: not booked, as the calendars could not be confirmed" in listed
    assert "cancelled: not booked, as its server did not take it" in listed


def test_appointments_are_listed_with_what_to_do_about_them(busyd: Busyd, daemon: Daemon) -> None:
    told = [BOOKED, {**BOOKED, "id": "a2", "state": "attention", "reason": "conflict", "changed_elsewhere": "moved"}]
    daemon.answer(PATH, {"profile": "anna", "appointments": told})
    ran = busyd("appointments", "anna", "--start", "2026-11-25")
    assert "a1  Wed 2026-11-25 11:00-11:30  booked" in ran.out
    assert "attention: conflict, moved elsewhere" in ran.out
    assert "a2, Wed 2026-11-25 11:00: somebody else's event overlaps it; settle with them" in ran.err
    assert busyd("appointments", "anna", "--json").json["appointments"] == told
    daemon.answer(PATH, {"profile": "anna", "appointments": []})
    assert "there are no appointments from" in busyd("appointments", "anna").out
