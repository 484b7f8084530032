"""free-busy-query (RFC 4791 §7.10): the same answer as /freebusy gives, by the same engine."""

import pytest
from msgspec.structs import replace

from busyd.dav import names
from busyd.dav.xml import parse_xml
from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState, calendar_key
from tests.http.caldav.conftest import HOME, ME, Dav, event
from tests.http.conftest import Answer
from tests.http.small_backend import DAY, NOW, busy

WINDOW = 'start="20261124T000000Z" end="20261125T000000Z"'


async def ask(dav: Dav, path: str = ME, window: str = WINDOW) -> Answer:
    return await dav.report(path, "C:free-busy-query", f"<C:time-range {window}/>")


def periods(answer: Answer) -> list[str]:
    lines = [line for line in answer.text.splitlines() if line.startswith("FREEBUSY;FBTYPE=")]
    return [line.removeprefix("FREEBUSY;FBTYPE=") for line in lines]


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


async def test_a_calendar_alone_has_its_own_time_and_no_other_ones(dav: Dav) -> None:
    await dav.put("c.ics", event("c", start="20261124T230000Z", end="20261125T010000Z"))
    await dav.backend.store_object(2, "/bob/calendars/2/d.ics", event("d", start="20261124T120000Z", end=""))
    answer = await ask(dav, await dav.calendar())
    assert answer.status == 200
    assert periods(answer) == ["BUSY:20261124T090000Z/20261124T100000Z", "BUSY:20261124T230000Z/20261125T000000Z"]


async def test_a_calendar_that_does_not_count_for_the_profile_answers_all_the_same(dav: Dav) -> None:
    profile_state = dav.backend.state.profiles["anna"]
    profile_state.links = tuple(replace(link, blocks=False) for link in profile_state.links)
    dav.backend.state.publish(profile="anna")
    assert periods(await ask(dav, await dav.calendar())) == ["BUSY:20261124T090000Z/20261124T100000Z"]


async def test_what_recurs_in_a_calendar_is_found_beyond_the_horizon_too(dav: Dav) -> None:
    await dav.put("series.ics", event("series", "RRULE:FREQ=YEARLY"))
    far = 'start="20361124T000000Z" end="20361125T000000Z"'
    assert periods(await ask(dav, await dav.calendar(), far)) == ["BUSY:20361124T090000Z/20361124T100000Z"]


async def test_a_calendar_alone_that_was_never_read_is_not_free(dav: Dav) -> None:
    dav.backend.confirm("anna", None)
    answer = await ask(dav, await dav.calendar(), 'start="20261125T000000Z" end="20261126T000000Z"')
    assert periods(answer) == ["BUSY-UNAVAILABLE:20261125T000000Z/20261126T000000Z"]


async def test_what_busyd_is_writing_to_a_calendar_counts_there_before_it_is_read_back(dav: Dav) -> None:
    span = Period(Instant(NOW + DAY), Instant(NOW + DAY + 3600))
    for number, calendar in (("here", calendar_key("anna", HOME)), ("hold", "")):
        row = Booking(number, BookingKind.APPOINTMENT, "anna", BookingState.SENDING, span, NOW, calendar=calendar)
        dav.backend.state.own.take([row])
        span = Period(span.end, Instant(span.end + 3600))
    found = periods(await ask(dav, await dav.calendar()))
    assert found == ["BUSY:20261124T090000Z/20261124T100000Z", "BUSY:20261124T120000Z/20261124T130000Z"]


async def test_whoever_may_read_a_calendar_may_ask_when_it_is_busy_and_nobody_else(dav: Dav) -> None:
    path = await dav.calendar()
    dav.token = dav.backend.token("anna", "details")
    (row,) = await dav.propfind(path, "D:supported-report-set")
    assert "free-busy-query" in repr(row)
    assert (await ask(dav, path)).status == 200
    dav.token = dav.backend.token("anna", "freebusy")
    assert (await ask(dav, path)).status == 404


async def test_an_event_has_no_such_report(dav: Dav) -> None:
    answer = await ask(dav, f"{await dav.calendar()}a.ics")
    assert (answer.status, parse_xml(answer.body)[0].tag) == (403, names.SUPPORTED_REPORT)


@pytest.mark.parametrize("window", ["", 'start="20261124T000000Z"', 'end="20261124T000000Z"', 'start="x" end="y"'])
async def test_a_window_that_is_not_closed_is_refused(dav: Dav, window: str) -> None:
    answer = await ask(dav, window=window)
    assert (answer.status, parse_xml(answer.body)[0].tag) == (403, names.VALID_FILTER)


async def test_a_window_of_more_than_a_thousand_days_is_refused(dav: Dav) -> None:
    answer = await ask(dav, window='start="20261124T000000Z" end="20301124T000000Z"')
    assert (answer.status, answer.error) == (400, "bad-window")
