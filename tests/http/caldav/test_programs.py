"""The CalDAV server as programs use it that nobody here wrote; skipped where they are not installed."""

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from busyd.dav import names
from tests.http.caldav.conftest import HOME, Dav, event
from tests.http.caldav.remote import Remote
from tests.http.test_readers import LIST, program, run
from tests.skips import skip

SYNC = """
[general]
status_path = "{directory}/status"
[pair work]
a = "busyd"
b = "here"
collections = ["from a"]
conflict_resolution = "a wins"
metadata = ["displayname", "color"]
[storage busyd]
type = "caldav"
url = "http://127.0.0.1:{port}{path}"
username = "anna"
password = "{token}"
read_only = true
[storage here]
type = "filesystem"
path = "{directory}/calendars"
fileext = ".ics"
"""
Sync = Callable[[], Awaitable[dict[str, str]]]


@pytest.fixture(params=["/", "/dav/", "/dav/anna/"])
async def sync(request: pytest.FixtureRequest, dav: Dav, tmp_path: Path) -> Sync:
    """Lets vdirsyncer find the calendars from one of several addresses; a call fetches UID -> object."""
    vdirsyncer = program("vdirsyncer")
    places = {"directory": tmp_path, "port": dav.served.port, "token": dav.token, "path": request.param}
    (tmp_path / "sync.conf").write_text(SYNC.format_map(places))
    segment = (await dav.calendar()).rstrip("/").rpartition("/")[2]
    events = tmp_path / "calendars" / segment
    events.mkdir(parents=True)
    (tmp_path / "calendars" / "blocked-slots").mkdir()
    command = (vdirsyncer, "-c", str(tmp_path / "sync.conf"))
    await run(*command, "discover", "work", home=tmp_path)

    async def fetch() -> dict[str, str]:
        await run(*command, "sync", home=tmp_path)
        texts = [path.read_text() for path in events.glob("*.ics")]
        return {text.partition("UID:")[2].splitlines()[0]: text for text in texts}

    return fetch


async def test_vdirsyncer_sees_what_is_new_changed_and_gone(dav: Dav, sync: Sync) -> None:
    assert sorted(await sync()) == ["a", "b@c"]
    await dav.put("a.ics", event("a", "SUMMARY:Moved"))
    await dav.put("new.ics", event("new"))
    await dav.remove("b%40c.ics")
    found = await sync()
    assert sorted(found) == ["a", "new"]
    assert "SUMMARY:Moved" in found["a"]


@pytest.mark.parametrize("sync", ["/"], indirect=True)
async def test_khal_lists_what_vdirsyncer_fetched(dav: Dav, sync: Sync, tmp_path: Path) -> None:
    await sync()
    khal = program("khal")
    segment = (await dav.calendar()).rstrip("/").rpartition("/")[2]
    text = LIST.format(directory=tmp_path).replace(f"{tmp_path}/events", f"{tmp_path}/calendars/{segment}")
    (tmp_path / "khal.conf").write_text(text)
    wanted = ("--format", "{start-time} {title}", "--day-format", "", "2026-11-24", "1d")
    listed = await run(khal, "-c", str(tmp_path / "khal.conf"), "list", *wanted, home=tmp_path)
    assert sorted(line for line in listed.splitlines() if line) == ["09:00 Dentist", "09:00 Lunch & more"]


async def test_a_program_with_a_wrong_password_is_told_so(dav: Dav, tmp_path: Path) -> None:
    places = {"directory": tmp_path, "port": dav.served.port, "token": "wrong", "path": "/"}
    (tmp_path / "sync.conf").write_text(SYNC.format_map(places))
    command = (program("vdirsyncer"), "-c", str(tmp_path / "sync.conf"), "discover", "work")
    with pytest.raises(AssertionError, match="Unauthorized"):
        await run(*command, home=tmp_path)


READ = """
import datetime, json, sys
import caldav
url, token = sys.argv[1:]
day = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)
with caldav.DAVClient(url, username="anna", password=token) as client:
    calendars = {calendar.get_display_name(): calendar for calendar in client.principal().calendars()}
    work = calendars["Work"]
    days = [day - datetime.timedelta(days=1), day + datetime.timedelta(days=2)]
    found = work.search(start=day, end=days[1], event=True)
    expanded = work.search(start=day, end=days[1], event=True, server_expand=True)
    synced = work.get_objects_by_sync_token()
    print(json.dumps({
        "calendars": sorted(calendars),
        "components": work.get_supported_components(),
        "all": sorted(event.icalendar_component["UID"] for event in work.events()),
        "found": sorted(event.icalendar_component["UID"] for event in found),
        "expanded": sorted(
            part["DTSTART"].to_ical().decode() for event in expanded for part in event.icalendar_instance.walk("VEVENT")
            if day <= part["DTSTART"].dt < days[1]  # it asks for a day more on each side
        ),
        "by uid": work.get_event_by_uid("b@c").icalendar_component["SUMMARY"],
        "nothing new": len(list(work.get_objects_by_sync_token(sync_token=synced.sync_token))),
        "busy": len(calendars["Busy: anna"].events()),
        "free/busy": [
            calendars[name].freebusy_request(*days[:2]).data.count("FREEBUSY;") for name in sorted(calendars)
        ],
    }))
"""


def python_caldav() -> str:
    """A Python that has python-caldav and its tester of servers."""
    python = Path(sys.prefix) / "python-caldav" / "bin" / "python"
    if not python.exists():
        skip("python-caldav is not installed: scripts/prepare test installs it")
    return str(python)


async def test_python_caldav_finds_reads_expands_and_syncs(dav: Dav, tmp_path: Path) -> None:
    python = python_caldav()
    await dav.put("series.ics", event("series", "RRULE:FREQ=DAILY;COUNT=9", start="20261120T120000Z", end=""))
    await dav.backend.publish()
    url = f"http://127.0.0.1:{dav.served.port}/"
    found = json.loads(await run(python, "-c", READ, url, dav.token, home=tmp_path))
    assert found == {
        "calendars": ["Busy: anna", "Work"],
        "components": ["VEVENT"],
        "all": ["a", "b@c", "series"],
        "found": ["a", "b@c", "series"],
        "expanded": ["20261124T090000Z", "20261124T090000Z", "20261124T120000Z", "20261125T120000Z"],
        "by uid": "Lunch & more",
        "nothing new": 0,
        "busy": 1,
        "free/busy": [1, 1],
    }


@pytest.mark.parametrize("sync", ["/"], indirect=True)
async def test_vdirsyncer_keeps_names_and_colors_that_it_sets(dav: Dav, sync: Sync, tmp_path: Path) -> None:
    await sync()
    folder = tmp_path / "calendars" / (await dav.calendar()).rstrip("/").rpartition("/")[2]
    config = tmp_path / "sync.conf"
    config.write_text(config.read_text().replace("read_only = true\n", ""))
    command = (program("vdirsyncer"), "-c", str(config))
    await run(*command, "discover", "work", home=tmp_path)
    await run(*command, "metasync", home=tmp_path)
    assert (folder / "displayname").read_text() == "Work"
    (folder / "displayname").write_text("Mine")
    await run(*command, "metasync", home=tmp_path)
    (row,) = await dav.propfind(await dav.calendar(), "D:displayname")
    assert row.text(names.DISPLAYNAME) == "Mine"


CHECK = """
import inspect, json, logging, sys
logging.disable(logging.CRITICAL)
import caldav
from caldav_server_tester import checker, checks
url, token = sys.argv[1:]

def no_tasks(self, *rest):
    self.set_feature("save-load.todo", False)
    self.set_feature("save-load.todo.mixed-calendar", False)
    return False

checks.PrepareCalendar._prepare_task_calendar = no_tasks  # it takes for granted that it can make a calendar for them
features = {"test-calendar": {"name": "Work", "cleanup-regime": "light"}, "create-calendar": {"support": "unsupported"}}
client = caldav.DAVClient(url, username="anna", password=token, features=features)
checker = checker.ServerQuirkChecker(client, debug_mode=None)
for name, check in inspect.getmembers(checks, inspect.isclass):
    is_one = issubclass(check, checks.Check) and hasattr(check, "features_to_be_checked")
    if is_one and check is not checks.Check and "Todo" not in name:
        check(checker).run_check(only_once=True)
found = checker._features_checked.dotted_feature_set_list(compact=False)
print(json.dumps({name: value.get("support") for name, value in found.items()}))
"""
NOT_CLAIMED = {
    "create-calendar",
    "create-calendar.auto",
    "principal-search",
    "principal-search.by-name.self",
    "principal-search.list-all",
    "save-load.journal",
    "save-load.todo",
    "save-load.todo.mixed-calendar",
    "scheduling",
    "search.text.comp-type-optional",
    "search.time-range.alarm",
    "search.time-range.comp-type-optional",
    "search.time-range.todo",
    "url.encode-at.identity",  # a path means the same in every spelling
}


async def test_caldav_server_tester_finds_everything_that_is_claimed(dav: Dav, remote: Remote, tmp_path: Path) -> None:
    python = python_caldav()
    await dav.backend.publish()
    url = f"http://127.0.0.1:{dav.served.port}/"
    told = await run(python, "-c", CHECK, url, dav.token, home=tmp_path)
    found = json.loads(told.splitlines()[-1])
    wanting = {name: support for name, support in found.items() if support in ("unsupported", "ungraceful", "broken")}
    assert wanting.keys() <= NOT_CLAIMED, wanting
    assert sum(support == "full" for support in found.values()) > 50
    assert len(remote.writes) > 20


async def test_vdirsyncer_writes_through_and_gets_back_what_was_refused(
    dav: Dav, remote: Remote, tmp_path: Path
) -> None:
    places = {"directory": tmp_path, "port": dav.served.port, "token": dav.token, "path": "/"}
    (tmp_path / "sync.conf").write_text(SYNC.format_map(places).replace("read_only = true\n", ""))
    events = tmp_path / "calendars" / (await dav.calendar()).rstrip("/").rpartition("/")[2]
    command = (program("vdirsyncer"), "-c", str(tmp_path / "sync.conf"))
    for folder in (events, tmp_path / "calendars" / "blocked-slots"):
        folder.mkdir(parents=True)
    await dav.backend.publish()
    await run(*command, "discover", "work", home=tmp_path)
    await run(*command, "sync", home=tmp_path)
    files = {path.read_text().partition("UID:")[2].splitlines()[0]: path for path in events.glob("*.ics")}
    (events / "new.ics").write_bytes(event("new"))
    files["a"].write_bytes(event("a", "SUMMARY:Changed"))
    files["b@c"].unlink()
    await run(*command, "sync", home=tmp_path)
    stored = sorted(payload.decode().partition("UID:")[2].splitlines()[0] for _, payload in remote.objects.values())
    assert stored == ["a", "new"]
    assert b"SUMMARY:Changed" in remote.objects[f"{HOME}a.ics"][1]
    remote.refuse = 403, ""
    files["a"].write_bytes(event("a", "SUMMARY:Refused"))
    with pytest.raises(AssertionError, match="403"):
        await run(*command, "sync", home=tmp_path)
    await run(*command, "sync", home=tmp_path)
    assert "SUMMARY:Changed" in files["a"].read_text()
