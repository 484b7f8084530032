"""The log of changes over HTTP: streams that lose nothing and tell nothing twice, and pages."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from busyd.http import changes, streams
from busyd.http.settings import Limits
from busyd.period import Instant
from busyd.store.changes import ChangeEvent, NewEntry, ToldState
from tests.http.conftest import Serve, Served
from tests.http.small_backend import NOW, SmallBackend, busy
from tests.http.test_connections import until

DAY = 86_400
Event = tuple[str, str, Any]
"""(id, type, data): an id without data has neither type nor data."""


def entry(number: int, profile: str = "anna", *, event: ChangeEvent = ChangeEvent.BUSY) -> NewEntry:
    return NewEntry(event, frozenset({profile}), json.dumps({"n": number, "profile": profile}).encode())


async def write(backend: SmallBackend, *entries: NewEntry, at: int = NOW) -> None:
    await backend.log.append(entries, ToldState(), now=Instant(at))


@asynccontextmanager
async def stream(
    served: Served, token: str, *, path: str = "/v1/profiles/anna/changes", last: str | None = None
) -> AsyncIterator[AsyncIterator[Event]]:
    """Follow, as an EventSource would; `last` is the Last-Event-ID."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    if last is not None:
        headers["Last-Event-ID"] = last
    async with served.session.get(f"http://127.0.0.1:{served.port}{path}", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Cache-Control"] == "no-store"
        yield _events(response)


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(": ")
            assert name in {"id", "event", "data", "retry"}
            fields[name] = value
        else:
            yield fields.get("id", ""), fields.get("event", ""), json.loads(fields.get("data", "null"))
            fields = {}


async def next_change(events: AsyncIterator[Event]) -> Event:
    """The next event that is neither a heartbeat nor the id to begin with."""
    async for event in events:
        if event[1] not in ("", "heartbeat"):
            return event
    raise AssertionError("the stream ended")


async def test_a_change_reaches_a_stream_with_its_number(serve: Serve) -> None:
    served = await serve()
    async with stream(served, served.backend.token("anna")) as events:
        assert await anext(events) == ("0", "", None)
        await write(served.backend, entry(1), entry(2, event=ChangeEvent.FREE))
        assert await next_change(events) == ("1", "busy", {"n": 1, "profile": "anna"})
        assert await next_change(events) == ("2", "free", {"n": 2, "profile": "anna"})


async def test_a_stream_begins_with_a_heartbeat_that_says_how_old_the_calendars_are(serve: Serve) -> None:
    served = await serve()
    async with stream(served, served.backend.token("anna")) as events:
        await anext(events)
        assert await anext(events) == ("", "heartbeat", {"as_of": "2026-11-23T12:00:00Z", "stale": False})


async def test_heartbeats_go_on_and_carry_the_id_past_what_others_were_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "HEARTBEAT_SECONDS", 0.01)
    served = await serve()
    async with stream(served, served.backend.token("anna")) as events:
        await write(served.backend, entry(1, "bob"))
        seen = [await anext(events) for _ in range(8)]
    assert [number for number, event, _ in seen if not event] == ["0", "1"]
    assert sum(event == "heartbeat" for _, event, _ in seen) == 6


async def test_a_client_that_comes_back_gets_what_it_missed(serve: Serve) -> None:
    served = await serve()
    await write(served.backend, *(entry(number) for number in range(1, 6)))
    token = served.backend.token("anna")
    async with stream(served, token, last="3") as events:
        assert [(await next_change(events))[0] for _ in range(2)] == ["4", "5"]
    async with stream(served, token, path="/v1/profiles/anna/changes?last_event_id=4") as events:
        assert (await next_change(events))[0] == "5"


async def test_the_header_is_newer_than_the_address(serve: Serve) -> None:
    served = await serve()
    await write(served.backend, *(entry(number) for number in range(1, 6)))
    token = served.backend.token("anna")
    async with stream(served, token, path="/v1/profiles/anna/changes?last_event_id=0", last="4") as events:
        assert (await next_change(events))[0] == "5"


@pytest.mark.parametrize("last", ["7", "-1", "none of ours", "9" * 30])
async def test_an_id_that_cannot_be_gone_on_from_is_answered_with_reset(serve: Serve, last: str) -> None:
    served = await serve()
    await write(served.backend, entry(1), entry(2))
    async with stream(served, served.backend.token("anna"), last=last) as events:
        assert await next_change(events) == ("2", "reset", {})
        await write(served.backend, entry(3))
        assert (await next_change(events))[0] == "3"


async def test_what_is_no_longer_kept_is_answered_with_reset(serve: Serve) -> None:
    served = await serve()
    await write(served.backend, entry(1), entry(2))
    await write(served.backend, entry(3), at=NOW + 40 * DAY)
    async with stream(served, served.backend.token("anna"), last="1") as events:
        assert await next_change(events) == ("3", "reset", {})


async def test_one_stream_tells_of_several_profiles_and_of_no_other(serve: Serve) -> None:
    served = await serve()
    async with stream(served, served.backend.token("*"), path="/v1/changes?profiles=anna,nobody") as events:
        await write(served.backend, entry(1, "bob"), entry(2, "anna"), entry(3, "nobody"))
        assert [(await next_change(events))[0] for _ in range(2)] == ["2", "3"]


async def test_without_names_a_token_follows_all_that_it_may_see(serve: Serve) -> None:
    served = await serve()
    everybody, bob = served.backend.token("*"), served.backend.token("bob")
    async with stream(served, everybody, path="/v1/changes") as all_events:
        async with stream(served, bob, path="/v1/changes") as events:
            await write(served.backend, entry(1, "anna"), entry(2, "bob"))
            assert (await next_change(events))[0] == "2"
        assert [(await next_change(all_events))[0] for _ in range(2)] == ["1", "2"]


async def test_a_token_of_one_profile_may_not_follow_another(serve: Serve) -> None:
    served = await serve()
    token = served.backend.token("bob")
    assert (await served.ask("/v1/profiles/anna/changes", token=token)).error == "unknown-profile"
    assert (await served.ask("/v1/changes?profiles=bob,anna", token=token)).error == "unknown-profile"
    assert (await served.ask("/v1/changes?profiles=", token=token)).status == 400


async def test_without_a_token_nobody_follows_not_even_from_this_machine(serve: Serve) -> None:
    served = await serve()
    assert (await served.ask("/v1/profiles/anna/changes")).status == 401


async def test_how_connections_fare_is_told_to_those_who_may_know(serve: Serve) -> None:
    served = await serve()
    backend = served.backend
    await write(backend, entry(1, event=ChangeEvent.CONNECTION), entry(2))
    for scopes, expected in ((("freebusy",), ["2"]), (("admin",), ["1"]), (("details",), ["1", "2"])):
        answer = await served.ask("/v1/profiles/anna/changes", token=backend.token("anna", *scopes), Accept=JSON)
        assert [str(one["id"]) for one in answer.json["changes"]] == expected
    scraping = backend.token("anna", "metrics")
    assert (await served.ask("/v1/profiles/anna/changes", token=scraping)).error == "missing-scope"


async def test_appointments_are_told_to_those_who_asked_for_them_or_see_details(serve: Serve) -> None:
    served = await serve()
    backend = served.backend
    booking, other = backend.token("anna", "book"), backend.token("anna", "book", "freebusy")
    mine = entry(1, event=ChangeEvent.APPOINTMENT)
    await write(backend, NewEntry(mine.event, mine.profiles, mine.body, token=booking.split("_")[1]), entry(2))
    seeing = backend.token("anna", "details")
    for token, expected in ((booking, ["1"]), (other, ["2"]), (seeing, ["1", "2"])):
        answer = await served.ask("/v1/profiles/anna/changes", token=token, Accept=JSON)
        assert [str(one["id"]) for one in answer.json["changes"]] == expected


async def test_a_stream_ends_when_its_token_is_revoked(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "TOKENS_ARE_CHECKED_EVERY", 0.01)
    served = await serve()
    text, other = served.backend.token("anna"), served.backend.token("anna")
    async with stream(served, text) as events, stream(served, other) as others:
        await anext(events)
        assert served.backend.command_line.revoke_token(text.split("_")[1])
        assert [event async for event in events][-1][1] == "heartbeat"
        await write(served.backend, entry(1))
        assert (await next_change(others))[0] == "1"
    assert (await served.ask("/v1/profiles/anna/changes", token=text)).status == 401


async def test_a_stream_ends_when_its_token_expires(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "TOKENS_ARE_CHECKED_EVERY", 0.01)
    served = await serve()
    async with stream(served, served.backend.token("anna", expires=Instant(NOW + 60))) as events:
        served.backend.clock.advance(61)
        assert [event async for event in events]


async def test_a_stop_does_not_wait_for_streams(serve: Serve) -> None:
    served = await serve()
    async with stream(served, served.backend.token("anna")) as events:
        await anext(events)
        await served.listeners.close(grace=3600)
        assert [event async for event in events][-1][1] == "heartbeat"


async def test_streams_take_no_place_from_those_who_ask(serve: Serve) -> None:
    served = await serve(limits=Limits(connections=4, reserve=1))
    token = served.backend.token("anna")
    waiting = [stream(served, token) for _ in range(12)]
    for one in waiting:
        await anext(await one.__aenter__())
    assert len(served.endpoint.gate.streams) == 12
    answers = await asyncio.gather(*(served.ask("/v1/profiles/anna/freebusy") for _ in range(3)))
    assert {answer.status for answer in answers} == {200}
    for one in waiting:
        await one.__aexit__(None, None, None)
    await until(lambda: not served.endpoint.gate.streams)


async def test_a_token_has_so_many_streams_and_no_more(serve: Serve) -> None:
    served = await serve(limits=Limits(streams_of_token=2))
    token, other = served.backend.token("anna"), served.backend.token("anna")
    async with stream(served, token) as one, stream(served, token) as two:
        await anext(one)
        await anext(two)
        refused = await served.ask("/v1/profiles/anna/changes", token=token)
        assert (refused.status, refused.error) == (429, "too-many-streams")
        assert refused.headers["Retry-After"]
        async with stream(served, other) as three:
            await anext(three)


async def test_all_tokens_together_have_so_many_streams(serve: Serve) -> None:
    served = await serve(limits=Limits(streams=1))
    async with stream(served, served.backend.token("anna")) as one:
        await anext(one)
        refused = await served.ask("/v1/profiles/bob/changes", token=served.backend.token("bob"))
    assert refused.error == "too-many-streams"


async def test_head_is_answered_and_leaves_no_stream_open(serve: Serve) -> None:
    served = await serve()
    answer = await served.ask("/v1/profiles/anna/changes", method="HEAD", token=served.backend.token("anna"))
    assert (answer.status, answer.body) == (200, b"")
    assert not served.endpoint.gate.streams


async def test_a_page_of_another_origin_may_follow_where_that_is_configured(serve: Serve) -> None:
    served = await serve(cors=("https://booking.example.org",))
    token = served.backend.token("anna")
    headers = {"Authorization": f"Bearer {token}", "Origin": "https://booking.example.org"}
    url = f"http://127.0.0.1:{served.port}/v1/profiles/anna/changes"
    async with served.session.get(url, headers=headers) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "https://booking.example.org"
    asked = await served.ask("/v1/changes", method="OPTIONS", Origin="https://booking.example.org")
    assert "Last-Event-ID" in asked.headers["Access-Control-Allow-Headers"]


JSON = "application/json"


async def test_a_page_of_json_goes_on_where_the_last_one_ended(serve: Serve) -> None:
    served = await serve()
    token, path = served.backend.token("anna"), "/v1/profiles/anna/changes"
    for number in range(1, 8):
        await write(served.backend, entry(number), entry(number, "bob"))
    found, last = [], 0
    for _ in range(3):
        page = (await served.ask(f"{path}?limit=3&last_event_id={last}", token=token, Accept=JSON)).json
        found += [one["data"]["n"] for one in page["changes"]]
        last = page["last_event_id"]
    assert found == [1, 2, 3, 4, 5, 6, 7]
    assert last == 14
    newest = (await served.ask(f"{path}?limit=2", token=token, Accept=JSON)).json
    assert [one["data"]["n"] for one in newest["changes"]] == [6, 7]
    assert newest["last_event_id"] == 14


async def test_a_page_after_what_is_gone_says_so(serve: Serve) -> None:
    served = await serve()
    await write(served.backend, entry(1))
    answer = await served.ask("/v1/changes?last_event_id=77", token=served.backend.token("*"), Accept=JSON)
    assert answer.json == {"changes": [], "last_event_id": 1, "reset": True}


@pytest.mark.parametrize("limit", ["0", "1001", "many", "-3"])
async def test_a_bad_limit_is_refused(serve: Serve, limit: str) -> None:
    served = await serve()
    path = f"/v1/changes?limit={limit}"
    assert (await served.ask(path, token=served.backend.token("*"), Accept=JSON)).status == 400


async def test_reconnecting_at_random_loses_nothing_and_doubles_nothing(serve: Serve) -> None:
    served, dice = await serve(), random.Random(14)
    token, count = served.backend.token("anna"), 300
    got: list[str] = []

    async def produce() -> None:
        for number in range(count):
            await write(served.backend, entry(number, dice.choice(["anna", "bob"])))
            await asyncio.sleep(0)
        await write(served.backend, entry(count))

    producing = asyncio.create_task(produce())
    last: str | None = "0"
    while not got or got[-1] != str(count + 1):
        async with stream(served, token, last=last) as events:
            left = dice.randrange(1, 6)
            async for number, event, _ in events:
                if event in ("busy", "free"):
                    got.append(number)
                    last, left = number, left - 1
                if not left or number == str(count + 1):
                    break
    await producing
    mine = await served.backend.log.last_entries(lambda one: "anna" in one.change.profiles, count + 1)
    assert got == [str(one.number) for one in mine]


async def test_a_stream_of_a_profile_that_is_taken_out_of_the_configuration_ends(serve: Serve) -> None:
    served = await serve()
    await served.backend.set_busy("anna", [busy(1)])
    async with stream(served, served.backend.token("anna")) as events:
        await anext(events)
        del served.backend.state.profiles["anna"]
        await write(served.backend, entry(1, "bob"))
        assert [event async for event in events][-1][1] == "heartbeat"
