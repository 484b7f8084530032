"""The calendar of blocked slots: busy time without titles."""

import pytest

from busyd.dav import names
from busyd.dav.multistatus import Multistatus
from busyd.dav.xml import parse_xml
from busyd.period import FbType
from busyd.store.members import TOMBSTONE_SECONDS
from tests.http.caldav.conftest import GETETAG, ME, Dav, hrefs, responses
from tests.http.conftest import Serve
from tests.http.small_backend import SmallBackend, busy

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
    home, row = await phone.propfind(ME, "D:resourcetype", "D:displayname", depth=1)
    assert (home.spelling, row.spelling, row.text(names.DISPLAYNAME)) == (ME, PATH, "Busy: anna")


async def test_it_has_a_color_and_a_place_among_the_calendars_as_the_others_have(phone: Dav) -> None:
    (row,) = await phone.propfind(PATH, "A:calendar-color", "A:calendar-order")
    color = row.text(names.CALENDAR_COLOR) or ""
    assert (color[0], len(color), row.text(names.CALENDAR_ORDER)) == ("#", 9, "1")


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


async def told(dav: Dav, token: str = "", inner: str = "") -> tuple[dict[str, int], str]:
    """What a sync-collection tells: name of each slot -> status; and the new token."""
    body = f"<D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level>{inner}{GETETAG}"
    answer = await dav.report(PATH, "D:sync-collection", body)
    found = Multistatus.from_xml(answer.body)
    assert found.sync_token is not None, answer.text
    return {row.spelling.removeprefix(PATH): row.status or 200 for row in found.responses}, found.sync_token


async def test_a_sync_tells_of_the_slots_that_came_and_went(phone: Dav) -> None:
    everything, token = await told(phone)
    assert set(everything.values()) == {200}
    assert token == await ctag(phone)
    assert await told(phone, token) == ({}, token)
    await phone.backend.set_busy("anna", [busy(21), busy(25, 2, kind=FbType.BUSY_TENTATIVE)])
    changed, newer = await told(phone, token)
    assert sorted(changed.values()) == [200, 404]
    assert await told(phone, newer) == ({}, newer)
    assert len((await told(phone))[0]) == 2


async def test_a_slot_that_comes_back_is_there_again(phone: Dav) -> None:
    _, token = await told(phone)
    for spans in ([busy(21)], [busy(21), busy(24, 2, kind=FbType.BUSY_TENTATIVE)]):
        await phone.backend.set_busy("anna", spans)
        await listed(phone)
    changed, _ = await told(phone, token)
    assert list(changed.values()) == [200]


async def test_a_token_tags_and_names_are_the_same_after_a_restart(phone: Dav, serve: Serve) -> None:
    before, (_, token) = await listed(phone), await told(phone)
    again = SmallBackend(phone.backend.directory)
    await again.set_busy("anna", [busy(21), busy(24, 2, kind=FbType.BUSY_TENTATIVE)])
    app = Dav(await serve(again), phone.token)
    assert await told(app, token) == ({}, token)
    assert await listed(app) == before


async def test_a_limit_is_kept_and_the_rest_is_had_by_going_on(phone: Dav) -> None:
    await phone.backend.set_busy("anna", [busy(hour * 2) for hour in range(5)])
    known: dict[str, int] = {}
    token, limit = "", "<D:limit><D:nresults>2</D:nresults></D:limit>"
    for _ in range(3):
        some, token = await told(phone, token, limit)
        known |= some
    assert known.pop("") == 507
    assert (len(known), token) == (5, await ctag(phone))


async def test_removals_are_told_for_thirty_days_and_an_older_token_is_refused(phone: Dav) -> None:
    _, token = await told(phone)
    await phone.backend.set_busy("anna", [busy(21)])
    _, newer = await told(phone, token)
    phone.backend.clock.advance(TOMBSTONE_SECONDS + 1)
    await phone.backend.set_busy("anna", [busy(21 + 24 * 40)])
    body = f"<D:sync-token>{token}</D:sync-token>{GETETAG}"
    answer = await phone.report(PATH, "D:sync-collection", body)
    assert (answer.status, parse_xml(answer.body)[0].tag) == (403, names.VALID_SYNC_TOKEN)
    assert 404 in (await told(phone, newer))[0].values()


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


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_slot_that_a_phone_has_hidden_comes_back(phone: Dav, method: str) -> None:
    before, (_, token) = await listed(phone), await told(phone)
    href = sorted(before)[0]
    assert (await phone.ask(method, href)).status == 403
    changed, newer = await told(phone, token)
    assert changed == {href.removeprefix(PATH): 200}
    after = await listed(phone)
    assert {path for path in before if before[path] != after[path]} == {href}
    assert (await phone.ask("GET", href)).headers["ETag"] == after[href]
    await phone.backend.set_busy("anna", [busy(21), busy(24, 2, kind=FbType.BUSY_TENTATIVE), busy(40)])
    assert (await listed(phone))[href] == after[href]
    assert len((await told(phone, newer))[0]) == 1
