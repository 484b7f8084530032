"""calendar-multiget (RFC 4791 §7.9), as apps ask it."""

import pytest

from busyd.dav import names
from busyd.dav.xml import parse_xml
from tests.http.caldav.conftest import ME, Dav, event, responses

DATA = "<D:prop><D:getetag/><C:calendar-data/></D:prop>"


async def ask(dav: Dav, *paths: str, prop: str = DATA, **fields: str) -> dict[str, int]:
    inner = prop + "".join(f"<D:href>{path}</D:href>" for path in paths)
    answer = await dav.report(await dav.calendar(), "C:calendar-multiget", inner, **fields)
    rows = parse_xml(answer.body).iterchildren(names.RESPONSE)
    written = [row.findtext(names.HREF) for row in rows]
    assert written == list(paths)
    return dict(zip(paths, (row.status or 200 for row in responses(answer)), strict=True))


@pytest.mark.parametrize("fields", [{}, {"Depth": "0"}, {"Depth": "1"}])
async def test_every_href_has_a_response_in_its_order(dav: Dav, fields: dict[str, str]) -> None:
    path = await dav.calendar()
    asked = (f"{path}b%40c.ics", f"{path}nothing.ics", f"{path}a.ics")
    assert await ask(dav, *asked, **fields) == dict(zip(asked, (200, 404, 200), strict=True))


async def test_an_href_is_given_back_as_it_was_asked_for(dav: Dav) -> None:
    path = await dav.calendar()
    spelled = (f"{path}b@c.ics", f"{path}b%40c.ics", f"http://127.0.0.1:{dav.served.port}{path}b%40c.ics")
    assert set((await ask(dav, *spelled)).values()) == {200}


async def test_data_and_etag_are_those_of_a_get(dav: Dav) -> None:
    path = f"{await dav.calendar()}a.ics"
    answer = await dav.report(await dav.calendar(), "C:calendar-multiget", f"{DATA}<D:href>{path}</D:href>")
    (row,) = responses(answer)
    got = await dav.ask("GET", path)
    data = row.find(names.CALENDAR_DATA)
    assert data is not None
    assert (row.text(names.GETETAG), data.text.encode()) == (got.headers["ETag"], got.body)


async def test_what_xml_cannot_hold_is_replaced(dav: Dav) -> None:
    await dav.put("odd.ics", event("odd", "SUMMARY:a\x01b").replace(b"a", b"\xff"))
    assert await ask(dav, path := f"{await dav.calendar()}odd.ics") == {path: 200}


@pytest.mark.parametrize("href", ["/dav/bob/x/a.ics", f"{ME}a.ics", "/etc/passwd", "", "%2e%2e/a.ics"])
async def test_an_href_of_elsewhere_is_not_found(dav: Dav, href: str) -> None:
    inner = f"{DATA}<D:href>{href}</D:href>"
    (row,) = responses(await dav.report(await dav.calendar(), "C:calendar-multiget", inner)) if href else (None,)
    assert row is None or row.status == 404


async def test_a_multiget_of_nothing_is_a_bad_request(dav: Dav) -> None:
    assert (await dav.report(await dav.calendar(), "C:calendar-multiget", DATA)).status == 400


@pytest.mark.parametrize(
    "report", ["D:expand-property", "D:principal-property-search", "D:principal-match", "D:acl-principal-prop-set"]
)
async def test_reports_about_other_principals_find_nobody(dav: Dav, report: str) -> None:
    answer = await dav.report(ME, report, "")
    assert (answer.status, len(parse_xml(answer.body))) == (207, 0)


async def test_there_is_nothing_to_search_principals_by(dav: Dav) -> None:
    answer = await dav.report(ME, "D:principal-search-property-set", "")
    assert (answer.status, parse_xml(answer.body).tag) == (200, names.PRINCIPAL_SEARCH_PROPERTY_SET)


async def test_an_unknown_report_is_refused_by_name(dav: Dav) -> None:
    for path in (ME, await dav.calendar()):
        answer = await dav.report(path, "D:version-tree", "")
        assert (answer.status, parse_xml(answer.body)[0].tag) == (403, names.SUPPORTED_REPORT)


async def test_five_thousand_hrefs_are_answered_in_their_order(dav: Dav) -> None:
    path = await dav.calendar()
    asked = [f"{path}{number}.ics" for number in range(4999)] + [f"{path}a.ics"]
    assert list((await ask(dav, *asked)).values()) == [404] * 4999 + [200]


async def test_the_same_href_twice_has_two_responses(dav: Dav) -> None:
    path = f"{await dav.calendar()}a.ics"
    answer = await dav.report(await dav.calendar(), "C:calendar-multiget", DATA + f"<D:href>{path}</D:href>" * 2)
    assert [row.spelling for row in responses(answer)] == [path, path]
