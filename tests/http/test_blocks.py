"""Blocks over HTTP: exactly once, busy from the answer on, and only for who may."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http.conftest import Answer, Serve, Served
from tests.http.small_backend import SmallBackend, busy

PATH = "/v1/profiles/anna/blocks"
TEN: dict[str, Any] = {"start": "2026-11-25T10:00:00Z", "end": "2026-11-25T11:00:00Z"}
WINDOW = "start=2026-11-25&end=2026-11-26"


@pytest.fixture
def token(served: Served) -> str:
    return served.backend.token("anna", "book")


async def post(served: Served, token: str, body: object = None, **fields: str) -> Answer:
    return await served.ask(PATH, method="POST", token=token, body=TEN if body is None else body, **fields)


async def busy_of(served: Served, profile: str = "anna") -> list[tuple[str, str, str]]:
    answer = await served.ask(f"/v1/profiles/{profile}/freebusy?{WINDOW}")
    return [(one["start"], one["end"], one["type"]) for one in answer.json["busy"]]


async def test_a_block_is_busy_in_every_answer_as_soon_as_it_is_told(served: Served, token: str) -> None:
    feed = served.backend.token("anna")
    made = await post(served, token, {**TEN, "summary": "Dentist"})
    assert made.status == 201
    told = made.json
    assert {name: told[name] for name in ("start", "end", "type", "summary", "state", "write")} == {
        **TEN, "type": "BUSY", "summary": "Dentist", "state": "booked", "write": False,
    }  # fmt: skip
    assert made.headers["Location"] == f"{PATH}/{told['id']}"
    assert await busy_of(served) == [(TEN["start"], TEN["end"], "BUSY")]
    slots = await served.ask(f"/v1/profiles/anna/slots?{WINDOW}&duration=1h&step=1h")
    assert TEN["start"] not in [slot["start"] for slot in slots.json["slots"]]
    calendar = await served.ask(f"/feeds/{feed}.ics")
    assert "DTSTART:20261125T100000Z" in calendar.text
    assert "Dentist" not in calendar.text


async def test_dates_are_midnights_in_the_zone_of_the_profile(served: Served, token: str) -> None:
    made = await post(served, token, {"start": "2026-11-25", "end": "2026-11-26", "type": "BUSY-UNAVAILABLE"})
    assert (made.json["start"], made.json["end"]) == ("2026-11-24T23:00:00Z", "2026-11-25T23:00:00Z")
    assert await busy_of(served) == [("2026-11-24T23:00:00Z", "2026-11-25T23:00:00Z", "BUSY-UNAVAILABLE")]


async def test_a_block_is_as_long_as_its_duration_says(served: Served, token: str) -> None:
    made = await post(served, token, {"start": "2026-11-25", "duration": "1h30m"})
    assert (made.json["start"], made.json["end"]) == ("2026-11-24T23:00:00Z", "2026-11-25T00:30:00Z")
    for wrong in ({"start": TEN["start"]}, {**TEN, "duration": "1h"}, {"start": TEN["start"], "duration": "0m"}):
        refused = await post(served, token, wrong)
        assert (refused.status, refused.error) == (422, "invalid")
        assert "duration" in refused.json["detail"]


async def test_a_block_that_is_removed_is_free_again_and_can_still_be_seen(served: Served, token: str) -> None:
    path = (await post(served, token)).headers["Location"]
    assert [block["start"] for block in (await served.ask(f"{PATH}?{WINDOW}", token=token)).json["blocks"]]
    for _ in range(2):
        assert (await served.ask(f"{path}?reason=done", method="DELETE", token=token)).status == 204
    assert await busy_of(served) == []
    assert (await served.ask(path, token=token)).json["state"] == "cancelled"
    assert (await served.ask(f"{PATH}?{WINDOW}", token=token)).json["blocks"] == []
    assert (await served.ask(path, method="PATCH", token=token, body={"summary": "x"})).error == "unknown-booking"


async def test_a_block_is_moved_and_renamed(served: Served, token: str) -> None:
    path = (await post(served, token)).headers["Location"]
    moved = await served.ask(path, method="PATCH", token=token, body={"end": "2026-11-25T12:00:00Z", "summary": "x"})
    assert (moved.status, moved.json["start"], moved.json["end"]) == (200, TEN["start"], "2026-11-25T12:00:00Z")
    assert await busy_of(served) == [(TEN["start"], "2026-11-25T12:00:00Z", "BUSY")]
    refused = await served.ask(path, method="PATCH", token=token, body={"end": "2026-11-25T09:00:00Z"})
    assert (refused.status, refused.error) == (422, "invalid")
    assert (await served.ask(path, token=token)).json == moved.json


async def test_the_same_request_with_the_same_key_is_done_once(served: Served, token: str) -> None:
    first = await post(served, token, Idempotency_Key="k1")
    again = await asyncio.gather(*(post(served, token, Idempotency_Key='"k1"') for _ in range(5)))
    assert {answer.body for answer in again} == {first.body}
    assert {answer.headers["Location"] for answer in again} == {first.headers["Location"]}
    spelled = {"end": TEN["end"], "start": TEN["start"]}
    assert (await post(served, token, spelled, Idempotency_Key="k1")).body == first.body
    assert len((await served.ask(f"{PATH}?{WINDOW}", token=token)).json["blocks"]) == 1
    other = await post(served, token, {**TEN, "summary": "x"}, Idempotency_Key="k1")
    assert (other.status, other.error) == (422, "idempotency-mismatch")


async def test_a_key_keeps_its_answer_over_a_change(served: Served, token: str) -> None:
    first = await post(served, token, Idempotency_Key="k1")
    await served.ask(first.headers["Location"], method="DELETE", token=token)
    again = await post(served, token, Idempotency_Key="k1")
    assert (again.status, again.body) == (201, first.body)
    assert await busy_of(served) == []


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, '"', '"a\\b"'])
async def test_a_key_that_cannot_be_used_is_refused(served: Served, token: str, key: str) -> None:
    assert (await post(served, token, Idempotency_Key=key)).status == 400
    assert await busy_of(served) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"start": TEN["start"]}, 422),
        ({**TEN, "end": TEN["start"]}, 422),
        ({**TEN, "end": "tomorrow"}, 422),
        ({**TEN, "end": "2036-11-25"}, 422),
        ({**TEN, "type": "FREE"}, 422),
        ({**TEN, "sumary": "x"}, 422),
        ({**TEN, "summary": "x" * 1001}, 422),
        ([1], 422),
    ],
)
async def test_what_cannot_be_done_is_refused_with_what_to_do(
    served: Served, token: str, body: object, status: int
) -> None:
    refused = await post(served, token, body)
    assert (refused.status, refused.error) == (status, "invalid")
    assert await busy_of(served) == []


async def test_who_has_no_token_for_it_makes_and_sees_no_blocks(served: Served, token: str) -> None:
    assert (await post(served, "")).status == 401
    assert (await post(served, served.backend.token("anna", "freebusy", "details"))).status == 403
    assert (await post(served, served.backend.token("bob", "book"))).status == 404
    path = (await post(served, token)).headers["Location"]
    other, full = served.backend.token("anna", "book"), served.backend.token("anna", "book", "details")
    for method in ("GET", "PATCH", "DELETE"):
        body = {"summary": "x"} if method == "PATCH" else None
        assert (await served.ask(path, method=method, token=other, body=body)).status == 404
    assert (await served.ask(f"{PATH}?{WINDOW}", token=other)).json["blocks"] == []
    assert (await served.ask(path, token=full)).status == 200
    elsewhere = path.replace("anna", "bob")
    assert (await served.ask(elsewhere, token=served.backend.token("*", "book", "admin"))).status == 404


async def test_a_block_of_one_person_is_not_anothers(served: Served, token: str) -> None:
    await post(served, token)
    assert await busy_of(served, "bob") == []


async def test_blocks_survive_a_restart(serve: Serve, tmp_path: Path) -> None:
    backend = SmallBackend(tmp_path)
    await backend.set_busy("anna", [])
    served = await serve(backend)
    token = backend.token("anna", "book")
    first = await post(served, token, Idempotency_Key="k1")
    again = SmallBackend(tmp_path)
    again.state.own.take(await again.ledger.outbox(lambda outbox: outbox.unsettled(again.clock.now())))
    await again.set_busy("anna", [busy(20)])
    restarted = await serve(again)
    assert (TEN["start"], TEN["end"], "BUSY") in await busy_of(restarted)
    assert (await post(restarted, token, Idempotency_Key="k1")).body == first.body


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(
    st.sampled_from(["start", "end", "summary", "type", "write", "other"]),
    JSON | st.sampled_from(["now", "+1h", "2026-11-25", TEN["start"], TEN["end"], "BUSY", "9999-12-31", "0001-01-01"]),
)


async def test_no_body_gets_an_answer_of_the_wrong_kind(served: Served, token: str) -> None:
    bodies: list[bytes] = []

    @settings(max_examples=500, database=None)
    @given(body=st.binary(max_size=40) | (JSON | FIELDS).map(msgspec.json.encode))
    def collect(body: bytes) -> None:
        bodies.append(body)

    collect()
    url, headers = f"http://127.0.0.1:{served.port}{PATH}", {"Authorization": f"Bearer {token}"}
    for body in bodies:
        fields = {**headers, "Content-Type": "application/json"}
        async with served.session.post(url, data=body, headers=fields) as response:
            assert response.status in {201, 400, 422}, body
