"""`busyd busy`: files and batches in, JSON out, and a line that makes no sense ends nothing."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from busyd.availability.policy import Rules
from busyd.cli.busy import add_busy_command, answer_lines, read_instant, read_rules
from busyd.cli.exit_status import UsageError
from busyd.errors import UserError
from tests.ical.objects import calendar, event

EVENT = calendar(event("DTSTART:20260601T090000", "DURATION:PT1H"))
ANSWER = [{"start": "2026-06-01T07:00:00Z", "end": "2026-06-01T08:00:00Z", "type": "BUSY"}]


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_busy_command(parser.add_subparsers())
    arguments = parser.parse_args(["busy", *words])
    return int(arguments.run(arguments))


def request(**changes: object) -> bytes:
    base = {"id": 7, "ics": [EVENT.decode()], "start": "2026-06-01T00:00:00Z", "end": "2026-06-02T00:00:00Z"}
    return json.dumps(base | {"tz": "Europe/Berlin"} | changes).encode()


def ask(line: bytes, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    answer_lines([line])
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_files_are_answered_with_busy_periods_and_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.ics").write_bytes(EVENT)
    (tmp_path / "b.ics").write_bytes(b"<html>")
    files = [str(tmp_path / "a.ics"), str(tmp_path / "b.ics")]
    assert run(*files, "--start", "2026-06-01", "--end", "2026-06-02", "--tz", "Europe/Berlin") == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["busy"] == ANSWER
    assert [problem["kind"] for problem in answer["problems"]] == ["unreadable"]


def test_rules_and_addresses_are_heeded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.ics"
    lines = ("DTSTART:20260601T090000Z", "DURATION:PT1H", "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:Me@example.com")
    path.write_bytes(calendar(event(*lines)))
    words = (str(path), "--start", "2026-06-01", "--end", "2026-06-02", "--address", "me@example.com")
    assert run(*words) == 0
    assert json.loads(capsys.readouterr().out)["busy"][0]["type"] == "BUSY-TENTATIVE"
    assert run(*words, "--rules", "unanswered=free") == 0
    assert json.loads(capsys.readouterr().out)["busy"] == []


def test_a_request_is_answered_with_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(request(), capsys) == {"id": 7, "busy": ANSWER, "problems": []}


def test_a_request_may_bring_rules_addresses_and_availability(capsys: pytest.CaptureFixture[str]) -> None:
    available = "BEGIN:AVAILABLE\r\nDTSTART:20260601T060000Z\r\nDTEND:20260602T000000Z\r\nEND:AVAILABLE"
    hours = f"BEGIN:VAVAILABILITY\r\n{available}\r\nEND:VAVAILABILITY"
    line = request(
        rules={"all_day": "free", "travel_time": False}, addresses="a@b", availability=calendar(hours).decode()
    )
    away = {"start": "2026-06-01T00:00:00Z", "end": "2026-06-01T06:00:00Z", "type": "BUSY-UNAVAILABLE"}
    assert ask(line, capsys)["busy"] == [away, *ANSWER]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"\xff\n",
        b'"text"',
        b"[" * 100_000,
        request(start=None),
        request(start="yesterday"),
        request(start="2026-13-01"),
        request(start="2026-06-03"),
        request(end=5),
        request(tz="Nowhere/Land"),
        request(tz=3),
        request(ics=[3]),
        request(ics={"a": 1}),
        request(rules=[]),
        request(rules={"colour": "red"}),
        request(rules={"all_day": "maybe"}),
        request(addresses=[None]),
        request(availability=1),
    ],
)
def test_a_line_that_makes_no_sense_gets_an_error_and_the_next_its_answer(
    line: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    answer_lines([line, b"\n", request()])
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["error"]
    assert second["busy"] == ANSWER


def test_lone_surrogates_in_a_request_are_survived(capsys: pytest.CaptureFixture[str]) -> None:
    line = request().replace(b"DURATION", b"SUMMARY:\\ud800\\r\\nDURATION")
    assert ask(line, capsys)["busy"] == ANSWER


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2026-06-01", "Europe/Berlin", 1780264800),
        ("2026-06-01", "UTC", 1780272000),
        ("2026-06-01T02:00:00+02:00", "UTC", 1780272000),
        ("2026-06-01t00:00:00z", "UTC", 1780272000),
        ("2026-06-01T00:00:00.9Z", "UTC", 1780272000),
    ],
)
def test_times_are_rfc_3339_or_midnights(text: str, zone: str, instant: int) -> None:
    assert read_instant(text, zone) == instant


@pytest.mark.parametrize("text", ["", "2026", "2026-06-01T00:00:00", "now", "2026-06-01T25:00:00Z"])
def test_other_times_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError) as refused:
        read_instant(text, "UTC")
    assert "2026-11-23" in refused.value.fix


def test_a_day_that_does_not_exist_is_refused_as_such() -> None:
    with pytest.raises(UserError, match="'2026-02-30' names a day that does not exist"):
        read_instant("2026-02-30", "UTC")


def test_wrong_words_are_user_errors_that_say_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--start"):
        run("a.ics")
    (tmp_path / "a.ics").write_text("BEGIN:VCALENDAR\nEND:VCALENDAR\n")
    with pytest.raises(UsageError, match="is not a point in time"):
        run(str(tmp_path / "a.ics"), "--start", "soon", "--end", "2026-06-02")
    (tmp_path / "README.md").write_text("# busyd\n")
    assert run(str(tmp_path / "README.md"), "--start", "2026-06-01", "--end", "2026-06-02") == 1
    with pytest.raises(UserError, match=r"cannot read .*none\.ics: no such file"):
        run(str(tmp_path / "none.ics"), "--start", "2026-06-01", "--end", "2026-06-02")
    with pytest.raises(UserError, match="NAME=VALUE"):
        run(str(tmp_path / "a.ics"), "--start", "2026-06-01", "--end", "2026-06-02", "--rules", "x")
    with pytest.raises(UserError, match="rule travel_time: expected true or false"):
        read_rules({"travel_time": "perhaps"})
    with pytest.raises(UserError, match=r"rule all_day: expected as-marked, busy or free, .* did you mean 'busy'"):
        read_rules({"all_day": "bussy"})


def test_rules_are_read_as_in_the_configuration() -> None:
    assert read_rules({"travel_time": "no", "all_day": "Free", "tentative": "busy"}) == Rules(
        travel_time=False, all_day="free", tentative="busy"
    )
