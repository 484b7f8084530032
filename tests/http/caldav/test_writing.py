"""What apps write: the promise, point by point, and what they are told when it cannot be done."""

import asyncio

import pytest
from msgspec.structs import replace

from busyd.connection import CalendarReference, RemoteCalendar
from busyd.dav import names
from busyd.dav.errors import LoginRefused, ServerFault, TooManyRequests
from busyd.dav.xml import parse_xml
from busyd.errors import RemoteError
from busyd.remote.errors import Trouble, Unreachable
from busyd.store.mirror import CalendarRecord
from tests.http.caldav.conftest import HOME, ME, Dav, event
from tests.http.caldav.remote import Remote
from tests.http.conftest import Answer
from tests.http.small_backend import NOW
from tests.soak.loops.editing_apps import edit_and_converge

NEW = event("new", "SUMMARY:New")


async def put(dav: Dav, name: str, payload: bytes, **fields: str) -> Answer:
    fields.setdefault("Content_Type", "text/calendar; charset=utf-8")
    return await dav.ask("PUT", await dav.calendar() + name, payload.decode(), **fields)


async def delete(dav: Dav, name: str, **fields: str) -> Answer:
    return await dav.ask("DELETE", await dav.calendar() + name, **fields)


async def tag_of(dav: Dav, name: str) -> str:
    etag: str = (await dav.ask("GET", await dav.calendar() + name)).headers["ETag"]
    return etag


async def busy(dav: Dav) -> list[str]:
    answer = await dav.served.ask("/v1/profiles/anna/freebusy?start=2026-11-24T00:00:00Z&end=2026-11-26T00:00:00Z")
    return [period["start"] for period in answer.json["busy"]]


def condition(answer: Answer) -> str:
    return str(parse_xml(answer.body)[0].tag)


DOWN: list[RemoteError] = [
    Unreachable("anna.example", Trouble.REFUSED, sent=False),
    Unreachable("anna.example", Trouble.TIMEOUT),
    ServerFault("anna.example", 500),
    TooManyRequests("anna.example", retry_after="3600"),
    LoginRefused("anna.example"),
]


async def test_a_new_event_is_at_its_server_and_in_every_answer_before_the_app_is_told(
    dav: Dav, remote: Remote
) -> None:
    payload = event("new", start="20261125T090000Z", end="20261125T100000Z")
    _, token = await dav.sync()
    answer = await put(dav, "new.ics", payload, If_None_Match="*")
    assert (answer.status, remote.writes) == (201, ["PUT"])
    assert remote.objects[f"{HOME}new.ics"][1] == payload
    assert "2026-11-25T09:00:00Z" in await busy(dav)
    got = await dav.ask("GET", f"{await dav.calendar()}new.ics")
    assert (got.body, got.headers["ETag"]) == (payload, answer.headers["ETag"])
    assert (await dav.sync(token))[0] == {"new.ics": 200}


async def test_a_changed_event_has_the_condition_of_its_server_and_a_tag_of_ours(dav: Dav, remote: Remote) -> None:
    before = await tag_of(dav, "a.ics")
    answer = await put(dav, "a.ics", event("a", "SUMMARY:Other"), If_Match=before)
    assert answer.status == 204
    sent = next(request for request in remote.asked if request.method == "PUT")
    assert dict(sent.headers)["If-Match"] == '"1"'
    assert await tag_of(dav, "a.ics") == answer.headers["ETag"] != before


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', "*"])
async def test_a_condition_is_understood_in_every_form(dav: Dav, remote: Remote, form: str) -> None:
    payload = event("a", f"SUMMARY:{len(form)}")
    answer = await put(dav, "a.ics", payload, If_Match=form.format(await tag_of(dav, "a.ics")))
    assert (answer.status, remote.objects[f"{HOME}a.ics"][1]) == (204, payload)


async def test_a_server_that_writes_in_other_words_gives_no_etag_and_its_words_are_shown(
    dav: Dav, remote: Remote
) -> None:
    remote.rewrites = True
    answer = await put(dav, "new.ics", NEW)
    assert (answer.status, "ETag" in answer.headers) == (201, False)
    assert b"X-SERVER:1" in (await dav.ask("GET", f"{await dav.calendar()}new.ics")).body


async def test_identical_bytes_are_not_written_again(dav: Dav, remote: Remote) -> None:
    answer = await put(dav, "a.ics", event("a", "SUMMARY:Dentist"), If_Match=await tag_of(dav, "a.ics"))
    assert (answer.status, answer.headers["ETag"], remote.asked) == (204, await tag_of(dav, "a.ics"), [])


async def test_bytes_that_differ_in_the_ends_of_lines_are_not_written_again(dav: Dav, remote: Remote) -> None:
    """A report hands out what is in XML, without CR."""
    payload = event("a", "SUMMARY:Other")
    await dav.backend.store_object(1, f"{HOME}a.ics", payload.replace(b"\r", b""), etag='"1"')
    answer = await put(dav, "a.ics", payload, If_Match=await tag_of(dav, "a.ics"))
    assert (answer.status, "ETag" in answer.headers, remote.asked) == (204, False, [])


async def test_an_event_is_removed_everywhere_before_the_app_is_told(dav: Dav, remote: Remote) -> None:
    await dav.backend.publish()
    _, token = await dav.sync()
    assert (await delete(dav, "a.ics", If_Match=await tag_of(dav, "a.ics"))).status == 204
    assert f"{HOME}a.ics" not in remote.objects
    assert (await dav.sync(token))[0] == {"a.ics": 404}
    assert (await delete(dav, "a.ics")).status == 404


@pytest.mark.parametrize("error", DOWN, ids=[f"{type(error).__name__} {error}"[:40] for error in DOWN])
async def test_while_the_server_cannot_be_written_to_the_app_is_asked_to_wait_and_shown_what_is_there(
    dav: Dav, remote: Remote, error: RemoteError
) -> None:
    _, token = await dav.sync()
    before = await tag_of(dav, "a.ics"), await tag_of(dav, "b%40c.ics")
    remote.down = error
    for answer in (
        await put(dav, "a.ics", event("a", "SUMMARY:Other"), If_Match=before[0]),
        await delete(dav, "b%40c.ics", If_Match=before[1]),
        await put(dav, "new.ics", NEW, If_None_Match="*"),
    ):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
    assert (await dav.ask("GET", f"{await dav.calendar()}a.ics")).body == event("a", "SUMMARY:Dentist")
    assert (await dav.sync(token))[0] == {"a.ics": 200, "b%40c.ics": 200}
    assert {await tag_of(dav, "a.ics"), await tag_of(dav, "b%40c.ics")}.isdisjoint(before)


async def test_a_connection_whose_login_is_refused_is_not_asked(dav: Dav, remote: Remote) -> None:
    remote.is_refused = True
    assert (await put(dav, "new.ics", NEW)).status == 503
    assert remote.asked == []


async def test_a_write_whose_answer_was_lost_is_looked_for(dav: Dav, remote: Remote) -> None:
    remote.loses_answers = True
    assert (await put(dav, "new.ics", NEW, If_None_Match="*")).status == 201
    assert (await put(dav, "a.ics", event("a", "SUMMARY:Other"))).status == 204
    assert (await delete(dav, "b%40c.ics")).status == 204
    assert remote.writes == ["PUT", "PUT", "DELETE"]


async def test_who_tries_again_after_an_outage_is_told_that_it_is_done(dav: Dav, remote: Remote) -> None:
    """The first try was carried out after the look that did not find it."""
    remote.down = Unreachable("anna.example", Trouble.TIMEOUT)
    assert (await put(dav, "new.ics", NEW, If_None_Match="*")).status == 503
    remote.down = None
    await dav.backend.store_object(1, f"{HOME}new.ics", NEW, etag=remote.put(f"{HOME}new.ics", NEW))
    assert (await put(dav, "new.ics", NEW, If_None_Match="*")).status == 204
    assert (await put(dav, "new.ics", NEW, If_Match='"before"')).status == 204
    assert remote.writes == ["PUT"]


async def test_who_tries_again_what_the_mirror_has_not_seen_yet_is_told_that_it_is_done(
    dav: Dav, remote: Remote
) -> None:
    tag, payload = await tag_of(dav, "a.ics"), event("a", "SUMMARY:Other")
    remote.down = Unreachable("anna.example", Trouble.TIMEOUT)
    assert (await put(dav, "a.ics", payload, If_Match=tag)).status == 503
    remote.down = None
    remote.put(f"{HOME}a.ics", payload)
    assert (await put(dav, "a.ics", payload, If_Match=tag)).status == 204
    assert (await dav.ask("GET", f"{await dav.calendar()}a.ics")).body == payload


async def test_who_makes_anew_what_is_there_is_told_so(dav: Dav, remote: Remote) -> None:
    assert (await put(dav, "a.ics", event("a", "SUMMARY:Dentist"), If_None_Match="*")).status == 412
    assert remote.writes == []


async def test_a_condition_fails_after_a_look_at_what_is_there_and_the_app_can_read_it(
    dav: Dav, remote: Remote
) -> None:
    tag = await tag_of(dav, "a.ics")
    elsewhere = event("a", "SUMMARY:Changed on the phone")
    remote.put(f"{HOME}a.ics", elsewhere)
    answer = await put(dav, "a.ics", event("a", "SUMMARY:Other"), If_Match=tag)
    assert (answer.status, answer.error) == (412, "changed-meanwhile")
    got = await dav.ask("GET", f"{await dav.calendar()}a.ics")
    assert (got.body, remote.objects[f"{HOME}a.ics"][1]) == (elsewhere, elsewhere)
    assert (await put(dav, "a.ics", event("a", "SUMMARY:Other"), If_Match=got.headers["ETag"])).status == 204


@pytest.mark.parametrize("fields", [{"If_None_Match": "*"}, {}], ids=["for a new one", "without a condition"])
async def test_who_makes_anew_what_was_deleted_a_moment_ago_is_asked_to_wait(
    dav: Dav, remote: Remote, fields: dict[str, str]
) -> None:
    """iCloud refuses the name and the UID for a minute: nothing is there that the app could read."""
    assert (await delete(dav, "a.ics")).status == 204
    remote.refuse = 412, ""
    answer = await put(dav, "a.ics", event("a"), **fields)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
    assert "deleted a moment ago" in answer.text
    remote.refuse = None
    assert (await put(dav, "a.ics", event("a"), **fields)).status == 201


async def test_a_condition_that_holds_is_not_said_to_have_failed(dav: Dav, remote: Remote) -> None:
    tag, remote.refuse = await tag_of(dav, "a.ics"), (412, "")
    assert (await put(dav, "a.ics", event("a", "SUMMARY:Other"), If_Match=tag)).status == 503
    tag = await tag_of(dav, "a.ics")
    assert (await delete(dav, "a.ics", If_Match=tag)).status == 503
    assert (await put(dav, "a.ics", event("a", "SUMMARY:Other"))).status == 412


async def test_an_event_that_is_in_another_calendar_of_its_account_is_refused_for_its_uid(
    dav: Dav, remote: Remote, other: str
) -> None:
    """As iCloud does; it says 412 to it."""
    remote.refuse = 412, ""
    answer = await dav.ask("PUT", f"{other}a.ics", event("a").decode(), If_None_Match="*", Content_Type="text/calendar")
    assert (answer.status, condition(answer)) == (403, names.caldav("no-uid-conflict"))


async def test_an_event_that_is_gone_elsewhere_can_be_made_anew(dav: Dav, remote: Remote) -> None:
    del remote.objects[f"{HOME}a.ics"]
    payload = event("a", "SUMMARY:Again")
    assert (await put(dav, "a.ics", payload, If_None_Match="*")).status == 201
    assert remote.objects[f"{HOME}a.ics"][1] == payload


async def test_an_event_that_is_there_is_not_overwritten_by_a_new_one(dav: Dav, remote: Remote) -> None:
    assert (await put(dav, "a.ics", event("a", "SUMMARY:Other"), If_None_Match="*")).status == 412
    assert (await put(dav, "nothing.ics", NEW, If_Match='"x"')).status == 412
    assert remote.writes == []


REFUSALS = [
    ((403, ""), 403, names.NEED_PRIVILEGES),
    ((404, ""), 403, names.caldav("valid-calendar-data")),
    ((400, ""), 403, names.caldav("valid-calendar-data")),
    ((409, "no-uid-conflict"), 403, names.caldav("no-uid-conflict")),
    ((403, "valid-calendar-object-resource"), 403, names.caldav("valid-calendar-object-resource")),
    ((403, "supported-calendar-component"), 403, names.caldav("supported-calendar-component")),
    ((413, ""), 403, names.caldav("max-resource-size")),
    ((507, ""), 507, names.dav("quota-not-exceeded")),
]


@pytest.mark.parametrize(("said", "status", "name"), REFUSALS, ids=[str(said) for said, _, _ in REFUSALS])
async def test_a_refusal_of_the_server_has_its_meaning_here_and_the_event_comes_back(
    dav: Dav, remote: Remote, said: tuple[int, str], status: int, name: str
) -> None:
    _, token = await dav.sync()
    before = await tag_of(dav, "a.ics")
    remote.refuse = said
    answer = await put(dav, "a.ics", event("a", "SUMMARY:Other"), If_Match=before)
    assert (answer.status, condition(answer)) == (status, name)
    assert (await dav.sync(token))[0] == {"a.ics": 200}
    assert await tag_of(dav, "a.ics") != before
    got = await dav.ask("GET", f"{await dav.calendar()}a.ics")
    assert got.body == event("a", "SUMMARY:Dentist")


async def test_what_was_touched_stays_as_it_is_at_the_next_poll(dav: Dav, remote: Remote) -> None:
    remote.refuse = 403, ""
    await put(dav, "a.ics", event("a", "SUMMARY:Other"))
    after, (_, token) = await tag_of(dav, "a.ics"), await dav.sync()
    await dav.put("a.ics", event("a", "SUMMARY:Dentist"))
    assert (await tag_of(dav, "a.ics"), await dav.sync(token)) == (after, ({}, token))


INVALID = [
    (b"", "valid-calendar-data"),
    (b"nothing", "valid-calendar-data"),
    (NEW + NEW, "valid-calendar-data"),
    (NEW.replace(b"VERSION:2.0", b"VERSION:1.0"), "valid-calendar-data"),
    (NEW.replace(b"DTSTART:2026", b"DTSTART:x"), "valid-calendar-data"),
    (NEW.replace(b"END:VCALENDAR", b""), "valid-calendar-data"),
    (NEW.replace(b"UID:new\r\n", b""), "valid-calendar-object-resource"),
    (NEW.replace(b"BEGIN:VEVENT", b"METHOD:REQUEST\r\nBEGIN:VEVENT"), "valid-calendar-object-resource"),
    (
        NEW.replace(
            b"END:VCALENDAR", b"BEGIN:VEVENT\r\nUID:2\r\nDTSTART:20261124T090000Z\r\nEND:VEVENT\r\nEND:VCALENDAR"
        ),
        "valid-calendar-object-resource",
    ),
    (NEW.replace(b"VEVENT", b"VTODO"), "supported-calendar-component"),
]


@pytest.mark.parametrize(("payload", "name"), INVALID)
async def test_what_is_no_calendar_object_is_refused_before_anybody_is_asked(
    dav: Dav, remote: Remote, payload: bytes, name: str
) -> None:
    answer = await put(dav, "new.ics", payload)
    assert (answer.status, condition(answer), remote.asked) == (403, names.caldav(name), [])


async def test_a_uid_that_another_event_has_is_refused_with_its_address(dav: Dav, remote: Remote) -> None:
    answer = await put(dav, "new.ics", event("a"))
    assert (answer.status, condition(answer)) == (403, names.caldav("no-uid-conflict"))
    assert parse_xml(answer.body)[0].findtext(names.HREF) == f"{await dav.calendar()}a.ics"
    assert remote.asked == []


async def test_properties_that_nobody_knows_pass_through_untouched(dav: Dav, remote: Remote) -> None:
    lines = ("X-MOZ-LASTACK:20261124T080000Z", "COLOR:green", "IMAGE;VALUE=URI:https://example.org/a.png", "LINK:x")
    payload = event("new", *lines)
    assert "ETag" in (await put(dav, "new.ics", payload)).headers
    assert remote.objects[f"{HOME}new.ics"][1] == payload


@pytest.mark.parametrize(("kind", "status"), [("text/plain", 403), ("", 201), ('text/calendar;charset="utf-8"', 201)])
async def test_a19_the_type_of_a_body_is_taken_in_every_form(dav: Dav, remote: Remote, kind: str, status: int) -> None:
    answer = await put(dav, "new.ics", NEW, **({"Content_Type": kind} if kind else {}))
    assert (answer.status, len(remote.writes)) == (status, status == 201)


async def test_a_token_that_may_not_write_is_refused_and_the_event_comes_back(dav: Dav, remote: Remote) -> None:
    dav.token = dav.backend.token("anna", "freebusy", "details")
    _, token = await dav.sync()
    for answer in (await put(dav, "a.ics", NEW), await delete(dav, "b%40c.ics")):
        assert (answer.status, condition(answer)) == (403, names.NEED_PRIVILEGES)
    assert (await dav.sync(token))[0] == {"a.ics": 200, "b%40c.ics": 200}
    assert remote.asked == []


async def test_a_calendar_that_its_server_does_not_let_be_written_is_announced_as_such(
    dav: Dav, remote: Remote
) -> None:
    path = await dav.calendar()
    assert {names.WRITE_CONTENT, names.BIND, names.UNBIND, names.WRITE_PROPERTIES} <= await privileges(dav, path)
    assert "PUT" in (await dav.ask("OPTIONS", f"{path}a.ics")).headers["Allow"]
    record = dav.backend.state.calendars[1]
    dav.backend.state.calendars[1] = replace(record, remote=replace(record.remote, writable=False))
    reading = {names.READ, names.READ_FREE_BUSY, names.READ_CURRENT_USER_PRIVILEGE_SET}
    assert await privileges(dav, path) == reading
    assert "PUT" not in (await dav.ask("OPTIONS", f"{path}a.ics")).headers["Allow"]
    assert (await put(dav, "new.ics", NEW)).status == 403
    assert remote.asked == []


async def privileges(dav: Dav, path: str) -> set[str]:
    (row,) = await dav.propfind(path, "D:current-user-privilege-set")
    found = row.find(names.CURRENT_USER_PRIVILEGE_SET)
    assert found is not None
    return {child.name for privilege in found.children for child in privilege.children}


async def test_of_two_apps_that_edit_one_event_at_once_one_is_told_to_read_it_again(dav: Dav, remote: Remote) -> None:
    tag = await tag_of(dav, "a.ics")
    payloads = [event("a", f"SUMMARY:App {number}") for number in range(2)]
    answers = await asyncio.gather(*(put(dav, "a.ics", payload, If_Match=tag) for payload in payloads))
    assert sorted(answer.status for answer in answers) == [204, 412]
    (won,) = [payload for payload, answer in zip(payloads, answers, strict=True) if answer.status == 204]
    assert remote.objects[f"{HOME}a.ics"][1] == won
    assert (await dav.ask("GET", f"{await dav.calendar()}a.ics")).body == won


@pytest.mark.parametrize("form", ["", '""', '"', "x", '"x" "y"', ",", '"\u00e4"', "W/*"])
async def test_a_condition_that_names_no_version_there_is_overwrites_nothing(
    dav: Dav, remote: Remote, form: str
) -> None:
    answer = await put(dav, "a.ics", event("a", "SUMMARY:Other"), If_Match=form)
    assert (answer.status, remote.writes) == (412, [])


async def test_an_event_of_ten_megabytes_is_refused_and_the_one_that_is_there_stays(dav: Dav, remote: Remote) -> None:
    tag = await tag_of(dav, "a.ics")
    answer = await put(dav, "a.ics", event("a", "DESCRIPTION:" + "x" * 10_000_000), If_Match=tag)
    assert (answer.status, remote.asked) == (403, [])
    assert b"max-resource-size" in answer.body
    assert (await dav.ask("GET", f"{await dav.calendar()}a.ics")).body == event("a", "SUMMARY:Dentist")
    assert await tag_of(dav, "a.ics") != tag


async def test_a_query_of_ten_megabytes_is_refused(dav: Dav) -> None:
    answer = await dav.ask("PROPFIND", ME, "x" * 10_000_000, Depth="0")
    assert answer.status == 413


async def test_a_body_of_another_type_is_refused_and_the_event_comes_back(dav: Dav) -> None:
    tag = await tag_of(dav, "a.ics")
    answer = await put(dav, "a.ics", event("a", "SUMMARY:Other"), Content_Type="text/html")
    assert (answer.status, await tag_of(dav, "a.ics") != tag) == (403, True)


async def test_who_writes_unless_a_version_is_there_is_refused_where_it_is(dav: Dav, remote: Remote) -> None:
    tag = await tag_of(dav, "a.ics")
    refused = await put(dav, "a.ics", event("a", "SUMMARY:Other"), If_None_Match=f'"old", {tag}')
    assert (refused.status, remote.writes) == (412, [])
    assert (await put(dav, "a.ics", event("a", "SUMMARY:Other"), If_None_Match='"old"')).status == 204


async def test_collections_are_not_written_to(dav: Dav, remote: Remote) -> None:
    for path in (ME, await dav.calendar(), f"{ME}blocked-slots/x.ics"):
        for method in ("PUT", "DELETE"):
            assert (await dav.ask(method, path)).status in (403, 404)
    assert remote.asked == []


@pytest.fixture
async def other(dav: Dav) -> str:
    """The path of a second calendar of the same account."""
    backend = dav.backend
    second = RemoteCalendar("/anna/calendars/other/", "Other")
    await backend.store.record_listing("anna", [backend.state.calendars[1].remote, second], at=NOW)
    number = next(one.id for one in await backend.store.read_calendars("anna") if one.remote.name == "Other")
    record = CalendarRecord(number, "anna", second, as_of=NOW, complete=True)
    profile = replace(backend.state.profiles["anna"].profile, conflicts=(CalendarReference("anna", "Other"),))
    backend.state.profiles["anna"].profile = profile
    backend.state.take_calendars([*backend.state.calendars.values(), record])
    await backend.publish()
    rows = await dav.propfind(ME, "D:displayname", depth=1)
    return next(row.spelling for row in rows if row.text(names.DISPLAYNAME) == "Other")


async def move(dav: Dav, name: str, destination: str, **fields: str) -> Answer:
    return await dav.ask("MOVE", await dav.calendar() + name, Destination=destination, **fields)


@pytest.mark.parametrize("host", ["", "https://busy.example.org"])
async def test_a21_an_event_is_moved_and_both_calendars_tell_of_it(
    dav: Dav, remote: Remote, other: str, host: str
) -> None:
    _, token = await dav.sync()
    answer = await move(dav, "a.ics", f"{host}{other}a.ics", Overwrite="F")
    assert (answer.status, remote.writes) == (201, ["MOVE"])
    assert "/anna/calendars/other/a.ics" in remote.objects
    assert (await dav.sync(token))[0] == {"a.ics": 404}
    got = await dav.ask("GET", f"{other}a.ics")
    assert (got.body, got.headers["ETag"]) == (event("a", "SUMMARY:Dentist"), answer.headers["ETag"])


async def test_an_event_is_not_moved_over_another_one_unasked(dav: Dav, remote: Remote, other: str) -> None:
    etag = remote.put("/anna/calendars/other/a.ics", event("a", "SUMMARY:Precious"))
    answer = await move(dav, "a.ics", f"{other}a.ics", Overwrite="F")
    assert (answer.status, remote.objects["/anna/calendars/other/a.ics"][0]) == (412, etag)


async def test_a_move_that_was_not_carried_out_brings_the_event_back(dav: Dav, remote: Remote, other: str) -> None:
    _, token = await dav.sync()
    remote.refuse = 403, ""
    assert (await move(dav, "a.ics", f"{other}a.ics")).status == 403
    assert (await dav.sync(token))[0] == {"a.ics": 200}
    remote.refuse, remote.loses_answers = None, True
    assert (await move(dav, "a.ics", f"{other}a.ics")).status == 201


@pytest.mark.parametrize(
    ("destination", "status"),
    [("/dav/bob/x/a.ics", 403), ("/dav/anna/blocked-slots/a.ics", 403), ("/etc/passwd", 400), ("", 400), ("x", 400)],
)
async def test_an_event_is_moved_nowhere_else(dav: Dav, remote: Remote, destination: str, status: int) -> None:
    assert (await move(dav, "a.ics", destination)).status == status
    assert remote.writes == []


async def test_four_apps_on_a_failing_server_have_the_same_in_the_end_and_lose_nothing_untold() -> None:
    """`scripts/soak editing-apps` does more of it."""
    told = await edit_and_converge(120, failures=0.2, seed=7)
    assert {"PUT 201", "PUT 204", "PUT 503", "DELETE 204"} <= told.keys()


async def test_who_may_write_is_not_told_of_scopes_where_there_is_nothing_to_delete(dav: Dav, remote: Remote) -> None:
    answer = await dav.ask("DELETE", f"{await dav.calendar()}none.ics")
    assert answer.status == 404
    assert "scope" not in answer.text
    assert remote.writes == []
