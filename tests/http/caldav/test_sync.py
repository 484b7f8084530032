"""sync-collection (RFC 6578): the rows C1 to C25 of what clients need; C7 and C23 are in `test_writing.py`, C17 is in
`tests/journey/test_caldav.py`, and C14 needs nothing, as every limit is honoured.
"""

from typing import Any

import pytest

from busyd.dav import names
from busyd.dav.multistatus import Multistatus
from busyd.dav.xml import parse_xml
from busyd.store.members import TOMBSTONE_SECONDS
from tests.http.caldav.conftest import GETETAG, ME, Dav, event
from tests.http.small_backend import NOW


async def test_c1_without_a_token_every_member_is_told_and_nothing_that_is_gone(dav: Dav) -> None:
    await dav.remove("a.ics")
    told, _ = await dav.sync()
    assert told == {"b%40c.ics": 200}


async def test_c2_nothing_new_is_nothing_told(dav: Dav) -> None:
    _, token = await dav.sync()
    assert await dav.sync(token) == ({}, token)


async def test_c3_changed_twice_is_told_once_with_the_newest_etag(dav: Dav) -> None:
    _, token = await dav.sync()
    await dav.put("a.ics", event("a", "SUMMARY:1"))
    await dav.put("a.ics", event("a", "SUMMARY:2"))
    path = await dav.calendar()
    answer = await dav.report(path, "D:sync-collection", f"<D:sync-token>{token}</D:sync-token>{GETETAG}")
    (row,) = Multistatus.from_xml(answer.body).responses
    assert row.text(names.GETETAG) == (await dav.ask("GET", f"{path}a.ics")).headers["ETag"]


async def test_c4_what_came_and_went_is_not_told_as_there(dav: Dav) -> None:
    _, token = await dav.sync()
    await dav.put("new.ics", event("new"))
    await dav.remove("new.ics")
    assert (await dav.sync(token))[0] == {"new.ics": 404}


async def test_c5_what_was_made_again_is_told_once(dav: Dav) -> None:
    _, token = await dav.sync()
    await dav.remove("a.ics")
    await dav.put("a.ics", event("a", "SUMMARY:again"))
    assert (await dav.sync(token))[0] == {"a.ics": 200}


async def test_c6_what_is_gone_has_a_status_of_its_own_and_no_propstat(dav: Dav) -> None:
    _, token = await dav.sync()
    await dav.remove("a.ics")
    body = f"<D:sync-token>{token}</D:sync-token>{GETETAG}"
    answer = await dav.report(await dav.calendar(), "D:sync-collection", body)
    (row,) = Multistatus.from_xml(answer.body).responses
    assert (row.status, row.propstats) == (404, ())


@pytest.mark.parametrize("change", ["x{}", "{}9", "data:,", "{}999999999", "busyd:sync/00/00/1"])
async def test_c8_a_token_that_was_never_given_out_is_refused_with_its_precondition(dav: Dav, change: str) -> None:
    _, token = await dav.sync()
    body = f"<D:sync-token>{change.format(token)}</D:sync-token>{GETETAG}"
    answer = await dav.report(await dav.calendar(), "D:sync-collection", body)
    root = parse_xml(answer.body)
    assert (answer.status, root.tag, [child.tag for child in root]) == (403, names.ERROR, [names.VALID_SYNC_TOKEN])
    assert answer.headers["Content-Type"].startswith("application/xml")


async def test_c8_a_token_of_another_profile_is_refused(dav: Dav) -> None:
    _, token = await dav.sync()
    dav.token = dav.backend.token("*", "details")
    rows = await dav.propfind("/dav/bob/", "D:resourcetype", depth=1)
    body = f"<D:sync-token>{token}</D:sync-token>{GETETAG}"
    assert (await dav.report(rows[1].spelling, "D:sync-collection", body)).status == 403


async def test_c9_a_token_from_before_forgotten_removals_is_refused(dav: Dav) -> None:
    _, token = await dav.sync()
    await dav.remove("a.ics", at=NOW)
    await dav.remove("b%40c.ics", at=NOW + TOMBSTONE_SECONDS + 1)
    body = f"<D:sync-token>{token}</D:sync-token>{GETETAG}"
    assert (await dav.report(await dav.calendar(), "D:sync-collection", body)).status == 403


async def test_c10_c11_c12_a_token_is_a_uri_and_the_one_of_the_listing_and_the_ctag(dav: Dav) -> None:
    for number in range(3):
        _, token = await dav.sync()
        assert token.startswith("busyd:")
        (row,) = await dav.propfind(await dav.calendar(), "D:sync-token", "CS:getctag")
        assert row.text(names.SYNC_TOKEN) == row.text(names.GETCTAG) == token
        await dav.put("a.ics", event("a", f"SUMMARY:{number}"))
        (changed,) = await dav.propfind(await dav.calendar(), "CS:getctag")
        assert changed.text(names.GETCTAG) != token


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_c13_a_limit_is_kept_and_the_rest_is_had_by_going_on(dav: Dav, limit: int) -> None:
    for number in range(3):
        await dav.put(f"{number}.ics", event(str(number)))
    told: list[str] = []
    token, inner = "", f"<D:limit><D:nresults>{limit}</D:nresults></D:limit>"
    while True:
        part, token = await dav.sync(token, inner)
        truncated = part.pop("", None)
        assert len(part) <= limit
        told += part
        if truncated is None:
            break
        assert truncated == 507
    assert sorted(told) == ["0.ics", "1.ics", "2.ics", "a.ics", "b%40c.ics"]
    assert token == (await dav.sync())[1]


async def test_c15_c19_without_a_limit_nothing_is_cut_off_and_the_calendar_is_no_row(dav: Dav) -> None:
    for number in range(300):
        await dav.put(f"{number}.ics", event(str(number)))
    told, _ = await dav.sync()
    assert (len(told), set(told.values())) == (302, {200})


@pytest.mark.parametrize("fields", [{"Depth": "0"}, {"Depth": "1"}, {}, {"Depth": "infinity"}])
async def test_c18_any_depth_and_no_level_mean_level_one(dav: Dav, fields: dict[str, str]) -> None:
    answer = await dav.report(await dav.calendar(), "D:sync-collection", f"<D:sync-token/>{GETETAG}", **fields)
    assert len(Multistatus.from_xml(answer.body).responses) == 2


async def test_c18_an_infinite_level_is_refused(dav: Dav) -> None:
    inner = f"<D:sync-token/><D:sync-level>infinite</D:sync-level>{GETETAG}"
    answer = await dav.report(await dav.calendar(), "D:sync-collection", inner)
    assert (answer.status, parse_xml(answer.body)[0].tag) == (403, names.SYNC_TRAVERSAL_SUPPORTED)


async def test_c20_c21_properties_that_are_missing_are_no_removal_and_data_is_given(dav: Dav) -> None:
    inner = "<D:sync-token/><D:prop><D:getetag/><D:displayname/><C:calendar-data/></D:prop>"
    answer = await dav.report(await dav.calendar(), "D:sync-collection", inner)
    for row in Multistatus.from_xml(answer.body).responses:
        assert row.status is None
        assert [propstat.status for propstat in row.propstats] == [200, 404]
        assert "BEGIN:VEVENT" in (row.text(names.CALENDAR_DATA) or "")


async def test_c22_a_calendar_that_is_not_there_is_not_found(dav: Dav) -> None:
    assert (await dav.report(f"{ME}nothing/", "D:sync-collection", f"<D:sync-token/>{GETETAG}")).status == 404


async def test_c24_what_is_read_again_unchanged_is_no_change(dav: Dav) -> None:
    _, token = await dav.sync()
    await dav.put("a.ics", event("a", "SUMMARY:Dentist"))
    assert await dav.sync(token) == ({}, token)


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
async def test_a_limit_that_is_no_number_is_a_bad_request(dav: Dav, limit: str) -> None:
    inner = f"<D:sync-token/><D:limit><D:nresults>{limit}</D:nresults></D:limit>{GETETAG}"
    assert (await dav.report(await dav.calendar(), "D:sync-collection", inner)).status == 400


async def test_c16_a_change_while_the_answer_is_made_is_in_it_or_after_its_token(
    dav: Dav, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, landed = dav.backend.store.read_contents, False

    async def read_late(*args: Any, **named: Any) -> Any:
        nonlocal landed
        if not landed:
            landed = True
            await dav.put("a.ics", event("a", "SUMMARY:Meanwhile"))
            await dav.put("late.ics", event("late"))
            await dav.remove("b%40c.ics")
        return await read(*args, **named)

    monkeypatch.setattr(dav.backend.store, "read_contents", read_late)
    inner = "<D:sync-token/><D:prop><D:getetag/><C:calendar-data/></D:prop>"
    path = await dav.calendar()
    first = Multistatus.from_xml((await dav.report(path, "D:sync-collection", inner)).body)
    known = {row.spelling.removeprefix(path): row.text(names.GETETAG) for row in first.responses}
    assert first.sync_token is not None
    changed, _ = await dav.sync(first.sync_token)
    assert (list(known), changed) == (["a.ics"], {"a.ics": 200, "late.ics": 200, "b%40c.ics": 404})


async def test_c25_an_href_is_the_same_bytes_in_every_answer(dav: Dav) -> None:
    await dav.put("%C3%A4%20b.ics", event("umlaut"))
    path = await dav.calendar()
    listed = [row.spelling for row in (await dav.propfind(path, "D:getetag", depth=1))[1:]]
    told = [path + name for name in (await dav.sync())[0]]
    body = GETETAG + "".join(f"<D:href>{href}</D:href>" for href in listed)
    fetched = Multistatus.from_xml((await dav.report(path, "C:calendar-multiget", body)).body).responses
    assert sorted(listed) == sorted(told) == sorted(row.spelling for row in fetched)
    assert all(href.startswith("/dav/anna/") and href.endswith(".ics") for href in listed)
    assert f"{path}%C3%A4%20b.ics" in listed
