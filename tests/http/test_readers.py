"""The feed as programs read it that nobody here wrote; skipped where they are not installed."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from busyd.period import FbType
from tests.http.conftest import Served
from tests.http.small_backend import busy
from tests.skips import skip

SYNC = """
[general]
status_path = "{directory}/status"
[pair busy]
a = "feed"
b = "here"
collections = null
[storage feed]
type = "http"
url = "http://127.0.0.1:{port}/feeds/{token}.ics"
[storage here]
type = "filesystem"
path = "{directory}/events"
fileext = ".ics"
"""
LIST = """
[calendars]
[[busy]]
path = {directory}/events
[locale]
local_timezone = UTC
default_timezone = UTC
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
[sqlite]
path = {directory}/khal.db
"""


def program(name: str) -> str:
    """Beside this Python, or anywhere on the path."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        skip(f"{name} is not installed")
    return found


async def run(*command: str, home: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_vdirsyncer_and_khal_see_every_slot_and_no_change_where_there_is_none(
    served: Served, tmp_path: Path
) -> None:
    vdirsyncer, khal = program("vdirsyncer"), program("khal")
    await served.backend.set_busy("anna", [busy(21), busy(24, 2), busy(30, 1, kind=FbType.BUSY_TENTATIVE)])
    places = {"directory": tmp_path, "port": served.port, "token": served.backend.token("anna")}
    (tmp_path / "sync.conf").write_text(SYNC.format_map(places))
    (tmp_path / "khal.conf").write_text(LIST.format_map(places))
    (tmp_path / "events").mkdir()
    sync = (vdirsyncer, "-c", str(tmp_path / "sync.conf"))
    await run(*sync, "discover", "busy", home=tmp_path)
    await run(*sync, "sync", home=tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "events").iterdir()}
    assert len(before) == 3
    await run(*sync, "sync", home=tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "events").iterdir()} == before
    wanted = ("--format", "{start} {end-time} {title}", "--day-format", "", "2026-11-24", "2d")
    listed = await run(khal, "-c", str(tmp_path / "khal.conf"), "list", *wanted, home=tmp_path)
    assert [line for line in listed.splitlines() if line] == [
        "2026-11-24 09:00 10:00 Busy",
        "2026-11-24 12:00 14:00 Busy",
        "2026-11-24 18:00 19:00 Busy",
    ]
