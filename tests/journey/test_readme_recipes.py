"""The recipes of the README work against the daemon as they stand there, and never take what is not known for free."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
import pytest
import yaml

from tests.browser import open_browser
from tests.http.caldav.test_programs import python_caldav
from tests.icloud.accounts import Account
from tests.journey.assistant import make_token
from tests.journey.daemon import Busyd, wait_for
from tests.journey.scheduler import Scheduler
from tests.skips import skip

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", README.partition("\n## Recipes\n")[2].partition("\n## ")[0], re.DOTALL))
LIST = """
import json, sys, caldav
client = caldav.DAVClient(url=sys.argv[1], username=sys.argv[2], password=sys.argv[3])
print(json.dumps(sorted(calendar.get_display_name() for calendar in client.principal().calendars())))
"""


def event(start: datetime, *, hours: float) -> str:
    first, last = (f"{at:%Y%m%dT%H%M%SZ}" for at in (start, start + timedelta(hours=hours)))
    return (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTAMP:20260101T000000Z\r\n"
        f"DTSTART:{first}\r\nDTEND:{last}\r\nSUMMARY:Lunch\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )


@pytest.fixture
def states(scheduler: Scheduler, anna: Account) -> Iterator[str]:
    """The daemon goes from one state to the next: now and the next two days are free, then busy, then not known."""

    def through() -> Iterator[str]:
        busyd = scheduler.busyd
        yield "free"
        anna.calendars["work"].put("a.ics", event(datetime.now(UTC) - timedelta(hours=1), hours=72))
        assert busyd.command("sync", "--now").returncode == 0
        yield "busy"
        anna.calendars["work"].delete("a.ics")
        anna.password = "wxyz-wxyz-wxyz-wxyz"
        busyd.change("conflicts: [anna/Home]", "conflicts: [anna/Home], max_age: 1s")
        busyd.command("reload")
        wait_for(lambda: busyd.freebusy("now", "+1d")["stale"], describe=busyd.log.read_text)
        yield "not known"

    return through()


def test_the_line_for_the_shell_says_free_busy_and_not_known(
    scheduler: Scheduler, states: Iterator[str], tmp_path: Path
) -> None:
    if shutil.which("jq") is None:
        skip("jq is not installed")
    busyd, program = scheduler.busyd, tmp_path / "busyd"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m busyd --config {busyd.config} --state {busyd.state} "$@"\n'
    )
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def says() -> str:
        ran = subprocess.run(
            ["sh", "-c", BLOCKS["sh"]], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        return ran.stdout.strip() or ran.stderr

    for state in states:
        assert says() == state
    busyd.stop()
    assert says() == "not known"


def home_assistant(busyd: Busyd, token: str) -> Any:
    """What Home Assistant reads in its configuration, with the address of this daemon."""

    class Loader(yaml.SafeLoader):
        pass

    secrets = {"busyd_token": token, "busyd_bearer": f"Bearer {token}"}
    Loader.add_constructor("!secret", lambda _, node: secrets[node.value])
    return yaml.load(BLOCKS["yaml"].replace("https://busy.example.org", busyd.base), Loader)


def test_the_sensors_of_home_assistant_are_unavailable_while_nothing_is_known(
    scheduler: Scheduler, states: Iterator[str]
) -> None:
    busyd = scheduler.busyd
    busy_now, next_slot = home_assistant(busyd, make_token(busyd, "freebusy"))["rest"]

    def rendered(sensor: dict[str, Any], resource: dict[str, Any], field: str) -> str:
        scheme, _, token = resource["headers"]["Authorization"].partition(" ")
        assert scheme == "Bearer"
        parts = urlsplit(resource["resource"])
        try:
            value = busyd.get(f"{parts.path}?{parts.query}", token=token)
        except AssertionError as error:  # Home Assistant has the body of a refusal, too
            value = json.loads(str(error).partition(": ")[2])
        return jinja2.Environment(autoescape=False).from_string(sensor[field]).render(value_json=value)

    for state in states:
        (sensor,), (slot,) = busy_now["binary_sensor"], next_slot["sensor"]
        is_known = state != "not known"
        assert rendered(sensor, busy_now, "availability") == str(is_known)
        assert rendered(slot, next_slot, "availability") == str(is_known)
        if is_known:
            assert rendered(sensor, busy_now, "value_template") == str(state == "busy")
            assert datetime.fromisoformat(rendered(slot, next_slot, "value_template")) > datetime.now(UTC)


def test_the_calendar_of_home_assistant_lists_the_linked_calendars(scheduler: Scheduler) -> None:
    busyd = scheduler.busyd
    (calendar,) = home_assistant(busyd, make_token(busyd, "freebusy", "details"))["calendar"]
    assert calendar["platform"] == "caldav"
    line = [python_caldav(), "-c", LIST, calendar["url"], calendar["username"], calendar["password"]]
    ran = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ran.stdout) == ["Busy: anna", "Home", "Work"]


async def test_the_workflow_of_n8n_goes_on_only_where_the_time_is_surely_free(
    scheduler: Scheduler, states: Iterator[str]
) -> None:
    busyd, workflow = scheduler.busyd, json.loads(BLOCKS["json"])
    ask, condition = workflow["nodes"]
    assert workflow["connections"][ask["name"]]["main"][0][0]["node"] == condition["name"]
    parts, token = urlsplit(ask["parameters"]["url"]), make_token(busyd, "freebusy")
    (asked,) = condition["parameters"]["conditions"]["conditions"]
    expression = re.fullmatch(r"=\{\{ (.*) \}\}", asked["leftValue"])
    assert expression is not None
    async with open_browser() as browser:
        page = await browser.new_page()
        for state in states:
            answer = busyd.get(f"{parts.path}?{parts.query}", token=token)
            assert await page.evaluate(f"$json => {expression[1]}", answer) is (state == "free")
