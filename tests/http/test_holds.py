"""Holds over HTTP: given exactly when `/slots` offers the time, and ended by themselves."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from busyd.availability.hours import Hours
from busyd.period import Instant, to_rfc3339
from tests.http.conftest import Answer, Serve, Served
from tests.http.small_backend import NOW, SmallBackend, busy

PATH = "/v1/profiles/anna/holds"
WINDOW = "start=2026-11-25&end=2026-11-26"
TEN: dict[str, Any] = {"start": "2026-11-25T10:00:00Z", "duration": "1h"}


@pytest.fixture
def token(served: Served) -> str:
    return served.backend.token("anna", "book")


async def post(served: Served, token: str, body: object = None, **fields: str) -> Answer:
    return await served.ask(PATH, method="POST", token=token, body=TEN if body is None else body, **fields)


async def busy_of(served: Served) -> list[tuple[str, str]]:
    answer = await served.ask(f"/v1/profiles/anna/freebusy?{WINDOW}")
    return [(one["start"], one["end"]) for one in answer.json["busy"]]


async def test_a_hold_is_busy_for_everybody_until_it_expires(served: Served, token: str) -> None:
    made = await post(served, token, {**TEN, "ttl": "10m"})
    assert (made.status, made.json["expires"]) == (201, "2026-11-23T12:10:00Z")
    assert await busy_of(served) == [("2026-11-25T10:00:00Z", "2026-11-25T11:00:00Z")]
    again = await post(served, served.backend.token("anna", "book"))
    assert (again.status, again.error) == (409, "slot-taken")
    served.backend.clock.advance(600)
    await end_expired(served)
    assert await busy_of(served) == []
    ended = (await served.ask(made.headers["Location"], token=token)).json
    assert (ended["state"], ended["reason"]) == ("cancelled", "expired")


async def end_expired(served: Served) -> None:
    """Have the backend look for expired holds once."""
    revision = served.backend.state.revision
    task = asyncio.create_task(served.backend.holds.end_expired())
    await served.backend.state.changed_since(revision)
    task.cancel()


async def test_a_hold_that_is_given_back_is_free_again(served: Served, token: str) -> None:
    path = (await post(served, token)).headers["Location"]
    assert [hold["start"] for hold in (await served.ask(f"{PATH}?{WINDOW}", token=token)).json["holds"]]
    for _ in range(2):
        assert (await served.ask(path, method="DELETE", token=token)).status == 204
    assert await busy_of(served) == []
    assert (await served.ask(f"{PATH}?{WINDOW}", token=token)).json["holds"] == []


async def test_an_expired_hold_makes_way_for_the_next_at_once(served: Served, token: str) -> None:
    await post(served, token, {**TEN, "ttl": "1m"})
    served.backend.clock.advance(60)
    assert (await post(served, served.backend.token("anna", "book"))).status == 201


async def test_of_many_who_want_one_slot_one_gets_it(served: Served) -> None:
    tokens = [served.backend.token("anna", "book") for _ in range(8)]
    answers = await asyncio.gather(*(post(served, token) for token in tokens))
    assert sorted(answer.status for answer in answers) == [201] + 7 * [409]


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"start": "2026-11-24T09:00:00Z"}, 409, "slot-taken"),
        ({"start": "2026-11-23T13:00:00Z"}, 422, "too-soon"),
        ({"start": "2026-11-25T10:10:00Z"}, 422, "off-grid"),
        ({"start": "2026-12-24T10:00:00Z"}, 422, "too-far"),
        ({"start": "2026-11-25T18:00:00Z"}, 422, "outside-hours"),
        ({"start": "2026-11-25T15:30:00Z", "duration": "2h"}, 422, "outside-hours"),
    ],
)
async def test_a_refusal_says_why_and_what_is_open_instead(
    serve: Serve, backend: SmallBackend, body: dict[str, str], status: int, why: str
) -> None:
    hours = Hours(weekdays=(((540, 1020),),) * 7)
    backend.state.profiles["anna"].profile = replace(backend.state.profiles["anna"].profile, hours=hours)
    backend.set_slots(window=timedelta(days=30))
    await backend.set_busy("anna", [busy(21)])
    served = await serve(backend)
    refused = await post(served, backend.token("anna", "book"), body)
    assert (refused.status, refused.error) == (status, why)
    alternatives = refused.json["alternatives"]
    assert len(alternatives) == 3
    for one in alternatives:
        length = f"&duration={body['duration']}" if "duration" in body else ""
        offered = await served.ask(f"/v1/profiles/anna/slots?start={one['start']}&end={one['end']}{length}")
        assert offered.json["slots"] == [one]


async def test_a_time_that_has_passed_is_told_as_such(serve: Serve, backend: SmallBackend) -> None:
    backend.set_slots(notice=timedelta(hours=2))
    served = await serve(backend)
    for start, says, mentions_notice in (
        (NOW - 3600, "the time is in the past", False),
        (NOW + 3600, "the time is too soon", True),
    ):
        refused = await post(served, backend.token("anna", "book"), {"start": to_rfc3339(start), "duration": "30m"})
        assert (refused.status, refused.error, refused.json["detail"]) == (422, "too-soon", says)
        assert ("`slots: notice:`" in refused.json["fix"]) is mentions_notice


async def test_alternatives_are_never_in_time_of_which_something_is_not_known(served: Served, token: str) -> None:
    """An event without a readable rule may be at any time from the day after: only what is before it is offered."""
    await served.backend.set_busy("anna", [busy(48, 1)], incomplete="its rule cannot be read", since=NOW + 51 * 3600)
    refused = await post(served, token, {"start": "2026-11-25T12:00:00Z"})
    assert (refused.status, refused.error) == (409, "slot-taken")
    assert [one["start"][11:16] for one in refused.json["alternatives"]] == ["13:00", "13:30", "14:00"]


async def test_where_nothing_is_open_there_are_no_alternatives(served: Served, token: str) -> None:
    await served.backend.set_busy("anna", [busy(0, 70 * 24)])
    refused = await post(served, token)
    assert (refused.status, refused.error, refused.json["alternatives"]) == (409, "slot-taken", [])
    assert refused.json["fix"].startswith("no other time can be offered now; ")


async def test_exactly_what_slots_offers_can_be_held(served: Served) -> None:
    asked = "start=2026-11-24T06:00:00Z&end=2026-11-24T16:00:00Z"
    slots = (await served.ask(f"/v1/profiles/anna/slots?{asked}")).json["slots"]
    offered = {slot["start"] for slot in slots}
    for minute in range(0, 600, 15):
        start = to_rfc3339(Instant(NOW + 18 * 3600 + minute * 60))
        token = served.backend.token("anna", "book")
        made = await post(served, token, {"start": start})
        assert (made.status == 201) is (start in offered)
        if made.status == 201:
            await served.ask(made.headers["Location"], method="DELETE", token=token)


async def test_a_token_has_ten_holds_and_holds_nothing_again_at_once(served: Served, token: str) -> None:
    paths = []
    for hour in range(10):
        made = await post(served, token, {"start": f"2026-11-25T{8 + hour:02}:00:00Z"})
        paths.append(made.headers["Location"])
    refused = await post(served, token, {"start": "2026-11-26T10:00:00Z"})
    assert (refused.status, refused.error, refused.headers["Retry-After"]) == (429, "too-many-holds", "300")
    await served.ask(paths[0], method="DELETE", token=token)
    again = await post(served, token, {"start": "2026-11-25T08:00:00Z"})
    assert (again.status, again.error) == (429, "too-many-holds")
    assert (await post(served, token, {"start": "2026-11-26T10:00:00Z"})).status == 201
    served.backend.clock.advance(301)
    assert (await post(served, token, {"start": "2026-11-25T08:00:00Z"})).status == 201


async def test_a_hold_asked_for_twice_with_one_key_is_one(served: Served, token: str) -> None:
    answers = await asyncio.gather(*(post(served, token, Idempotency_Key="k") for _ in range(5)))
    assert {(answer.status, answer.body) for answer in answers} == {(201, answers[0].body)}


async def test_a_repeat_is_told_what_was_told_whatever_the_calendars_say_by_now(served: Served, token: str) -> None:
    first = await post(served, token, Idempotency_Key="k")
    served.backend.confirm("anna", Instant(NOW - 3600))
    served.backend.reachable = False
    again = await post(served, token, Idempotency_Key="k")
    assert (again.status, again.body) == (201, first.body)


async def test_what_is_stale_is_confirmed_first_or_nothing_is_given(served: Served, token: str) -> None:
    served.backend.confirm("anna", Instant(NOW - 3600))
    assert (await post(served, token)).status == 201
    served.backend.confirm("anna", Instant(NOW - 3600))
    served.backend.reachable = False
    refused = await post(served, token, {"start": "2026-11-25T14:00:00Z"})
    assert (refused.status, refused.error) == (503, "not-proven")
    assert "anna/Work" in refused.json["detail"]


async def test_nothing_is_given_where_an_event_may_be_at_any_time(served: Served, token: str) -> None:
    await served.backend.set_busy("anna", [], incomplete="it cannot be read")
    refused = await post(served, token)
    assert (refused.status, refused.error) == (503, "incomplete")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"start": "soon"},
        {**TEN, "end": "2026-11-25T11:00:00Z"},
        {**TEN, "duration": "0m"},
        {**TEN, "duration": "1001d"},
        {**TEN, "ttl": "61m"},
        {**TEN, "ttl": "59s"},
        {"start": TEN["start"], "end": TEN["start"]},
        {**TEN, "guests": []},
    ],
)
async def test_what_makes_no_sense_is_refused(served: Served, token: str, body: object) -> None:
    refused = await post(served, token, body)
    assert (refused.status, refused.error) == (422, "invalid")


async def test_holds_are_for_who_may_book_and_has_calendars(served: Served) -> None:
    assert (await post(served, "")).status == 401
    assert (await post(served, served.backend.token("anna", "freebusy", "details"))).status == 403
    nobody = served.backend.token("nobody", "book")
    refused = await served.ask("/v1/profiles/nobody/holds", method="POST", token=nobody, body=TEN)
    assert (refused.status, refused.error) == (409, "unconfigured")
    path = (await post(served, served.backend.token("anna", "book"))).headers["Location"]
    other = served.backend.token("anna", "book")
    assert (await served.ask(path, token=other)).status == 404
    assert (await served.ask(path, method="DELETE", token=other)).status == 404
    block = served.backend.token("anna", "book", "details")
    assert (await served.ask(path.replace("holds", "blocks"), token=block)).status == 404


async def test_a_time_that_ends_after_the_year_9999_is_refused(serve: Serve) -> None:
    served = await serve()
    token = served.backend.token("anna", "book")
    for kind in ("holds", "appointments"):
        answer = await served.ask(
            f"/v1/profiles/anna/{kind}",
            method="POST",
            token=token,
            body={"start": "9999-12-31T23:59:59Z", "duration": "30m", **({"summary": "x"} if kind != "holds" else {})},
            **{"Idempotency-Key": "k"},
        )
        assert (answer.status, answer.error) == (422, "invalid")
        assert "beyond the year 9999" in answer.json["detail"]
