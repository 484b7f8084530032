"""Following what changes, from an edit on the phone to the terminal, over kills of the daemon."""

import json
import random
import signal
import subprocess
import sys
import threading
from typing import Any

from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for
from tests.journey.test_icloud import event

YEAR = ("2026-11-01", "2027-06-01")
CHANGES, KILLS = 40, 3


def page(busyd: Busyd, after: int, path: str = "/v1/profiles/anna/changes") -> Any:
    query = f"{path}?limit=1000&last_event_id={after}"
    return busyd.get(query, token=busyd.admin_token(), accept="application/json")


def until_read(busyd: Busyd) -> None:
    busyd.until_busy(*YEAR, [])
    wait_for(lambda: busyd.get("/v1/profiles/anna/changes", token=busyd.admin_token(), accept="application/json"))


def sync(busyd: Busyd) -> None:
    assert busyd.command("sync", "--now").returncode == 0


def hour(number: int) -> tuple[str, str]:
    """So many hours after 2027-01-01 began, as an event has it: start and end, with a gap to the next."""
    day, hour = divmod(number, 24)
    return f"202701{day + 1:02}T{hour:02}0000Z", f"202701{day + 1:02}T{hour:02}4000Z"


def changed(told: Any) -> list[Any]:
    return [entry for entry in told["changes"] if entry["event"] in ("busy", "free")]


def replay(entries: list[Any]) -> list[tuple[str, str, str]]:
    """The busy list of somebody who began with an empty one and only followed the log."""
    known: dict[tuple[str, str], str] = {}
    for entry in entries:
        told = entry["data"]
        known[told["start"], told["end"]] = told["type"]
    return [(*span, kind) for span, kind in sorted(known.items()) if kind != "FREE"]


def test_an_edit_on_the_phone_is_followed_on_the_terminal(busyd: Busyd, icloud: SimulatedIcloud) -> None:
    busyd.start()
    until_read(busyd)
    line = [sys.executable, "-m", "busyd", "--config", str(busyd.config), "--state", str(busyd.state)]
    command = [*line, "changes", "anna", "--follow", "--last", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        wait_for(lambda: "busyd_http_streams 1.0" in busyd.get("/metrics"))
        start, end = hour(9)
        icloud.account("anna@icloud.com").calendars["work"].put("a.ics", event("a", start, end=end))
        sync(busyd)
        assert following.stdout is not None
        told = json.loads(following.stdout.readline())
        following.terminate()
    assert told["event"] == "busy"
    assert told["data"]["calendars"] == ["anna/Work"]
    shown = busyd.command("changes", "anna", "--tz", "UTC").stdout
    assert "Fri 2027-01-01 09:00-09:40  busy (was free)  anna/Work" in shown
    assert "secret meeting" not in shown


def test_after_kills_in_the_middle_of_changes_the_log_and_the_busy_time_agree(
    busyd: Busyd, icloud: SimulatedIcloud, changes: int = CHANGES, kills: int = KILLS
) -> None:
    dice = random.Random(14)
    busyd.start()
    until_read(busyd)
    began = page(busyd, 0)["last_event_id"]
    work = icloud.account("anna@icloud.com").calendars["work"]
    deadly = set(dice.sample(range(changes), kills))
    for number in range(changes):
        start, end = hour(dice.randrange(200))
        name = f"{dice.randrange(30)}.ics"
        if name in work.objects() and dice.random() < 0.4:
            work.delete(name)
        else:
            work.put(name, event(name, start, end=end))
        if number in deadly:
            syncing = threading.Thread(target=busyd.command, args=("sync", "--now"))
            syncing.start()
            syncing.join(dice.random() * 0.6)
            busyd.stop(how=signal.SIGKILL)
            syncing.join()
            busyd.start()
        elif number % 3 == 0:
            sync(busyd)
    sync(busyd)
    assert busyd.freebusy(*YEAR)["complete"]
    busy = busyd.busy(*YEAR)
    wait_for(lambda: replay(changed(page(busyd, began))) == busy)  # what counts is told a moment later
    told = page(busyd, began)
    assert not told["reset"]
    numbers = [entry["id"] for entry in told["changes"]]
    assert numbers == list(range(began + 1, told["last_event_id"] + 1))
    assert all(entry["data"]["before"] != entry["data"]["type"] for entry in changed(told))
    assert busyd.busy(*YEAR) == busy
