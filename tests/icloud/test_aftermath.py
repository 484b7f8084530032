"""Items 48 to 52: what happens to an object after a write, and who is told of it."""

import pytest

from tests.icloud import Account, Calendar
from tests.icloud.apple_text import attendee, calendar, event
from tests.icloud.conftest import StoppedClock, meeting
from tests.icloud.raw_client import RawClient
from tests.icloud.xml import CALENDAR_SERVER, clark

WORK = "/300000001/calendars/work/"
OBJECT = WORK + "e1.ics"
CTAG = clark(CALENDAR_SERVER, "getctag")


@pytest.mark.parametrize(
    ("rewriting", "expected"),
    [
        ("second-dtstamp", "DTSTAMP:20250301T081530Z\r\nDTSTAMP:20250301T081530Z\r\n"),
        ("apple-lines", "X-APPLE-TRAVEL-ADVISORY-BEHAVIOR:AUTOMATIC\r\nEND:VEVENT"),
        ("schedule-status", ";SCHEDULE-STATUS=1.1:mailto:ben@example.org"),
        ("reordered", "TRANSP:OPAQUE\r\nUID:E1\r\nEND:VEVENT"),
        ("vtimezone-last", "END:VTIMEZONE\r\nEND:VCALENDAR"),
    ],
)
async def test_the_server_may_rewrite_what_was_put(
    dav: RawClient, anna: Account, rewriting: str, expected: str
) -> None:
    anna.knobs.apply({"rewriting": [rewriting]})
    guests = ("ORGANIZER:mailto:cleo@example.org", attendee("Ben", "mailto:ben@example.org", answer="ACCEPTED"))
    zone_first = meeting("E1", "Meeting", *guests)
    zone = zone_first[zone_first.index("BEGIN:VTIMEZONE") : zone_first.index("END:VCALENDAR")]
    zone_first = zone_first.replace(zone, "").replace("BEGIN:VEVENT", zone + "BEGIN:VEVENT")
    assert expected not in zone_first
    assert (await dav.put(OBJECT, zone_first)).status == 201
    assert expected in (await dav.ask("GET", OBJECT)).text


async def test_the_server_may_drop_properties_that_are_not_its_own(dav: RawClient, anna: Account) -> None:
    anna.knobs.rewriting = {"no-x-properties"}
    text = meeting("E1", "Meeting", "X-MARK:1", "X-APPLE-TRAVEL-DURATION;VALUE=DURATION:PT10M")
    assert (await dav.put(OBJECT, text)).status == 201
    told = (await dav.ask("GET", OBJECT)).text
    assert "X-MARK" not in told
    assert "X-APPLE-TRAVEL-DURATION" in told


async def test_overrides_are_marked_in_reports_only(dav: RawClient, anna: Account, work: Calendar) -> None:
    anna.knobs.rewriting = {"recurrence-exception"}
    work.put("e1.ics", meeting("E1", "Moved", "RECURRENCE-ID;TZID=Europe/Berlin:20261123T100000"))
    assert "X-RECURRENCE-EXCEPTION:True" in (await dav.multiget(WORK, OBJECT)).data(OBJECT)
    assert "X-RECURRENCE-EXCEPTION" not in (await dav.ask("GET", OBJECT)).text


async def test_housekeeping_changes_etag_and_ctag_but_no_content(dav: RawClient, work: Calendar) -> None:
    before = work.put("e1.ics", meeting())
    ctag = (await dav.propfind(WORK, "cs:getctag")).props(WORK)[CTAG].text
    token = (await dav.sync(WORK)).sync_token
    work.housekeeping("e1.ics")
    after = await dav.ask("GET", OBJECT)
    assert after.text == before.text
    assert after.headers["ETag"] != before.etag
    assert (await dav.propfind(WORK, "cs:getctag")).props(WORK)[CTAG].text != ctag
    assert (await dav.sync(WORK, token)).hrefs == [OBJECT]


async def test_content_may_change_under_the_same_etag_and_ctag(dav: RawClient, work: Calendar) -> None:
    work.put("e1.ics", meeting())
    before, token = await dav.ask("GET", OBJECT), (await dav.sync(WORK)).sync_token
    work.replace_silently("e1.ics", meeting(summary="Other"))
    after = await dav.ask("GET", OBJECT)
    assert "SUMMARY:Other" in after.text
    assert after.headers["ETag"] == before.headers["ETag"]
    assert (await dav.sync(WORK, token)).hrefs == []


async def test_a_new_object_is_seen_by_get_at_once_and_by_all_else_later(
    dav: RawClient, anna: Account, clock: StoppedClock
) -> None:
    anna.knobs.lag_seconds = 3
    token = (await dav.sync(WORK)).sync_token
    assert (await dav.put(OBJECT, meeting())).status == 201
    assert (await dav.ask("GET", OBJECT)).status == 200
    assert (await dav.propfind(OBJECT, "d:getetag")).status == 404
    assert (await dav.propfind(WORK, "d:getetag", depth="1")).hrefs == [WORK]
    assert (await dav.sync(WORK, token)).hrefs == []
    assert (await dav.multiget(WORK, OBJECT)).status_of(OBJECT).endswith("404 Not Found")
    clock.seconds += 3
    assert (await dav.sync(WORK, token)).hrefs == [OBJECT]
    assert (await dav.multiget(WORK, OBJECT)).data(OBJECT)


async def test_get_may_lag_as_well(dav: RawClient, anna: Account, clock: StoppedClock) -> None:
    anna.knobs.get_lag_seconds = 3
    assert (await dav.put(OBJECT, meeting())).status == 201
    assert (await dav.ask("GET", OBJECT)).status == 404
    assert (await dav.put(OBJECT, meeting(), If_None_Match="*")).status == 412
    clock.seconds += 3
    assert (await dav.ask("GET", OBJECT)).status == 200


async def test_the_token_may_be_ahead_of_what_is_shown_so_that_an_update_is_lost(
    dav: RawClient, anna: Account, work: Calendar, clock: StoppedClock
) -> None:
    anna.knobs.apply({"lag_seconds": 3, "lag_token_ahead": True})
    token = (await dav.sync(WORK)).sync_token
    work.put("e1.ics", meeting())
    ahead = (await dav.sync(WORK, token)).sync_token
    clock.seconds += 3
    assert (await dav.sync(WORK, ahead)).hrefs == []
    assert (await dav.sync(WORK)).hrefs == [WORK, OBJECT]


async def test_writing_an_own_event_with_guests_sends_mails(dav: RawClient, anna: Account) -> None:
    mine = (
        "ORGANIZER;CN=Anna:mailto:anna@example.com",
        attendee("Ben", "mailto:ben@example.org", answer="NEEDS-ACTION"),
    )
    assert (await dav.put(OBJECT, meeting("E1", "Plan", *mine))).status == 201
    assert "Schedule-Tag" in (await dav.ask("GET", OBJECT)).headers
    assert (await dav.put(OBJECT, meeting("E1", "New plan", *mine))).status == 204
    assert (await dav.ask("DELETE", OBJECT)).status == 204
    assert [mail.kind for mail in anna.mails] == ["invitation", "update", "cancel"]
    assert anna.mails_per_guest() == {"ben@example.org": 3}


async def test_no_mail_for_plain_events_other_organizers_or_a_change_on_the_phone(
    dav: RawClient, anna: Account, work: Calendar
) -> None:
    theirs = ("ORGANIZER:mailto:ben@example.org", attendee("Anna", "mailto:anna@icloud.com", answer="ACCEPTED"))
    mine = ("ORGANIZER:mailto:anna@icloud.com", attendee("Ben", "mailto:ben@example.org", answer="ACCEPTED"))
    assert (await dav.put(OBJECT, meeting())).status == 201
    assert (await dav.put(WORK + "e2.ics", meeting("E2", "Theirs", *theirs))).status == 201
    work.put("e3.ics", meeting("E3", "Mine", *mine))
    assert anna.mails == []


async def test_guests_of_a_single_occurrence_are_mailed_too(dav: RawClient, anna: Account) -> None:
    me = f"ORGANIZER;EMAIL=anna@icloud.com:/{anna.principal_token}/principal/"
    when = "DTSTART:20261123T100000Z\r\nDTEND:20261123T110000Z"
    master = event("E1", "Series", when, "RRULE:FREQ=DAILY")
    guest = attendee("Cleo", "mailto:cleo@example.net", answer="NEEDS-ACTION")
    override = event("E1", "With Cleo", when, "RECURRENCE-ID:20261123T100000Z", me, guest)
    assert (await dav.put(OBJECT, calendar(master, override))).status == 201
    assert anna.mails_per_guest() == {"cleo@example.net": 1}


async def test_writes_to_shared_calendars_are_counted(dav: RawClient, anna: Account) -> None:
    team = anna.add_calendar("Team", shared="read-write")
    path = f"/300000001/calendars/{team.id}/e1.ics"
    assert (await dav.put(path, meeting())).status == 201
    assert (await dav.put(WORK + "e2.ics", meeting("E2"))).status == 201
    assert (await dav.ask("DELETE", path)).status == 204
    assert anna.share_notifications == {team.id: 2}
