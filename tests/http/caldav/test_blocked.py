"""The calendar of blocked slots: busy time without titles."""

import pytest

from busyd.dav import names
from busyd.dav.xml import parse_xml
from busyd.period import FbType
from tests.http.caldav.conftest import GETETAG, ME, Dav, hrefs, responses
from tests.http.small_backend import busy

PATH = f"{ME}blocked-slots/"


@pytest.fixture
async def phone(dav: Dav) -> Dav:
    """Anna is busy twice, and somebody may know that, but nothing else."""
    await dav.backend.set_busy("anna", [busy(21), busy(24, 2, kind=FbType.BUSY_TENTATIVE)])
    dav.token = dav.backend.token("anna", "freebusy")
    return dav


async def listed(dav: Dav) -> dict[str, str]:
    """Href of each slot -> its ETag."""
    rows = await dav.propfind(PATH, "D:getetag", depth=1)
    return {row.spelling: row.text(names.GETETAG) or "" for row in rows[1:]}


async def ctag(dav: Dav) -> str:
    (row,) = await dav.propfind(PATH, "CS:getctag")
    return row.text(names.GETCTAG) or ""


async def test_a_token_for_free_busy_sees_this_calendar_alone(phone: Dav) -> None:
    home, row = await phone.propfind(ME, "D:resourcetype", "D:displayname", "D:sync-token", depth=1)
    assert (home.spelling, row.spelling, row.text(names.DISPLAYNAME)) == (ME, PATH, "Busy: anna")
    assert row.text(names.SYNC_TOKEN) is None


async def test_a_token_with_details_alone_does_not_see_it(phone: Dav) -> None:
    phone.token = phone.backend.token("anna", "details")
    assert PATH not in hrefs(await phone.propfind(ME, "D:displayname", depth=1))
    assert (await phone.ask("GET", PATH)).status == 404


async def test_every_slot_is_an_event_without_a_title(phone: Dav) -> None:
    slots = await listed(phone)
    texts = [(await phone.ask("GET", href)).text for href in slots]
    assert sorted(text.partition("DTSTART:")[2][:16] for text in texts) == ["20261124T090000Z", "20261124T120000Z"]
    for href, text in zip(slots, texts, strict=True):
        assert "SUMMARY:Busy\r\n" in text
        assert f"UID:{href.removeprefix(PATH).removesuffix('.ics')}@busyd\r\n" in text


async def test_what_is_not_known_is_shown_as_busy(phone: Dav) -> None:
    phone.backend.confirm("anna", None)
    assert len(await listed(phone)) > 2


async def test_nothing_moves_while_no_slot_does(phone: Dav) -> None:
    before = await listed(phone), await ctag(phone)
    phone.backend.clock.advance(3600)
    await phone.backend.set_busy("anna", [busy(21), busy(24, 2, kind=FbType.BUSY_TENTATIVE)])
    assert (await listed(phone), await ctag(phone)) == before


async def test_a_moved_slot_is_another_member_and_moves_the_ctag(phone: Dav) -> None:
    before, known = await listed(phone), await ctag(phone)
    await phone.backend.set_busy("anna", [busy(21), busy(25, 2, kind=FbType.BUSY_TENTATIVE)])
    after = await listed(phone)
    assert len(before.keys() & after.keys()) == 1
    assert len(after) == 2
    assert await ctag(phone) != known


async def test_slots_are_found_by_time_and_by_name(phone: Dav) -> None:
    window = '<C:time-range start="20261124T095959Z" end="20261124T120000Z"/>'
    wanted = f'<C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">{window}</C:comp-filter></C:comp-filter>'
    found = responses(await phone.report(PATH, "C:calendar-query", f"{GETETAG}<C:filter>{wanted}</C:filter>"))
    assert len(found) == 1
    (href,) = hrefs(found)
    body = f"{GETETAG}<D:href>{href}</D:href><D:href>{PATH}gone.ics</D:href>"
    rows = responses(await phone.report(PATH, "C:calendar-multiget", body))
    assert [row.status for row in rows] == [None, 404]


async def test_there_is_no_sync_collection_as_what_is_gone_is_not_remembered(phone: Dav) -> None:
    answer = await phone.report(PATH, "D:sync-collection", f"<D:sync-token/>{GETETAG}")
    assert (answer.status, parse_xml(answer.body)[0].tag) == (403, names.SUPPORTED_REPORT)


async def test_before_anything_is_known_an_app_is_asked_to_wait_and_keeps_what_it_has(dav: Dav) -> None:
    dav.token = dav.backend.token("anna", "freebusy")
    dav.backend.state.profiles["anna"].snapshot = None
    dav.backend.state.publish()
    for path in (ME, PATH):
        answer = await dav.ask("PROPFIND", path, Depth="1")
        assert (answer.status, answer.error, answer.headers["Retry-After"]) == (503, "not-ready", "60")
    assert len(await dav.propfind(ME, "D:displayname")) == 1


async def test_a_profile_without_calendars_has_none(dav: Dav) -> None:
    dav.token = dav.backend.token("nobody", "freebusy")
    assert hrefs(await dav.propfind("/dav/nobody/", "D:displayname", depth=1)) == ["/dav/nobody/"]
