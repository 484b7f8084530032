"""What calendar-data asks for in place of whole objects: RFC 4791 §9.6, as B33 to B35; and answers that are long."""

import re
import tracemalloc

import aiohttp
import pytest

from busyd.dav import names
from busyd.dav.xml import parse_xml
from busyd.store.errors import StorageError
from tests.http.caldav.conftest import Dav, event, responses, xml

LINES = (
    "SUMMARY:Standup",
    "RRULE:FREQ=DAILY;COUNT=10",
    "EXDATE;TZID=Europe/Berlin:20261122T100000",
    "BEGIN:VALARM",
    "TRIGGER:-PT15M",
    "ACTION:DISPLAY",
    "END:VALARM",
)
ZONE = b"BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT"
MOVED = (
    b"BEGIN:VEVENT\r\nUID:x\r\nSUMMARY:Moved\r\nRECURRENCE-ID;TZID=Europe/Berlin:20261123T100000\r\n"
    b"DTSTART;TZID=Europe/Berlin:20261126T150000\r\nDTEND;TZID=Europe/Berlin:20261126T160000\r\nEND:VEVENT\r\n"
    b"END:VCALENDAR"
)


def in_berlin(payload: bytes) -> bytes:
    return payload.replace(b"DTSTART:", b"DTSTART;TZID=Europe/Berlin:").replace(b"DTEND:", b"DTEND;TZID=Europe/Berlin:")


SERIES = in_berlin(event("x", *LINES, start="20261120T100000", end="20261120T110000"))
SERIES = SERIES.replace(b"BEGIN:VEVENT", ZONE, 1).replace(b"END:VCALENDAR", MOVED)
"""Daily at ten in Berlin from the 20th on, not on the 22nd; that of the 23rd is on the 26th at three."""


def asked(inner: str, *, attributes: str = "") -> str:
    return f"<D:prop><D:getetag/><C:calendar-data{attributes}>{inner}</C:calendar-data></D:prop>"


def span(name: str, start: str, end: str) -> str:
    return f'<C:{name} start="{start}" end="{end}"/>'


async def data_of(dav: Dav, payload: bytes, inner: str, *, name: str = "x.ics", after: str = "") -> str:
    """What a query and a multiget both give of an object."""
    await dav.put(name, payload)
    path = await dav.calendar()
    match = '<C:prop-filter name="UID"><C:text-match collation="i;octet">x</C:text-match></C:prop-filter>'
    wanted = f'<C:comp-filter name="VEVENT">{match}</C:comp-filter>'
    where = f'<C:filter><C:comp-filter name="VCALENDAR">{wanted}</C:comp-filter></C:filter>{after}'
    (found,) = responses(await dav.report(path, "C:calendar-query", asked(inner) + where))
    href = f"<D:href>{path}{name}</D:href>"
    (again,) = responses(await dav.report(path, "C:calendar-multiget", asked(inner) + href))
    whole = await dav.ask("GET", path + name)
    assert found.text(names.GETETAG) == again.text(names.GETETAG) == whole.headers["ETag"]
    data, same = found.find(names.CALENDAR_DATA), again.find(names.CALENDAR_DATA)
    assert data is not None
    assert same is not None
    assert after or data.text == same.text
    return data.text


def values(text: str, name: str) -> list[str]:
    return re.findall(rf"^{name}[;:](.*?)\r?$", text, re.MULTILINE)


async def test_b33_every_instance_is_an_event_in_utc_and_nothing_recurs(dav: Dav) -> None:
    text = await data_of(dav, SERIES, span("expand", "20261121T000000Z", "20261127T000000Z"))
    assert values(text, "DTSTART") == [
        "20261121T090000Z",
        "20261124T090000Z",
        "20261125T090000Z",
        "20261126T090000Z",
        "20261126T140000Z",
    ]
    assert values(text, "DTEND")[-1] == "20261126T150000Z"
    assert values(text, "RECURRENCE-ID")[-2:] == ["20261126T090000Z", "20261123T090000Z"]
    assert values(text, "SUMMARY") == ["Standup"] * 4 + ["Moved"]
    assert text.count("BEGIN:VALARM") == 4
    for name in ("RRULE", "EXDATE", "RDATE", "BEGIN:VTIMEZONE", "TZID"):
        assert name not in text


async def test_b33_a_date_stays_one_and_is_a_day_where_the_person_is(dav: Dav) -> None:
    payload = event("x", "RRULE:FREQ=DAILY;COUNT=5", start="20261120", end="20261121")
    payload = payload.replace(b"DTSTART:", b"DTSTART;VALUE=DATE:").replace(b"DTEND:", b"DTEND;VALUE=DATE:")
    text = await data_of(dav, payload, span("expand", "20261120T230000Z", "20261122T230000Z"))
    assert values(text, "DTSTART") == ["VALUE=DATE:20261121", "VALUE=DATE:20261122"]
    assert values(text, "DTEND") == ["VALUE=DATE:20261122", "VALUE=DATE:20261123"]
    assert values(text, "RECURRENCE-ID") == ["VALUE=DATE:20261121", "VALUE=DATE:20261122"]


async def test_b33_what_does_not_recur_has_no_recurrence_id(dav: Dav) -> None:
    payload = in_berlin(event("x", "SUMMARY:Once", start="20261121T100000", end="20261121T110000"))
    text = await data_of(dav, payload, span("expand", "20261121T000000Z", "20261127T000000Z"))
    assert (values(text, "DTSTART"), values(text, "RECURRENCE-ID")) == (["20261121T090000Z"], [])


async def test_b33_floating_times_are_read_in_the_zone_of_the_query(dav: Dav) -> None:
    await dav.put("x.ics", event("x", start="20261121T100000", end="20261121T110000"))
    inner = asked(span("expand", "20261120T000000Z", "20261123T000000Z"))
    where = '<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:prop-filter name="UID">'
    where += "<C:text-match>x</C:text-match></C:prop-filter></C:comp-filter></C:comp-filter></C:filter>"
    for zone, start in (("America/New_York", "20261121T150000Z"), ("Asia/Tokyo", "20261121T010000Z")):
        body = f"{inner}{where}<C:timezone-id>{zone}</C:timezone-id>"
        answer = await dav.report(await dav.calendar(), "C:calendar-query", body)
        assert values(responses(answer)[0].text(names.CALENDAR_DATA) or "", "DTSTART") == [start]


async def test_b33_changes_of_this_and_what_follows_keep_the_original_times(dav: Dav) -> None:
    later = MOVED.replace(b"RECURRENCE-ID;", b"RECURRENCE-ID;RANGE=THISANDFUTURE;").replace(
        b"20261126T15", b"20261123T15"
    )
    payload = SERIES.replace(MOVED, later.replace(b"20261126T16", b"20261123T16"))
    text = await data_of(dav, payload, span("expand", "20261121T000000Z", "20261125T000000Z"))
    assert values(text, "DTSTART") == ["20261121T090000Z", "20261123T140000Z", "20261124T140000Z"]
    assert values(text, "RECURRENCE-ID") == ["20261121T090000Z", "20261123T090000Z", "20261124T090000Z"]


async def test_b33_instances_that_touch_are_told_one_by_one(dav: Dav) -> None:
    payload = event("x", "RRULE:FREQ=HOURLY;COUNT=48", start="20261121T000000Z", end="20261121T010000Z")
    text = await data_of(dav, payload, span("expand", "20261121T030000Z", "20261121T060000Z"))
    assert values(text, "DTSTART") == ["20261121T030000Z", "20261121T040000Z", "20261121T050000Z"]


@pytest.mark.parametrize(
    "payload",
    [
        event("x", "RRULE:FREQ=SOMETIMES"),
        event("x", "RRULE:FREQ=DAILY", start="20261124T100000", end="").replace(b"DTSTART:", b"DTSTART;TZID=Nowhere:"),
        event("x", "RRULE:FREQ=MINUTELY"),
    ],
    ids=["a rule nobody knows", "a zone nobody knows", "more instances than anybody wants"],
)
async def test_b33_what_cannot_be_expanded_is_given_as_it_is(dav: Dav, payload: bytes) -> None:
    assert (await data_of(dav, payload, span("expand", "20261121T000000Z", "20271121T000000Z"))).encode() == payload


@pytest.mark.parametrize(
    ("start", "end", "summaries"),
    [
        ("20261123T000000Z", "20261124T000000Z", ["Standup", "Moved"]),
        ("20261126T140000Z", "20261126T150000Z", ["Standup", "Moved"]),
        ("20261124T000000Z", "20261125T000000Z", ["Standup"]),
    ],
    ids=["where it was", "where it is", "neither"],
)
async def test_b34_overrides_are_kept_where_they_were_and_where_they_are(
    dav: Dav, start: str, end: str, summaries: list[str]
) -> None:
    text = await data_of(dav, SERIES, span("limit-recurrence-set", start, end))
    assert values(text, "SUMMARY") == summaries
    assert "RRULE" in text
    assert "BEGIN:VTIMEZONE" in text


async def test_b34_there_is_no_free_busy_set_to_limit(dav: Dav) -> None:
    text = await data_of(dav, SERIES, span("limit-freebusy-set", "20261124T000000Z", "20261125T000000Z"))
    assert text.encode() == SERIES


async def test_b35_a_part_is_all_that_is_given_and_can_still_be_parsed(dav: Dav) -> None:
    inner = '<C:comp name="VCALENDAR"><C:comp name="VEVENT"><C:prop name="UID"/></C:comp></C:comp>'
    text = await data_of(dav, event("x", *LINES), inner)
    assert text.splitlines() == [
        *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", "BEGIN:VEVENT", "UID:x", "END:VEVENT"),
        "END:VCALENDAR",
    ]


@pytest.mark.parametrize(
    ("inner", "wanted", "unwanted"),
    [
        ('<C:comp name="VEVENT"/>', ["SUMMARY:Standup", "BEGIN:VALARM", "TRIGGER:-PT15M"], ["BEGIN:VTIMEZONE"]),
        ('<C:comp name="VTIMEZONE"/>', ["TZID:Europe/Berlin"], ["BEGIN:VEVENT"]),
        ("<C:allprop/><C:allcomp/>", ["SUMMARY:Standup", "BEGIN:VTIMEZONE"], []),
        (
            '<C:comp name="VEVENT"><C:allprop/><C:comp name="VALARM"><C:prop name="ACTION"/></C:comp></C:comp>',
            ["SUMMARY:Standup", "ACTION:DISPLAY"],
            ["TRIGGER"],
        ),
        ('<C:comp name="VEVENT"><C:prop name="SUMMARY" novalue="yes"/></C:comp>', ["SUMMARY:\r\n"], ["Standup", "UID"]),
    ],
)
async def test_b35_components_and_properties_are_chosen_by_name(
    dav: Dav, inner: str, wanted: list[str], unwanted: list[str]
) -> None:
    text = await data_of(dav, SERIES, f'<C:comp name="VCALENDAR">{inner}</C:comp>')
    assert [line for line in wanted if line not in text.replace("\n", "\r\n").replace("\r\r", "\r")] == []
    assert [line for line in unwanted if line in text] == []


async def test_b35_a_part_of_an_instance(dav: Dav) -> None:
    inner = '<C:comp name="VCALENDAR"><C:comp name="VEVENT"><C:prop name="DTSTART"/></C:comp></C:comp>'
    text = await data_of(dav, SERIES, inner + span("expand", "20261121T000000Z", "20261122T000000Z"))
    assert text.splitlines()[3:-1] == ["BEGIN:VEVENT", "DTSTART:20261121T090000Z", "END:VEVENT"]


@pytest.mark.parametrize(
    ("inner", "attributes", "condition"),
    [
        ('<C:expand start="20261121T000000Z"/>', "", names.VALID_FILTER),
        ('<C:expand start="20261121T000000Z" end="20261121T000000Z"/>', "", names.VALID_FILTER),
        ('<C:limit-recurrence-set start="x" end="y"/>', "", names.VALID_FILTER),
        ('<C:comp name="VEVENT"/>', "", names.VALID_FILTER),
        ("", ' content-type="application/calendar+json"', names.SUPPORTED_CALENDAR_DATA),
        ("", ' version="1.0"', names.SUPPORTED_CALENDAR_DATA),
    ],
)
async def test_data_that_cannot_be_given_is_refused_by_name(
    dav: Dav, inner: str, attributes: str, condition: str
) -> None:
    path = await dav.calendar()
    body = f"{asked(inner, attributes=attributes)}<D:href>{path}a.ics</D:href>"
    answer = await dav.report(path, "C:calendar-multiget", body)
    assert (answer.status, parse_xml(answer.body)[0].tag) == (403, condition)


async def test_a_long_answer_is_sent_piece_by_piece_and_never_held(dav: Dav) -> None:
    text = "DESCRIPTION:" + "x" * 20_000
    for number in range(400):
        await dav.put(f"{number}.ics", event(str(number), text))
    path = await dav.calendar()
    where = '<C:filter><C:comp-filter name="VCALENDAR"/></C:filter>'
    body = xml("C:calendar-query", asked("") + where).encode()
    url = f"http://127.0.0.1:{dav.served.port}{path}"
    received = rows = 0
    tracemalloc.start()
    try:
        headers = {"Authorization": f"Bearer {dav.token}", "Depth": "1"}
        async with dav.served.session.request("REPORT", url, data=body, headers=headers) as answer:
            assert (answer.status, answer.headers["Transfer-Encoding"]) == (207, "chunked")
            async for piece in answer.content.iter_chunked(64 * 1024):
                received += len(piece)
                rows += piece.count(b"</D:response>")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert received > 8_000_000
    assert rows >= 399  # the end of one may be in two pieces
    assert peak < 4_000_000


async def test_an_answer_that_breaks_off_is_no_whole_document(dav: Dav, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(150):
        await dav.put(f"{number}.ics", event(str(number), "DESCRIPTION:" + "x" * 2000))
    path = await dav.calendar()
    read = dav.backend.store.read_contents
    calls = 0

    async def fails_later(*args: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise StorageError("the disk is gone")
        return await read(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(dav.backend.store, "read_contents", fails_later)
    where = '<C:filter><C:comp-filter name="VCALENDAR"/></C:filter>'
    with pytest.raises(aiohttp.ClientError):
        await dav.report(path, "C:calendar-query", asked("") + where)
    assert calls == 2
