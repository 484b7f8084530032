"""Items 61 and 62: sizes, and contents that trap a reader of iCalendar."""

from datetime import date

import pytest

from tests.icloud import Account, Calendar, SimulatedIcloud
from tests.icloud.conftest import meeting
from tests.icloud.raw_client import RawClient
from tests.icloud.realistic_account import build_realistic_account

HOME = "/300000001/calendars/"
WORK = HOME + "work/"
TODAY = date(2026, 11, 23)


async def test_a_home_may_hold_a_hundred_calendars_and_no_more(dav: RawClient, anna: Account) -> None:
    for number in range(97):
        anna.add_calendar(f"C{number}", id=f"c{number}")
    assert len((await dav.propfind(HOME, "d:getetag", depth="1")).hrefs) == 1 + 3 + 100
    assert (await dav.ask("MKCALENDAR", HOME + "one-more/")).status == 403


async def test_a_calendar_may_hold_ten_thousand_objects(dav: RawClient, work: Calendar) -> None:
    text = meeting("UID-TO-REPLACE")
    for number in range(10_000):
        work.put(f"{number}.ics", text.replace("UID-TO-REPLACE", str(number)))
    reply = await dav.sync(WORK)
    assert len(reply.hrefs) == 10_001
    work.delete("5000.ics")
    assert (await dav.sync(WORK, reply.sync_token)).hrefs == [WORK + "5000.ics"]


async def test_objects_may_have_two_megabytes_and_never_more_than_the_limit(dav: RawClient, anna: Account) -> None:
    large = meeting("BIG", "Big", "DESCRIPTION:" + "x" * 2_000_000)
    assert (await dav.put(WORK + "big.ics", large)).status == 201
    assert len((await dav.multiget(WORK, WORK + "big.ics")).raw) > 2_000_000
    assert anna.knobs.max_object_bytes == 20 * 1024 * 1024
    anna.knobs.max_object_bytes = 1_000_000
    refused = await dav.put(WORK + "bigger.ics", large.replace("UID:BIG", "UID:BIGGER"))
    assert refused.status == 403


@pytest.mark.parametrize(
    ("path", "traps"),
    [
        ("home/RUN.ics", ["DTSTART:20261126T063000\r\n"]),
        ("home/BARE.ics", ["SUMMARY:\r\n"]),
        ("home/MOVE.ics", ["DTSTART;VALUE=DATE:20261202\r\n"]),
        ("home/IMPORT.ics", ["DTSTART;TZID=W. Europe Standard Time:"]),
        ("work/INV-YES.ics", ["EMAIL=anna@icloud.com;PARTSTAT=ACCEPTED;", ":/aMzAwMDAwMDAx/principal/\r\n"]),
        ("work/INV-OPEN.ics", ["EMAIL=anna@icloud.com;PARTSTAT=NEEDS-ACTION;", "@imip.me.com\r\n"]),
        ("work/INV-NO.ics", ["PARTSTAT=DECLINED;", ":urn:uuid:300000001\r\n"]),
        ("work/ALONE.ics", ["RECURRENCE-ID;TZID=Europe/Berlin:"]),
        ("work/SPLIT-1.ics", ["UNTIL=", "RELATED-TO;RELTYPE=X-CALENDARSERVER-RECURRENCE-SET:"]),
        ("work/CLIENT.ics", ["X-APPLE-TRAVEL-DURATION;VALUE=DURATION:PT45M"]),
        (
            "home/ODD.ics",
            ["19760401T005545Z", "DTSTAMP:20250301T081530Z\r\nDTSTAMP:2025", "=CAES\r\nkAIa", "DESCRIPTION:\r\n", "🥐"],
        ),
    ],
)
async def test_the_realistic_account_has_every_trap_of_apples_content(
    dav: RawClient, icloud: SimulatedIcloud, path: str, traps: list[str]
) -> None:
    build_realistic_account(icloud, TODAY)
    text = (await dav.ask("GET", HOME + path)).text
    assert [trap for trap in traps if trap not in text] == []


async def test_a_report_without_zones_leaves_a_tzid_with_nothing_behind_it(
    dav: RawClient, icloud: SimulatedIcloud
) -> None:
    build_realistic_account(icloud, TODAY)
    data = (await dav.multiget(HOME + "home/", HOME + "home/IMPORT.ics")).data(HOME + "home/IMPORT.ics")
    assert "TZID=W. Europe Standard Time:" in data
    assert "VTIMEZONE" not in data
