"""`busyd mcp` with the official client against the real daemon: its tools, what they refuse and what they never say."""

import json
import subprocess
import sys
import time
from datetime import datetime
from typing import Any

import pytest

from busyd.period import to_rfc3339
from tests.icloud.accounts import Account
from tests.journey.assistant import assistant, make_token
from tests.journey.daemon import wait_for
from tests.journey.scheduler import Scheduler, event

READING = {"list_profiles", "check_busy", "find_slots", "explain"}
WRITING = {"hold", "book", "move", "cancel"}


def at(instant: int) -> str:
    return to_rfc3339(instant)


async def test_every_answer_says_what_time_it_is_there(scheduler: Scheduler, anna: Account, ten: int) -> None:
    busyd = scheduler.busyd
    anna.calendars["work"].put("a.ics", event("a", ten))
    busyd.command("sync", "--now")
    async with assistant(busyd, make_token(busyd, "freebusy", "details"), "--details") as one:
        answers = [
            await one.call("list_profiles"),
            busy := await one.call("check_busy", profile="anna", start=at(ten), end=at(ten + 3600)),
            slots := await one.call("find_slots", profile="anna", start=at(ten - 3600), end=at(ten + 7200)),
            why := await one.call("explain", profile="anna", start=at(ten), end=at(ten + 3600)),
        ]
        for answer in answers:
            now = datetime.fromisoformat(answer["now"])
            assert abs(now.timestamp() - time.time()) < 600
            assert answer["now"].endswith(answer["utc_offset"])
        assert [answer["zone"] for answer in answers] == ["UTC", *["Europe/Berlin"] * 3]
        assert (busy["verdict"], busy["known"]) == ("partly_busy", True)
        assert [datetime.fromisoformat(one["start"]).timestamp() for one in busy["busy"]] == [ten]
        starts = {datetime.fromisoformat(one["start"]).timestamp() for one in slots["slots"]}
        assert ten not in starts
        assert ten + 1800 in starts
        assert [one["untrusted_title"] for one in why["events"]] == ["Somebody else"]


async def test_the_tools_that_write_are_offered_only_where_both_allow_it(scheduler: Scheduler) -> None:
    busyd = scheduler.busyd
    both = make_token(busyd, "freebusy", "book")
    for token, options, expected in (
        (both, ("--allow-book",), READING | WRITING),
        (both, (), READING),
        (make_token(busyd, "freebusy", "details"), ("--allow-book",), READING),
    ):
        async with assistant(busyd, token, *options) as one:
            tools = (await one.client.list_tools()).tools
            assert {tool.name for tool in tools} == expected
            for tool in tools:
                hints = tool.annotations
                assert hints is not None
                assert hints.title == tool.title
                assert tool.description
                assert hints.read_only_hint is (tool.name in READING)
                assert hints.destructive_hint is (tool.name in {"move", "cancel"})
                assert hints.idempotent_hint is (tool.name != "hold")
                assert hints.open_world_hint is (tool.name in {"book", "move", "cancel"})
            await one.refusal("book" if expected == READING else "nothing", profile="anna")


async def test_an_appointment_is_booked_moved_and_cancelled_once_for_each_key(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    busyd, work = scheduler.busyd, anna.calendars["work"]

    async def settled(tool: str, **arguments: Any) -> Any:
        while not (answer := await one.call(tool, **arguments))["settled"]:
            assert "same idempotency_key" in answer["note"]
        return answer

    async with assistant(busyd, make_token(busyd, "freebusy", "book"), "--allow-book") as one:
        held = await one.call("hold", profile="anna", start=at(ten), minutes=10)
        wanted = {"profile": "anna", "start": at(ten), "title": "Intro", "idempotency_key": "k1", "hold": held["hold"]}
        booked = await settled("book", **wanted)
        again = await settled("book", **wanted)
        assert (booked["state"], again["appointment"]) == ("booked", booked["appointment"])
        assert len(work.objects()) == 1
        named = {"profile": "anna", "appointment": booked["appointment"]}
        moved = await settled("move", **named, start=at(ten + 7200), idempotency_key="k2")
        assert datetime.fromisoformat(moved["start"]).timestamp() == ten + 7200
        taken = await one.refusal("book", **{**wanted, "start": at(ten + 7200), "idempotency_key": "k3", "hold": None})
        assert "not free; nothing was written" in taken
        instead = taken.partition("Open instead: ")[2].split(", ")
        assert len(instead) == 3
        assert all(datetime.fromisoformat(one).utcoffset() for one in instead), "on the clock of the profile"
        other = await one.refusal("book", **{**wanted, "title": "Other"})
        assert "another request" in other or "key" in other
        gone = await settled("cancel", **named, idempotency_key="k4")
        assert gone["state"] == "cancelled"
        assert len(work.objects()) == 0
        assert "idempotency_key" in await one.refusal("book", profile="anna", start=at(ten), title="No key")


async def test_what_is_not_known_is_never_called_free(scheduler: Scheduler, anna: Account) -> None:
    busyd = scheduler.busyd
    made = json.loads(busyd.command("token", "add", "anna", "--scope", "freebusy,details", "--json").stdout)
    tomorrow = {"profile": "anna", "start": "+1d", "end": "+2d"}
    async with assistant(busyd, made["token"]) as one:
        assert (await one.call("check_busy", **tomorrow))["verdict"] == "free"
        assert busyd.command("token", "revoke", made["id"]).returncode == 0
        for tool in ("check_busy", "find_slots", "explain"):
            said = await one.refusal(tool, **tomorrow)
            assert "refuses the token" in said
            assert "It is not known whether the time is free" in said
    async with assistant(busyd, make_token(busyd, "freebusy")) as one:
        assert "the token does not allow this" in await one.refusal("explain", **tomorrow)
        assert "there are: anna" in await one.refusal("check_busy", **{**tomorrow, "profile": "ben"})
        assert "is not a point in time" in await one.refusal("check_busy", **{**tomorrow, "start": "soon"})
        busyd.stop()
        anna.password = "wxyz-wxyz-wxyz-wxyz"
        said = await one.refusal("check_busy", **tomorrow)
        assert "busyd is not running" in said
        assert "It is not known whether the time is free" in said
        busyd.change("profiles:", "profiles:\n  # the account can no longer be read")
        busyd.change("conflicts: [anna/Home]", "conflicts: [anna/Home], max_age: 1s")
        busyd.start()
        wait_for(lambda: busyd.freebusy("now", "+1d")["stale"])
        stale = await one.call("check_busy", **tomorrow)
        assert (stale["verdict"], stale["known"]) == ("not_known", False)
        assert "must not be called free" in stale["warnings"][0]
        assert "It is not known whether the time is free" in await one.refusal("find_slots", **tomorrow)


@pytest.mark.parametrize(
    ("environment", "options", "said", "status"),
    [
        ({}, [], "there is no token: BUSYD_TOKEN is not set", 78),
        ({"BUSYD_TOKEN": "two words"}, [], "characters that no token has", 78),
        ({}, ["--token-file", "/nowhere/token"], "cannot be read from /nowhere/token", 78),
        ({"BUSYD_TOKEN": "t"}, ["--url", "busy.example.org"], "is not an address such as https://", 64),
        ({"BUSYD_TOKEN": "t"}, ["--url", "http://busy.example.org"], "a token is not sent to busy.example.org", 64),
        ({"BUSYD_TOKEN": "t"}, ["--alow-book"], "did you mean --allow-book?", 64),
    ],
)
def test_a_start_that_cannot_work_says_why(
    tmp_path: Any, environment: dict[str, str], options: list[str], said: str, status: int
) -> None:
    ran = run_mcp(tmp_path, *options, environment=environment)
    assert (ran.returncode, said in ran.stderr) == (status, True), ran.stderr
    assert ran.stdout == ""


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Any) -> None:
    file = tmp_path / "token"
    file.write_text("t\n")
    file.chmod(0o644)
    ran = run_mcp(tmp_path, "--token-file", str(file))
    assert (ran.returncode, f"chmod 600 {file}" in ran.stderr) == (78, True)


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Any) -> None:
    (tmp_path / "mcp").mkdir()
    (tmp_path / "mcp" / "__init__.py").write_text("raise ModuleNotFoundError(name='mcp')")
    ran = run_mcp(tmp_path, environment={"BUSYD_TOKEN": "t", "PYTHONPATH": str(tmp_path)})
    assert ran.returncode == 78
    assert "-m pip install 'mcp>=" in ran.stderr


def run_mcp(folder: Any, *options: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "busyd", "--state", str(folder / "state"), "mcp", *options]
    return subprocess.run(
        line, env={"HOME": str(folder), **(environment or {})}, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_requirement_is_that_of_the_extra() -> None:
    import tomllib
    from pathlib import Path

    from busyd.cli.mcp import REQUIREMENT

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["mcp"] == [REQUIREMENT]
