"""The CalDAV server as programs use it that nobody here wrote; skipped where they are not installed."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.http.caldav.conftest import Dav, event
from tests.http.test_readers import LIST, program, run

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
