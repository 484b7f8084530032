"""PROPPATCH (RFC 4918 §9.2), as macOS and vdirsyncer send it: A22 and D14."""

import pytest

from busyd.dav import names
from busyd.dav.multistatus import Multistatus
from tests.http.caldav.conftest import ME, Dav, responses, xml
from tests.http.conftest import Serve
from tests.http.small_backend import SmallBackend

GREEN = '<A:calendar-color symbolic-color="green">#00FF00FF</A:calendar-color>'
ALARM = "<C:default-alarm-vevent-datetime>BEGIN:VALARM\nTRIGGER:-PT15M\nEND:VALARM</C:default-alarm-vevent-datetime>"


async def change(dav: Dav, path: str, inner: str, *, step: str = "set") -> dict[str, int | None]:
    """The status of each property."""
    body = xml("D:propertyupdate", f"<D:{step}><D:prop>{inner}</D:prop></D:{step}>")
    (row,) = responses(await dav.ask("PROPPATCH", path, body))
    assert row.spelling == path
    return {prop.name: propstat.status for propstat in row.propstats for prop in propstat.properties}


async def shown(dav: Dav, path: str, name: str, prop: str) -> str | None:
    (row,) = await dav.propfind(path, prop)
    return row.text(name)


async def test_a_color_an_order_and_a_name_are_kept_and_shown(dav: Dav) -> None:
    path = await dav.calendar()
    told = await change(dav, path, f"{GREEN}<A:calendar-order>7</A:calendar-order><D:displayname>Mine</D:displayname>")
    assert set(told.values()) == {200}
    (row,) = await dav.propfind(path, "A:calendar-color", "A:calendar-order", "D:displayname")
    color = row.find(names.CALENDAR_COLOR)
    assert color is not None
    assert (color.text, color.attributes) == ("#00FF00FF", (("symbolic-color", "green"),))
    assert (row.text(names.CALENDAR_ORDER), row.text(names.DISPLAYNAME)) == ("7", "Mine")
    listed = {row.spelling: row.text(names.DISPLAYNAME) for row in await dav.propfind(ME, "D:displayname", depth=1)}
    assert listed[path] == "Mine"


@pytest.mark.parametrize("path", ["/", "/dav/", "/principals/", ME])
async def test_what_nobody_knows_is_kept_wherever_it_is_said(dav: Dav, path: str) -> None:
    assert set((await change(dav, path, ALARM)).values()) == {200}
    name = names.caldav("default-alarm-vevent-datetime")
    assert "TRIGGER:-PT15M" in (await shown(dav, path, name, "C:default-alarm-vevent-datetime") or "")


async def test_a_property_of_a_foreign_namespace_comes_back_as_it_was(dav: Dav) -> None:
    inner = '<x:a xmlns:x="urn:example:x" y="1"><x:b>text &amp; more</x:b><x:b/></x:a>'
    assert await change(dav, await dav.calendar(), inner) == {"{urn:example:x}a": 200}
    answer = await dav.ask("PROPFIND", await dav.calendar(), xml("D:propfind", "<D:allprop/>"), Depth="0")
    found = responses(answer)[0].find("{urn:example:x}a")
    assert found is not None
    assert found.attributes == (("y", "1"),)
    assert [child.text for child in found.children] == ["text & more", ""]


async def test_what_is_removed_is_as_its_server_has_it(dav: Dav) -> None:
    path = await dav.calendar()
    await change(dav, path, f"{GREEN}<D:displayname>Mine</D:displayname>")
    told = await change(dav, path, "<A:calendar-color/><D:displayname/><A:never/>", step="remove")
    assert set(told.values()) == {200}
    assert await shown(dav, path, names.CALENDAR_COLOR, "A:calendar-color") == "#ff2968FF"
    assert await shown(dav, path, names.DISPLAYNAME, "D:displayname") == "Work"


async def test_a_name_is_never_empty(dav: Dav) -> None:
    path = await dav.calendar()
    assert await change(dav, path, "<D:displayname/>") == {names.DISPLAYNAME: 200}
    assert await shown(dav, path, names.DISPLAYNAME, "D:displayname") == "Work"


@pytest.mark.parametrize(
    "live", ["D:getetag", "D:resourcetype", "D:sync-token", "CS:getctag", "C:supported-calendar-component-set"]
)
async def test_of_what_is_a_fact_nothing_is_changed_and_nothing_else_either(dav: Dav, live: str) -> None:
    path = await dav.calendar()
    told = await change(dav, path, f"{GREEN}<{live}>x</{live}>")
    assert sorted(status or 0 for status in told.values()) == [403, 424]
    assert told[names.CALENDAR_COLOR] == 424
    assert await shown(dav, path, names.CALENDAR_COLOR, "A:calendar-color") == "#ff2968FF"
    body = xml("D:propertyupdate", f"<D:set><D:prop><{live}/></D:prop></D:set>")
    assert "cannot-modify-protected-property" in (await dav.ask("PROPPATCH", path, body)).text


async def test_what_was_said_is_known_after_a_restart(dav: Dav, serve: Serve) -> None:
    path = await dav.calendar()
    await change(dav, path, "<D:displayname>Mine</D:displayname>")
    directory = dav.backend.directory
    again = Dav(await serve(SmallBackend(directory)), dav.token)
    assert await shown(again, path, names.DISPLAYNAME, "D:displayname") == "Mine"


async def test_who_may_only_know_when_somebody_is_busy_renames_nothing_for_others(dav: Dav) -> None:
    path, owner = f"{ME}blocked-slots/", dav.backend.token("anna", "freebusy", "details")
    await dav.backend.set_busy("anna", [])
    dav.token = dav.backend.token("anna", "freebusy")
    await change(dav, path, "<D:displayname>Hers</D:displayname>")
    assert await shown(dav, path, names.DISPLAYNAME, "D:displayname") == "Hers"
    dav.token = owner
    assert await shown(dav, path, names.DISPLAYNAME, "D:displayname") == "Busy: anna"


async def test_too_much_is_refused_as_a_whole(dav: Dav) -> None:
    path = await dav.calendar()
    long = f"<D:displayname>Mine</D:displayname><A:long>{'x' * 70_000}</A:long>"
    assert set((await change(dav, path, long)).values()) == {507}
    assert set((await change(dav, path, "".join(f"<A:p{number}/>" for number in range(600)))).values()) == {507}
    assert await shown(dav, path, names.DISPLAYNAME, "D:displayname") == "Work"


@pytest.mark.parametrize(
    "body", ["", "<D:propfind/>", "<D:propertyupdate/>", "<D:propertyupdate><D:set/></D:propertyupdate>"]
)
async def test_a_body_that_changes_nothing_is_a_bad_request(dav: Dav, body: str) -> None:
    text = body.replace("<D:", "<D:", 1).replace(">", ' xmlns:D="DAV:">', 1) if body else ""
    answer = await dav.ask("PROPPATCH", ME, text.replace('/ xmlns:D="DAV:">', ' xmlns:D="DAV:"/>'))
    assert (answer.status, answer.error) == (400, "bad-request")


async def test_a_calendar_of_another_profile_is_not_found(dav: Dav) -> None:
    body = xml("D:propertyupdate", "<D:set><D:prop><D:displayname>x</D:displayname></D:prop></D:set>")
    assert (await dav.ask("PROPPATCH", "/dav/bob/", body)).status == 404


async def test_the_answer_is_a_multistatus_and_moves_no_token(dav: Dav) -> None:
    _, token = await dav.sync()
    await change(dav, await dav.calendar(), GREEN)
    assert (await dav.sync(token)) == ({}, token)
    assert Multistatus.from_xml((await dav.ask("PROPFIND", ME, Depth="0")).body).responses
