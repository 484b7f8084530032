"""Whatever is sent to the CalDAV server: nothing is read that was not meant, and nobody sees what is not theirs."""

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from busyd.dav import names
from tests.http.caldav.conftest import GETETAG, ME, Dav, event, responses, xml

LAUGHS = (
    '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;">'
    "]><D:propfind xmlns:D='DAV:'><D:prop>&c;</D:prop></D:propfind>"
)
OUTSIDE = (
    '<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><D:propfind xmlns:D="DAV:"><D:prop>&a;</D:prop></D:propfind>'
)


@pytest.mark.parametrize("method", ["PROPFIND", "REPORT", "PROPPATCH"])
@pytest.mark.parametrize(
    "body",
    [
        LAUGHS,
        OUTSIDE,
        '<!DOCTYPE l SYSTEM "http://evil.example/x.dtd"><l/>',
        "<a>" * 300,
        "<a>" * 5000 + "</a>" * 5000,
        "\0",
        "<?xml version='1.0' encoding='klingon'?><a/>",
        xml("D:propfind", "<D:prop/>")[:-3],
        "<a xmlns:x='y' x:b='1' x:b='2'/>",
    ],
    ids=["laughs", "a file", "a DTD", "unclosed", "deep", "no text", "another coding", "cut short", "twice"],
)
async def test_xml_that_is_a_bomb_or_is_broken_is_a_bad_request(dav: Dav, method: str, body: str) -> None:
    answer = await dav.ask(method, ME, body, Depth="0")
    assert (answer.status, answer.error) == (400, "bad-request")
    assert "root:" not in answer.text


async def test_elements_of_foreign_namespaces_are_passed_over(dav: Dav) -> None:
    inner = '<x:odd xmlns:x="urn:x"/><D:prop><D:displayname/><x:more xmlns:x="urn:x"><x:deep/></x:more></D:prop>'
    (row,) = responses(await dav.ask("PROPFIND", ME, xml("D:propfind", inner), Depth="0"))
    assert [(propstat.status, propstat.properties[0].name) for propstat in row.propstats] == [
        (200, names.DISPLAYNAME),
        (404, "{urn:x}more"),
    ]


async def test_a_name_of_another_namespace_is_another_property(dav: Dav) -> None:
    body = '<propfind xmlns="DAV:"><prop><displayname xmlns="urn:x"/><displayname/></prop></propfind>'
    (row,) = responses(await dav.ask("PROPFIND", ME, body, Depth="0"))
    assert row.text(names.DISPLAYNAME) == "anna"
    assert [prop.name for prop in row.propstats[1].properties] == ["{urn:x}displayname"]


async def test_a_property_without_a_namespace_is_answered_as_one(dav: Dav) -> None:
    body = '<D:propfind xmlns:D="DAV:"><D:prop><bare/><D:displayname/></D:prop></D:propfind>'
    assert responses(await dav.ask("PROPFIND", ME, body, Depth="0"))[0].text(names.DISPLAYNAME) == "anna"


@pytest.mark.parametrize("size", [1_050_000, 10_000_000])
async def test_a_body_of_megabytes_is_refused_unread(dav: Dav, size: int) -> None:
    password = base64.b64encode(f"anna:{dav.token}".encode()).decode()
    head = f"REPORT {ME} HTTP/1.1\r\nHost: 127.0.0.1:{dav.served.port}\r\nAuthorization: Basic {password}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", dav.served.port)
    writer.write(f"{head}Content-Length: {size}\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_a25_a_compressed_body_is_read_and_a_bomb_is_not(dav: Dav) -> None:
    url, headers = f"http://127.0.0.1:{dav.served.port}{ME}", {"Authorization": f"Bearer {dav.token}", "Depth": "0"}
    body = xml("D:propfind", "<D:prop><D:displayname/></D:prop>").encode()
    for data, coding, status in (
        (gzip.compress(body), "gzip", 207),
        (gzip.compress(body)[:-4], "gzip", 415),
        (body, "gzip", 415),
        (body, "br", 415),
        (gzip.compress(b" " * 50_000_000), "gzip", 413),
    ):
        fields = {**headers, "Content-Encoding": coding}
        async with dav.served.session.request("PROPFIND", url, data=data, headers=fields) as answer:
            assert answer.status == status


async def test_a25_a_body_in_chunks_and_one_that_waits_for_a_word_are_read(dav: Dav) -> None:
    url, headers = f"http://127.0.0.1:{dav.served.port}{ME}", {"Authorization": f"Bearer {dav.token}", "Depth": "0"}
    body = xml("D:propfind", "<D:prop><D:displayname/></D:prop>").encode()

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 20):
            yield body[at : at + 20]

    async with dav.served.session.request("PROPFIND", url, data=pieces(), headers=headers) as answer:
        assert answer.status == 207
    async with dav.served.session.request("PROPFIND", url, data=body, headers=headers, expect100=True) as answer:
        assert answer.status == 207


SPELLED = [
    ("{}a.ics", 200),
    ("{}%61.ics", 200),
    ("{}%61%2eics", 200),
    ("/dav/%61nna/{segment}/a.ics", 200),
    ("{}a.ics/", 404),
    ("{}./a.ics", 404),
    ("{}../{segment}/a.ics", 404),
    ("{}%2e%2e/{segment}/a.ics", 404),
    ("{}a%2Fb.ics", 404),
    ("{}a.ics%00", 404),
    ("{}a%0d%0aX:.ics", 404),
    ("{}%ff.ics", 404),
    ("//dav/anna/{segment}/a.ics", 404),
    ("{}", 200),
]


@pytest.mark.parametrize(("spelling", "status"), SPELLED, ids=[spelling for spelling, _ in SPELLED])
async def test_a_path_means_one_resource_however_it_is_spelled(dav: Dav, spelling: str, status: int) -> None:
    path = await dav.calendar()
    asked = spelling.format(path, segment=path.split("/")[3]).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", dav.served.port)
    fields = f"Host: 127.0.0.1:{dav.served.port}\r\nAuthorization: Bearer {dav.token}\r\nConnection: close\r\n"
    writer.write(b"GET " + asked + f" HTTP/1.1\r\n{fields}\r\n".encode())
    answer = await reader.read()
    assert answer.startswith(f"HTTP/1.1 {status}".encode())
    assert b"\r\nX:" not in answer
    writer.close()


async def test_a_calendar_of_somebody_else_is_not_found_by_its_own_name_either(dav: Dav) -> None:
    mine, token = await dav.calendar(), dav.token
    dav.token = dav.backend.token("bob", "freebusy", "details")
    (_, theirs, *_) = [row.spelling for row in await dav.propfind("/dav/bob/", "D:displayname", depth=1)]
    dav.token = token
    segment = theirs.split("/")[3]
    for path in (theirs, f"{ME}{segment}/", f"/dav/bob/{mine.split('/')[3]}/", "/dav/bob/blocked-slots/"):
        for method in ("PROPFIND", "REPORT", "GET", "PROPPATCH", "OPTIONS", "PUT", "DELETE", "MOVE"):
            answer = await dav.ask(method, path, Depth="0")
            assert answer.status == 404, (method, path)
    await dav.backend.store_object(2, "/bob/calendars/1/secret.ics", event("secret"))
    inner = f"{GETETAG}<D:href>{theirs}secret.ics</D:href><D:href>{mine}secret.ics</D:href>"
    rows = responses(await dav.report(mine, "C:calendar-multiget", inner))
    assert [row.status for row in rows] == [404, 404]


@pytest.mark.parametrize("form", ['"{}"', 'W/"{}"', '"{}-gzip"', '"{}-br"', '"x", "{}"', "*"])
async def test_an_etag_is_known_again_in_the_forms_that_proxies_make_of_it(dav: Dav, form: str) -> None:
    path = f"{await dav.calendar()}a.ics"
    tag = (await dav.ask("GET", path)).headers["ETag"].strip('"')
    assert (await dav.ask("GET", path, If_None_Match=form.format(tag))).status == 304
    assert (await dav.ask("GET", path, If_None_Match=form.replace("*", '"{}"').format("other"))).status == 200


async def test_names_with_signs_of_all_kinds_are_listed_and_found(dav: Dav) -> None:
    path = await dav.calendar()
    wanted = ["a b.ics", "ä&<>.ics", "q\"'.ics", "100%.ics", "a+b=c;d.ics"]
    for number, name in enumerate(wanted):
        await dav.put(quote(name, safe=""), event(str(number)))
    rows = await dav.propfind(path, "D:getetag", depth=1)
    listed = [row.spelling for row in rows[1:]]
    assert {f"{path}{quote(name, safe='')}" for name in wanted} <= set(listed)
    for href in listed:
        assert (await dav.ask("GET", href)).status == 200


@pytest.mark.parametrize("depth", ["2", "-1", "infinity, 0", "one"])
async def test_a_depth_that_is_none_is_refused(dav: Dav, depth: str) -> None:
    assert (await dav.ask("PROPFIND", ME, Depth=depth)).status in (400, 403)
