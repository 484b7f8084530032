"""One request lists all calendars, and what is not a complete listing is none."""

import pytest

from busyd.connection import CalendarKind, RemoteCalendar
from busyd.dav.errors import Forbidden, LoginRefused, MalformedResponse, NotFound, ServerFault
from busyd.dav.exchange import DavResponse
from busyd.dav.listing import Listing, list_calendars, list_homes
from tests.dav.script import answer, exchange, member, multistatus, status
from tests.wire.recording import recording

HOME = "https://p180-caldav.icloud.com/300/calendars/"
SELF = member("/300/calendars/", "<displayname>Some Person</displayname><resourcetype><collection/></resourcetype>")
CS = 'xmlns="http://calendarserver.org/ns/"'
CAL = 'xmlns="urn:ietf:params:xml:ns:caldav"'


def types(*names: str) -> str:
    return f"<resourcetype><collection/>{''.join(names)}</resourcetype>"


def components(*names: str) -> str:
    inner = "".join(f"<comp name='{name}' {CAL}/>" for name in names)
    return f"<supported-calendar-component-set {CAL}>{inner}</supported-calendar-component-set>"


def privileges(*names: str) -> str:
    inner = "".join(f"<privilege><{name}/></privilege>" for name in names)
    return f"<current-user-privilege-set>{inner}</current-user-privilege-set>"


CALENDAR, SUBSCRIBED, SHARED = f"<calendar {CAL}/>", f"<subscribed {CS}/>", f"<shared {CS}/>"


def listed(*members: str) -> tuple[RemoteCalendar, ...]:
    listing, _ = exchange(list_calendars(HOME), multistatus(SELF, *members))
    return listing.calendars


def one(found: str, missing: str = "") -> RemoteCalendar:
    (calendar,) = listed(member("/300/calendars/A/", types(CALENDAR) + found, missing=missing))
    return calendar


def test_all_calendars_cost_one_request() -> None:
    listing, asked = exchange(list_calendars(HOME), multistatus(SELF, member("/300/calendars/A/", types(CALENDAR))))
    assert [(request.method, request.target, request.depth) for request in asked] == [("PROPFIND", HOME, "1")]
    assert listing == Listing((RemoteCalendar("/300/calendars/A/", ""),))


def test_a_calendar_is_listed_with_what_tells_whether_it_changed() -> None:
    found = f"<displayname>A &amp; B</displayname><getctag {CS}>HwoQ+/=</getctag><sync-token>\n HwoQ+/= </sync-token>"
    calendar = one(found + "<calendar-color xmlns='http://apple.com/ns/ical/'>#1E4C63FF</calendar-color>")
    assert (calendar.name, calendar.ctag, calendar.sync_token) == ("A & B", "HwoQ+/=", "HwoQ+/=")
    assert calendar.color == "#1E4C63"


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        (types(CALENDAR), True),
        (types(CALENDAR) + components("VEVENT"), True),
        (types(CALENDAR) + components("VEVENT", "VTODO"), True),
        (types(CALENDAR) + components("VTODO"), False),
        (types(SUBSCRIBED), True),
        (types(), False),
        (types(f"<schedule-inbox {CAL}/>") + components("VEVENT"), False),
        (types(f"<schedule-outbox {CAL}/>"), False),
        (types(CALENDAR, f"<schedule-outbox {CAL}/>"), True),
        (types(f"<schedule-outbox {CAL}/>", CALENDAR) + components("VEVENT"), True),
        (types(SUBSCRIBED, f"<schedule-inbox {CAL}/>"), False),
        (types(f"<notification {CS}/>"), False),
        ("<displayname>no type</displayname>", False),
    ],
)
def test_only_collections_that_can_hold_events_are_calendars(found: str, kept: bool) -> None:
    assert bool(listed(member("/300/calendars/A/", found))) is kept


def test_kinds_are_told_apart() -> None:
    source = f"<source {CS}><href xmlns='DAV:'>webcal://example.org/x.ics</href></source>"
    calendars = listed(
        member("/300/calendars/own/", types(CALENDAR, f"<shared-owner {CS}/>")),
        member("/300/calendars/shared/", types(CALENDAR, SHARED)),
        member("/300/calendars/feed/", types(CALENDAR, SUBSCRIBED) + source),
    )
    assert [calendar.kind for calendar in calendars] == [CalendarKind.OWN, CalendarKind.SHARED, CalendarKind.SUBSCRIBED]
    assert calendars[2].source == "webcal://example.org/x.ics"


@pytest.mark.parametrize(
    ("granted", "writable"),
    [
        (privileges("read", "write"), True),
        (privileges("read", "write-content", "bind"), True),
        (privileges("all"), True),
        (privileges("read", "write-properties"), False),
        (privileges("read"), False),
        (privileges(), False),
        ("", True),
    ],
)
def test_a_calendar_is_writable_when_its_content_is(granted: str, writable: bool) -> None:
    assert one(granted).writable is writable


@pytest.mark.parametrize(("value", "expected"), [("transparent", True), ("opaque", False)])
def test_a_transparent_calendar_is_marked(value: str, expected: bool) -> None:
    assert one(f"<schedule-calendar-transp {CAL}><{value}/></schedule-calendar-transp>").transparent is expected


@pytest.mark.parametrize(
    ("found", "zone"),
    [
        (f"<calendar-timezone-id {CAL}>Europe/Berlin</calendar-timezone-id>", "Europe/Berlin"),
        (
            f"<calendar-timezone {CAL}><![CDATA[BEGIN:VTIMEZONE\r\nTZID:Asia/Tokyo\r\n]]></calendar-timezone>",
            "Asia/Tokyo",
        ),
        (f"<calendar-timezone {CAL}>TZID:W. Europe\nX-LIC-LOCATION:Europe/Paris\n</calendar-timezone>", "Europe/Paris"),
        (f"<calendar-timezone {CAL}>BEGIN:VCALENDAR</calendar-timezone>", None),
        ("", None),
    ],
)
def test_the_zone_of_a_calendar_is_named(found: str, zone: str | None) -> None:
    assert one(found).timezone == zone


def test_a_calendar_that_fails_is_neither_listed_nor_taken_as_gone() -> None:
    forbidden = (
        "<response><href>/300/calendars/C</href><propstat><prop><resourcetype/></prop>"
        "<status>HTTP/1.1 500 Fault</status></propstat></response>"
    )
    listing, _ = exchange(
        list_calendars(HOME), multistatus(SELF, status("/300/calendars/B/", "HTTP/1.1 503 Unavailable"), forbidden)
    )
    assert listing == Listing((), ("/300/calendars/B/", "/300/calendars/C/"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        multistatus(),
        multistatus(member("/300/calendars/A/", types(CALENDAR))),
        answer(207, b""),
        answer(207, b"<html><body>Sign in</body></html>"),
        answer(207, multistatus(SELF).body.rstrip()[:-1]),
        answer(200, multistatus(SELF).body),
        answer(200, b""),
        answer(204),
    ],
)
def test_what_is_not_a_complete_listing_is_none(given: object) -> None:
    with pytest.raises(MalformedResponse):
        exchange(list_calendars(HOME), given)  # type: ignore[arg-type]


def test_a_home_known_by_another_path_after_a_redirect_is_recognised() -> None:
    redirected = answer(207, multistatus(SELF).body, url="https://caldav.icloud.com/300/calendars/")
    listing, _ = exchange(list_calendars("https://caldav.icloud.com/alias/"), redirected)
    assert listing.calendars == ()


def test_a_single_calendar_is_listed_without_its_events() -> None:
    calendar = multistatus(member("/u/work/", types(CALENDAR)))
    listing, asked = exchange(list_calendars("https://example.org/u/work/", single=True), calendar)
    assert (asked[0].depth, [found.href for found in listing.calendars]) == ("0", ["/u/work/"])


def state(ctag: str, token: str = "t") -> str:
    return types(CALENDAR) + f"<getctag {CS}>{ctag}</getctag><sync-token>{token}</sync-token>"


def test_a_calendar_listed_twice_alike_is_one() -> None:
    row = member("/300/calendars/A/", state("1"))
    (calendar,) = listed(row, row.replace("A/", "A"))
    assert (calendar.ctag, calendar.sync_token) == ("1", "t")


@pytest.mark.parametrize(
    "second",
    [
        member("/300/calendars/A/", state("2", "t")),
        member("/300/calendars/A", state("1", "u")),
        member("/300/calendars/A/", types()),
        status("/300/calendars/A/", "HTTP/1.1 404 Not Found"),
        status("/300/calendars/A/", "HTTP/1.1 503 Unavailable"),
    ],
)
def test_of_a_calendar_whose_rows_differ_no_state_is_known_so_that_it_is_looked_into(second: str) -> None:
    first = member("/300/calendars/A/", state("1"))
    for rows in ((first, second), (second, first)):
        (calendar,) = listed(*rows)
        assert (calendar.ctag, calendar.sync_token) == (None, None)


def test_a_calendar_counts_as_long_as_one_of_its_rows_says_so() -> None:
    transparent = f"<schedule-calendar-transp {CAL}><transparent/></schedule-calendar-transp>"
    rows = (
        member("/300/calendars/A/", types(CALENDAR, SUBSCRIBED) + transparent),
        member("/300/calendars/A/", types(CALENDAR)),
    )
    for order in (rows, rows[::-1]):
        (calendar,) = listed(*order)
        assert (calendar.kind, calendar.transparent) == (CalendarKind.OWN, False)


@pytest.mark.parametrize("itself", [(SELF,), ()])
def test_a_listing_that_goes_on_is_partial_whatever_else_it_has(itself: tuple[str, ...]) -> None:
    more = status("/300/calendars/", "HTTP/1.1 507 Insufficient Storage")
    rows = (*itself, member("/300/calendars/A/", types(CALENDAR)), more)
    listing, _ = exchange(list_calendars(HOME), multistatus(*rows))
    assert ([calendar.id for calendar in listing.calendars], listing.unreadable) == (["A"], ())
    assert "only a part of its calendars" in listing.partial


@pytest.mark.parametrize(
    ("code", "error"), [(404, NotFound), (403, Forbidden), (503, ServerFault), (401, LoginRefused)]
)
def test_a_home_that_is_told_inside_a_207_not_to_be_there_lists_nothing(code: int, error: type) -> None:
    with pytest.raises(error):
        exchange(list_calendars(HOME), multistatus(status("/300/calendars/", f"HTTP/1.1 {code} Refused")))


@pytest.mark.parametrize("code", [401, 403, 500, 503])
def test_a_row_whose_properties_are_refused_is_neither_listed_nor_gone(code: int) -> None:
    row = (
        "<response><href>/300/calendars/A/</href><propstat><prop><resourcetype/><displayname/></prop>"
        f"<status>HTTP/1.1 {code} Refused</status></propstat></response>"
    )
    listing, _ = exchange(list_calendars(HOME), multistatus(SELF, row))
    assert listing == Listing((), ("/300/calendars/A/",))  # type: ignore[arg-type]


TEAM = "https://p180-caldav.icloud.com/300/team/"
TEAM_SELF = member("/300/team/", "<resourcetype><collection/></resourcetype>")


def test_each_home_costs_one_request_and_all_calendars_count_once() -> None:
    listing, asked = exchange(
        list_homes([HOME, TEAM]),
        multistatus(SELF, member("/300/calendars/A/", state("1")), member("/300/shared/S/", state("1"))),
        multistatus(TEAM_SELF, member("/300/team/B/", state("1")), member("/300/shared/S/", state("2"))),
    )
    assert [request.target for request in asked] == [HOME, TEAM]
    assert [(calendar.id, calendar.ctag) for calendar in listing.calendars] == [("A", "1"), ("S", None), ("B", "1")]
    assert listing.partial == ""


@pytest.mark.parametrize("trouble", [answer(403), answer(404), answer(500), answer(207, b"<html>")])
def test_a_home_that_fails_beside_another_makes_the_listing_partial(trouble: DavResponse) -> None:
    home = multistatus(SELF, member("/300/calendars/A/", types(CALENDAR)))
    listing, _ = exchange(list_homes([TEAM, HOME]), trouble, home)
    assert [calendar.id for calendar in listing.calendars] == ["A"]
    assert "one of its calendar homes cannot be listed" in listing.partial


def test_when_no_home_answers_there_is_no_listing() -> None:
    with pytest.raises(NotFound):
        exchange(list_homes([HOME, TEAM]), answer(404), answer(500))


def test_a_database_that_is_down_is_a_fault_of_the_server() -> None:
    for number in range(2):
        with pytest.raises(ServerFault):
            exchange(list_calendars(HOME), recording(f"64-db-down-propfind-{number}").response)


def test_a_lapsed_login_is_refused() -> None:
    with pytest.raises(LoginRefused):
        exchange(list_calendars(HOME), recording("05-wrong-password").response)


def test_apples_own_server_is_listed() -> None:
    given = recording("21-home-depth1-all")
    listing, _ = exchange(list_calendars("http://127.0.0.1:8008" + given.path), given.response)
    shared = ("bec91ced-8539-4764-97b1-6cea537240be", "a9ca46e0-c813-438d-b6e4-e56495bac9c3")
    by_id = {calendar.id: calendar for calendar in listing.calendars}
    assert by_id.keys() == {"calendar", "desk", "holidays", "subs2", "nobody", "extmk", *shared}
    desk = by_id["desk"]
    assert (desk.name, desk.timezone, desk.color) == ("Work & Büro", "Europe/Berlin", "#FF2968")
    assert [by_id[one].kind for one in shared] == [CalendarKind.SHARED, CalendarKind.SHARED]
    assert [by_id[one].writable for one in shared] == [False, True]
    assert {one for one in by_id if by_id[one].transparent} == {"holidays", *shared}
    assert all((calendar.sync_token or "").startswith("data:,") for calendar in listing.calendars)


@pytest.mark.parametrize("name", ["21-home-depth1-brief", "21-home-depth1-prefer-minimal"])
def test_members_whose_type_is_not_told_are_neither_listed_nor_taken_as_gone(name: str) -> None:
    given = recording(name)
    listing, _ = exchange(list_calendars("http://127.0.0.1:8008" + given.path), given.response)
    assert listing.calendars == ()
    assert f"{given.path}calendar/" in listing.unreadable and given.path not in listing.unreadable
