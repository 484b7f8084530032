"""The CalDAV server of the whole daemon: what the phone changes reaches an app, over restarts and outages."""

import json
import signal
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from busyd.dav import names
from busyd.dav.multistatus import Multistatus
from busyd.dav.request import Propfind, SyncCollection
from tests.icloud.apple_text import calendar, timed
from tests.icloud.apple_text import event as apple_event
from tests.icloud.faults import Fault
from tests.icloud.server import SimulatedIcloud
from tests.journey.conftest import CONFIG, PASSWORD
from tests.journey.daemon import TIMEOUT, Busyd, busyd_in, wait_for
from tests.journey.test_icloud import event

HOME = "/dav/anna/"


@contextmanager
def following(icloud: SimulatedIcloud, folder: Path) -> Iterator[Busyd]:
    """A daemon that has read the account."""
    with busyd_in(folder, environment={"APPLE": PASSWORD}) as busyd:
        busyd.configure(CONFIG.format(url=icloud.bootstrap_url))
        busyd.start()
        wait_for(lambda: busyd.freebusy("2026-06-01", "2026-06-08")["complete"])
        yield busyd


class App:
    """Syncs one calendar that it finds in the home of anna; the only one, where it has no name."""

    def __init__(self, busyd: Busyd, *, scope: str = "details", calendar: str = "") -> None:
        made = busyd.command("token", "add", "anna", "--scope", scope, "--json")
        token = json.loads(made.stdout)["token"]
        self._busyd = busyd
        self._name = calendar
        self._authorization = f"Basic {b64encode(f'anna:{token}'.encode()).decode()}"
        self.token: str | None = None

    def ask(self, method: str, path: str, body: bytes, *, depth: str = "1") -> Multistatus:
        headers = {"Authorization": self._authorization, "Depth": depth, "Content-Type": "text/xml"}
        request = urllib.request.Request(self._busyd.base + path, data=body, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            assert answer.status == 207
            return Multistatus.from_xml(answer.read())

    def write(self, method: str, name: str, body: str = "", **fields: str) -> int:
        """The status of a PUT or DELETE of a member."""
        headers = {"Authorization": self._authorization, "Content-Type": "text/calendar"}
        headers |= {field.replace("_", "-"): value for field, value in fields.items()}
        data, url = body.encode() if body else None, self._busyd.base + self.calendar + name
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def read(self, name: str) -> str:
        """The bytes of a member."""
        request = urllib.request.Request(
            self._busyd.base + self.calendar + name, headers={"Authorization": self._authorization}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return str(answer.read().decode())

    @property
    def calendar(self) -> str:
        rows = self.ask("PROPFIND", HOME, Propfind((names.DISPLAYNAME,)).to_xml()).responses
        calendars = [row for row in rows if row.spelling != HOME]
        (path,) = [row.spelling for row in calendars if self._name in ("", row.text(names.DISPLAYNAME))]
        return path

    def sync(self) -> dict[str, int]:
        """Name of each member told of since the last time -> its status."""
        path = self.calendar
        told = self.ask("REPORT", path, SyncCollection(self.token).to_xml())
        self.token = told.sync_token
        return {row.spelling.removeprefix(path): row.status or 200 for row in told.responses}


@pytest.fixture
def icloud() -> Iterator[SimulatedIcloud]:
    with SimulatedIcloud.in_thread() as icloud:
        yield icloud


def test_a_sync_token_is_good_after_a_restart_and_tells_what_the_phone_changed(
    icloud: SimulatedIcloud, tmp_path: Path
) -> None:
    work = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001").add_calendar("Work", id="work")
    for name in ("a", "b"):
        work.put(f"{name}.ics", event(name, "20260601T090000Z", end="20260601T100000Z"))
    with following(icloud, tmp_path) as busyd:
        app = App(busyd)
        assert app.sync() == {"a.ics": 200, "b.ics": 200}
        assert app.sync() == {}
        assert busyd.stop() == 0
        busyd.start()
        assert app.sync() == {}
        work.put("c.ics", event("c", "20260602T090000Z", end="20260602T100000Z"))
        work.put("a.ics", event("a", "20260603T090000Z", end="20260603T100000Z"))
        busyd.command("sync", "--now")
        assert app.sync() == {"a.ics": 200, "c.ics": 200}
        assert busyd.stop() == 0


def test_an_app_is_given_whole_objects_though_the_reports_of_the_server_are_stripped_and_may_send_them_back(
    icloud: SimulatedIcloud, tmp_path: Path
) -> None:
    work = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001").add_calendar("Work", id="work")
    today = date(2026, 6, 1)
    work.put("a.ics", calendar(apple_event("a", "Lunch", timed(today, "12:00", "13:00"))))
    with following(icloud, tmp_path) as busyd:
        app = App(busyd, scope="details,book")
        text = app.read("a.ics")
        assert "VERSION:2.0" in text
        assert "TZID:Europe/Berlin" in text
        assert app.write("PUT", "a.ics", text.replace("SUMMARY:Lunch", "SUMMARY:Late lunch")) == 204
        assert "SUMMARY:Late lunch" in work.objects()["a.ics"].text


def test_an_app_may_write_a_duration_though_icloud_takes_nothing_without_an_end(
    icloud: SimulatedIcloud, tmp_path: Path
) -> None:
    work = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001").add_calendar("Work", id="work")
    with following(icloud, tmp_path) as busyd:
        app = App(busyd, scope="details,book")
        lasting = event("a", "20260601T090000Z", end="").replace("DTEND:", "DURATION:PT1H")
        assert app.write("PUT", "a.ics", lasting, If_None_Match="*") == 201
        assert "DTEND:20260601T100000Z" in work.objects()["a.ics"].text
        assert busyd.busy("2026-06-01", "2026-06-02") == [("2026-06-01T09:00:00Z", "2026-06-01T10:00:00Z", "BUSY")]


def test_a_zone_that_only_the_event_itself_defines_is_known_though_the_reports_of_the_server_are_stripped(
    icloud: SimulatedIcloud, tmp_path: Path
) -> None:
    work = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001").add_calendar("Work", id="work")
    office = (
        "BEGIN:VTIMEZONE\r\nTZID:Our Office\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0300\r\n"
        "TZOFFSETTO:+0300\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT"
    )
    text = event("a", "20260601T120000", end="20260601T130000").replace("BEGIN:VEVENT", office)
    work.put(
        "a.ics", text.replace("DTSTART:20", "DTSTART;TZID=Our Office:20").replace("DTEND:", "DTEND;TZID=Our Office:")
    )
    with busyd_in(tmp_path, environment={"APPLE": PASSWORD}) as busyd:
        busyd.configure(CONFIG.format(url=icloud.bootstrap_url))
        busyd.start()
        busyd.until_busy("2026-06-01", "2026-06-02", [("2026-06-01T09:00:00Z", "2026-06-01T10:00:00Z", "BUSY")])
        assert busyd.freebusy("2026-06-01", "2026-06-02")["complete"]


def test_fifty_apps_that_ask_every_minute_cost_no_request_to_the_remote(
    icloud: SimulatedIcloud, tmp_path: Path
) -> None:
    anna = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
    anna.add_calendar("Work", id="work").put("a.ics", event("a", "20260601T090000Z", end="20260601T100000Z"))
    with busyd_in(tmp_path, environment={"APPLE": PASSWORD}) as busyd:
        busyd.configure(CONFIG.format(url=icloud.bootstrap_url).replace("password:", "poll: 1d, password:"))
        busyd.start()
        wait_for(lambda: busyd.freebusy("2026-06-01", "2026-06-02")["complete"])
        wait_for(lambda: busyd.status()["connections"][0]["next_poll"])
        apps = [App(busyd) for _ in range(3)] * 17
        before = len(icloud.log.requests())
        for _ in range(3):
            for app in apps[:50]:
                assert app.sync() in ({"a.ics": 200}, {})
        assert len(icloud.log.requests()) == before
        assert busyd.stop() == 0


def test_what_an_app_writes_is_on_the_phone_and_busy_before_the_app_is_told(
    icloud: SimulatedIcloud, tmp_path: Path
) -> None:
    anna = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
    work = anna.add_calendar("Work", id="work")
    first = event("new", "20260602T090000Z", end="20260602T100000Z")
    second = event("new", "20260603T090000Z", end="20260603T100000Z")
    with following(icloud, tmp_path) as busyd:
        app, other = App(busyd, scope="details,book"), App(busyd)
        assert (app.sync(), other.sync()) == ({}, {})
        assert app.write("PUT", "new.ics", first, If_None_Match="*") == 201
        assert [period[0] for period in busyd.busy("2026-06-01", "2026-06-08")] == ["2026-06-02T09:00:00Z"]
        assert "20260602T090000Z" in work.objects()["new.ics"].text
        assert other.sync() == {"new.ics": 200}
        assert app.write("PUT", "new.ics", second) == 204
        assert [period[0] for period in busyd.busy("2026-06-01", "2026-06-08")] == ["2026-06-03T09:00:00Z"]
        busyd.command("sync", "--now")
        assert other.sync() == {"new.ics": 200}
        assert app.write("MOVE", "new.ics", Destination=f"{app.calendar}moved.ics", Overwrite="F") == 201
        assert list(work.objects()) == ["moved.ics"]
        assert other.sync() == {"new.ics": 404, "moved.ics": 200}
        assert [period[0] for period in busyd.busy("2026-06-01", "2026-06-08")] == ["2026-06-03T09:00:00Z"]
        assert app.write("DELETE", "moved.ics") == 204
        assert (busyd.busy("2026-06-01", "2026-06-08"), work.objects()) == ([], {})
        assert other.sync() == {"moved.ics": 404}
        assert other.write("PUT", "new.ics", first) == 403
        assert busyd.stop() == 0


def test_while_the_remote_is_down_an_app_is_asked_to_wait_and_nothing_is_lost(
    icloud: SimulatedIcloud, tmp_path: Path
) -> None:
    anna = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
    work = anna.add_calendar("Work", id="work")
    work.put("a.ics", event("a", "20260601T090000Z", end="20260601T100000Z"))
    moved = event("a", "20260602T090000Z", end="20260602T100000Z")
    with following(icloud, tmp_path) as busyd:
        app = App(busyd, scope="details,book")
        assert app.sync() == {"a.ics": 200}
        anna.knobs.fail_next(503, times=None)
        assert app.write("PUT", "a.ics", moved) == 503
        assert app.write("DELETE", "a.ics") == 503
        assert app.sync() == {"a.ics": 200}
        assert [period[0] for period in busyd.busy("2026-06-01", "2026-06-08")] == ["2026-06-01T09:00:00Z"]
        anna.knobs.faults.clear()
        wait_for(lambda: app.write("PUT", "a.ics", moved) == 204)
        assert [period[0] for period in busyd.busy("2026-06-01", "2026-06-08")] == ["2026-06-02T09:00:00Z"]
        assert busyd.stop() == 0


def test_what_was_taken_before_a_kill_is_in_the_mirror_after_it_and_the_next_try_is_told_so(
    icloud: SimulatedIcloud, tmp_path: Path
) -> None:
    anna = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
    work = anna.add_calendar("Work", id="work")
    work.put("a.ics", event("a", "20260601T090000Z", end="20260601T100000Z"))
    moved = event("a", "20260602T090000Z", end="20260602T100000Z")
    with following(icloud, tmp_path) as busyd:
        app = App(busyd, scope="details,book")
        assert app.sync() == {"a.ics": 200}
        anna.knobs.faults.add(Fault(kind="reset-after-applying", method="PUT"))
        anna.knobs.faults.add(Fault(kind="never-answers", method="GET", path="ics$", times=None))
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(app.write, "PUT", "a.ics", moved)
            wait_for(lambda: "20260602T090000Z" in work.objects()["a.ics"].text)
            busyd.stop(how=signal.SIGKILL)
            assert isinstance(answer.exception(), OSError)
        anna.knobs.faults.clear()
        busyd.start()
        wait_for(lambda: [one[0] for one in busyd.busy("2026-06-01", "2026-06-08")] == ["2026-06-02T09:00:00Z"])
        assert app.sync() == {"a.ics": 200}
        assert app.write("PUT", "a.ics", work.objects()["a.ics"].text, If_Match='"of-before"') == 204
        assert sum(request.method == "PUT" for request in icloud.log.requests()) == 1
        assert busyd.stop() == 0


def test_names_with_signs_of_all_kinds_are_written_read_and_removed_under_one_spelling(
    icloud: SimulatedIcloud, tmp_path: Path
) -> None:
    work = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001").add_calendar("Work", id="work")
    with following(icloud, tmp_path) as busyd:
        app = App(busyd, scope="details,book")
        assert app.sync() == {}
        for number, (name, meant) in enumerate({"a%20b%25.ics": "a b%.ics", "%C3%A4%26.ics": "ä&.ics"}.items()):
            first = event(str(number), "20260603T090000Z", end="20260603T100000Z")
            assert app.write("PUT", name, first, If_None_Match="*") == 201
            assert (app.sync(), list(work.objects())) == ({name: 200}, [meant])
            assert app.write("PUT", name, first.replace("20260603", "20260604")) == 204
            busyd.command("sync", "--now")
            assert app.sync() == {name: 200}
            assert app.write("DELETE", name) == 204
            assert (app.sync(), work.objects()) == ({name: 404}, {})
        assert busyd.stop() == 0
