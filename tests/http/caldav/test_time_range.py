"""calendar-query with a time-range: RFC 4791 §9.9, row by row as B1 to B32."""

from typing import NamedTuple

import pytest

from busyd.dav import names
from busyd.dav.xml import parse_xml
from tests.http.caldav.conftest import GETETAG, Dav, event, responses

S, E = "20261124T090000Z", "20261124T100000Z"
"""The window, where a row does not say otherwise."""
DAILY = "RRULE:FREQ=DAILY;COUNT=10"


class Row(NamedTuple):
    id: str
    start: str
    end: str
    lines: tuple[str, ...]
    found: bool


def row(id: str, start: str, *lines: str, end: str = "", found: bool) -> Row:
    return Row(id, start, end, lines, found)


ROWS = [
    row("B1 over the start", "20261124T083000Z", end="20261124T093000Z", found=True),
    row("B1 over the whole", "20261124T080000Z", end="20261124T110000Z", found=True),
    row("B1 exactly the window", S, end=E, found=True),
    row("B1 before", "20261124T070000Z", end="20261124T080000Z", found=False),
    row("B2 no length at the start", S, end=S, found=True),
    row("B2 no length at the end", E, end=E, found=False),
    row("B3 a duration over the start", "20261124T083000Z", "DURATION:PT1H", found=True),
    row("B3 a duration that ends before", "20261124T073000Z", "DURATION:PT1H", found=False),
    row("B4 a duration of nothing inside", "20261124T093000Z", "DURATION:PT0S", found=True),
    row("B4 a duration of nothing before", "20261124T085959Z", "DURATION:PT0S", found=False),
    row("B5 a time alone at the start", S, found=True),
    row("B5 a time alone at the end", E, found=False),
    row("B7 an end beside no duration", "20261124T083000Z", "DURATION:PT0S", end="20261124T093000Z", found=True),
    row("B8 an end before its start", "20261124T093000Z", end="20261124T070000Z", found=True),
    row("B9 ends exactly at the start", "20261124T080000Z", end=S, found=False),
    row("B10 begins exactly at the end", E, end="20261124T110000Z", found=False),
    row("B16 an instance of a series", "20261120T090000Z", DAILY, end="20261120T100000Z", found=True),
    row("B17 only later instances", "20261122T093000Z", DAILY, end="20261122T094500Z", found=True),
    row("B16 a series that is over", "20261101T090000Z", DAILY, end="20261101T100000Z", found=False),
    row(
        "B18 the only instance is excluded",
        *("20261120T090000Z", DAILY, "EXDATE:20261124T090000Z"),
        end="20261120T100000Z",
        found=False,
    ),
    row("B22 an extra date", "20261101T090000Z", "RDATE:20261124T090000Z", end="20261101T093000Z", found=True),
    row(
        "B22 a period with its own length",
        *("20261101T090000Z", "RDATE;VALUE=PERIOD:20261124T070000Z/PT3H"),
        end="20261101T093000Z",
        found=True,
    ),
    row("B24 until is the last", "20261120T090000Z", "RRULE:FREQ=DAILY;UNTIL=20261124T090000Z", found=True),
    row("B24 until the day before", "20261120T090000Z", "RRULE:FREQ=DAILY;UNTIL=20261123T090000Z", found=False),
    row(
        "B24 an excluded date counts",
        *("20261120T090000Z", "RRULE:FREQ=DAILY;COUNT=5", "EXDATE:20261121T090000Z"),
        found=True,
    ),
    row("B26 cancelled", S, "STATUS:CANCELLED", end=E, found=True),
    row("B26 transparent", S, "TRANSP:TRANSPARENT", end=E, found=True),
    row("not understood", "20261124", "RRULE:FREQ=SOMETIMES", found=True),
]


async def query(dav: Dav, time_range: str, *, inner: str = "", component: str = "VEVENT", after: str = "") -> list[str]:
    """The names of the members that a query finds."""
    wanted = f'<C:comp-filter name="{component}">{time_range}{inner}</C:comp-filter>'
    body = f'{GETETAG}<C:filter><C:comp-filter name="VCALENDAR">{wanted}</C:comp-filter></C:filter>{after}'
    path = await dav.calendar()
    answer = await dav.report(path, "C:calendar-query", body, Depth="1")
    return [found.spelling.removeprefix(path) for found in responses(answer)]


def between(start: str = "", end: str = "") -> str:
    return "<C:time-range" + (f' start="{start}"' if start else "") + (f' end="{end}"' if end else "") + "/>"


async def is_found(dav: Dav, payload: bytes, time_range: str, *, after: str = "") -> bool:
    await dav.put("x.ics", payload)
    return "x.ics" in await query(dav, time_range, after=after)


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
async def test_an_event_is_found_by_its_times(dav: Dav, row: Row) -> None:
    payload = event("x", *row.lines, start=row.start, end=row.end)
    assert await is_found(dav, payload, between(S, E)) is row.found


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("20261124T000000Z", "20261124T230000Z", True),
        ("20261124T230000Z", "20261125T010000Z", False),
        ("20261123T000000Z", "20261123T230000Z", False),
        ("20261123T230000Z", "20261124T000000Z", True),
    ],
)
async def test_b6_b12_a_day_is_from_midnight_to_midnight_where_the_calendar_is(
    dav: Dav, start: str, end: str, *, found: bool
) -> None:
    """In Berlin, the zone of the profile."""
    for last in ("20261125", ""):
        payload = event("x", start="20261124", end=last).replace(b"DTSTART:", b"DTSTART;VALUE=DATE:")
        assert await is_found(dav, payload.replace(b"DTEND:", b"DTEND;VALUE=DATE:"), between(start, end)) is found


@pytest.mark.parametrize(("zone", "found"), [("Pacific/Auckland", False), ("America/Los_Angeles", True)])
async def test_b13_floating_times_are_read_in_the_zone_of_the_query(dav: Dav, zone: str, *, found: bool) -> None:
    definition = f"BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:{zone}\nEND:VTIMEZONE\nEND:VCALENDAR\n"
    payload = event("x", start="20261124T090000", end="20261124T100000")
    evening = between("20261124T170000Z", "20261124T180000Z")
    for after in (f"<C:timezone>{definition}</C:timezone>", f"<C:timezone-id>{zone}</C:timezone-id>"):
        assert await is_found(dav, payload, evening, after=after) is found
    assert await is_found(dav, payload, between("20261124T080000Z", "20261124T090000Z"))


async def test_b13_a_zone_that_nobody_knows_is_refused_and_not_taken_for_another(dav: Dav) -> None:
    wanted = '<C:comp-filter name="VCALENDAR"/>'
    body = f"{GETETAG}<C:filter>{wanted}</C:filter><C:timezone-id>Mars/Olympus_Mons</C:timezone-id>"
    answer = await dav.report(await dav.calendar(), "C:calendar-query", body, Depth="1")
    assert (answer.status, parse_xml(answer.body)[0].tag) == (403, names.VALID_TIMEZONE)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "W. Europe Standard Time"])
async def test_b14_known_names_of_zones_need_no_definition(dav: Dav, zone: str) -> None:
    payload = event("x", start="20261124T100000", end="20261124T110000")
    payload = payload.replace(b"DTSTART:", f"DTSTART;TZID={zone}:".encode())
    assert await is_found(dav, payload, between(S, "20261124T090001Z"))
    assert not await is_found(dav, payload, between("20261124T080000Z", S))


async def test_b14_an_unknown_zone_is_no_error(dav: Dav) -> None:
    payload = event("x", start="20261124T100000").replace(b"DTSTART:", b"DTSTART;TZID=Nowhere at all:")
    assert await is_found(dav, payload, between(S, E))


@pytest.mark.parametrize(("duration", "found"), [("P1D", True), ("PT24H", False)])
async def test_b15_a_day_over_a_clock_change_is_no_number_of_hours(dav: Dav, duration: str, *, found: bool) -> None:
    payload = event("x", f"DURATION:{duration}", start="20261024T120000", end="")
    payload = payload.replace(b"DTSTART:", b"DTSTART;TZID=Europe/Berlin:")
    assert await is_found(dav, payload, between("20261025T103000Z", "20261025T105959Z")) is found


def series(*overrides: str) -> bytes:
    """Daily at 9:00 from the 20th on, with overrides."""
    payload = event("x", DAILY, start="20261120T090000Z", end="20261120T100000Z").decode()
    changed = "".join(f"BEGIN:VEVENT\r\nUID:x\r\n{lines}\r\nEND:VEVENT\r\n" for lines in overrides)
    return payload.replace("END:VCALENDAR", f"{changed}END:VCALENDAR").encode()


def moved(replaced: str, start: str, end: str) -> str:
    return f"RECURRENCE-ID:{replaced}\r\nDTSTART:{start}\r\nDTEND:{end}"


@pytest.mark.parametrize(
    ("override", "window", "found"),
    [
        (moved("20261124T090000Z", "20261124T150000Z", "20261124T160000Z"), (S, E), False),
        (moved("20261124T090000Z", "20261210T150000Z", "20261210T160000Z"), ("20261210T150000Z", ""), True),
        (moved("20261124T090000Z", "20261124T060000Z", "20261124T083000Z"), ("20261124T080000Z", S), True),
    ],
    ids=["B19 moved out", "B20 moved in", "B21 another length"],
)
async def test_an_override_counts_by_its_own_times(
    dav: Dav, override: str, window: tuple[str, str], *, found: bool
) -> None:
    assert await is_found(dav, series(override), between(*window)) is found


async def test_b23_overrides_without_a_series_count_each(dav: Dav) -> None:
    payload = event("x", "RECURRENCE-ID:20261001T090000Z", start="20261124T093000Z", end="20261124T094500Z")
    assert await is_found(dav, payload, between(S, E))


@pytest.mark.parametrize(
    ("start", "end"), [("20900101T000000Z", "20900102T000000Z"), ("20900101T000000Z", ""), ("", "20261121T000000Z")]
)
async def test_b25_b28_an_endless_series_is_found_however_far_away_and_in_open_windows(
    dav: Dav, start: str, end: str
) -> None:
    payload = event("x", "RRULE:FREQ=DAILY", start="20261120T090000Z", end="20261120T100000Z")
    assert await is_found(dav, payload, between(start, end))


async def test_b28_an_open_window_reaches_what_is_rare(dav: Dav) -> None:
    payload = event("x", "RRULE:FREQ=YEARLY;INTERVAL=3;COUNT=4", start="20261120T090000Z", end="20261120T100000Z")
    assert await is_found(dav, payload, between("20301124T090000Z"))
    assert not await is_found(dav, payload, between("20361124T090000Z"))


@pytest.mark.parametrize(
    "attributes",
    [
        "",
        f'start="{E}" end="{S}"',
        f'start="{S}" end="{S}"',
        'start="20261124T090000"',
        'start="20261124"',
        'start="20261399T090000Z"',
    ],
)
async def test_b27_a_window_that_is_none_is_refused(dav: Dav, attributes: str) -> None:
    wanted = f'<C:comp-filter name="VEVENT"><C:time-range {attributes}/></C:comp-filter>'
    body = f'{GETETAG}<C:filter><C:comp-filter name="VCALENDAR">{wanted}</C:comp-filter></C:filter>'
    await refused(dav, body, names.VALID_FILTER)


async def refused(dav: Dav, body: str, condition: str) -> None:
    answer = await dav.report(await dav.calendar(), "C:calendar-query", body)
    assert (answer.status, parse_xml(answer.body)[0].tag) == (403, condition)


@pytest.mark.parametrize(
    "inner",
    [
        f'<C:filter><C:comp-filter name="VCALENDAR">{between(S, E)}</C:comp-filter></C:filter>',
        '<C:filter><C:comp-filter name="VEVENT"/></C:filter>',
        '<C:filter><C:comp-filter name="VCALENDAR"><C:prop-filter/></C:comp-filter></C:filter>',
        "<C:filter/>",
        "",
    ],
)
async def test_b29_a_filter_of_another_shape_is_refused(dav: Dav, inner: str) -> None:
    await refused(dav, GETETAG + inner, names.VALID_FILTER)


@pytest.mark.parametrize("component", ["VTODO", "VJOURNAL"])
async def test_b30_components_that_are_not_there_are_not_found(dav: Dav, component: str) -> None:
    assert await query(dav, between(S, E), component=component) == []
    assert await query(dav, "", component=component) == []


async def test_b32_a_window_of_alarms_or_properties_is_not_supported(dav: Dav) -> None:
    for inner in (
        f'<C:comp-filter name="VALARM">{between(S, E)}</C:comp-filter>',
        f'<C:prop-filter name="DTSTAMP">{between(S, E)}</C:prop-filter>',
    ):
        wanted = f'<C:comp-filter name="VEVENT">{inner}</C:comp-filter>'
        body = f'{GETETAG}<C:filter><C:comp-filter name="VCALENDAR">{wanted}</C:comp-filter></C:filter>'
        await refused(dav, body, names.SUPPORTED_FILTER)


async def test_without_a_window_everything_of_the_kind_is_found(dav: Dav) -> None:
    assert await query(dav, "") == ["a.ics", "b%40c.ics"]
    body = f'{GETETAG}<C:filter><C:comp-filter name="VCALENDAR"/></C:filter>'
    for depth in ("0", "1"):
        answer = await dav.report(await dav.calendar(), "C:calendar-query", body, Depth=depth)
        assert len(responses(answer)) == 2


MATCHES = [
    ('name="UID"><C:text-match>b@C</C:text-match>', ["b%40c.ics"]),
    ('name="UID"><C:text-match collation="i;octet">b@C</C:text-match>', []),
    ('name="SUMMARY"><C:text-match negate-condition="yes">lunch</C:text-match>', ["a.ics"]),
    ('name="SUMMARY">', ["a.ics", "b%40c.ics"]),
    ('name="LOCATION">', []),
    ('name="LOCATION"><C:is-not-defined/>', ["a.ics", "b%40c.ics"]),
    ('name="UID"><C:is-not-defined/>', []),
    ('name="DTSTART"><C:param-filter name="TZID"/>', []),
    ('name="DTSTART"><C:param-filter name="TZID"><C:is-not-defined/></C:param-filter>', ["a.ics", "b%40c.ics"]),
]


@pytest.mark.parametrize(("inner", "found"), MATCHES, ids=[inner for inner, _ in MATCHES])
async def test_b31_properties_are_compared_by_their_text(dav: Dav, inner: str, found: list[str]) -> None:
    assert await query(dav, between(S, E), inner=f"<C:prop-filter {inner}</C:prop-filter>") == found


async def test_b31_the_value_of_a_parameter_is_compared_too(dav: Dav) -> None:
    await dav.put("x.ics", event("x", "ATTENDEE;PARTSTAT=DECLINED:mailto:bob@example.org"))
    for text, found in (("declined", ["x.ics"]), ("ACCEPTED", [])):
        match = f'<C:param-filter name="PARTSTAT"><C:text-match>{text}</C:text-match></C:param-filter>'
        assert await query(dav, "", inner=f'<C:prop-filter name="ATTENDEE">{match}</C:prop-filter>') == found


async def test_an_unknown_collation_is_refused(dav: Dav) -> None:
    match = '<C:prop-filter name="UID"><C:text-match collation="i;klingon">x</C:text-match></C:prop-filter>'
    body = f'{GETETAG}<C:filter><C:comp-filter name="VCALENDAR">{match}</C:comp-filter></C:filter>'
    await refused(dav, body, names.SUPPORTED_COLLATION)


async def test_data_comes_whole_with_overrides(dav: Dav) -> None:
    payload = series(moved("20261124T090000Z", "20261124T150000Z", "20261124T160000Z"))
    await dav.put("x.ics", payload)
    wanted = f'<C:comp-filter name="VEVENT">{between("20261124T150000Z", "20261124T160000Z")}</C:comp-filter>'
    body = "<D:prop><C:calendar-data/></D:prop>"
    body += f'<C:filter><C:comp-filter name="VCALENDAR">{wanted}</C:comp-filter></C:filter>'
    (found,) = responses(await dav.report(await dav.calendar(), "C:calendar-query", body))
    data = found.find(names.CALENDAR_DATA)
    assert data is not None
    assert data.text.encode() == payload
