import gzip
from datetime import datetime
from typing import Any

import icalendar
import msgspec
import pytest
from msgspec.structs import replace

from busyd.connection import CalendarKind
from busyd.http.bodies import FreeBusy
from busyd.http.query import DAY
from busyd.period import FbType, Instant
from tests.http.conftest import Served
from tests.http.small_backend import NOW, busy

TUESDAY = "start=2026-11-24T00:00:00Z&end=2026-11-25T00:00:00Z"
ANNA = f"/v1/profiles/anna/freebusy?{TUESDAY}"


def as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


async def test_the_answer_is_the_one_of_the_contract(served: Served) -> None:
    answer = await served.ask(ANNA)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {
        "profile": "anna",
        "start": "2026-11-24T00:00:00Z",
        "end": "2026-11-25T00:00:00Z",
        "as_of": "2026-11-23T12:00:00Z",
        "stale": False,
        "complete": True,
        "busy": [
            {"start": "2026-11-24T09:00:00Z", "end": "2026-11-24T10:00:00Z", "type": "BUSY"},
            {"start": "2026-11-24T12:00:00Z", "end": "2026-11-24T14:00:00Z", "type": "BUSY"},
        ],
        "calendars": [{"calendar": "anna/Work", "as_of": "2026-11-23T12:00:00Z", "state": "fresh"}],
    }


async def test_the_rendered_answer_is_the_bytes_of_its_struct(served: Served) -> None:
    served.backend.state.postponed.add(1, 2, why="it was ended by signal 9", now=0.0)  # bob's calendar has a note
    for path in (ANNA, ANNA.replace("anna", "bob"), ANNA.replace("anna", "nobody")):
        for query in ("", "&on_stale=busy"):
            body = (await served.ask(f"{path}{query}")).body
            assert msgspec.json.encode(msgspec.json.decode(body, type=FreeBusy)) + b"\n" == body


@pytest.mark.parametrize("state", ["fresh", "never read", "unplaced", "stale"])
@pytest.mark.parametrize("query", [TUESDAY, "start=2029-11-24T00:00:00Z&end=2029-11-25T00:00:00Z"])
async def test_every_way_to_ask_gets_the_same_answer(served: Served, state: str, query: str) -> None:
    if state == "never read":
        served.backend.confirm("anna", None)
    elif state == "unplaced":
        await served.backend.set_busy("anna", [busy(21)], incomplete="its start cannot be read")
    elif state == "stale":
        served.backend.clock.advance(1800)
    answer = (await served.ask(f"/v1/profiles/anna/freebusy?{query}")).json
    calendar = (await served.ask(f"/v1/profiles/anna/freebusy.ifb?{query}")).body
    told = [
        (period.start, period.end, str(free_busy.params.get("FBTYPE")))
        for component in icalendar.Calendar.from_ical(calendar).walk("VFREEBUSY")
        for free_busy in as_list(component.get("FREEBUSY"))
        for period in as_list(free_busy)
    ]
    times = [
        (datetime.fromisoformat(one["start"]), datetime.fromisoformat(one["end"]), one["type"])
        for one in answer["busy"]
    ]
    assert sorted(told) == times
    slots = (await served.ask(f"/v1/profiles/anna/slots?{query}&duration=1m&step=1m&notice=0m&on_stale=serve")).json
    assert slots["complete"] is answer["complete"]
    for slot in slots["slots"]:
        assert all(slot["end"] <= one["start"] or one["end"] <= slot["start"] for one in answer["busy"])
    free = 24 * 60 - sum((end - start).total_seconds() for start, end, _ in times) / 60
    assert len(slots["slots"]) == free


async def test_busy_periods_are_clipped_to_the_window(served: Served) -> None:
    answer = await served.ask("/v1/profiles/anna/freebusy?start=2026-11-24T09:30:00Z&end=2026-11-24T13:00:00Z")
    assert [(one["start"][11:16], one["end"][11:16]) for one in answer.json["busy"]] == [
        ("09:30", "10:00"),
        ("12:00", "13:00"),
    ]


async def test_a_repeated_question_has_the_same_answer_and_a_changed_calendar_another(served: Served) -> None:
    first, second = await served.ask(ANNA), await served.ask(ANNA)
    assert first.body == second.body
    await served.backend.set_busy("anna", [busy(21)])
    assert len((await served.ask(ANNA)).json["busy"]) == 1


async def test_a_kept_answer_turns_stale_on_the_second(served: Served) -> None:
    assert (await served.ask(ANNA)).json["stale"] is False
    served.backend.clock.advance(15 * 60)
    assert (await served.ask(ANNA)).json["stale"] is False
    served.backend.clock.advance(1)
    late = (await served.ask(ANNA)).json
    assert (late["stale"], late["calendars"][0]["state"]) == (True, "stale")


async def test_a_feed_turns_stale_on_the_second_at_which_its_own_proof_is_too_old(served: Served) -> None:
    state = served.backend.state
    record = state.calendars[1]
    feed = replace(record.remote, kind=CalendarKind.FEED)
    state.confirm([replace(record, remote=feed, validators={"interval": "21600"})], monotonic=0.0)
    served.backend.clock.advance(9 * 3600 - 60)
    assert (await served.ask(ANNA)).json["stale"] is False
    served.backend.clock.advance(60)
    assert (await served.ask(ANNA)).json["stale"] is False
    served.backend.clock.advance(1)
    late = (await served.ask(ANNA)).json
    assert (late["stale"], late["calendars"][0]["state"]) == (True, "stale")


async def test_a_proof_from_the_future_counts_as_soon_as_its_moment_comes(served: Served) -> None:
    served.backend.confirm("anna", Instant(NOW + 60))
    assert (await served.ask(ANNA)).json["stale"] is True
    served.backend.clock.advance(60)
    assert (await served.ask(ANNA)).json["stale"] is False


async def test_a_new_proof_shows_in_a_kept_answer(served: Served) -> None:
    await served.ask(ANNA)
    served.backend.clock.advance(60)
    served.backend.confirm("anna", served.backend.clock.now())
    assert (await served.ask(ANNA)).json["as_of"] == "2026-11-23T12:01:00Z"


async def test_a_relative_window_moves_with_the_clock(served: Served) -> None:
    question = "/v1/profiles/anna/freebusy?start=now&end=%2B1d"
    assert (await served.ask(question)).json["start"] == "2026-11-23T12:00:00Z"
    served.backend.clock.advance(5)
    assert (await served.ask(question)).json["start"] == "2026-11-23T12:00:05Z"


async def test_a_window_without_edges_is_the_next_fortnight(served: Served) -> None:
    answer = (await served.ask("/v1/profiles/anna/freebusy")).json
    assert (answer["start"], answer["end"]) == ("2026-11-23T12:00:00Z", "2026-12-07T12:00:00Z")


async def test_a_date_is_midnight_in_the_zone_of_the_profile_or_the_one_asked_for(served: Served) -> None:
    own = await served.ask("/v1/profiles/anna/freebusy?start=2026-11-24&end=2026-11-25")
    assert own.json["start"] == "2026-11-23T23:00:00Z"
    other = await served.ask("/v1/profiles/anna/freebusy?start=2026-11-24&end=2026-11-25&tz=America/New_York")
    assert other.json["start"] == "2026-11-24T05:00:00Z"


async def test_a_calendar_that_was_never_read_blocks_the_whole_window(served: Served) -> None:
    served.backend.confirm("anna", None)
    answer = (await served.ask(ANNA)).json
    assert (answer["complete"], answer["stale"], answer["as_of"]) == (False, True, None)
    assert answer["calendars"][0]["state"] == "never-read"
    assert [one["type"] for one in answer["busy"]] == [
        *("BUSY-UNAVAILABLE", "BUSY", "BUSY-UNAVAILABLE", "BUSY", "BUSY-UNAVAILABLE")
    ]


async def test_a_profile_without_calendars_is_not_free(served: Served) -> None:
    answer = (await served.ask(f"/v1/profiles/nobody/freebusy?{TUESDAY}")).json
    assert answer["complete"] is False
    assert [one["type"] for one in answer["busy"]] == ["BUSY-UNAVAILABLE"]


async def test_a_window_beyond_the_horizon_is_answered_too(served: Served) -> None:
    answer = await served.ask("/v1/profiles/anna/freebusy?start=2026-11-24T00:00:00Z&end=2029-08-01T00:00:00Z")
    assert (answer.status, len(answer.json["busy"])) == (200, 2)


async def test_the_tag_is_weak_and_stands_for_the_list_and_not_for_the_proof(served: Served) -> None:
    first = await served.ask(ANNA)
    served.backend.clock.advance(60)
    served.backend.confirm("anna", served.backend.clock.now())
    second = await served.ask(ANNA, If_None_Match=first.headers["ETag"])
    assert first.headers["ETag"].startswith('W/"')
    assert (second.status, second.body) == (304, b"")
    assert second.headers["Busyd-As-Of"] == "2026-11-23T12:01:00Z"
    assert second.headers["ETag"] == first.headers["ETag"]


async def test_the_tag_changes_when_the_list_or_the_state_does(served: Served) -> None:
    tags = {(await served.ask(ANNA)).headers["ETag"]}
    await served.backend.set_busy("anna", [busy(21)])
    tags.add((await served.ask(ANNA)).headers["ETag"])
    served.backend.clock.advance(16 * 60)
    tags.add((await served.ask(ANNA)).headers["ETag"])
    assert len(tags) == 3


@pytest.mark.parametrize("path", [f"/v1/profiles/anna/freebusy.ifb?{TUESDAY}", f"/v1/profiles/anna/freebusy?{TUESDAY}"])
async def test_a_calendar_program_gets_one_vfreebusy(served: Served, path: str) -> None:
    await served.ask(ANNA)
    answer = await served.ask(path, Accept="text/calendar")
    assert answer.headers["Content-Type"].startswith("text/calendar")
    calendar = icalendar.Calendar.from_ical(answer.body)
    assert len(calendar.walk("VFREEBUSY")) == 1
    assert b"FREEBUSY;FBTYPE=BUSY:20261124T090000Z/20261124T100000Z" in answer.body
    assert (await served.ask(path, Accept="text/calendar", If_None_Match=answer.headers["ETag"])).status == 304


@pytest.mark.parametrize(
    "accept",
    [
        *("", "*/*", "application/json", "text/html", "text/calendar;q=0", "text/*;q=0, */*"),
        *("text/calendar;q=0.2, application/json", "text/calendar;q=0.1, */*", "text/calendar;Q=0.1, */*"),
        *("text/calendar;q=0.4, application/*;q=0.5", "text/*, text/calendar;q=0.1, */*;q=0.5"),
        "text/html, application/xhtml+xml, */*;q=0.8",
    ],
)
async def test_who_takes_anything_gets_json(served: Served, accept: str) -> None:
    assert (await served.ask(ANNA, Accept=accept)).headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "accept",
    [
        *("text/calendar", "TEXT/Calendar", "text/*", "Text/*;q=0.3", "text/calendar, */*", "text/*, */*;q=0.5"),
        *(
            "text/calendar;component=VFREEBUSY",
            "application/json;q=0.5, text/calendar",
            "application/json, text/calendar",
        ),
        "*/*;q=0.1, text/calendar;q=0.2",
    ],
)
async def test_who_names_calendars_gets_one(served: Served, accept: str) -> None:
    assert (await served.ask(ANNA, Accept=accept)).headers["Content-Type"].startswith("text/calendar")


@pytest.mark.parametrize(
    ("wish", "zipped"),
    [
        *(("gzip", True), ("GZIP", True), ("*", True), ("br, *;q=0.1", True), ("gzip;q=0.001", True)),
        *(("br", False), ("gzip;q=0, *", False), ("*;q=0", False), ("identity", False)),
    ],
)
async def test_compression_is_a_matter_of_what_the_client_names(served: Served, wish: str, zipped: bool) -> None:
    assert ("Content-Encoding" in (await served.ask(ANNA, Accept_Encoding=wish)).headers) is zipped


async def test_an_answer_is_compressed_when_that_is_asked_for(served: Served) -> None:
    await served.backend.set_busy("anna", [busy(hour, 0.5) for hour in range(24)])
    plain, zipped = await served.ask(ANNA), await served.ask(ANNA, Accept_Encoding="gzip, br")
    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == plain.body
    assert "Content-Encoding" not in (await served.ask(ANNA, Accept_Encoding="gzip;q=0")).headers


@pytest.mark.parametrize("path", ["/healthz", "/v1/profiles", "/v1/profiles/bob/freebusy.ifb", ANNA, "/metrics", "/"])
async def test_a_short_answer_is_compressed_too_when_that_is_asked_for(served: Served, path: str) -> None:
    for _ in range(3):
        plain, zipped = await served.ask(path), await served.ask(path, Accept_Encoding="gzip")
        assert zipped.headers["Content-Encoding"] == "gzip"
        assert path == "/metrics" or gzip.decompress(zipped.body) == plain.body


async def test_a_fresher_proof_is_fetched_only_when_it_is_needed(served: Served) -> None:
    served.backend.clock.advance(30)
    assert (await served.ask(f"{ANNA}&max_age=1m")).status == 200
    assert served.backend.refreshed == 0
    assert (await served.ask(f"{ANNA}&max_age=20s")).json["as_of"] == "2026-11-23T12:00:30Z"
    assert served.backend.refreshed == 1


@pytest.mark.parametrize("wish", ["", "&on_stale=error", "&on_stale=busy"])
@pytest.mark.parametrize("window", [TUESDAY, "start=2029-11-24T00:00:00Z&end=2029-11-25T00:00:00Z"])
async def test_the_age_that_a_question_names_counts_and_not_that_of_the_profile(
    served: Served, window: str, wish: str
) -> None:
    served.backend.clock.advance(1800)
    answer = (await served.ask(f"/v1/profiles/anna/freebusy?{window}&max_age=1h{wish}")).json
    assert (answer["stale"], answer["calendars"][0]["state"]) == (False, "fresh")
    assert not [one for one in answer["busy"] if one["type"] == "BUSY-UNAVAILABLE"]
    assert served.backend.refreshed == 0
    assert (await served.ask(ANNA)).json["stale"] is True


async def test_no_fresher_proof_is_said_and_not_passed_over(served: Served) -> None:
    served.backend.reachable = False
    served.backend.clock.advance(30)
    answer = await served.ask(f"{ANNA}&max_age=20s")
    assert (answer.status, answer.error) == (503, "stale")
    assert answer.json["fix"]


async def test_old_data_is_served_blocked_or_refused_as_asked_for(served: Served) -> None:
    served.backend.clock.advance(DAY)
    assert (await served.ask(f"{ANNA}&on_stale=serve")).json["stale"] is True
    blocked = (await served.ask(f"{ANNA}&on_stale=busy")).json["busy"]
    assert (blocked[0]["start"], blocked[-1]["end"]) == ("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z")
    assert (await served.ask(f"{ANNA}&on_stale=error")).error == "stale"


async def test_head_has_the_fields_of_get_and_no_body(served: Served) -> None:
    whole, head = await served.ask(ANNA), await served.ask(ANNA, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    for name in ("ETag", "Content-Length", "Busyd-As-Of", "Content-Type"):
        assert head.headers[name] == whole.headers[name]


async def test_types_keep_their_strength(served: Served) -> None:
    await served.backend.set_busy("anna", [busy(21, 3, kind=FbType.BUSY_TENTATIVE), busy(22)])
    found = (await served.ask(ANNA)).json["busy"]
    assert [one["type"] for one in found] == ["BUSY-TENTATIVE", "BUSY", "BUSY-TENTATIVE"]


async def test_a_clock_set_back_does_not_keep_an_answer_fresh(served: Served) -> None:
    await served.ask(ANNA)
    served.backend.clock.at = Instant(NOW - 3600)
    assert (await served.ask(ANNA)).status == 200


async def test_an_answer_is_the_same_however_it_was_put_together(served: Served) -> None:
    # A plain question, the same once it is kept, on a connection that closes, and through the general reader.
    ways = [
        await served.ask(ANNA),
        await served.ask(ANNA),
        await served.ask(ANNA),
        await served.ask(ANNA, Connection="close"),
        await served.ask(f"{ANNA}&on_stale=serve"),
        await served.ask(ANNA.replace(":", "%3A")),
        await served.ask("/v1/profiles/anna/freebusy?end=2026-11-25T00:00:00Z&start=2026-11-24T00:00:00.0%2B00:00"),
    ]
    assert len({answer.body for answer in ways}) == 1
    fields = [{name: answer.headers[name] for name in answer.headers if name != "Connection"} for answer in ways]
    for one in fields:
        assert one.pop("Date")
    assert all(one == fields[0] for one in fields)
