"""What is asked again and again is answered from memory, and never longer than it is true."""

from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from busyd.dav import names
from busyd.dav.multistatus import Multistatus
from busyd.flow.collections import Collections
from tests.http.caldav.conftest import GETETAG, ME, Dav, event, responses, xml
from tests.http.small_backend import busy

ASKED = xml("D:propfind", "<D:prop><D:sync-token/><D:displayname/></D:prop>")


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The profiles whose collections the store was asked for."""
    asked: list[str] = []
    original = Collections.of

    async def noted(self: Collections, profile: str) -> object:
        asked.append(profile)
        return await original(self, profile)

    monkeypatch.setattr(Collections, "of", noted)
    return asked


async def poll(dav: Dav, path: str, **fields: str) -> bytes:
    answer = await dav.ask("PROPFIND", path, ASKED, Depth=fields.pop("depth", "0"), **fields)
    assert answer.status == 207
    return answer.body


async def test_the_same_question_is_not_answered_anew_while_nothing_changes(dav: Dav, asked_for: list[str]) -> None:
    path, (_, token) = await dav.calendar(), await dav.sync()
    body = f"<D:sync-token>{token}</D:sync-token>{GETETAG}"
    first = await dav.report(path, "D:sync-collection", body)
    asked_for.clear()
    for _ in range(50):
        again = await dav.report(path, "D:sync-collection", body)
        assert (again.status, again.body) == (207, first.body)
        fields = {name: value for name, value in again.headers.items() if name != "Date"}
        assert fields == {name: value for name, value in first.headers.items() if name != "Date"}
    assert asked_for == []


async def new_object(dav: Dav) -> None:
    await dav.put("new.ics", event("new"))


async def changed_object(dav: Dav) -> None:
    await dav.put("a.ics", event("a", "SUMMARY:Other"))


async def removed_object(dav: Dav) -> None:
    await dav.remove("a.ics")


async def renamed_calendar(dav: Dav) -> None:
    record = dav.backend.state.calendars[1]
    dav.backend.state.calendars[1] = replace(record, remote=replace(record.remote, name="Other"))


async def named_by_an_app(dav: Dav) -> None:
    body = xml("D:propertyupdate", "<D:set><D:prop><D:displayname>Mine</D:displayname></D:prop></D:set>")
    await dav.ask("PROPPATCH", await dav.calendar(), body)


@pytest.mark.parametrize("change", [new_object, changed_object, removed_object, renamed_calendar, named_by_an_app])
async def test_every_change_is_in_the_next_answer(dav: Dav, change: Callable[[Dav], Awaitable[None]]) -> None:
    path = await dav.calendar()
    before = await poll(dav, path)
    assert await poll(dav, path) == before
    await change(dav)
    assert await poll(dav, path) != before


async def test_busy_time_that_changes_is_in_the_next_answer_of_the_blocked_slots(dav: Dav) -> None:
    await dav.backend.set_busy("anna", [busy(21)])
    path = f"{ME}blocked-slots/"
    before = await poll(dav, path)
    await dav.backend.set_busy("anna", [busy(22)])
    assert await poll(dav, path) != before


async def test_who_may_not_ask_is_not_answered_from_memory(dav: Dav) -> None:
    path = await dav.calendar()
    await poll(dav, path)
    dav.backend.command_line.revoke_token(dav.token.split("_")[1])
    assert (await dav.ask("PROPFIND", path, ASKED, Depth="0")).status == 401
    dav.token = dav.backend.token("anna", "freebusy")
    assert (await dav.ask("PROPFIND", path, ASKED, Depth="0")).status == 404
    dav.token = dav.backend.token("bob", "details")
    assert (await dav.ask("PROPFIND", path, ASKED, Depth="0")).status == 404


async def test_questions_that_differ_in_a_field_differ_in_their_answers(dav: Dav) -> None:
    path = await dav.calendar()
    assert len(Multistatus.from_xml(await poll(dav, path)).responses) == 1
    assert len(Multistatus.from_xml(await poll(dav, path, depth="1")).responses) == 3
    body = xml("D:propfind", "<D:prop><D:quota/></D:prop>")
    plain = responses(await dav.ask("PROPFIND", path, body, Depth="0"))
    minimal = responses(await dav.ask("PROPFIND", path, body, Depth="0", Brief="t"))
    assert [row.propstats[0].status for row in (*plain, *minimal)] == [404, 200]
    assert plain[0].propstats[0].properties[0].name == names.dav("quota")
