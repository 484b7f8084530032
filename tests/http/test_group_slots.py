"""`/v1/slots`: slots of several people together; each is free exactly when the slots of that person have it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from busyd.availability.hours import Hours
from busyd.availability.together import slots_together
from busyd.cooperative import in_one_go
from busyd.http.group_slots import MOST_PEOPLE
from busyd.period import Instant
from tests.http.conftest import Answer, Serve, Served
from tests.http.small_backend import NOW, SmallBackend, busy

TUESDAY = "start=2026-11-24T08:00:00Z&end=2026-11-24T15:00:00Z&duration=1h&step=1h"
BOTH = "/v1/slots?profiles=anna,bob"


async def serve_two(serve: Serve, backend: SmallBackend) -> Served:
    """Anna is busy from 9 to 10 and from 12 to 14 UTC, Bob from 9 to 12, on Tuesday."""
    await backend.set_busy("anna", [busy(21), busy(24, 2)])
    await backend.set_busy("bob", [busy(21, 3)])
    for name in ("anna", "bob"):
        backend.confirm(name, Instant(NOW))
    return await serve(backend)


def free(answer: Answer) -> dict[str, str]:
    assert answer.status == 200, answer.text
    return {slot["start"][11:13]: "+".join(slot["free"]) for slot in answer.json["slots"]}


async def test_by_default_all_must_be_free(serve: Serve, backend: SmallBackend) -> None:
    served = await serve_two(serve, backend)
    answer = await served.ask(f"{BOTH}&{TUESDAY}")
    assert free(answer) == {"08": "anna+bob", "14": "anna+bob"}
    assert free(await served.ask(f"{BOTH}&{TUESDAY}&mode=n:2")) == free(answer)
    assert answer.json["slots"][0] == {
        "start": "2026-11-24T08:00:00Z",
        "end": "2026-11-24T09:00:00Z",
        "free": ["anna", "bob"],
    }
    assert [one["profile"] for one in answer.json["profiles"]] == ["anna", "bob"]
    assert (answer.json["stale"], answer.json["complete"]) == (False, True)


async def test_any_of_them_is_enough_on_request(serve: Serve, backend: SmallBackend) -> None:
    served = await serve_two(serve, backend)
    expected = {"08": "anna+bob", "10": "anna", "11": "anna", "12": "bob", "13": "bob", "14": "anna+bob"}
    assert free(await served.ask(f"{BOTH}&{TUESDAY}&mode=any")) == expected
    assert free(await served.ask(f"{BOTH}&{TUESDAY}&mode=n:1")) == expected


async def test_who_has_least_busy_time_in_the_window_comes_first_on_request(
    serve: Serve, backend: SmallBackend
) -> None:
    served = await serve_two(serve, backend)
    morning = TUESDAY.replace("T15", "T12")  # one busy hour for anna, three for bob
    answer = await served.ask(f"/v1/slots?profiles=bob,anna&{morning}&mode=any&rank=least-busy")
    assert free(answer) == {"08": "anna+bob", "10": "anna", "11": "anna"}
    assert {one["profile"]: one["busy_seconds"] for one in answer.json["profiles"]} == {"bob": 10_800, "anna": 3600}
    as_asked = await served.ask(f"/v1/slots?profiles=bob,anna&{morning}&mode=any")
    assert free(as_asked)["08"] == "bob+anna"


async def test_length_and_step_are_those_of_the_first_and_all_else_is_each_persons_own(
    serve: Serve, backend: SmallBackend
) -> None:
    served = await serve_two(serve, backend)
    backend.set_slots(duration=timedelta(hours=2), step=timedelta(hours=2), notice=timedelta(days=2))
    window = "start=2026-11-25T06:00:00Z&end=2026-11-25T16:00:00Z"
    anna_first = await served.ask(f"{BOTH}&{window}&mode=any")
    assert free(anna_first) == {"07": "bob", "09": "bob", "11": "bob", "13": "anna+bob"}
    assert len((await served.ask(f"/v1/slots?profiles=bob,anna&{window}")).json["slots"]) == 8


@pytest.mark.parametrize("mode", ["all", "any"])
async def test_each_is_free_exactly_where_the_slots_of_that_person_are(
    serve: Serve, backend: SmallBackend, mode: str
) -> None:
    hours = Hours(weekdays=(((540, 1020),),) * 5 + ((),) * 2)
    profile = backend.state.profiles["anna"]
    profile.profile = replace(profile.profile, hours=hours)
    served = await serve_two(serve, backend)
    backend.set_slots(per_day=1, window=timedelta(days=4))
    token = backend.token("anna", "book")
    body = {"start": "2026-11-25T10:00:00Z"}
    assert (await served.ask("/v1/profiles/anna/holds", method="POST", token=token, body=body)).status == 201
    question = "start=2026-11-23&end=2026-11-29&duration=30m&step=30m&buffer_before=15m"
    alone = {}
    for name in ("anna", "bob"):
        answer = await served.ask(f"/v1/profiles/{name}/slots?{question}")
        alone[name] = {slot["start"] for slot in answer.json["slots"]}
    answer = await served.ask(f"{BOTH}&{question}&mode={mode}")
    told = {slot["start"]: set(slot["free"]) for slot in answer.json["slots"]}
    wanted = alone["anna"] & alone["bob"] if mode == "all" else alone["anna"] | alone["bob"]
    assert told == {start: {name for name in alone if start in alone[name]} for start in wanted}
    assert alone["anna"]


async def test_nobody_whose_calendars_are_not_proved_is_offered(serve: Serve, backend: SmallBackend) -> None:
    served = await serve_two(serve, backend)
    backend.confirm("bob", Instant(NOW - 3600))
    refused = await served.ask(f"{BOTH}&{TUESDAY}&mode=any")
    assert (refused.status, refused.error) == (503, "stale")
    assert "bob" in refused.json["detail"]
    answer = await served.ask(f"{BOTH}&{TUESDAY}&mode=any&on_stale=busy")
    assert free(answer) == {"08": "anna", "10": "anna", "11": "anna", "14": "anna"}
    assert [(one["profile"], one["stale"]) for one in answer.json["profiles"]] == [("anna", False), ("bob", True)]
    assert answer.json["as_of"] == "2026-11-23T11:00:00Z"
    assert free(await served.ask(f"{BOTH}&{TUESDAY}&on_stale=busy")) == {}
    assert free(await served.ask(f"{BOTH}&{TUESDAY}&on_stale=serve"))["08"] == "anna+bob"


@pytest.mark.parametrize("wish", ["serve", "busy"])
async def test_nobody_who_was_never_read_is_offered_whatever_is_wished(
    serve: Serve, backend: SmallBackend, wish: str
) -> None:
    served = await serve_two(serve, backend)
    backend.confirm("bob", None)
    answer = await served.ask(f"{BOTH}&{TUESDAY}&mode=any&on_stale={wish}")
    assert set(free(answer).values()) == {"anna"}
    assert (answer.json["as_of"], answer.json["complete"]) == (None, False)


async def test_nobody_who_may_have_an_event_at_any_time_is_offered(serve: Serve, backend: SmallBackend) -> None:
    served = await serve_two(serve, backend)
    await backend.set_busy("bob", [], incomplete="it cannot be read")
    refused = await served.ask(f"{BOTH}&{TUESDAY}&mode=any")
    assert (refused.status, refused.error) == (503, "incomplete")
    assert set(free(await served.ask(f"{BOTH}&{TUESDAY}&mode=any&on_stale=busy")).values()) == {"anna"}


async def test_a_fresher_proof_is_had_of_all_or_told_of_whom_it_is_not(serve: Serve, backend: SmallBackend) -> None:
    served = await serve_two(serve, backend)
    backend.clock.advance(60)
    assert (await served.ask(f"{BOTH}&{TUESDAY}&max_age=20s")).status == 200
    assert backend.refreshed == 2
    backend.clock.advance(60)
    backend.reachable = False
    refused = await served.ask(f"{BOTH}&{TUESDAY}&max_age=20s")
    assert (refused.status, refused.error) == (503, "stale")
    assert "anna" in refused.json["detail"]
    backend.confirm("anna", backend.clock.now())
    answer = await served.ask(f"{BOTH}&{TUESDAY}&max_age=20s&mode=any&on_stale=busy")
    assert set(free(answer).values()) == {"anna"}


async def test_a_token_of_one_may_not_ask_for_others(serve: Serve, backend: SmallBackend) -> None:
    served = await serve_two(serve, backend)
    anna, everybody = backend.token("anna"), backend.token("*")
    others = await served.ask(f"{BOTH}&{TUESDAY}", token=anna)
    unknown = await served.ask(f"/v1/slots?profiles=anna,ghost&{TUESDAY}", token=everybody)
    assert (others.status, others.error) == (unknown.status, unknown.error) == (404, "unknown-profile")
    assert others.text.replace("bob", "ghost") == unknown.text
    assert (await served.ask(f"/v1/slots?profiles=anna&{TUESDAY}", token=anna)).status == 200
    assert (await served.ask(f"{BOTH}&{TUESDAY}", token=everybody)).status == 200
    assert (await served.ask(f"{BOTH}&{TUESDAY}", token=backend.token("*", "book"))).status == 403
    assert (await served.ask(f"{BOTH}&{TUESDAY}", Via="1.1 proxy")).status == 401


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "names no profile"),
        ("profiles=", "names no profile"),
        ("profiles=,", "names no profile"),
        ("profiles=anna,anna", "a profile twice"),
        (f"profiles={','.join(f'p{n}' for n in range(MOST_PEOPLE + 1))}", "more than 50"),
        ("profiles=anna,bob&mode=none", "'none'"),
        ("profiles=anna,bob&mode=n:0", "'n:0'"),
        ("profiles=anna,bob&mode=n:3", "2 profiles"),
        ("profiles=anna,bob&mode=n:", "'n:'"),
        (f"profiles=anna,bob&mode=n:{'9' * 5000}", "999…"),
        ("profiles=anna,bob&rank=most-busy", "'most-busy'"),
        ("profiles=anna,bob&step=1m&start=2026-01-01&end=2028-01-01", "300000 steps"),
        ("profiles=anna,bob&duration=0m", "shorter"),
        ("profiles=anna,bob&profile=anna", "unknown parameter"),
    ],
)
async def test_what_makes_no_sense_is_refused(served: Served, query: str, said: str) -> None:
    refused = await served.ask(f"/v1/slots?{query}")
    assert refused.status == 400
    assert said in refused.json["detail"]


async def test_the_steps_of_all_are_counted_together(served: Served) -> None:
    half = "step=2m&start=2026-01-01&end=2026-12-31&on_stale=serve"  # 262,000 steps each
    assert (await served.ask(f"/v1/slots?profiles=anna&{half}")).status == 200
    refused = await served.ask(f"{BOTH}&{half}")
    assert (refused.status, refused.error) == (400, "bad-request")


async def test_who_has_no_calendars_has_no_free_time(served: Served) -> None:
    refused = await served.ask(f"/v1/slots?profiles=anna,nobody&{TUESDAY}&mode=any")
    assert (refused.status, refused.error) == (409, "unconfigured")


_slots = st.lists(st.integers(0, 12), unique=True).map(lambda starts: [(start, start + 2) for start in sorted(starts)])


def test_who_has_a_slot_twice_is_one_person() -> None:
    """On a day when the clocks skip an hour, hours inside it come to lie in the next ones."""
    assert in_one_go(slots_together([[(3, 5), (1, 3), (3, 5)], [(1, 3)]], least=1)) == [(1, (0, 1)), (3, (0,))]


@given(st.lists(_slots, min_size=1, max_size=4), st.integers(1, 4))
def test_a_slot_of_several_is_one_that_enough_of_them_have(people: list[list[tuple[int, int]]], least: int) -> None:
    found = in_one_go(slots_together([[None, *slots] for slots in people], least=least))
    expected = [
        (start, free)
        for start in range(13)
        if len(free := tuple(n for n, slots in enumerate(people) if (start, start + 2) in slots)) >= least
    ]
    assert found == expected
