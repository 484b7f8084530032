"""The whole daemon against servers nobody here wrote: what a calendar app puts there is what /freebusy tells."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.journey.cyrus import cyrus
from tests.journey.daemon import Busyd, busyd_in
from tests.journey.servers import PASSWORD, USER, CaldavServer, make_calendar, radicale, xandikos

CONFIG = """
connections:
  team: {{kind: caldav, url: "{url}", username: {user}, password: {{env: TEAM_PASSWORD}}, poll: 5s}}
profiles:
  anna: {{timezone: Europe/Berlin, conflicts: [team/Work]}}
"""
EVENT = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//test//EN\r
{events}\
END:VCALENDAR\r
"""
Kind = Callable[[Path], AbstractContextManager[CaldavServer]]
ALL: tuple[Kind, ...] = (radicale, xandikos, cyrus)
WEEK = ("2026-06-01", "2026-06-08")


def vevent(uid: str, *lines: str) -> str:
    return "\r\n".join(["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260101T000000Z", *lines, "END:VEVENT", ""])


def object_of(*events: str) -> str:
    return EVENT.format(events="".join(events))


def single(start: str, end: str) -> str:
    return object_of(vevent("single", f"DTSTART:{start}", f"DTEND:{end}", "SUMMARY:one"))


@pytest.fixture(scope="module", params=ALL, ids=[one.__name__ for one in ALL])
def linked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[CaldavServer, Busyd]]:
    folder = tmp_path_factory.mktemp("foreign")
    with request.param(folder) as server, busyd_in(folder, environment={"TEAM_PASSWORD": PASSWORD}) as busyd:
        busyd.configure(CONFIG.format(url=server.url, user=USER))
        busyd.start()
        busyd.until_busy(*WEEK, [])
        yield server, busyd
        assert busyd.stop() == 0


def after_sync(busyd: Busyd, expected: list[tuple[str, str, str]]) -> None:
    assert busyd.command("sync", "--now").returncode == 0
    busyd.until_busy(*WEEK, expected)


def test_an_event_is_seen_moved_and_gone(linked: tuple[CaldavServer, Busyd]) -> None:
    server, busyd = linked
    server.put("single.ics", single("20260601T090000Z", "20260601T100000Z"))
    after_sync(busyd, [("2026-06-01T09:00:00Z", "2026-06-01T10:00:00Z", "BUSY")])
    server.put("single.ics", single("20260601T140000Z", "20260601T150000Z"))
    after_sync(busyd, [("2026-06-01T14:00:00Z", "2026-06-01T15:00:00Z", "BUSY")])
    server.delete("single.ics")
    after_sync(busyd, [])


def test_a_series_and_its_override_are_followed(linked: tuple[CaldavServer, Busyd]) -> None:
    server, busyd = linked
    zoned = "TZID=Europe/Berlin"
    series = vevent(
        "series", f"DTSTART;{zoned}:20260601T110000", f"DTEND;{zoned}:20260601T120000", "RRULE:FREQ=DAILY;COUNT=2"
    )
    server.put("series.ics", object_of(series))
    first = ("2026-06-01T09:00:00Z", "2026-06-01T10:00:00Z", "BUSY")
    after_sync(busyd, [first, ("2026-06-02T09:00:00Z", "2026-06-02T10:00:00Z", "BUSY")])
    moved = vevent(
        "series",
        f"RECURRENCE-ID;{zoned}:20260602T110000",
        f"DTSTART;{zoned}:20260602T150000",
        f"DTEND;{zoned}:20260602T160000",
    )
    server.put("series.ics", object_of(series, moved))
    after_sync(busyd, [first, ("2026-06-02T13:00:00Z", "2026-06-02T14:00:00Z", "BUSY")])
    server.delete("series.ics")
    after_sync(busyd, [])


def test_a_calendar_made_anew_at_its_address_is_read_anew(linked: tuple[CaldavServer, Busyd]) -> None:
    server, busyd = linked
    server.put("single.ics", single("20260601T090000Z", "20260601T100000Z"))
    after_sync(busyd, [("2026-06-01T09:00:00Z", "2026-06-01T10:00:00Z", "BUSY")])
    server.delete("")  # with it go the sync tokens
    make_calendar(server)
    server.put("single.ics", single("20260601T140000Z", "20260601T150000Z"))
    after_sync(busyd, [("2026-06-01T14:00:00Z", "2026-06-01T15:00:00Z", "BUSY")])
    server.delete("single.ics")
    after_sync(busyd, [])


@pytest.mark.parametrize("kind", ALL)
def test_the_self_test_finds_a_server_that_can_be_booked_on(kind: Kind, tmp_path: Path) -> None:
    with kind(tmp_path) as server, busyd_in(tmp_path, environment={"TEAM_PASSWORD": PASSWORD}) as busyd:
        busyd.configure(CONFIG.format(url=server.url, user=USER))
        told = busyd.command("doctor", "--write", "--json")
        assert told.returncode == 0, told.stdout
        failed = [one for one in json.loads(told.stdout)["findings"] if one["level"] == "failed"]
        assert not failed
        assert "kept for bookings" in told.stdout


def test_a_restart_answers_the_same_while_the_server_is_down(tmp_path: Path) -> None:
    with busyd_in(tmp_path, environment={"TEAM_PASSWORD": PASSWORD}) as busyd:
        with radicale(tmp_path) as server:
            server.put("single.ics", single("20260601T090000Z", "20260601T100000Z"))
            busyd.configure(CONFIG.format(url=server.url, user=USER))
            busyd.start()
            busyd.until_busy(*WEEK, [("2026-06-01T09:00:00Z", "2026-06-01T10:00:00Z", "BUSY")])
            assert busyd.stop() == 0
        busyd.start()
        answer = busyd.freebusy(*WEEK)
        assert answer["busy"] == [{"start": "2026-06-01T09:00:00Z", "end": "2026-06-01T10:00:00Z", "type": "BUSY"}]
        assert answer["complete"]
        assert busyd.stop() == 0
