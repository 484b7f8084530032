"""What the README states and can be looked up is so: commands, links, files, routes, numbers."""

import argparse
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

import busyd.service.crash_counter as crash_counter
from busyd.cli.asked_time import asked_span
from busyd.cli.exit_status import ExitStatus
from busyd.cli.main import COMMANDS, build_full_parser
from busyd.config import load_config
from busyd.credentials import sessions
from busyd.http import changes as streams
from busyd.http import query, slots
from busyd.http.openapi import describe
from busyd.http.settings import Limits
from busyd.ical import limits as ical
from busyd.ical.zones import reading_zone
from busyd.index import changes as index_changes
from busyd.index import worker, worker_process
from busyd.period import Instant
from busyd.remote import backoff
from busyd.remote.wire import TransferLimits
from busyd.service import session
from busyd.state import horizon
from busyd.store.outbox import LONGEST_HOLD
from busyd.store.postgresql import fleet, ledger_database, server
from busyd.store.statements import changes as change_statements
from busyd.sync import timing

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
FLAT = " ".join(re.sub(r"^ *[*|] ", "", README, flags=re.MULTILINE).split())
UNIT = (REPOSITORY / "systemd" / "busyd.service").read_text()
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
INLINE = [" ".join(one.split()) for one in re.findall(r"`([^`]+)`", PROSE)]
UNDESCRIBED = {"/", "/dav/", "/.well-known/caldav", "/openapi.json"}
MINUTE, HOUR, DAY, MIB = 60, 3600, 86_400, 1024 * 1024


def _commands() -> list[str]:
    lines = re.findall(r"^\$ (.*)$", README, re.MULTILINE)
    lines += [line for kind, text in FENCED if kind == "sh" for line in re.sub(r"\\\n", " ", text).splitlines()]
    found = [re.search(r"(?:^|[;&|(/ ])(busyd [a-z].*)$", re.split("  #| [|]", line)[0]) for line in lines]
    return [one[1].strip() for one in found if one and "pip" not in one[1] and "install" not in one.string.split()[:2]]


def _parser_of(words: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser of the command that these words name, and the words that are left."""
    parser: argparse.ArgumentParser = build_full_parser()
    while words:
        nested = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
        if not nested or words[0] not in nested[0].choices:
            break
        parser, words = nested[0].choices[words[0]], words[1:]
    return parser, words


@pytest.mark.parametrize("command", sorted(set(_commands())))
def test_commands_in_blocks_are_what_the_command_line_takes(command: str) -> None:
    words = shlex.split(re.sub(r"\$\(date [^)]*\)", "today", command), comments=True)
    build_full_parser().parse_args(words[1:])


def test_the_window_of_the_first_example_is_one_on_every_day_of_the_week() -> None:
    words = shlex.split(next(command for command in _commands() if command.startswith("busyd explain")))
    arguments = build_full_parser().parse_args(words[1:])
    for day in range(7):
        now, zone = Instant((20_000 + day) * DAY + 50_000), reading_zone("Europe/Berlin")
        asked_span({"start": arguments.start, "end": arguments.end}, zone, now=now, program="busyd explain")


@pytest.mark.parametrize("command", sorted({one for one in INLINE if re.match(r"busyd [a-z]", one)}))
def test_commands_in_sentences_exist_with_their_options(command: str) -> None:
    words = shlex.split(command.replace("…", ""))[1:]
    for name in words[0].split("|"):
        assert name in COMMANDS
        parser, rest = _parser_of([name, *words[1:]])
        options = {option for action in parser._actions for option in action.option_strings}
        assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= options
        takes_commands = any(isinstance(one, argparse._SubParsersAction) for one in parser._actions)
        assert not (takes_commands and rest and rest[0].islower() and rest[0].isalpha()), f"no {rest[0]} in {name}"


def test_all_commands_are_listed_and_no_others() -> None:
    section = README.partition("\n## Commands\n")[2]
    listed = re.findall(r"`([a-z-]+)`", section.partition(". Each has")[0])
    assert sorted(listed) == sorted(COMMANDS)


def test_exit_statuses_are_those_of_the_command_line() -> None:
    told = re.search(r"Exit codes: (0 ok.*?)\.", FLAT)
    assert told is not None
    numbers = {int(number) for number in re.findall(r"\d+", told[1])}
    assert numbers == {int(status) for status in ExitStatus if status < 128}


def test_links_lead_to_headings() -> None:
    headings = re.findall(r"^##+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert len(anchors) == len(headings)
    assert set(re.findall(r"\]\(#([^)]*)\)", README)) <= anchors


def test_what_troubleshooting_quotes_is_what_the_program_says() -> None:
    section = README.partition("\n## Troubleshooting\n")[2].partition("\n## ")[0]
    quoted = re.findall(r'^\| (?:[^|]*)"([^"|]+)"', section, re.MULTILINE)
    sources = "".join(file.read_text() for file in (REPOSITORY / "daemon").rglob("*.py"))
    assert len(quoted) > 4
    assert [text for text in quoted if text not in sources] == []


def test_files_that_are_named_are_there() -> None:
    named = {re.split(r"[ *]", one)[0] for one in INLINE if re.match(r"(config|daemon|scripts|systemd|tests)/", one)}
    assert len(named) > 8
    assert {one for one in named if not (REPOSITORY / one).exists()} == set()


def test_routes_that_are_named_are_served() -> None:
    served = set(describe()["paths"])
    table = README.partition("\n## HTTP API\n")[2].partition("\n### ")[0]
    rows = [line.split("|")[1].replace("\\", "") for line in table.splitlines() if line.startswith("| `")]
    named = {path.partition("?")[0] for row in rows for path in re.findall(r"`(?:[A-Z]+ )?(/[^`]*)`", row)}
    known = {path.replace("{profile}", "{p}") for path in served} | {
        "/",
        "/dav/",
        "/.well-known/caldav",
        "/openapi.json",
    }
    assert {path for path in named if path not in known and f"{path}.ics" not in known} == set()


def test_the_examples_of_a_configuration_are_valid_together(tmp_path: Path) -> None:
    whole: dict[str, Any] = {}
    for kind, text in FENCED:
        if kind == "yaml" and "!secret" not in text:  # that is for Home Assistant
            whole |= yaml.safe_load(text)
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(whole))
    file.chmod(0o600)
    config = load_config(file, {})
    assert str(config.profiles["anna"].primary) == "anna/Work"
    assert config.public_url is not None


def test_keys_of_the_configuration_that_are_named_exist() -> None:
    schema = (REPOSITORY / "config" / "schema.json").read_text()
    named = {one[:-1].rpartition(" ")[2] for one in INLINE if re.fullmatch(r"[a-z_]+:", one)}
    assert len(named) > 5
    assert {name for name in named - {"https", "webcal"} if f'"{name}"' not in schema} == set()


@pytest.mark.parametrize(
    ("statement", "is_so"),
    [
        ("10 MB for an object", ical.MAX_OBJECT_BYTES == 10_000_000),
        ("5,000 changed occurrences of a series", ical.MAX_OVERRIDES == 5_000),
        ("100,000 occurrences in a window or dates in a list", ical.MAX_OCCURRENCES == ical.MAX_DATES == 100_000),
        ("100,000 steps to expand a rule (300,000 for all", (ical.MAX_STEPS, ical.MAX_WORK) == (100_000, 300_000)),
        ("more than 500,000 occurrences", ical.MAX_CALENDAR_OCCURRENCES == 500_000),
        ("from 92 days ago to 460 days ahead", (horizon.PAST_DAYS, horizon.AHEAD_DAYS) == (92, 460)),
        ("10 seconds and 224 MB per request", (worker.DEADLINE, worker_process.MEMORY) == (10, 224 * MIB)),
        ("kept for 1 to 60 minutes", LONGEST_HOLD == HOUR),
        ("has the 14 days from now", query.DEFAULT_WINDOW == 14 * DAY),
        ("at most 1000 days; for slots, at most 300,000 steps",
         (query.MAX_WINDOW, slots.MAX_STEPS) == (1000 * DAY, 300_000)),
        ("every 15 seconds. A stream ends", streams.HEARTBEAT_SECONDS == 15),
        ("256 streams per token, and 512 in total", (Limits().streams_of_token, Limits().streams) == (256, 512)),
        ("kept for 30 days, or for the last 100,000 changes",
         (change_statements.LONGEST_DAYS, change_statements.MOST_ENTRIES) == (30, 100_000)),
        ("never for less than 7 days", change_statements.KEPT_DAYS == 7),
        ("more than 500 spans of a profile changed at once", index_changes.MOST_SPANS == 500),
        ("After 30 seconds the others poll what it has polled", fleet.LEASE == 30),
        ("After 25 seconds it polls nothing", session.DROP_AFTER == 25),
        ("Tokens that it knows are good for 15 minutes", ledger_database.UNHEARD == 15 * MINUTE),
        ("PostgreSQL 15 or newer", server.OLDEST_SERVER == 15),
        ("The login lasts a week at most", sessions.SESSION_SECONDS == 7 * DAY),
        ("32 MiB, 64 MiB when it is unpacked",
         (TransferLimits().wire_bytes, TransferLimits().inflated_bytes) == (32 * MIB, 64 * MIB)),
        ("takes effect 30 seconds after the server", timing.MOVING == 30),
        ("It waits up to 15 minutes while another calendar", timing.MOVING_UNSEEN == 15 * MINUTE),
        ("a download ten minutes later must agree", timing.FEED_HOLD == 10 * MINUTE),
        ("windows incomplete for up to an hour", timing.SETTLED_AFTER == HOUR),
        ("listed as a problem and tried once a day", timing.SETTLED_ASK == DAY),
        ("at most one in 15 minutes and six a day", (backoff.EXTRA_EVERY, backoff.EXTRAS_A_DAY) == (15 * MINUTE, 6)),
        ("four times in 13 minutes, then after an hour, after six, and once a day",
         (len(backoff.REFUSAL_WAITS) + 1, sum(backoff.REFUSAL_WAITS) * (1 + backoff.JITTER) < 14 * MINUTE,
          backoff.SLOW_REFUSAL_WAITS) == (4, True, (HOUR, 5 * HOUR, DAY))),
        ("(60s, to the first byte)", TransferLimits().idle == 60),
        ("It may use 512 MB of memory", "\nMemoryMax=512M\n" in UNIT),
        ("fits into the 512 MB of the service", "\nMemoryMax=512M\n" in UNIT),
        ("started again at once after a crash", "\nRestartSec=100ms\n" in UNIT),
        ("after three crashes within a minute of their starts it waits up to half a minute",
         (crash_counter._AT_ONCE, crash_counter.LONG_ENOUGH, crash_counter._LONGEST_PAUSE) == (3, 60, 30)),
        ("It writes to `/var/lib/busyd` and `/run/busyd` only",
         "\nStateDirectory=busyd\n" in UNIT and "\nRuntimeDirectory=busyd\n" in UNIT
         and "\nProtectSystem=strict\n" in UNIT),
        ("programs from `/usr/bin` and `/opt/busyd` only", "\nExecPaths=/opt/busyd /usr/bin /usr/lib " in UNIT),
    ],
)  # fmt: skip
def test_a_number_in_the_readme_is_that_of_the_program(statement: str, is_so: bool) -> None:
    assert statement in FLAT, "the README says it in other words now"
    assert is_so
