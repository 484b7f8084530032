"""Discovery, listing and reading, as the rows of the clients' requests have it (A1 to A25)."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from busyd.availability.hours import Hours
from busyd.dav import names
from busyd.dav.xml import parse_xml
from busyd.http import caldav
from tests.http.caldav.conftest import ME, Dav, event, hrefs, responses, xml
from tests.http.conftest import Serve
from tests.http.small_backend import SmallBackend

STARTING_POINTS = [
    "/",
    "/.well-known/caldav",
    "/dav/",
    "/principals/",
    "/principals/users/anna/",
    "/dav/principals/",
    "/caldav/v2",
    "/calendar/dav/anna/user/",
]


def condition(body: bytes) -> str:
    root = parse_xml(body)
    assert root.tag == names.ERROR
    return str(root[0].tag)


@pytest.mark.parametrize("path", STARTING_POINTS)
async def test_every_path_that_apps_try_leads_to_the_principal(dav: Dav, path: str) -> None:
    (row,) = await dav.propfind(path, "D:current-user-principal", "D:resourcetype", "C:calendar-home-set")
    found = row.find(names.CURRENT_USER_PRINCIPAL)
    assert found is not None
    assert found.hrefs() == (ME,)
    assert [propstat.status for propstat in row.propstats] == [200, 404]


async def test_a_browser_is_led_from_the_well_known_path_without_naming_a_host(dav: Dav) -> None:
    answer = await dav.ask("GET", "/.well-known/caldav")
    assert (answer.status, answer.headers["Location"]) == (307, "/dav/")


@pytest.mark.parametrize(
    "path", ["/.well-known/carddav", "/.well-known/webdav/Notes/", "/remote.php/dav", "/dav/bob/", "/dav/anna/nothing/"]
)
async def test_what_is_not_there_and_what_is_not_to_be_seen_are_not_found(dav: Dav, path: str) -> None:
    assert (await dav.ask("PROPFIND", path, Depth="0")).status == 404


@pytest.mark.parametrize("path", [*STARTING_POINTS, ME])
@pytest.mark.parametrize("method", ["OPTIONS", "PROPFIND"])
async def test_without_a_token_there_is_a_challenge_everywhere_also_on_this_machine(
    dav: Dav, path: str, method: str
) -> None:
    dav.token = ""
    answer = await dav.ask(method, path, Depth="0")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="busyd", charset="UTF-8"')


async def test_a_wrong_password_is_refused_and_counted(dav: Dav) -> None:
    dav.token = "bd_000000000000_wrong"
    answer = await dav.ask("PROPFIND", ME, Depth="0")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="busyd", charset="UTF-8"')
    assert [len(tries) for tries in dav.served.endpoint.auth.wrong.values()] == [1]


async def test_requests_before_the_challenge_are_not_counted_as_wrong(dav: Dav) -> None:
    dav.token = ""
    for _ in range(3):
        await dav.ask("PROPFIND", ME, Depth="0")
    assert not dav.served.endpoint.auth.wrong


async def test_any_user_name_and_a_bearer_token_will_do(dav: Dav) -> None:
    dav.user = "somebody@example.org"
    assert len(await dav.propfind(ME, "D:displayname")) == 1
    answer = await dav.ask("PROPFIND", ME, Depth="0", Authorization=f"Bearer {dav.token}")
    assert answer.status == 207


async def test_a_password_is_for_the_caldav_server_alone(dav: Dav) -> None:
    """A browser would send it to every other address by itself."""
    assert (await dav.ask("GET", "/v1/profiles/anna/explain")).status == 401


async def test_a_page_of_another_site_may_not_ask(dav: Dav) -> None:
    answer = await dav.ask("PROPFIND", ME, Depth="0", Origin="https://evil.example")
    assert answer.status == 403


async def test_another_host_name_is_refused(dav: Dav) -> None:
    assert (await dav.ask("PROPFIND", ME, Depth="0", Host="evil.example")).status == 421


async def test_a_token_of_all_profiles_is_the_one_that_its_user_name_says(dav: Dav) -> None:
    dav.token = dav.backend.token("*", "freebusy", "details")
    for user, wanted in (("bob", "/dav/bob/"), ("nobody in particular", ME)):
        dav.user = user
        (row,) = await dav.propfind("/dav/", "D:current-user-principal")
        found = row.find(names.CURRENT_USER_PRINCIPAL)
        assert found is not None
        assert found.hrefs() == (wanted,)


async def test_a_token_without_details_sees_no_linked_calendar(dav: Dav) -> None:
    path = await dav.calendar()
    dav.token = dav.backend.token("anna", "freebusy")
    assert path not in hrefs(await dav.propfind(ME, "D:displayname", depth=1))
    assert (await dav.ask("PROPFIND", path, Depth="0")).status == 404
    assert (await dav.ask("GET", f"{path}a.ics")).status == 404


async def test_every_resource_says_that_it_is_caldav(dav: Dav) -> None:
    path = await dav.calendar()
    for resource in (*STARTING_POINTS, ME, path, path.rstrip("/"), f"{path}a.ics"):
        answer = await dav.ask("OPTIONS", resource)
        assert (answer.status, answer.headers["Content-Length"]) == (200, "0")
        tokens = answer.headers["DAV"].split(", ")
        assert tokens[0] == "1"
        assert "calendar-access" in tokens
        assert not {"2", "calendar-auto-schedule"} & set(tokens)
        assert "PROPFIND" in answer.headers["Allow"]
        assert "PUT" not in answer.headers["Allow"]


async def test_the_principal_is_the_home_of_its_calendars(dav: Dav) -> None:
    asked = ("C:calendar-home-set", "D:principal-URL", "D:current-user-principal", "C:calendar-user-address-set")
    (row,) = await dav.propfind(ME, *asked, "C:schedule-inbox-URL")
    for name in (names.CALENDAR_HOME_SET, names.PRINCIPAL_URL, names.CURRENT_USER_PRINCIPAL):
        found = row.find(name)
        assert found is not None
        assert found.hrefs() == (ME,)
    assert row.find(names.CALENDAR_USER_ADDRESS_SET) is not None
    assert [len(propstat.properties) for propstat in row.propstats] == [4, 1]


async def test_a_calendar_is_listed_with_all_that_apps_need_to_show_it(dav: Dav) -> None:
    asked = [
        *("D:resourcetype", "D:displayname", "D:sync-token", "D:owner", "D:supported-report-set"),
        *("D:current-user-privilege-set", "C:supported-calendar-component-set", "C:schedule-calendar-transp"),
        *("CS:getctag", "A:calendar-color", "A:calendar-order"),
    ]
    home, row, _ = await dav.propfind(ME, *asked, depth=1)
    assert home.spelling == ME
    assert [propstat.status for propstat in row.propstats] == [200]
    assert row.text(names.DISPLAYNAME) == "Work"
    assert row.text(names.CALENDAR_COLOR) == "#ff2968FF"
    assert row.text(names.GETCTAG) == row.text(names.SYNC_TOKEN)
    kinds, components = row.find(names.RESOURCETYPE), row.find(names.SUPPORTED_CALENDAR_COMPONENT_SET)
    assert kinds is not None
    assert {child.name for child in kinds.children} == {names.COLLECTION, names.CALENDAR}
    assert components is not None
    assert [child.attributes for child in components.children] == [(("name", "VEVENT"),)]


async def test_a_calendar_is_announced_as_read_only(dav: Dav) -> None:
    (row,) = await dav.propfind(await dav.calendar(), "D:current-user-privilege-set")
    found = row.find(names.CURRENT_USER_PRIVILEGE_SET)
    assert found is not None
    privileges = {child.name for privilege in found.children for child in privilege.children}
    assert privileges == {names.READ, names.READ_FREE_BUSY, names.READ_CURRENT_USER_PRIVILEGE_SET}
    assert {len(privilege.children) for privilege in found.children} == {1}


async def test_the_members_of_a_calendar_are_listed_with_their_etags(dav: Dav) -> None:
    path = await dav.calendar()
    itself, *members = await dav.propfind(path, "D:resourcetype", "D:getcontenttype", "D:getetag", depth=1)
    assert itself.spelling == path
    assert hrefs(members) == [f"{path}a.ics", f"{path}b%40c.ics"]
    for member in members:
        kind = member.find(names.RESOURCETYPE)
        assert kind is not None
        assert not kind.children
        assert (member.text(names.GETCONTENTTYPE) or "").startswith("text/calendar")
        answer = await dav.ask("GET", member.spelling)
        assert answer.headers["ETag"] == member.text(names.GETETAG)


async def test_a_member_is_served_byte_for_byte(dav: Dav) -> None:
    path = await dav.calendar()
    answer = await dav.ask("GET", f"{path}a.ics")
    assert (answer.status, answer.body) == (200, event("a", "SUMMARY:Dentist"))
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    assert "no-transform" in answer.headers["Cache-Control"]
    head = await dav.ask("HEAD", f"{path}a.ics")
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", answer.headers["ETag"])
    assert head.headers["Content-Length"] == answer.headers["Content-Length"]
    assert (await dav.ask("GET", f"{path}a.ics", If_None_Match=answer.headers["ETag"])).status == 304
    assert (await dav.ask("GET", f"{path}nothing.ics")).status == 404


async def test_a_member_is_found_in_every_spelling(dav: Dav) -> None:
    path = await dav.calendar()
    for name in ("b%40c.ics", "b@c.ics", "%62@c.ics"):
        assert (await dav.ask("GET", path + name)).status == 200


@pytest.mark.parametrize("depth", ["infinity", ""])
async def test_a_propfind_without_an_end_is_refused(dav: Dav, depth: str) -> None:
    answer = await dav.ask("PROPFIND", ME, **({"Depth": depth} if depth else {}))
    assert (answer.status, condition(answer.body)) == (403, names.PROPFIND_FINITE_DEPTH)


async def test_the_well_known_path_needs_no_depth(dav: Dav) -> None:
    assert len(responses(await dav.ask("PROPFIND", "/.well-known/caldav"))) == 1


@pytest.mark.parametrize(
    ("field", "value"), [("Brief", "t"), ("Prefer", "return=minimal"), ("Prefer", 'x, return="minimal"')]
)
async def test_what_is_missing_is_left_out_when_that_is_preferred(dav: Dav, field: str, value: str) -> None:
    fields: dict[str, Any] = {field: value}
    (row,) = await dav.propfind(ME, "D:displayname", "D:quota", **fields)
    assert [propstat.status for propstat in row.propstats] == [200]
    (row,) = await dav.propfind(ME, "D:quota", **fields)
    assert [(propstat.status, propstat.properties) for propstat in row.propstats] == [(200, ())]


async def test_all_properties_are_those_of_webdav_and_those_included(dav: Dav) -> None:
    path = await dav.calendar()
    inner = "<D:allprop/><D:include><CS:getctag/></D:include>"
    (row,) = responses(await dav.ask("PROPFIND", path, xml("D:propfind", inner), Depth="0"))
    found = {prop.name for prop in row.propstats[0].properties}
    assert found == {names.RESOURCETYPE, names.DISPLAYNAME, names.GETCTAG}
    assert responses(await dav.ask("PROPFIND", path, Depth="0"))[0].text(names.DISPLAYNAME) == "Work"


async def test_the_names_of_all_properties_come_without_values(dav: Dav) -> None:
    answer = await dav.ask("PROPFIND", ME, xml("D:propfind", "<D:propname/>"), Depth="0")
    (row,) = responses(answer)
    assert {names.DISPLAYNAME, names.CALENDAR_HOME_SET} <= {prop.name for prop in row.propstats[0].properties}
    assert "anna" not in answer.text.replace(ME, "")


@pytest.mark.parametrize("body", ["<", "no xml", "<a/>", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "<D:propfind/>"])
async def test_a_body_that_is_no_propfind_is_a_bad_request(dav: Dav, body: str) -> None:
    answer = await dav.ask("PROPFIND", ME, body, Depth="0")
    assert (answer.status, answer.error) == (400, "bad-request")


async def test_a_body_of_more_than_a_megabyte_is_refused(dav: Dav) -> None:
    assert (await dav.ask("PROPFIND", ME, "x" * 1_050_000, Depth="0")).status == 413


@pytest.mark.parametrize("method", ["PUT", "DELETE", "MOVE", "PROPPATCH", "MKCALENDAR", "MKCOL", "COPY"])
async def test_a_write_is_refused_for_want_of_privileges(dav: Dav, method: str) -> None:
    path = f"{await dav.calendar()}a.ics"
    answer = await dav.ask(method, path)
    assert (answer.status, condition(answer.body)) == (403, names.NEED_PRIVILEGES)
    assert (await dav.ask("GET", path)).body == event("a", "SUMMARY:Dentist")


@pytest.mark.parametrize("method", ["MKCALENDAR", "MKCOL"])
async def test_a23_no_calendar_is_made(dav: Dav, method: str) -> None:
    answer = await dav.ask(method, f"{ME}new/")
    assert (answer.status, condition(answer.body)) == (403, names.NEED_PRIVILEGES)
    assert (await dav.ask(method, "/dav/bob/new/")).status == 404


async def test_a15_principals_are_searched_for_from_everywhere(dav: Dav) -> None:
    for path in STARTING_POINTS:
        assert responses(await dav.report(path, "D:principal-property-search", "")) == []


@pytest.mark.parametrize("method", ["POST", "LOCK", "ACL"])
async def test_a_method_that_is_not_there_is_named_with_those_that_are(dav: Dav, method: str) -> None:
    answer = await dav.ask(method, ME)
    assert answer.status == 405
    assert "PROPFIND" in answer.headers["Allow"]


async def test_passwords_are_in_no_answer(dav: Dav) -> None:
    password = base64.b64encode(f"anna:{dav.token}".encode()).decode()
    for method, path in (("PROPFIND", ME), ("PUT", ME), ("GET", ME), ("REPORT", ME)):
        text = (await dav.ask(method, path)).text
        assert dav.token not in text
        assert password not in text


async def test_the_principal_says_who_it_is_to_those_who_may_know(dav: Dav) -> None:
    dav.backend.state.connections["anna"].addresses = ("mailto:Anna@Example.org",)
    (row,) = await dav.propfind(ME, "C:calendar-user-address-set")
    found = row.find(names.CALENDAR_USER_ADDRESS_SET)
    assert found is not None
    assert found.hrefs() == ("mailto:anna@example.org",)
    dav.token = dav.backend.token("anna", "freebusy")
    (row,) = await dav.propfind(ME, "C:calendar-user-address-set")
    assert "example.org" not in str(row)


async def test_working_hours_are_shown_as_calendar_availability(serve: Serve, tmp_path: Path) -> None:
    backend = SmallBackend(tmp_path, hours=Hours((((540, 1020),),) * 5 + ((), ())))
    dav = Dav(await serve(backend), backend.token("anna", "freebusy"))
    (row,) = await dav.propfind(ME, "C:calendar-availability", "CS:calendar-availability")
    text = row.text(names.CALENDAR_AVAILABILITY) or ""
    assert text.count("BEGIN:AVAILABLE") == 5
    assert text == row.text(names.APPLE_CALENDAR_AVAILABILITY)
    dav.token = backend.token("bob", "freebusy")
    (row,) = await dav.propfind("/dav/bob/", "C:calendar-availability")
    assert row.find(names.CALENDAR_AVAILABILITY) is None


async def test_every_report_and_privilege_that_is_named_is_there(dav: Dav) -> None:
    await dav.backend.set_busy("anna", [])
    path = await dav.calendar()
    times = '<C:time-range start="20261124T000000Z" end="20261125T000000Z"/>'
    everything = (
        f"<D:prop/><D:sync-token/><C:filter><C:comp-filter name='VCALENDAR'/></C:filter><D:href>/</D:href>{times}"
    )
    for resource in (ME, path, f"{ME}blocked-slots/"):
        (row,) = await dav.propfind(resource, "D:supported-report-set", "D:current-user-privilege-set")
        found = row.find(names.SUPPORTED_REPORT_SET)
        assert found is not None
        reports = [report.children[0].children[0].name for report in found.children]
        assert len(reports) >= 3
        for name in reports:
            prefix = "C" if name.startswith(f"{{{names.CALDAV}}}") else "D"
            answer = await dav.report(resource, f"{prefix}:{name.partition('}')[2]}", everything)
            assert answer.status in (200, 207), name


async def test_a_calendar_that_is_subscribed_to_says_where_it_comes_from(dav: Dav) -> None:
    record = dav.backend.state.calendars[1]
    remote = replace(record.remote, source="https://example.org/holidays.ics")
    dav.backend.state.calendars[1] = replace(record, remote=remote)
    (row,) = await dav.propfind(await dav.calendar(), "CS:source")
    found = row.find(names.SOURCE)
    assert found is not None
    assert found.hrefs() == ("https://example.org/holidays.ics",)


async def test_the_length_of_a_member_is_that_of_all_of_it(dav: Dav) -> None:
    path = await dav.calendar()
    got = await dav.ask("GET", f"{path}a.ics")
    _, row, _ = await dav.propfind(path, "D:getcontentlength", depth=1)
    assert row.text(names.GETCONTENTLENGTH) == got.headers["Content-Length"] == str(len(got.body))
    part = '<C:calendar-data><C:comp name="VCALENDAR"/></C:calendar-data>'
    body = f"<D:prop><D:getcontentlength/>{part}</D:prop><D:href>{path}a.ics</D:href>"
    (row,) = responses(await dav.report(path, "C:calendar-multiget", body))
    assert row.text(names.GETCONTENTLENGTH) == got.headers["Content-Length"]


async def test_a_refused_login_leaves_the_connection_open_and_says_little(dav: Dav) -> None:
    dav.token = ""
    answer = await dav.ask("PROPFIND", ME, xml("D:propfind", "<D:allprop/>"), Depth="0")
    assert len(answer.body) < 500
    assert answer.headers.get("Connection", "keep-alive") == "keep-alive"
    assert "Set-Cookie" not in answer.headers


async def test_reads_go_on_while_the_server_of_a_calendar_is_down(dav: Dav) -> None:
    dav.backend.reachable = False
    dav.backend.clock.advance(86_400)
    path = await dav.calendar()
    for method, depth in (("PROPFIND", "0"), ("PROPFIND", "1")):
        assert (await dav.ask(method, path, Depth=depth)).status == 207
    assert (await dav.ask("GET", f"{path}a.ics")).status == 200
    assert dav.backend.refreshed == 0


def test_the_table_of_what_is_supported_names_tests_that_are_there() -> None:
    text = caldav.__doc__ or ""
    named = set(re.findall(r"\btest_[a-z_]+", text))
    assert len(named) >= 9
    assert {name for name in named if not (Path(__file__).parent / f"{name}.py").exists()} == set()


async def test_only_a_token_without_the_scope_is_told_that_it_may_lack_it(dav: Dav) -> None:
    path = await dav.calendar()
    answer = await dav.ask("GET", f"{path}none.ics")
    assert answer.status == 404
    assert "scope" not in answer.text
    dav.token = dav.backend.token("anna", "freebusy")
    answer = await dav.ask("GET", f"{path}none.ics")
    assert answer.status == 404
    assert "need a token with the scope details" in answer.json["fix"]
