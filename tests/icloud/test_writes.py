"""Items 39 to 47: PUT, DELETE and MOVE, and everything that is refused."""

import asyncio
from datetime import date

import pytest

from tests.icloud import Account, Calendar, SimulatedIcloud
from tests.icloud.apple_text import all_day, calendar, event, timed
from tests.icloud.conftest import StoppedClock, meeting
from tests.icloud.raw_client import RawClient

HOME, WORK = "/300000001/calendars/home/", "/300000001/calendars/work/"
NEW = {"If_None_Match": "*"}


async def test_a_new_object_is_201_with_its_etag_and_an_existing_one_412(dav: RawClient, work: Calendar) -> None:
    reply = await dav.put(WORK + "e1.ics", meeting(), **NEW)
    stored = work.get("e1.ics")
    assert stored is not None
    assert (reply.status, reply.raw, reply.headers["ETag"]) == (201, b"", stored.etag)
    assert (await dav.ask("GET", WORK + "e1.ics")).text == meeting()
    assert (await dav.put(WORK + "e1.ics", meeting(), **NEW)).status == 412


async def test_the_etag_may_be_missing_and_the_status_204(dav: RawClient, anna: Account) -> None:
    anna.knobs.apply({"put_gives_etag": False, "put_created_status": 204})
    reply = await dav.put(WORK + "e1.ics", meeting(), **NEW)
    assert reply.status == 204
    assert "ETag" not in reply.headers


async def test_if_match_decides_about_an_update(dav: RawClient, anna: Account, work: Calendar) -> None:
    first = work.put("e1.ics", meeting())
    second = await dav.put(WORK + "e1.ics", meeting(summary="Later"), If_Match=first.etag)
    assert second.status == 204
    assert second.headers["ETag"] != first.etag
    assert (await dav.put(WORK + "e1.ics", meeting(), If_Match=first.etag)).status == 412
    assert (await dav.put(WORK + "e1.ics", meeting(), If_Match="*")).status == 412
    anna.knobs.if_match_star = "accepted"
    assert (await dav.put(WORK + "e1.ics", meeting(), If_Match="*")).status == 204


def without(line: str) -> str:
    return "\r\n".join(kept for kept in meeting().split("\r\n") if not kept.startswith(line))


TODO = calendar("BEGIN:VTODO\r\nUID:T\r\nDTSTAMP:20260101T000000Z\r\nEND:VTODO")
NO_ZONE = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{}\r\nEND:VCALENDAR\r\n".format(
    meeting()[meeting().index("BEGIN:VEVENT") : meeting().index("END:VEVENT") + 10]
)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        pytest.param(without("DTEND"), 404, id="no-dtend"),
        pytest.param(NO_ZONE, 400, id="no-vtimezone"),
        pytest.param(meeting().replace("VERSION:2.0", "VERSION:2.0\r\nMETHOD:REQUEST"), 403, id="method"),
        pytest.param(meeting("E1", "x", "ATTENDEE:mailto:ben@example.org"), 403, id="attendee-without-organizer"),
        pytest.param(TODO, 403, id="todo"),
        pytest.param(without("VERSION"), 403, id="no-version"),
        pytest.param(without("UID"), 403, id="no-uid"),
        pytest.param(without("END:VEVENT"), 400, id="does-not-nest"),
        pytest.param("hello", 400, id="no-calendar"),
    ],
)
async def test_content_is_refused_with_a_status_that_seldom_explains(
    dav: RawClient, work: Calendar, text: str, status: int
) -> None:
    assert (await dav.put(WORK + "e1.ics", text, **NEW)).status == status
    assert work.objects() == {}


async def test_two_uids_in_one_object_are_403_with_a_precondition(dav: RawClient) -> None:
    day = timed(date(2026, 11, 23), "10:00", end="11:00")
    reply = await dav.put(WORK + "e1.ics", calendar(event("A", "a", day), event("B", "b", day)))
    assert reply.status == 403
    assert "<valid-calendar-object-resource" in reply.text


async def test_some_refusals_differ_between_witnesses(dav: RawClient, anna: Account) -> None:
    anna.knobs.apply({"missing_vtimezone": 403, "method_property": "accepted"})
    assert (await dav.put(WORK + "e1.ics", NO_ZONE)).status == 403
    with_method = meeting().replace("VERSION:2.0", "VERSION:2.0\r\nMETHOD:PUBLISH")
    assert (await dav.put(WORK + "e1.ics", with_method)).status == 201


async def test_a_uid_lives_once_in_the_whole_account(dav: RawClient, anna: Account, work: Calendar) -> None:
    work.put("e1.ics", meeting())
    for path in (HOME + "e1.ics", WORK + "other-name.ics"):
        reply = await dav.put(path, meeting(), **NEW)
        assert (reply.status, reply.raw) == (412, b"")
    anna.knobs.uid_conflict = "403"
    reply = await dav.put(HOME + "e1.ics", meeting())
    assert reply.status == 403
    assert "no-uid-conflict" in reply.text


async def test_a_deleted_name_or_uid_is_refused_for_a_while(
    dav: RawClient, anna: Account, work: Calendar, clock: StoppedClock
) -> None:
    anna.knobs.tombstone_seconds = 30
    work.put("e1.ics", meeting())
    assert (await dav.ask("DELETE", WORK + "e1.ics")).status == 204
    assert (await dav.put(WORK + "e1.ics", meeting("FRESH"), **NEW)).status == 412
    assert (await dav.put(WORK + "fresh.ics", meeting(), **NEW)).status == 412
    clock.seconds += 31
    assert (await dav.put(WORK + "e1.ics", meeting(), **NEW)).status == 201


async def test_two_content_type_lines_are_not_implemented(icloud: SimulatedIcloud) -> None:
    host, port = icloud.places.shard.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = (f"PUT {WORK}e1.ics HTTP/1.1", f"Host: {host}:{port}", "Content-Type: application/xml",
             "Content-Type: text/calendar", "Content-Length: 0", "", "")  # fmt: skip
    writer.write("\r\n".join(lines).encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.split()[1] == b"501"


async def test_another_content_type_is_refused(dav: RawClient, anna: Account) -> None:
    assert (await dav.put(WORK + "e1.ics", meeting(), Content_Type="application/json")).status == 415
    assert (await dav.ask("PUT", WORK + "e1.ics", body=meeting())).status == 415
    assert (await dav.put(WORK + "e1.ics", meeting(), Content_Type="text/calendar, application/xml")).status == 501
    anna.knobs.content_type_refusal = 400
    assert (await dav.put(WORK + "e1.ics", meeting(), Content_Type="application/json")).status == 400


async def test_delete_takes_no_depth_and_works_once(dav: RawClient, work: Calendar) -> None:
    stored = work.put("e1.ics", meeting())
    path = WORK + "e1.ics"
    assert (await dav.ask("DELETE", path, Depth="0")).status == 400
    assert (await dav.ask("DELETE", path, If_Match='"stale"')).status == 412
    assert (await dav.ask("DELETE", path, If_Match=stored.etag)).status == 204
    assert (await dav.ask("GET", path)).status == 404
    assert (await dav.ask("DELETE", path)).status == 404


async def test_move_keeps_the_uid_rule_and_maybe_the_etag(dav: RawClient, anna: Account, work: Calendar) -> None:
    first = work.put("e1.ics", meeting())
    there = {"Destination": dav.origin + HOME + "e1.ics", "Overwrite": "F"}
    reply = await dav.ask("MOVE", WORK + "e1.ics", **there)
    assert reply.status == 201
    assert reply.headers["ETag"] != first.etag
    assert work.get("e1.ics") is None
    work.put("e2.ics", meeting("E2"))
    assert (await dav.ask("MOVE", WORK + "e2.ics", **there)).status == 412
    anna.knobs.move_keeps_etag = True
    back = await dav.ask("MOVE", HOME + "e1.ics", Destination=dav.origin + WORK + "e1.ics", Overwrite="F")
    assert back.headers["ETag"] == reply.headers["ETag"]


async def test_a_read_only_calendar_refuses_every_write(dav: RawClient, anna: Account) -> None:
    family = anna.add_calendar("Family", shared="read-only")
    family.put("e1.ics", meeting())
    path = f"/300000001/calendars/{family.id}/e1.ics"
    assert (await dav.put(path, meeting())).status == 403
    assert (await dav.ask("DELETE", path)).status == 403
    assert (await dav.ask("MOVE", path, Destination=dav.origin + WORK + "e1.ics")).status == 403
    assert list(family.objects()) == ["e1.ics"]


async def test_an_all_day_event_needs_its_exclusive_end_too(dav: RawClient) -> None:
    whole = calendar(event("D", "Day", all_day(date(2026, 7, 4))))
    assert (await dav.put(WORK + "d.ics", whole.replace("DTEND;VALUE=DATE:20260705\r\n", ""))).status == 404
    assert (await dav.put(WORK + "d.ics", whole)).status == 201
