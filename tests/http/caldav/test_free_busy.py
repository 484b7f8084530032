"""free-busy-query (RFC 4791 §7.10): the same answer as /freebusy gives, by the same engine."""

import pytest

from busyd.dav import names
from busyd.dav.xml import parse_xml
from tests.http.caldav.conftest import ME, Dav
from tests.http.conftest import Answer
from tests.http.small_backend import busy

WINDOW = 'start="20261124T000000Z" end="20261125T000000Z"'


async def ask(dav: Dav, path: str = ME, window: str = WINDOW) -> Answer:
    return await dav.report(path, "C:free-busy-query", f"<C:time-range {window}/>")


async def test_the_answer_is_that_of_freebusy(dav: Dav) -> None:
    await dav.backend.set_busy("anna", [busy(21), busy(24, 2)])
    answer = await ask(dav)
    plain = await dav.served.ask("/v1/profiles/anna/freebusy.ifb?start=2026-11-24T00:00:00Z&end=2026-11-25T00:00:00Z")
    assert (answer.status, answer.body) == (200, plain.body)
    assert answer.text.count("FREEBUSY;FBTYPE=BUSY:") == 2
    assert answer.headers["Content-Type"] == plain.headers["Content-Type"]


async def test_the_calendar_of_blocked_slots_has_the_same_answer(dav: Dav) -> None:
    await dav.backend.set_busy("anna", [busy(21), busy(24, 2)])
    assert (await ask(dav, f"{ME}blocked-slots/")).body == (await ask(dav)).body


async def test_a_calendar_that_was_never_read_is_not_free(dav: Dav) -> None:
    dav.backend.confirm("anna", None)
    answer = await ask(dav, window='start="20261125T000000Z" end="20261126T000000Z"')
    assert "FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20261125T000000Z/20261126T000000Z" in answer.text


async def test_a_token_for_free_busy_is_enough_and_one_without_it_is_not(dav: Dav) -> None:
    await dav.backend.set_busy("anna", [busy(21)])
    dav.token = dav.backend.token("anna", "freebusy")
    assert (await ask(dav)).status == 200
    dav.token = dav.backend.token("anna", "details")
    assert (await ask(dav)).status == 403


async def test_another_profile_is_not_found(dav: Dav) -> None:
    assert (await ask(dav, "/dav/bob/")).status == 404


async def test_a_profile_without_calendars_is_not_free(dav: Dav) -> None:
    dav.token = dav.backend.token("nobody", "freebusy")
    answer = await ask(dav, "/dav/nobody/")
    assert (answer.status, answer.error) == (409, "unconfigured")


async def test_no_calendar_has_the_report_for_itself_alone(dav: Dav) -> None:
    answer = await ask(dav, await dav.calendar())
    assert (answer.status, parse_xml(answer.body)[0].tag) == (403, names.SUPPORTED_REPORT)


@pytest.mark.parametrize("window", ["", 'start="20261124T000000Z"', 'end="20261124T000000Z"', 'start="x" end="y"'])
async def test_a_window_that_is_not_closed_is_refused(dav: Dav, window: str) -> None:
    answer = await ask(dav, window=window)
    assert (answer.status, parse_xml(answer.body)[0].tag) == (403, names.VALID_FILTER)


async def test_a_window_of_more_than_a_thousand_days_is_refused(dav: Dav) -> None:
    answer = await ask(dav, window='start="20261124T000000Z" end="20301124T000000Z"')
    assert (answer.status, answer.error) == (400, "bad-window")
