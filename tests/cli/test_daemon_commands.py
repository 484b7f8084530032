"""Commands that ask the running daemon: what they send, what they show, and how they fail."""

import json
from pathlib import Path

import pytest

from busyd.cli.daemon_client import read_local_token
from tests.cli.conftest import Busyd, Daemon

STATE = ".local/state/busyd"
FREEBUSY = {
    "profile": "anna",
    "start": "2026-11-23T00:00:00Z",
    "end": "2026-11-30T00:00:00Z",
    "as_of": "2026-11-22T10:15:03Z",
    "stale": False,
    "complete": True,
    "busy": [{"start": "2026-11-23T09:00:00Z", "end": "2026-11-23T23:30:00Z", "type": "BUSY"}],
    "calendars": [{"calendar": "anna/Work", "as_of": "2026-11-22T10:15:03Z", "state": "fresh"}],
}


@pytest.fixture
def token(state_in_use: Path) -> str:
    """The token that the daemon leaves for its own user."""
    (state_in_use / "local-admin-token").write_text("bd_1_local\n")
    return "bd_1_local"


def test_freebusy_is_shown_in_the_zone_of_the_profile(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer("/v1/profiles/anna/freebusy", FREEBUSY)
    ran = busyd("freebusy", "anna", "--start", "2026-11-23", "--end", "2026-11-30")
    assert ran.status == 0
    assert ran.out.splitlines() == [
        "START                 END                   TYPE",
        "Mon 2026-11-23 10:00  Tue 2026-11-24 00:30  BUSY",
    ]
    assert ran.err == "as of Sun 2026-11-22 11:15:03\ntimes in Europe/Berlin\n"
    assert daemon.asked == [("GET", "/v1/profiles/anna/freebusy?start=2026-11-23&end=2026-11-30", None)]


def test_freebusy_as_json_is_the_answer_itself(busyd: Busyd, daemon: Daemon, token: str) -> None:
    daemon.answer("/v1/profiles/anna/freebusy", FREEBUSY)
    ran = busyd("freebusy", "anna", "--json", "--tz", "UTC", "--max-age", "20s", "--on-stale", "busy")
    assert ran.json == FREEBUSY
    ((_, target, authorization),) = daemon.asked
    assert target.endswith("?start=now&tz=UTC&max_age=20s&on_stale=busy")
    assert authorization == f"Bearer {token}"


def test_what_limits_an_answer_is_said(busyd: Busyd, daemon: Daemon) -> None:
    limited = {
        **FREEBUSY, "stale": True, "complete": False, "as_of": None, "busy": [],
        "calendars": [{"calendar": "anna/X", "state": "missing", "as_of": None, "detail": "no such calendar"},
                      {"state": "fresh"}],
    }  # fmt: skip
    daemon.answer("/v1/profiles/anna/freebusy", limited)
    ran = busyd("freebusy", "anna", "--tz", "UTC")
    assert ran.out == "nothing is busy from Mon 2026-11-23 00:00 to Mon 2026-11-30 00:00\n"
    assert ran.err.splitlines() == [
        "never confirmed",
        "times in UTC",
        "stale: older than the profile's max_age",
        "incomplete: anna/X has never been read, so all of its time counts as busy",
        "anna/X is missing: no such calendar",
    ]


@pytest.mark.parametrize(
    ("busy", "said"),
    [
        ([], "the start of an event could not be read, so it blocks nothing; run `busyd status` to see which"),
        (["BUSY"], "so it blocks nothing"),
        (["BUSY", "BUSY-UNAVAILABLE"], "the time it may take counts as busy"),
    ],
)
def test_what_is_not_known_is_told_with_what_it_means(busyd: Busyd, daemon: Daemon, busy: list[str], said: str) -> None:
    periods = [{"start": "2026-11-23T09:00:00Z", "end": "2026-11-23T10:00:00Z", "type": kind} for kind in busy]
    daemon.answer("/v1/profiles/anna/freebusy", {**FREEBUSY, "complete": False, "busy": periods})
    (note,) = [line for line in busyd("freebusy", "anna").err.splitlines() if line.startswith("incomplete: ")]
    assert said in note


def test_a_profile_without_calendars_is_told_as_that(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer("/v1/profiles/ben/freebusy", {**FREEBUSY, "profile": "ben", "complete": False, "calendars": []})
    said = "the profile ben has no calendar that blocks, so none of its time is known to be free; set `primary:`"
    assert f"incomplete: {said}" in busyd("freebusy", "ben").err
    daemon.answer("/v1/profiles/ben/explain", {"events": [], "detail": f"{said} or `conflicts:`"})
    ran = busyd("explain", "ben")
    assert said in ran.err
    assert ran.out == ""


def test_slots_that_may_lack_an_event_say_so(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer("/v1/profiles/anna/slots", {"slots": [], "complete": False, "as_of": None})
    assert "one whose start cannot be read blocks nothing" in busyd("slots", "anna").err


def test_what_to_do_is_told_in_words_of_the_command_line(busyd: Busyd, daemon: Daemon) -> None:
    fix = "GET /v1/status says which connection is in trouble; on_stale=serve answers with the last known state"
    daemon.answer("/v1/profiles/anna/slots", {"detail": "too old", "fix": fix}, status=503)
    said = busyd("slots", "anna").err
    assert "`busyd status` says which connection is in trouble; --on-stale serve answers" in said
    assert "/v1/" not in said


def test_slots_take_the_shape_that_is_asked_for(busyd: Busyd, daemon: Daemon) -> None:
    slots = [{"start": "2026-11-23T09:00:00Z", "end": "2026-11-23T09:45:00Z"}]
    daemon.answer("/v1/profiles/anna/slots", {"slots": slots})
    ran = busyd("slots", "anna", "--duration", "45m", "--buffer-before", "5m", "--hours", "none", "--tentative", "free")
    assert ran.out.splitlines()[1] == "Mon 2026-11-23 10:00  Mon 2026-11-23 10:45"
    assert "duration=45m&buffer_before=5m&hours=none&tentative=free" in daemon.asked[0][1]


GROUP = {
    "slots": [{"start": "2026-11-23T09:00:00Z", "end": "2026-11-23T09:30:00Z", "free": ["ben", "anna"]}],
    "as_of": "2026-11-22T10:15:03Z",
    "stale": True,
    "complete": True,
    "profiles": [
        {"profile": "anna", "stale": False, "complete": True, "as_of": "2026-11-22T10:15:03Z", "busy_seconds": 0},
        {"profile": "ben", "stale": True, "complete": True, "as_of": "2026-11-22T10:15:03Z", "busy_seconds": 0},
    ],
}


def test_slots_of_several_say_who_is_free(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer("/v1/slots", GROUP)
    ran = busyd("slots", "anna", "ben", "--mode", "any", "--rank", "least-busy", "--duration", "30m")
    assert ran.out.splitlines() == [
        "START                 END                   FREE",
        "Mon 2026-11-23 10:00  Mon 2026-11-23 10:30  ben, anna",
    ]
    assert "duration=30m&profiles=anna%2Cben&mode=any&rank=least-busy" in daemon.asked[0][1]
    assert "stale: ben\n" in ran.err
    assert busyd("slots", "anna", "ben", "--json").json == GROUP


def test_what_is_for_several_is_not_taken_for_one(busyd: Busyd, daemon: Daemon) -> None:
    ran = busyd("slots", "anna", "--mode", "any")
    assert (ran.status, daemon.asked) == (64, [])
    assert "--mode and --rank are for several profiles" in ran.err


def test_a_profile_that_is_given_twice_is_a_fault_of_usage(busyd: Busyd, daemon: Daemon) -> None:
    ran = busyd("slots", "ben", "anna", "anna")
    assert (ran.status, daemon.asked) == (64, [])
    assert "anna is given twice: name each profile once" in ran.err


def test_explain_names_the_rule_and_its_line(busyd: Busyd, daemon: Daemon) -> None:
    event = {"calendar": "anna/Work", "uid": "1", "summary": "A\x1b[2J", "start": "2026-11-23T09:00:00Z",
             "end": "2026-11-23T10:00:00Z", "type": "FREE", "reason": "all-day", "rule": "all_day",
             "origin": "c.yaml:7"}  # fmt: skip
    daemon.answer("/v1/profiles/anna/explain", {"events": [event, {**event, "rule": None, "summary": ""}]})
    lines = busyd("explain", "anna", "--tz", "UTC").out.splitlines()
    when = "Mon 2026-11-23 09:00-10:00"
    assert lines[1] == f"{when}  free       all-day event (rule `all_day`, c.yaml:7)  anna/Work  A [2J"
    assert lines[2] == f"{when}  free       all-day event                             anna/Work  (no title)"


def test_explain_tells_of_what_does_not_count_in_a_line_for_each_calendar(busyd: Busyd, daemon: Daemon) -> None:
    spans = [{"start": f"2026-11-2{day}T09:00:00Z", "end": f"2026-11-2{day}T10:00:00Z"} for day in range(3, 8)]
    sentence = "there is something at that time in anna/Family, which does not count for anna"
    elsewhere = [{"calendar": "anna/Family", "periods": spans, "explanation": sentence}]
    daemon.answer("/v1/profiles/anna/explain", {"events": [], "elsewhere": elsewhere})
    ran = busyd("explain", "anna", "--tz", "UTC")
    assert ran.err.startswith(f"{sentence}: Mon 2026-11-23 09:00-10:00, Tue 2026-11-24 09:00-10:00, Wed 2026-11-25 09")
    assert ran.err.splitlines()[0].endswith(" and 2 more")


def test_a_time_that_has_passed_may_be_counted_from_now(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer("/v1/profiles/anna/freebusy", FREEBUSY)
    assert busyd("freebusy", "anna", "--start", "-1d", "--end", "+1h").status == 0
    assert daemon.asked[0][1].endswith("?start=-1d&end=%2B1h")


@pytest.mark.parametrize("command", ["freebusy", "slots", "explain"])
def test_a_window_at_the_end_of_summer_time_has_both_hours_that_clocks_show(
    busyd: Busyd, daemon: Daemon, command: str
) -> None:
    daemon.answer(f"/v1/profiles/anna/{command}", {**FREEBUSY, "slots": []})
    assert busyd(command, "anna", "--start", "2027-10-31 02:00", "--end", "2027-10-31 02:30").status == 0
    assert "start=2027-10-31T00%3A00%3A00Z&end=2027-10-31T01%3A30%3A00Z" in daemon.asked[0][1]


def test_a_slot_in_the_hour_that_clocks_show_twice_is_told_with_its_offset(busyd: Busyd, daemon: Daemon) -> None:
    slot = {"start": "2027-10-31T00:30:00Z", "end": "2027-10-31T01:00:00Z"}
    daemon.answer("/v1/profiles/anna/slots", {"slots": [slot]})
    row = busyd("slots", "anna", "--start", "2027-10-31 01:00").out.splitlines()[1]
    assert row == "Sun 2027-10-31 02:30+02:00  Sun 2027-10-31 02:00+01:00"


@pytest.mark.parametrize("words", [("freebusy", "anna"), ("block", "list", "anna"), ("block", "add", "anna")])
def test_a_window_that_ends_before_it_starts_says_what_counts_from_now(
    busyd: Busyd, daemon: Daemon, words: tuple[str, ...]
) -> None:
    ran = busyd(*words, "--start", "2199-12-30", "--end", "+3d")
    assert (ran.status, daemon.asked) == (64, [])
    assert "empty or reversed: --start '2199-12-30' is Mon 2199-12-30 00:00, and --end '+3d' is " in ran.err
    assert "; +3d counts from now, 2199-12-30+3d from the start\n" in ran.err


@pytest.mark.parametrize("words", [("slots", "anna", "--duration"), ("freebusy", "anna", "--max-age"),
                                   ("hold", "anna", "--start", "now", "--ttl")])  # fmt: skip
def test_a_length_without_a_unit_is_told_by_its_option(busyd: Busyd, daemon: Daemon, words: tuple[str, ...]) -> None:
    ran = busyd(*words, "5")
    assert (ran.status, daemon.asked) == (64, [])
    assert f"busyd: {words[-1]}: '5' has no unit, did you mean '5s' or '5m'?" in ran.err


def test_times_of_no_single_profile_are_in_the_zone_of_all_profiles(busyd: Busyd, daemon: Daemon) -> None:
    connection = {"name": "anna", "state": "ok", "last_poll": "2026-11-23T09:00:00Z", "next_poll": None}
    profiles = [{"name": name, "state": "fresh", "timezone": "Europe/Berlin"} for name in ("anna", "ben")]
    daemon.answer("/v1/status", {"connections": [connection], "profiles": profiles})
    ran = busyd("status")
    assert "Mon 2026-11-23 10:00" in ran.out
    assert "times in Europe/Berlin" in ran.err
    daemon.answer(
        "/v1/status", {"connections": [connection], "profiles": [{**profiles[0], "timezone": "UTC"}, profiles[1]]}
    )
    assert "times in Europe/Berlin" not in busyd("status").err


LONG = {"calendar": "anna/Work", "uid": "1", "summary": "Quarterly planning " * 4, "type": "BUSY-TENTATIVE",
        "start": "2026-11-23T00:00:00Z", "end": "2026-11-25T00:00:00Z", "reason": "unanswered",
        "rule": "unanswered"}  # fmt: skip


def test_a_table_that_is_too_wide_is_folded_to_the_terminal(
    busyd: Busyd, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.answer("/v1/profiles/anna/explain", {"events": [LONG]})
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    shown = busyd("explain", "anna", "--tz", "UTC").out
    assert max(map(len, shown.splitlines())) <= 80
    assert len(shown.splitlines()) > 2
    assert "tentative" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("summary", ["Quarterly planning " * 4, "四半期計画 " * 8])
def test_in_a_pipe_each_row_of_a_table_is_one_line(
    busyd: Busyd, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, summary: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    daemon.answer("/v1/profiles/anna/explain", {"events": [{**LONG, "summary": summary}]})
    _, row = busyd("explain", "anna", "--tz", "UTC").out.splitlines()
    assert row.endswith(summary.rstrip())


@pytest.mark.parametrize(
    "words", [("freebusy", "anna"), ("slots", "anna"), ("explain", "anna"), ("block", "list", "anna")]
)
def test_a_malformed_time_is_a_fault_of_usage_and_nobody_is_asked(
    busyd: Busyd, daemon: Daemon, words: tuple[str, ...]
) -> None:
    ran = busyd(*words, "--start", "next week")
    assert (ran.status, daemon.asked) == (64, [])
    assert "--start: 'next week' is not a point in time" in ran.err


def test_a_misspelt_profile_is_told_with_what_was_meant(busyd: Busyd, daemon: Daemon) -> None:
    problem = {"type": "https://busyd.invalid/errors/unknown-profile", "detail": "there is no profile 'ana'"}
    daemon.answer("/v1/profiles/ana/freebusy", problem, status=404)
    assert "there is no profile 'ana', did you mean 'anna'?" in busyd("freebusy", "ana").err
    daemon.answer("/v1/slots", problem, status=404)
    assert "there is no profile 'ana', did you mean 'anna'?" in busyd("slots", "anna", "ana").err


def test_calendars_and_status_are_tables(busyd: Busyd, daemon: Daemon, token: str) -> None:
    calendar = {"calendar": "anna/Work", "id": "9F", "kind": "own", "writable": True, "linked": True,
                "state": "read", "as_of": None, "detail": "slow"}  # fmt: skip
    connection = {"name": "anna", "state": "ok", "last_poll": None, "next_poll": None, "calendars": [calendar]}
    problem = {"calendar": "anna/Work", "uid": "u", "reason": "no end"}
    daemon.answer("/v1/calendars", {"calendars": [calendar]})
    daemon.answer("/v1/status", {"connections": [connection], "profiles": [], "problems": [problem]})
    assert busyd("calendars").out.splitlines()[1].split() == ["anna/Work", "9F", "own", "yes", "yes", "read"]
    ran = busyd("status")
    assert [line.split() for line in ran.out.splitlines() if line][1::2] == [
        ["anna", "ok", "never", "never"],
        ["anna/Work", "read", "never"],
    ]
    assert ran.err.partition("\n")[2] == "anna/Work: slow\nanna/Work: no end (event u)\n"
    assert ran.err.startswith("times in ")
    assert {authorization for _, _, authorization in daemon.asked} == {f"Bearer {token}"}


def test_the_code_of_what_is_wrong_with_a_connection_is_shown(busyd: Busyd, daemon: Daemon) -> None:
    trouble = {"name": "anna", "state": "trouble", "detail": "Apple refused it", "code": "auth.apple.rejected"}
    daemon.answer("/v1/status", {"connections": [trouble], "profiles": []})
    assert "anna: Apple refused it [auth.apple.rejected]\n" in busyd("status").err


def test_sync_shows_how_far_it_is_line_by_line(busyd: Busyd, daemon: Daemon) -> None:
    steps = [{"connection": "anna", "calendar": "anna/Work", "phase": "fetching", "done": done, "total": 1000}
             for done in range(0, 1001, 10)]  # fmt: skip
    lines = [*steps, {"finished": True, "failed": []}]
    daemon.answer("/v1/sync", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    ran = busyd("sync", "--now")
    assert ran.status == 0
    assert ran.out.splitlines()[:2] == ["anna/Work: fetching 0 of 1000", "anna/Work: fetching 100 of 1000"]
    assert ran.out.splitlines()[-2:] == ["anna/Work: fetching 1000 of 1000", "done"]
    assert len(ran.out.splitlines()) == 12
    assert [asked[:2] for asked in daemon.asked] == [("GET", "/healthz"), ("POST", "/v1/sync")]


def test_without_an_account_there_is_nothing_to_sync(busyd: Busyd, daemon: Daemon, home: Path) -> None:
    config = home / ".config" / "busyd" / "config.yaml"
    config.write_text(config.read_text().partition("connections:")[0])
    ran = busyd("sync")
    assert (ran.status, ran.out) == (0, "no account is connected; `busyd setup` connects one\n")
    assert daemon.asked == []


def test_sync_says_what_failed(busyd: Busyd, daemon: Daemon) -> None:
    failed = {"connection": "team", "calendar": "", "phase": "failed", "detail": "no answer"}
    daemon.answer(
        "/v1/sync", b"\n".join(json.dumps(one).encode() for one in (failed, {"finished": True, "failed": ["team"]}))
    )
    ran = busyd("sync")
    assert ran.status == 69
    assert ran.err.splitlines()[:2] == ["team: no answer", "busyd: could not read team"]


@pytest.mark.parametrize(("refused", "status"), [(["home", "team"], 77), (["team"], 69)])
def test_a_sync_that_failed_by_refused_logins_alone_says_so(
    busyd: Busyd, daemon: Daemon, refused: list[str], status: int
) -> None:
    daemon.answer("/v1/sync", json.dumps({"finished": True, "failed": ["home", "team"], "refused": refused}).encode())
    assert busyd("sync").status == status


@pytest.mark.parametrize("body", [b"", b'{"phase": "x"}\n', b"{broken\n", b"[1]\n"])
def test_a_sync_that_ends_early_is_to_be_tried_again(busyd: Busyd, daemon: Daemon, body: bytes) -> None:
    daemon.answer("/v1/sync", body)
    ran = busyd("sync")
    assert ran.status == 75
    assert "busyd: the daemon" in ran.err


@pytest.mark.parametrize(
    ("status", "problem", "code", "said"),
    [
        (400, {"detail": "start is after end", "fix": "swap them"}, 64, "start is after end\n       swap them"),
        (404, {"detail": "there is no profile 'x'"}, 1, "there is no profile 'x'"),
        (404, None, 1, "the running daemon does not support this request"),
        (503, {"title": "too old"}, 75, "too old"),
        (500, ["?"], 1, "the daemon answered with status 500"),
        (401, {"detail": "x"}, 1, "the daemon does not know this token"),
    ],
)
def test_a_refusal_is_told_in_the_daemons_words(
    busyd: Busyd, daemon: Daemon, token: str, status: int, problem: object, code: int, said: str
) -> None:
    assert token
    daemon.answer("/v1/status", b"<html>" if problem is None else problem, status=status)
    ran = busyd("status")
    assert ran.status == code
    assert ran.err.startswith(f"busyd: {said}")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
def test_an_answer_that_is_no_json_is_to_be_tried_again(busyd: Busyd, daemon: Daemon, body: bytes) -> None:
    daemon.answer("/v1/status", body)
    assert busyd("status").status == 75


@pytest.mark.parametrize("words", [["status"], ["freebusy", "anna"], ["slots", "anna"], ["explain", "anna"],
                                   ["calendars"], ["sync"], ["reload"]])  # fmt: skip
def test_a_daemon_that_does_not_run_is_status_69_and_says_how_to_start_it(busyd: Busyd, words: list[str]) -> None:
    ran = busyd(*words)
    assert ran.status == 69
    assert "start it with `busyd run`" in ran.err


def test_a_wrong_zone_is_a_usage_error_before_anything_is_asked(busyd: Busyd, daemon: Daemon) -> None:
    ran = busyd("freebusy", "anna", "--tz", "Mars")
    assert ran.status == 64
    assert daemon.asked == []


def test_a_token_that_cannot_be_read_is_no_token(tmp_path: Path) -> None:
    assert read_local_token(tmp_path) == ""
    (tmp_path / "local-admin-token").write_bytes(b"\xff")
    assert read_local_token(tmp_path) == ""


@pytest.mark.parametrize("words", [["status"], ["freebusy", "anna"], ["slots", "anna"], ["why", "anna", "now"]])
def test_a_daemon_that_does_not_hold_the_state_is_asked_nothing(
    busyd: Busyd, foreign_daemon: Daemon, home: Path, words: list[str]
) -> None:
    """It may know another person by the same name, and when that one is free."""
    (home / STATE).mkdir(parents=True)
    (home / STATE / "local-admin-token").write_text("bd_1_local\n")
    ran = busyd(*words)
    assert (ran.status, ran.out) == (1, "")
    assert f"does not use the state directory {home / STATE}" in ran.err
    assert foreign_daemon.asked == []


@pytest.mark.parametrize("words", [["token", "add", "anna"], ["token", "list"], ["token", "revoke", "1"]])
def test_no_token_is_made_for_a_daemon_that_would_not_know_it(
    busyd: Busyd, foreign_daemon: Daemon, home: Path, words: list[str]
) -> None:
    ran = busyd(*words)
    assert (ran.status, ran.out) == (1, "")
    assert "would not know the token" in ran.err
    assert not (home / STATE / "ledger.sqlite3").exists()
    assert foreign_daemon.asked == []


def test_a_reload_during_a_start_is_to_be_tried_again(busyd: Busyd, token: str) -> None:
    assert token
    ran = busyd("reload")
    assert ran.status == 75
    assert "still starting" in ran.err


SHARED_STATUS = {
    "now": "2026-11-23T12:00:00Z",
    "connections": [{"name": name, "state": "ok", "owner": "one:/a"} for name in "gfedcba"]
    + [{"name": "new", "state": "starting"}],
    "sharing": {
        "daemons": [
            {"name": "one:/a", "address": "a.example", "until": "2026-11-23T12:00:27Z", "connections": 7, "this": True},
            {"name": "two:/b", "address": "", "until": "2026-11-23T11:59:56Z", "connections": 0, "this": False},
        ],
        "behind": 0,
        "oldest_write": 0,
    },
}


def test_status_shows_the_daemons_on_one_database_and_what_each_polls(busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer("/v1/status", SHARED_STATUS)
    ran = busyd("status")
    table = ran.out.partition("DAEMON")[2].partition("\n\n")[0]
    assert [" ".join(line.split()) for line in table.splitlines()[1:]] == [
        "one:/a (this one) a.example 27 s left 7: a, b, c, d, e, ...",
        "two:/b expired 0",
        "nobody yet 1: new",
    ]
    assert "others" not in ran.err


@pytest.mark.parametrize(
    ("sharing", "note"),
    [
        ({"behind": 42}, "this daemon last read 42 seconds ago what the others have written"),
        ({"behind": None}, "this daemon has not read yet what the others have written"),
        ({"behind": 0, "clock_ahead": 600}, "this machine's clock is 0 h 10 min ahead of the database's"),
        ({"behind": 0, "oldest_write": 90}, "a transaction has been writing the database for 90 seconds"),
        (
            {"behind": 0, "daemons": [{"name": "two:/b", "same_configuration": False}]},
            "two:/b: configured differently from this daemon",
        ),
    ],
)
def test_status_says_when_a_daemon_falls_behind(
    busyd: Busyd, daemon: Daemon, sharing: dict[str, object], note: str
) -> None:
    daemon.answer("/v1/status", SHARED_STATUS | {"sharing": {"daemons": [], **sharing}})
    assert note in busyd("status").err
