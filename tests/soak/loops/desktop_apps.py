"""Evolution's data server and Thunderbird, without a screen, on the CalDAV server: they read, write and are refused."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from busyd.dav import names
from busyd.dav.multistatus import Multistatus
from busyd.dav.request import Propfind
from tests.icloud.calendars import Calendar
from tests.icloud.knobs import Knobs
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, busyd_in, wait_for
from tests.ports import free_port
from tests.soak.marionette import Marionette

PASSWORD: Final = "abcd-efgh-ijkl-mnop"
CONFIG: Final = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}, poll: 5s}}
profiles:
  anna: {{timezone: Europe/Berlin, conflicts: ["anna/*"]}}
"""
LONGEST_WAIT: Final = 150.0
"""Seconds until an app must have seen a change: Thunderbird looks once a minute."""


class App(Protocol):
    """A program that shows and edits the calendar."""

    def titles(self) -> set[str]:
        """Those that it shows now."""

    def edit(self, what: str, uid: str, title: str = "") -> str:
        """Create, change or delete an event in it; what it says against that."""


class Server(NamedTuple):
    """Where an app finds the calendar."""

    port: int
    path: str
    token: str
    folder: Path
    """For what the app keeps."""


Start = Callable[[Server], AbstractContextManager[App]]

EVOLUTION: Final = """
import json, sys, gi
gi.require_version("EDataServer", "1.2")
gi.require_version("ECal", "2.0")
from gi.repository import ECal, EDataServer, GLib, ICalGLib
registry = EDataServer.SourceRegistry.new_sync(None)
client = ECal.Client.connect_sync(registry.ref_source("busyd"), ECal.ClientSourceType.EVENTS, 10, None)
for line in sys.stdin:
    what, uid, text = json.loads(line)
    try:
        if what == "show":
            client.refresh_sync(None)
        elif what == "create":
            client.create_object_sync(ICalGLib.Component.new_from_string(text), ECal.OperationFlags.NONE, None)
        elif what == "change":
            _, found = client.get_object_sync(uid, None, None)
            found.set_summary(text)
            client.modify_object_sync(found, ECal.ObjModType.ALL, ECal.OperationFlags.NONE, None)
        else:
            client.remove_object_sync(uid, None, ECal.ObjModType.ALL, ECal.OperationFlags.NONE, None)
        said = ""
    except GLib.Error as error:
        said = error.message
    _, found = client.get_object_list_as_comps_sync("#t", None)
    print(json.dumps([said, [one.get_summary().get_value() for one in found]]), flush=True)
"""
THUNDERBIRD: Final = """
async (what, uid, text) => {
  const {cal} = ChromeUtils.importESModule("resource:///modules/calendar/calUtils.sys.mjs");
  const {CalEvent} = ChromeUtils.importESModule("resource:///modules/CalEvent.sys.mjs");
  const calendar = cal.manager.getCalendars().find(one => one.name == "busyd");
  let said = "";
  try {
    if (what == "show") {
      calendar.refresh();
    } else if (what == "create") {
      await calendar.addItem(new CalEvent(text));
    } else {
      const before = await calendar.getItem(uid);
      const after = before.clone();
      after.title = text;
      await (what == "change" ? calendar.modifyItem(after, before) : calendar.deleteItem(before));
    }
  } catch (error) {
    said = String(error?.message ?? error);
  }
  const found = await calendar.getItemsAsArray(Ci.calICalendar.ITEM_FILTER_ALL_ITEMS, 0, null, null);
  return [said, found.map(one => one.title)];
}
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
        for seen in _see(APPS[name][0]):
            print(f"{name}: {seen}", flush=True)
    return status


def _see(start: Start) -> Iterator[str]:
    """What the app did and saw, and how soon."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, SimulatedIcloud.in_thread() as icloud:
        anna = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
        work = anna.add_calendar("Work", id="work")
        _put(work, "a", "Dentist")
        _put(work, "b", "Lunch")
        with busyd_in(Path(folder), environment={"APPLE": PASSWORD}) as busyd:
            busyd.configure(CONFIG.format(url=icloud.bootstrap_url))
            busyd.start()
            wait_for(lambda: busyd.freebusy("2026-12-01", "2026-12-02")["complete"])
            made = busyd.command("token", "add", "anna", "--scope", "details,book", "--json")
            token = json.loads(made.stdout)["token"]
            with start(Server(busyd.port, _path_of_calendar(busyd, token), token, Path(folder))) as app:
                yield from _read(app, work, busyd)
                yield from _write(app, work, anna.knobs)


def _read(app: App, work: Calendar, busyd: Busyd) -> Iterator[str]:
    yield _until(app, {"Dentist", "Lunch"}, "read")
    _put(work, "c", "Meeting")
    yield _until(app, {"Dentist", "Lunch", "Meeting"}, "a new one")
    _put(work, "a", "Moved")
    yield _until(app, {"Moved", "Lunch", "Meeting"}, "a change")
    work.delete("b.ics")
    yield _until(app, {"Moved", "Meeting"}, "a removal")
    assert busyd.stop() == 0
    busyd.start()
    _put(work, "d", "After a restart")
    yield _until(app, {"Moved", "Meeting", "After a restart"}, "a restart")


def _write(app: App, work: Calendar, knobs: Knobs) -> Iterator[str]:
    shown = {"Moved", "Meeting", "After a restart"}

    def there() -> set[str]:
        return {line[8:] for one in work.objects().values() for line in one.text.splitlines() if line[:8] == "SUMMARY:"}

    def edit(what: str, uid: str, text: str = "") -> str:
        began = time.monotonic()
        said = app.edit(what, uid, text)
        wait_for(lambda: there() == shown, describe=lambda: f"{what}: {said}; {sorted(there())}, not {sorted(shown)}")
        return f"{what} in {time.monotonic() - began:.1f} s{f' ({said})' if said else ''}"

    shown |= {"Mine"}
    yield edit("create", "mine", _event("mine", "Mine"))
    shown = shown - {"Mine"} | {"Mine later"}
    yield edit("change", "mine", "Mine later")
    yield _until(app, shown, "its own change")
    shown = shown - {"Meeting"} | {"Ours"}
    yield edit("change", "c", "Ours")
    shown -= {"After a restart"}
    yield edit("delete", "d")
    yield _until(app, shown, "all of it")
    for status, method, what, uid in (
        (403, "PUT", "change", "mine"),
        (403, "DELETE", "delete", "c"),
        (503, "PUT", "change", "mine"),
        (503, "DELETE", "delete", "c"),
    ):
        knobs.fail_next(status, times=None, method=method)
        said = app.edit(what, uid, "Never")
        knobs.faults.clear()
        yield _until(app, shown, f"{what} refused with {status} ({said}), what is there")
        assert there() == shown


def _until(app: App, expected: set[str], what: str) -> str:
    began = time.monotonic()
    while (seen := app.titles()) != expected:
        if time.monotonic() - began > LONGEST_WAIT:
            message = f"{what}: the app shows {sorted(seen)}, and not {sorted(expected)}"
            raise AssertionError(message)
        time.sleep(0.5)
    return f"{what} in {time.monotonic() - began:.0f} s"


def _put(work: Calendar, uid: str, summary: str) -> None:
    work.put(
        f"{uid}.ics", f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//soak//EN\r\n{_event(uid, summary)}END:VCALENDAR\r\n"
    )


def _event(uid: str, summary: str) -> str:
    body = [f"UID:{uid}", "DTSTAMP:20260101T000000Z", "DTSTART:20261201T090000Z", "DTEND:20261201T100000Z"]
    return "\r\n".join(["BEGIN:VEVENT", *body, f"SUMMARY:{summary}", "END:VEVENT", ""])


def _path_of_calendar(busyd: Busyd, token: str) -> str:
    headers = {"Authorization": f"Bearer {token}", "Depth": "1"}
    body = Propfind((names.RESOURCETYPE,)).to_xml()
    request = urllib.request.Request(f"{busyd.base}/dav/anna/", body, headers, method="PROPFIND")
    with urllib.request.urlopen(request) as answer:
        rows = Multistatus.from_xml(answer.read()).responses
    return next(row.spelling for row in rows[1:] if "blocked-slots" not in row.spelling)


class _Asked:
    """An app that is asked in words, and answers with what it says and shows."""

    def __init__(self, ask: Callable[[str, str, str], tuple[str, list[str]]]) -> None:
        self._ask = ask

    def titles(self) -> set[str]:
        return set(self._ask("show", "", "")[1])

    def edit(self, what: str, uid: str, title: str = "") -> str:
        return self._ask(what, uid, title)[0]


@contextmanager
def evolution(server: Server) -> Iterator[App]:
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
    with _process(command, home, further=further, talk=subprocess.PIPE) as process:

        def ask(what: str, uid: str, text: str) -> tuple[str, list[str]]:
            assert process.stdin is not None
            assert process.stdout is not None
            print(json.dumps([what, uid, text]), file=process.stdin, flush=True)
            for line in process.stdout:
                with suppress(json.JSONDecodeError):
                    said, titles = json.loads(line)
                    return said, titles
            message = "the program has ended"
            raise AssertionError(message)

        yield _Asked(ask)


@contextmanager
def thunderbird(server: Server) -> Iterator[App]:
    """It takes the token as part of the address, and is driven from within."""
    home, profile = server.folder / "thunderbird", server.folder / "thunderbird" / "profile"
    profile.mkdir(parents=True)
    address = f"http://anna:{server.token}@127.0.0.1:{server.port}{server.path}"
    port = free_port()
    settings = {**_THUNDERBIRD, "calendar.registry.busyd.uri": address, "marionette.port": port}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in settings.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = ("thunderbird", "--headless", "--marionette", "--remote-allow-system-access", "--profile", str(profile))

    with _process(command, home, further={"MOZ_HEADLESS": "1"}), Marionette(port) as marionette:

        def ask(what: str, uid: str, text: str) -> tuple[str, list[str]]:
            said, titles = marionette.run(THUNDERBIRD, what, uid, text)
            return said, titles

        yield _Asked(ask)


@contextmanager
def _process(
    command: Sequence[str], home: Path, *, further: Mapping[str, str], talk: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[str]]:
    """A program with all that it starts, ended together."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC", **further}
    process = subprocess.Popen(
        command, env=environment, text=True, stdin=talk, stdout=talk, stderr=subprocess.DEVNULL, start_new_session=True
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


APPS: Final[Mapping[str, tuple[Start, tuple[str, ...]]]] = {
    "evolution": (evolution, ("dbus-run-session", "gnome-keyring-daemon", "secret-tool")),
    "thunderbird": (thunderbird, ("thunderbird",)),
}
