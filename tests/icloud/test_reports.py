"""Items 32 to 38: multiget, query and the reports that are refused."""

import re
from datetime import date

import pytest

from tests.icloud import Account, Calendar, SimulatedIcloud
from tests.icloud.apple_text import BERLIN, calendar, event, timed
from tests.icloud.conftest import meeting
from tests.icloud.raw_client import MULTIGET, QUERY, RawClient
from tests.icloud.xml import CALDAV, DAV, clark

WORK = "/300000001/calendars/work/"
DATA = clark(CALDAV, "calendar-data")
EVENTS = '<c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT">{}</c:comp-filter></c:comp-filter>'
ONE_DAY = EVENTS.format('<c:time-range start="{0}T000000Z" end="{0}T235959Z"/>')


@pytest.fixture(autouse=True)
def weekly_with_override(work: Calendar) -> None:
    """Mondays 10:00 since 2026-01-05; that of 2026-03-02 is moved to Wednesday."""
    master = event("W", "Weekly", timed(date(2026, 1, 5), "10:00", end="11:00"), "RRULE:FREQ=WEEKLY;BYDAY=MO")
    moved = timed(date(2026, 3, 4), "10:00", end="11:00")
    override = event("W", "Moved", moved, f"RECURRENCE-ID;TZID={BERLIN}:20260302T100000")
    work.put("weekly.ics", calendar(master, override))


async def test_multiget_gives_cdata_for_the_hrefs_as_asked(dav: RawClient, icloud: SimulatedIcloud) -> None:
    gone = WORK + "gone.ics"
    reply = await dav.multiget(WORK, WORK + "weekly.ics", gone)
    assert reply.hrefs == [WORK + "weekly.ics", gone]
    assert "<![CDATA[" in reply.text
    assert "\nSUMMARY:Weekly\n" in reply.data(WORK + "weekly.ics")
    assert reply.status_of(gone) == "HTTP/1.1 404 Not Found"
    assert icloud.log.max_batch() == 2


async def test_multiget_may_leave_out_the_missing_or_a_part_of_the_batch(dav: RawClient, anna: Account) -> None:
    anna.knobs.multiget_missing = "absent"
    assert (await dav.multiget(WORK, WORK + "gone.ics", WORK + "weekly.ics")).hrefs == [WORK + "weekly.ics"]
    anna.knobs.multiget_returns_at_most = 1
    reply = await dav.multiget(WORK, WORK + "weekly.ics", WORK + "weekly.ics")
    assert reply.hrefs == [WORK + "weekly.ics"]


async def test_a_multiget_may_give_an_older_version(dav: RawClient, anna: Account, work: Calendar) -> None:
    work.put("new.ics", meeting("New"))
    anna.knobs.multiget_lag_seconds = 60
    assert (await dav.multiget(WORK, WORK + "new.ics")).status_of(WORK + "new.ics") == "HTTP/1.1 404 Not Found"
    assert (await dav.ask("GET", WORK + "new.ics")).status == 200


async def test_multiget_knows_neither_absolute_urls_nor_other_calendars(dav: RawClient) -> None:
    for href in (dav.origin + WORK + "weekly.ics", "/300000001/calendars/home/weekly.ics", WORK):
        assert (await dav.multiget(WORK, href)).status_of(href) == "HTTP/1.1 404 Not Found"


@pytest.mark.parametrize(
    ("filters", "status"),
    [
        ('<c:comp-filter name="VCALENDAR"/>', 500),
        ('<c:comp-filter name="VCALENDAR"><c:comp-filter name="VTODO"/></c:comp-filter>', 500),
        ('<c:comp-filter name="VCALENDAR"><c:comp-filter name="VJOURNAL"/></c:comp-filter>', 500),
        (EVENTS.format('<c:prop-filter name="UID"><c:text-match>W</c:text-match></c:prop-filter>'), 412),
        (EVENTS.format('<c:time-range start="20260301" end="20260401"/>'), 400),
        (EVENTS.format(""), 207),
    ],
)
async def test_a_query_needs_vcalendar_then_vevent(dav: RawClient, filters: str, status: int) -> None:
    assert (await dav.query(WORK, filters)).status == status


async def test_a_query_on_a_reminders_list_is_500(dav: RawClient) -> None:
    assert (await dav.query("/300000001/calendars/tasks/", EVENTS.format(""))).status == 500


async def test_two_components_in_a_filter_match_nothing(dav: RawClient) -> None:
    both = '<c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT"/><c:comp-filter name="VTODO"/></c:comp-filter>'
    assert (await dav.query(WORK, both)).hrefs == [WORK]


@pytest.mark.parametrize(
    ("day", "found"), [("20261123", True), ("20261124", False), ("20260302", False), ("20260304", True)]
)
async def test_a_time_range_sees_recurrences_and_overrides(dav: RawClient, day: str, found: bool) -> None:
    reply = await dav.query(WORK, ONE_DAY.format(day))
    assert reply.hrefs == ([WORK, WORK + "weekly.ics"] if found else [WORK])
    assert set(reply.props(WORK, status="404 Not Found")) == {DATA}


async def ask_for(dav: RawClient, inside: str) -> str:
    body = f"{MULTIGET}<d:prop><c:calendar-data>{inside}</c:calendar-data></d:prop><d:href>{WORK}weekly.ics</d:href>"
    return (await dav.report(WORK, body + "</c:calendar-multiget>")).data(WORK + "weekly.ics")


async def test_expand_is_ignored_or_gives_one_event_an_occurrence(dav: RawClient, anna: Account) -> None:
    expand = '<c:expand start="20260301T000000Z" end="20260315T000000Z"/>'
    assert "RRULE" in await ask_for(dav, expand)
    anna.knobs.expand = "expanded"
    expanded = await ask_for(dav, expand)
    assert "RRULE" not in expanded
    assert sorted(re.findall("DTSTART;TZID=Europe/Berlin:(.*)", expanded)) == ["20260304T100000", "20260309T100000"]
    assert set(re.findall("RECURRENCE-ID:(.*)", expanded)) >= {"20260302T090000Z"}


async def test_a_part_of_calendar_data_comes_back_as_an_empty_event(dav: RawClient) -> None:
    partial = '<c:comp name="VCALENDAR"><c:comp name="VEVENT"><c:prop name="UID"/></c:comp></c:comp>'
    assert (await ask_for(dav, partial)).split() == ["BEGIN:VCALENDAR", "BEGIN:VEVENT", "END:VEVENT", "END:VCALENDAR"]


async def test_free_busy_query_is_400_with_nothing_to_read(dav: RawClient) -> None:
    body = '<c:free-busy-query xmlns:c="urn:ietf:params:xml:ns:caldav"/>'
    reply = await dav.report(WORK, body)
    assert (reply.status, reply.raw) == (400, b"")


@pytest.mark.parametrize("body", ["\n<?xml version='1.0'?>" + QUERY + "</c:calendar-query>", QUERY, " ", "not xml"])
async def test_xml_that_cannot_be_read_is_an_html_page_and_a_closed_connection(dav: RawClient, body: str) -> None:
    reply = await dav.report(WORK, body)
    assert (reply.status, reply.headers["Content-Type"], reply.headers["Connection"]) == (400, "text/html", "close")
    assert "AppleHttpServer/" in reply.text


async def test_reports_lack_header_and_zones_which_get_has(dav: RawClient, anna: Account, work: Calendar) -> None:
    work.put("m.ics", meeting())
    full = await dav.ask("GET", WORK + "m.ics")
    stored = work.get("m.ics")
    assert stored is not None
    assert (full.text, full.headers["ETag"]) == (stored.text, stored.etag)
    reported = (await dav.multiget(WORK, WORK + "m.ics")).data(WORK + "m.ics")
    for line in ("VERSION:2.0", "PRODID:", "BEGIN:VTIMEZONE"):
        assert line in full.text
        assert line not in reported
    anna.knobs.reports_strip = False
    assert (await dav.multiget(WORK, WORK + "m.ics")).data(WORK + "m.ics") == full.text.replace("\r\n", "\n")


async def test_members_of_a_calendar_know_their_etag_and_nothing_else(dav: RawClient) -> None:
    reply = await dav.propfind(WORK, "d:getetag", "d:resourcetype", "d:getcontenttype", depth="1")
    member = WORK + "weekly.ics"
    assert reply.hrefs == [WORK, member]
    assert set(reply.props(member)) == {clark(DAV, "getetag")}
    missing = {clark(DAV, "resourcetype"), clark(DAV, "getcontenttype")}
    assert set(reply.props(member, status="404 Not Found")) == missing
