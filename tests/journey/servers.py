"""CalDAV servers nobody here wrote, started as processes: Radicale and Xandikos from PyPI. Cyrus is in `cyrus.py`."""

import base64
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.journey.daemon import wait_for
from tests.ports import free_port

USER, PASSWORD = "anna", "secret-of-the-test"
MKCALENDAR = """<?xml version="1.0" encoding="utf-8"?>
<C:mkcalendar xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop>
<D:displayname>{name}</D:displayname></D:prop></D:set></C:mkcalendar>"""


@dataclass(frozen=True, slots=True)
class CaldavServer:
    """A running server with one user. `url` is what goes into the configuration, `calendar` a calendar's URL."""

    url: str
    calendar: str
    asks_for_password: bool = True

    def request(self, method: str, url: str, *, body: str = "", **headers: str) -> int:
        """An ordinary request of an ordinary client; the status."""
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            url, body.encode() or None, {"Authorization": f"Basic {login}", **named}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def put(self, name: str, ics: str) -> None:
        status = self.request("PUT", self.calendar + name, body=ics, Content_Type="text/calendar; charset=utf-8")
        assert status in (200, 201, 204), status

    def delete(self, name: str) -> None:
        assert self.request("DELETE", self.calendar + name) in (200, 204)


@contextmanager
def radicale(folder: Path) -> Iterator[CaldavServer]:
    """Radicale with one user and a calendar named Work."""
    users = folder / "users"
    users.write_text(f"{USER}:{PASSWORD}\n")
    port = free_port()
    command = [
        "-m", "radicale", "--config", "", "--server-hosts", f"127.0.0.1:{port}", "--storage-filesystem-folder",
        str(folder / "radicale"), "--auth-type", "htpasswd", "--auth-htpasswd-filename", str(users),
        "--auth-htpasswd-encryption", "plain", "--auth-delay", "0",
    ]  # fmt: skip
    root = f"http://127.0.0.1:{port}/"
    with _running(command, folder / "radicale.log"):
        server = CaldavServer(root, f"{root}{USER}/work/")
        make_calendar(server)
        yield server


@contextmanager
def xandikos(folder: Path) -> Iterator[CaldavServer]:
    """Xandikos with one user and a calendar named Work. It asks for no password; one is sent all the same."""
    port = free_port()
    root = f"http://127.0.0.1:{port}/"
    command = [
        "-m", "xandikos", "serve", "-d", str(folder / "xandikos"), "--listen-address", "127.0.0.1", "--port", str(port),
        "--current-user-principal", f"/{USER}/", "--defaults",
    ]  # fmt: skip
    with _running(command, folder / "xandikos.log"):
        server = CaldavServer(root, f"{root}{USER}/calendars/work/", asks_for_password=False)
        make_calendar(server)
        # One more calendar would make every deletion wait for half a minute: the event could be moving there.
        assert server.request("DELETE", f"{root}{USER}/calendars/calendar/") in (200, 204)
        yield server


def make_calendar(server: CaldavServer) -> None:
    """Wait for the server, and make the calendar."""
    wait_for(lambda: _answers(server))
    status = server.request(
        "MKCALENDAR",
        server.calendar,
        body=MKCALENDAR.format(name="Work"),
        Content_Type="application/xml; charset=utf-8",
    )
    assert status == 201, status


def _answers(server: CaldavServer) -> bool:
    try:
        return server.request("PROPFIND", server.url, Depth="0") in (207, 401)
    except OSError:
        return False


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("w") as output, subprocess.Popen([sys.executable, *command], stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=10)
