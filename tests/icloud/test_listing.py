"""Items 16 to 24: what the home lists, in which XML, and what each collection says about itself."""

import re

import pytest

from tests.icloud import Account, Calendar
from tests.icloud.conftest import meeting
from tests.icloud.raw_client import RawClient
from tests.icloud.xml import APPLE_ICAL, CALDAV, CALENDAR_SERVER, DAV, clark

HOME = "/300000001/calendars/"
WORK = HOME + "work/"
TYPE = clark(DAV, "resourcetype")
COLOR = clark(APPLE_ICAL, "calendar-color")
CTAG = clark(CALENDAR_SERVER, "getctag")
TOKEN = clark(DAV, "sync-token")
COMPONENTS = clark(CALDAV, "supported-calendar-component-set")
PRIVILEGES = clark(DAV, "current-user-privilege-set")
ALL_PROPS = ("d:displayname", "d:resourcetype", "c:supported-calendar-component-set", "cs:getctag", "d:sync-token",
             "d:current-user-privilege-set", "i:calendar-color", "cs:source")  # fmt: skip


async def test_the_home_lists_itself_first_and_then_every_collection(dav: RawClient, anna: Account) -> None:
    shared = anna.add_calendar("Family", shared="read-only")
    anna.add_calendar("Holidays", id="holidays", subscribed_source="webcal://example.org/h.ics")
    own = anna.add_calendar("Garden")
    reply = await dav.propfind(HOME, *ALL_PROPS, depth="1")
    assert reply.hrefs[0] == HOME
    names = ["inbox", "outbox", "notification", "home", "work", "tasks", shared.id, "holidays", own.id]
    assert sorted(reply.hrefs[1:]) == sorted(f"{HOME}{name}/" for name in names)
    assert len(shared.id) == 64
    tasks = reply.props(HOME + "tasks/")[COMPONENTS]
    assert [comp.get("name") for comp in tasks] == ["VTODO"]


async def test_the_order_of_the_listing_can_be_shuffled(dav: RawClient, anna: Account) -> None:
    for number in range(20):
        anna.add_calendar(f"C{number}")
    straight = (await dav.propfind(HOME, "d:getetag", depth="1")).hrefs
    anna.knobs.shuffled_listing = True
    shuffled = (await dav.propfind(HOME, "d:getetag", depth="1")).hrefs
    assert shuffled[0] == HOME
    assert sorted(shuffled) == sorted(straight)
    assert shuffled != straight


async def test_the_xml_is_in_apples_style(dav: RawClient) -> None:
    reply = await dav.propfind(HOME, *ALL_PROPS, depth="1")
    assert reply.text.startswith('<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<multistatus xmlns="DAV:">')
    assert ' <response xmlns="DAV:">\n' in reply.text
    assert "<comp name='VEVENT' xmlns='urn:ietf:params:xml:ns:caldav'/>" in reply.text
    assert '<calendar-color xmlns="http://apple.com/ns/ical/"/>' in reply.text
    assert "\n\n\n\t\n" in reply.text
    assert not re.search(r"</?\w+:\w", reply.text), "no prefixes anywhere"
    statuses = [node.text for node in reply.response(HOME).iter(clark(DAV, "status"))]
    assert statuses == ["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"]


@pytest.mark.parametrize("kind", ["text/xml", "application/xml", "text/html", ""])
async def test_the_content_type_of_a_multistatus_cannot_be_trusted(dav: RawClient, anna: Account, kind: str) -> None:
    anna.knobs.apply({"multistatus_type": kind})
    reply = await dav.propfind(HOME, "d:getetag")
    assert (reply.status, reply.headers.get("Content-Type", "")) == (207, kind)
    assert reply.hrefs == [HOME]


async def test_the_404_propstat_may_have_an_empty_status(dav: RawClient, anna: Account) -> None:
    anna.knobs.empty_404_status = True
    reply = await dav.propfind(HOME, "d:displayname", "i:calendar-color")
    assert "<status></status>" in reply.text
    assert COLOR not in reply.props(HOME)


async def test_colours_have_an_alpha_and_are_missing_where_there_is_none(dav: RawClient) -> None:
    reply = await dav.propfind(HOME, *ALL_PROPS, depth="1")
    color = reply.props(HOME + "home/")[COLOR]
    assert (color.text, color.get("symbolic-color")) == ("#1BADF8FF", "blue")
    for name in ("", "inbox/", "outbox/", "notification/"):
        assert COLOR in reply.props(HOME + name, status="404 Not Found")


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        ("all", {"read", "write", "write-content", "bind", "unbind"}),
        ("write-content", {"read", "write-content", "bind"}),
        ("read-only", {"read"}),
        ("properties-only", {"read"}),
    ],
)
async def test_privileges_tell_what_a_calendar_allows(
    dav: RawClient, anna: Account, access: str, expected: set[str]
) -> None:
    made = anna.add_calendar("X", privileges=access)  # type: ignore[arg-type]
    reply = await dav.propfind(f"{HOME}{made.id}/", "d:current-user-privilege-set")
    granted = {str(node.tag).partition("}")[2] for node in reply.props(f"{HOME}{made.id}/")[PRIVILEGES].iterfind("*/*")}
    assert granted - {"read-free-busy", "read-current-user-privilege-set", "write-properties"} == expected


async def test_shares_are_marked_at_the_owner_and_at_the_sharee(dav: RawClient, anna: Account) -> None:
    mine = anna.add_calendar("Mine", shared="owner")
    theirs = anna.add_calendar("Theirs", shared="read-write")
    reply = await dav.propfind(HOME, "d:resourcetype", depth="1")
    assert clark(CALENDAR_SERVER, "shared-owner") in [node.tag for node in reply.props(f"{HOME}{mine.id}/")[TYPE]]
    assert clark(CALENDAR_SERVER, "shared") in [node.tag for node in reply.props(f"{HOME}{theirs.id}/")[TYPE]]


async def test_a_subscription_names_its_source_and_holds_nothing(dav: RawClient, anna: Account) -> None:
    anna.add_calendar("Holidays", id="hol", subscribed_source="webcal://example.org/h.ics")
    path = HOME + "hol/"
    props = (await dav.propfind(path, *ALL_PROPS)).props(path)
    source = props[clark(CALENDAR_SERVER, "source")]
    assert source.findtext(clark(DAV, "href")) == "webcal://example.org/h.ics"
    assert [node.tag for node in props[TYPE]] == [clark(DAV, "collection"), clark(CALENDAR_SERVER, "subscribed")]
    found = await dav.query(path, '<c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT"/></c:comp-filter>')
    assert (found.status, found.hrefs) == (207, [path])
    assert (await dav.put(path + "e1.ics", meeting())).status == 403
    anna.knobs.subscribed_is_calendar = True
    types = (await dav.propfind(path, *ALL_PROPS)).props(path)[TYPE]
    assert clark(CALDAV, "calendar") in [node.tag for node in types]


async def test_ctag_and_sync_token_are_one_and_move_with_every_change(dav: RawClient, work: Calendar) -> None:
    async def tags() -> tuple[str | None, str | None]:
        props = (await dav.propfind(WORK, "cs:getctag", "d:sync-token")).props(WORK)
        return props[CTAG].text, props[TOKEN].text

    first, again = await tags(), await tags()
    assert first == again
    assert first[0] == first[1]
    work.put("e1.ics", meeting())
    second = await tags()
    work.rename("Büro")
    third = await tags()
    assert len({first, second, third}) == 3
    assert second[0] == second[1]


async def test_allprop_gives_next_to_nothing_or_fails(dav: RawClient, anna: Account) -> None:
    body = '<d:propfind xmlns:d="DAV:"><d:allprop/></d:propfind>'
    reply = await dav.ask("PROPFIND", WORK, body=body, Depth="0")
    assert set(reply.props(WORK)) == {TYPE, clark(DAV, "getetag")}
    anna.knobs.allprop = "500"
    assert (await dav.ask("PROPFIND", WORK, body=body, Depth="0")).status == 500


async def test_unknown_properties_come_back_empty_in_a_404_propstat(dav: RawClient) -> None:
    reply = await dav.propfind(WORK, "d:displayname", "d:no-such-thing", "i:no-such-thing")
    assert set(reply.props(WORK)) == {clark(DAV, "displayname")}
    missing = reply.props(WORK, status="404 Not Found")
    assert {name: len(node) for name, node in missing.items()} == {
        clark(DAV, "no-such-thing"): 0,
        clark(APPLE_ICAL, "no-such-thing"): 0,
    }


async def test_mkcalendar_takes_one_component_type(dav: RawClient, anna: Account) -> None:
    def body(*components: str) -> str:
        comps = "".join(f'<c:comp name="{name}"/>' for name in components)
        return (
            '<c:mkcalendar xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:set><d:prop><d:displayname>New'
            f"</d:displayname><c:supported-calendar-component-set>{comps}</c:supported-calendar-component-set>"
            "</d:prop></d:set></c:mkcalendar>"
        )

    both = await dav.ask("MKCALENDAR", HOME + "new/", body=body("VEVENT", "VTODO"))
    assert (both.status, both.headers["Content-Type"]) == (400, "text/html")
    assert (await dav.ask("MKCALENDAR", HOME + "new/", body=body("VEVENT"))).status == 201
    assert anna.calendars["new"].name == "New"
    assert (await dav.ask("MKCALENDAR", HOME + "new/", body=body("VEVENT"))).status == 405


async def test_a_calendar_made_again_under_its_old_path_may_have_its_old_events(dav: RawClient, anna: Account) -> None:
    anna.knobs.deleted_calendars_return = True
    anna.calendars["work"].put("e1.ics", meeting())
    assert (await dav.ask("DELETE", WORK)).status == 204
    assert (await dav.propfind(WORK, "d:getetag")).status == 404
    assert (await dav.ask("MKCALENDAR", WORK)).status == 201
    assert (await dav.ask("GET", WORK + "e1.ics")).status == 200


async def test_proppatch_renames_a_calendar(dav: RawClient, work: Calendar) -> None:
    body = (
        '<d:propertyupdate xmlns:d="DAV:"><d:set><d:prop><d:displayname>Office</d:displayname></d:prop></d:set>'
        "</d:propertyupdate>"
    )
    assert (await dav.ask("PROPPATCH", WORK, body=body)).status == 207
    assert work.name == "Office"


async def test_options_advertises_what_calendarserver_advertised(dav: RawClient) -> None:
    reply = await dav.ask("OPTIONS", HOME)
    assert {"calendar-access", "calendar-auto-schedule"} <= set(reply.headers["DAV"].split(", "))


async def test_a_listing_may_end_early_repeat_itself_or_fail_in_part(dav: RawClient, anna: Account) -> None:
    anna.knobs.listing_truncates_at = 2
    reply = await dav.propfind(HOME, *ALL_PROPS, depth="1")
    assert (len(reply.hrefs), reply.hrefs[-1], "507" in reply.text) == (4, HOME, True)
    anna.knobs.reset()
    anna.knobs.listing_repeats, anna.knobs.listing_outbox, anna.knobs.listing_fails = {"work"}, {"work"}, {"home"}
    anna.calendars["work"].put("e.ics", meeting())
    reply = await dav.propfind(HOME, *ALL_PROPS, depth="1")
    assert reply.hrefs.count(WORK) == 2 and reply.hrefs[-1] == WORK
    rows = [row for row in reply.root.iter(clark(DAV, "response")) if row.findtext(clark(DAV, "href")) == WORK]
    assert len({row.findtext(f".//{CTAG}") for row in rows}) == 2
    assert reply.props(WORK)[TYPE].find(clark(CALDAV, "schedule-outbox")) is not None
    statuses = [node.text for node in reply.response(HOME + "home/").iter(clark(DAV, "status"))]
    assert statuses[0] == "HTTP/1.1 503 Service Unavailable"
