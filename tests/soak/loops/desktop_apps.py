"""Evolution's data server and Thunderbird, without a screen, on the CalDAV server: they read, and see what changes."""

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from busyd.dav import names
from busyd.dav.multistatus import Multistatus
from busyd.dav.request import Propfind
from tests.icloud.calendars import Calendar
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, busyd_in, wait_for

PASSWORD: Final = "abcd-efgh-ijkl-mnop"
CONFIG: Final = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}, poll: 5s}}
profiles:
  anna: {{timezone: Europe/Berlin, conflicts: ["anna/*"]}}
"""
LONGEST_WAIT: Final = 150.0
"""Seconds until an app must have seen a change: Thunderbird looks once a minute."""
Titles = Callable[[], set[str]]
"""Those that the app shows now."""


class Server(NamedTuple):
    """Where an app finds the calendar."""

    port: int
    path: str
    token: str
    folder: Path
    """For what the app keeps."""


App = Callable[[Server], AbstractContextManager[Titles]]

EVOLUTION: Final = """
import json, sys, time, gi
gi.require_version("EDataServer", "1.2")
gi.require_version("ECal", "2.0")
from gi.repository import EDataServer, ECal
registry = EDataServer.SourceRegistry.new_sync(None)
client = ECal.Client.connect_sync(registry.ref_source("busyd"), ECal.ClientSourceType.EVENTS, 10, None)
while True:
    client.refresh_sync(None)
    _, found = client.get_object_list_as_comps_sync("#t", None)
    print(json.dumps([one.get_summary().get_value() for one in found]), flush=True)
    time.sleep(1)
"""
SESSION: Final = """
eval $(echo -n x | gnome-keyring-daemon --unlock --components=secrets 2>/dev/null)
echo -n "$TOKEN" | secret-tool store --label=busyd e-source-uid busyd \\
    xdg:schema org.gnome.Evolution.Data.Source eds-origin evolution-data-server
exec /usr/bin/python3 "$SCRIPT"
"""
SOURCE: Final = """\
[Data Source]
DisplayName=busyd
Enabled=true
Parent=caldav-stub
[Calendar]
BackendName=caldav
[Authentication]
Host=127.0.0.1
Port={port}
Method=plain/password
User=anna
RememberPassword=true
[Security]
Method=none
[WebDAV Backend]
ResourcePath={path}
[Offline]
StaySynchronized=true
"""
_THUNDERBIRD: Final = {
    "calendar.registry.busyd.type": "caldav",
    "calendar.registry.busyd.name": "busyd",
    "calendar.registry.busyd.username": "anna",
    "calendar.registry.busyd.cache.enabled": True,
    "calendar.registry.busyd.refreshInterval": "1",
    "mail.provider.suppress_dialog_on_startup": True,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "mailnews.start_page.enabled": False,
}


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak desktop-apps", description=__doc__)
    parser.add_argument("--app", action="append", choices=tuple(APPS), help="only this one (default: all)")
    wanted = parser.parse_args(arguments)
    status = 0
    for name in wanted.app or APPS:
        missing = [program for program in APPS[name][1] if shutil.which(program) is None]
        if missing:
            print(f"{name}: skipped, {', '.join(missing)} not installed")
            status = 1
            continue
        print(f"{name}: " + "; ".join(_see(APPS[name][0])), flush=True)
    return status


def _see(app: App) -> Iterator[str]:
    """What the app saw, and how soon."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, SimulatedIcloud.in_thread() as icloud:
        work = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001").add_calendar(
            "Work", id="work"
        )
        _put(work, "a", "Dentist")
        _put(work, "b", "Lunch")
        with busyd_in(Path(folder), environment={"APPLE": PASSWORD}) as busyd:
            busyd.configure(CONFIG.format(url=icloud.bootstrap_url))
            busyd.start()
            wait_for(lambda: busyd.freebusy("2026-12-01", "2026-12-02")["complete"])
            made = json.loads(busyd.command("profile", "thunderbird", "anna", "--json").stdout)
            token = made["token"]
            with app(Server(busyd.port, _path_of_calendar(busyd, token), token, Path(folder))) as titles:
                yield _until(titles, {"Dentist", "Lunch"}, "read")
                _put(work, "c", "Meeting")
                yield _until(titles, {"Dentist", "Lunch", "Meeting"}, "a new one")
                _put(work, "a", "Moved")
                yield _until(titles, {"Moved", "Lunch", "Meeting"}, "a change")
                work.delete("b.ics")
                yield _until(titles, {"Moved", "Meeting"}, "a removal")
                assert busyd.stop() == 0
                busyd.start()
                _put(work, "d", "After a restart")
                yield _until(titles, {"Moved", "Meeting", "After a restart"}, "a restart")


def _until(titles: Titles, expected: set[str], what: str) -> str:
    began = time.monotonic()
    while (seen := titles()) != expected:
        if time.monotonic() - began > LONGEST_WAIT:
            message = f"{what}: the app shows {sorted(seen)}, and not {sorted(expected)}"
            raise AssertionError(message)
        time.sleep(0.5)
    return f"{what} in {time.monotonic() - began:.0f} s"


def _put(work: Calendar, uid: str, summary: str) -> None:
    body = [f"UID:{uid}", "DTSTAMP:20260101T000000Z", "DTSTART:20261201T090000Z", "DTEND:20261201T100000Z"]
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//soak//EN", "BEGIN:VEVENT", *body, f"SUMMARY:{summary}"]
    work.put(f"{uid}.ics", "\r\n".join([*lines, "END:VEVENT", "END:VCALENDAR", ""]))


def _path_of_calendar(busyd: Busyd, token: str) -> str:
    headers = {"Authorization": f"Bearer {token}", "Depth": "1"}
    body = Propfind((names.RESOURCETYPE,)).to_xml()
    request = urllib.request.Request(f"{busyd.base}/dav/anna/", body, headers, method="PROPFIND")
    with urllib.request.urlopen(request) as answer:
        rows = Multistatus.from_xml(answer.read()).responses
    return next(row.spelling for row in rows[1:] if "blocked-slots" not in row.spelling)


@contextmanager
def evolution(server: Server) -> Iterator[Titles]:
    """Its data server in a session of its own, with a keyring that knows the token."""
    home = server.folder / "evolution"
    sources = home / ".config" / "evolution" / "sources"
    sources.mkdir(parents=True)
    (home / "run").mkdir(mode=0o700)
    (sources / "busyd.source").write_text(SOURCE.format(port=server.port, path=server.path))
    (home / "session.sh").write_text(SESSION)
    (home / "client.py").write_text(EVOLUTION)
    further = {"XDG_RUNTIME_DIR": str(home / "run"), "TOKEN": server.token, "SCRIPT": str(home / "client.py")}
    command = ("dbus-run-session", "--", "bash", str(home / "session.sh"))
    seen: list[set[str]] = [set()]
    with _process(command, home, further=further, stdout=subprocess.PIPE) as process:

        def follow() -> None:
            for line in process.stdout or ():
                with suppress(json.JSONDecodeError):
                    seen.append(set(json.loads(line)))

        threading.Thread(target=follow, daemon=True).start()
        yield lambda: seen[-1]


@contextmanager
def thunderbird(server: Server) -> Iterator[Titles]:
    """Its cache is looked into. It takes the token as part of the address."""
    home, profile = server.folder / "thunderbird", server.folder / "thunderbird" / "profile"
    profile.mkdir(parents=True)
    address = f"http://anna:{server.token}@127.0.0.1:{server.port}{server.path}"
    settings = {**_THUNDERBIRD, "calendar.registry.busyd.uri": address}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in settings.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = ("thunderbird", "--headless", "--profile", str(profile))

    def titles() -> set[str]:
        copy = home / "copy"
        copy.mkdir(exist_ok=True)
        with suppress(OSError, sqlite3.Error):  # it holds the lock of its file
            for file in (profile / "calendar-data").glob("cache.sqlite*"):
                shutil.copy(file, copy / file.name)
            with closing(sqlite3.connect(copy / "cache.sqlite")) as known:
                return {title for (title,) in known.execute("SELECT title FROM cal_events")}
        return set()

    with _process(command, home, further={"MOZ_HEADLESS": "1"}):
        yield titles


@contextmanager
def _process(
    command: Sequence[str], home: Path, *, further: Mapping[str, str], stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[str]]:
    """A program with all that it starts, ended together."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC", **further}
    process = subprocess.Popen(
        command, env=environment, text=True, stdout=stdout, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


APPS: Final[Mapping[str, tuple[App, tuple[str, ...]]]] = {
    "evolution": (evolution, ("dbus-run-session", "gnome-keyring-daemon", "secret-tool")),
    "thunderbird": (thunderbird, ("thunderbird",)),
}
