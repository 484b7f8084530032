import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.availability.hours import Hours
from busyd.http.slots import MAX_STEPS
from busyd.period import EARLIEST, FbType, Instant, Period
from busyd.state.own_rows import OwnRows
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.outbox import Outbox
from tests.http.conftest import Answer, Serve, Served
from tests.http.small_backend import DAY, NOW, SmallBackend, busy

SLOTS = "/v1/profiles/anna/slots"
TUESDAY = "start=2026-11-24T08:00:00Z&end=2026-11-24T15:00:00Z"
OFFICE = Hours((((9 * 60, 12 * 60), (13 * 60, 17 * 60)),) * 5 + ((),) * 2)


def starts(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.text
    return [slot["start"][11:16] for slot in answer.json["slots"]]


async def test_open_slots_are_the_free_ones(served: Served) -> None:
    answer = await served.ask(f"{SLOTS}?{TUESDAY}&duration=1h&step=1h")
    assert starts(answer) == ["08:00", "10:00", "11:00", "14:00"]
    assert answer.json["slots"][0] == {"start": "2026-11-24T08:00:00Z", "end": "2026-11-24T09:00:00Z"}
    assert answer.json["complete"] is True


async def test_hours_of_the_profile_bound_the_slots_unless_they_are_waived(serve: Serve, tmp_path: Path) -> None:
    backend = SmallBackend(tmp_path, hours=OFFICE)
    await backend.set_busy("anna", [busy(21)])
    served = await serve(backend)
    # 09:00 to 12:00 and 13:00 to 17:00 in Berlin; busy from 10:00 to 11:00 there.
    assert starts(await served.ask(f"{SLOTS}?{TUESDAY}&duration=1h&step=1h")) == [
        *("08:00", "10:00", "12:00", "13:00", "14:00")
    ]
    assert "11:00" in starts(await served.ask(f"{SLOTS}?{TUESDAY}&duration=1h&step=1h&hours=none"))


async def test_notice_is_counted_from_now(served: Served) -> None:
    today = f"{SLOTS}?start=2026-11-23T12:00:00Z&end=2026-11-23T16:00:00Z&duration=1h&step=1h"
    assert starts(await served.ask(today)) == ["14:00", "15:00"]
    assert starts(await served.ask(f"{today}&notice=0m")) == ["12:00", "13:00", "14:00", "15:00"]


async def test_the_window_is_counted_from_now_to_the_start_of_a_slot(served: Served) -> None:
    served.backend.set_slots(window=timedelta(days=1), notice=timedelta(0))
    asked = f"{SLOTS}?start=now&end=%2B3d&duration=1h&step=1h&hours=none"
    assert (await served.ask(asked)).json["slots"][-1] == {
        "start": "2026-11-24T11:00:00Z",
        "end": "2026-11-24T12:00:00Z",
    }
    served.backend.clock.advance(3 * 3600)
    served.backend.confirm("anna", served.backend.clock.now())
    assert (await served.ask(asked)).json["slots"][-1]["start"] == "2026-11-24T15:00:00Z"  # the last moment counts
    assert starts(await served.ask(f"{SLOTS}?start=2026-11-26&end=2026-11-27")) == []


async def hold(served: Served, start: str, **body: str) -> Answer:
    token = served.backend.token("anna", "book")
    return await served.ask("/v1/profiles/anna/holds", method="POST", token=token, body={"start": start, **body})


async def test_a_day_with_as_many_appointments_as_are_taken_offers_nothing_more(served: Served) -> None:
    """Days are those of the profile's zone: 23:30 UTC on Wednesday is Thursday in Berlin."""
    served.backend.set_slots(per_day=2)
    for start in ("2026-11-25T23:30:00Z", "2026-11-26T09:00:00Z"):
        assert (await hold(served, start)).status == 201
    slots = (await served.ask(f"{SLOTS}?start=2026-11-25&end=2026-11-28&duration=30m")).json["slots"]
    days = Counter(slot["start"][:11] + ("late" if slot["start"][11:13] == "23" else "") for slot in slots)
    # Thursday in Berlin is from 23:00 UTC to 23:00 UTC.
    assert days == {
        "2026-11-24Tlate": 2,
        "2026-11-25T": 46,
        "2026-11-26Tlate": 2,
        "2026-11-27T": 46,
    }
    refused = await hold(served, "2026-11-26T15:00:00Z")
    assert (refused.status, refused.error) == (422, "limit-reached")
    assert refused.json["detail"].endswith("2 per day")
    assert [one["start"] for one in refused.json["alternatives"]] == [
        f"2026-11-{time}:00Z" for time in ("26T23:00", "26T23:30", "27T00:00")
    ]


async def test_a_week_starts_on_monday_and_several_are_counted_each_by_itself(served: Served) -> None:
    served.backend.set_slots(per_week=2)
    for start in ("2026-11-25T09:00:00Z", "2026-11-29T21:30:00Z", "2026-11-30T09:00:00Z"):
        assert (await hold(served, start)).status == 201
    slots = (await served.ask(f"{SLOTS}?start=2026-11-24&end=2026-12-08")).json["slots"]
    assert slots[0]["start"] == "2026-11-29T23:00:00Z"
    assert (await hold(served, "2026-12-02T09:00:00Z")).status == 201
    slots = (await served.ask(f"{SLOTS}?start=2026-11-24&end=2026-12-08")).json["slots"]
    assert slots[0]["start"] == "2026-12-06T23:00:00Z"


async def test_a_hold_that_is_given_back_counts_no_more(served: Served) -> None:
    served.backend.set_slots(per_day=1)
    token = served.backend.token("anna", "book")
    made = await served.ask(
        "/v1/profiles/anna/holds", method="POST", token=token, body={"start": "2026-11-25T10:00:00Z"}
    )
    assert (await hold(served, "2026-11-25T14:00:00Z")).error == "limit-reached"
    await served.ask(made.headers["Location"], method="DELETE", token=token)
    assert (await hold(served, "2026-11-25T14:00:00Z")).status == 201


async def test_blocks_and_the_appointments_of_others_count_for_no_limit(served: Served) -> None:
    served.backend.set_slots(per_day=1)
    token = served.backend.token("anna", "book")
    block = {"start": "2026-11-25T10:00:00Z", "end": "2026-11-25T11:00:00Z"}
    await served.ask("/v1/profiles/anna/blocks", method="POST", token=token, body=block)
    bob = served.backend.token("bob", "book")
    await served.ask("/v1/profiles/bob/holds", method="POST", token=bob, body={"start": "2026-11-25T10:00:00Z"})
    assert (await hold(served, "2026-11-25T14:00:00Z")).status == 201


async def test_of_many_who_want_the_last_appointment_of_a_day_one_gets_it(served: Served) -> None:
    served.backend.set_slots(per_day=1)
    asked = [hold(served, f"2026-11-25T{hour:02}:00:00Z") for hour in range(8, 16)]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status for answer in answers) == [201] + 7 * [422]
    assert {answer.error for answer in answers if answer.status != 201} == {"limit-reached"}


async def test_an_appointment_in_time_that_is_busy_anyway_counts_at_once(served: Served) -> None:
    """Such as one whose event the server has handed back, or one that was forced: no busy time changes with it."""
    served.backend.set_slots(per_day=1)
    tuesday = f"{SLOTS}?start=2026-11-24&end=2026-11-25"
    assert starts(await served.ask(tuesday))
    span = Period(Instant(NOW + 24 * 3600), Instant(NOW + 25 * 3600))
    row = Booking("a1", BookingKind.APPOINTMENT, "anna", BookingState.BOOKED, span, NOW)

    def add(outbox: Outbox) -> list[Booking]:
        outbox.add(row)
        return [row]

    def cancel(outbox: Outbox) -> list[Booking]:
        cancelled = replace(row, state=BookingState.CANCELLED)
        outbox.record(cancelled)
        return [cancelled]

    await served.backend.requests.change(add)
    assert starts(await served.ask(tuesday)) == []
    await served.backend.requests.change(cancel)
    assert len(starts(await served.ask(tuesday))) > 2


async def test_limits_hold_over_a_restart(served: Served) -> None:
    served.backend.set_slots(per_day=1)
    assert (await hold(served, "2026-11-25T10:00:00Z")).status == 201
    served.backend.state.own = OwnRows()
    served.backend.state.own.take(await served.backend.ledger.outbox(lambda outbox: outbox.unsettled(EARLIEST)))
    served.backend.state.publish()
    assert starts(await served.ask(f"{SLOTS}?start=2026-11-25&end=2026-11-26")) == []


async def test_buffers_look_at_events_outside_the_window(served: Served) -> None:
    before = f"{SLOTS}?start=2026-11-24T10:00:00Z&end=2026-11-24T12:00:00Z&duration=30m&step=30m"
    assert starts(await served.ask(before)) == ["10:00", "10:30", "11:00", "11:30"]
    assert starts(await served.ask(f"{before}&buffer_before=15m&buffer_after=15m")) == ["10:30", "11:00"]


async def test_tentative_time_is_offered_on_request(served: Served) -> None:
    await served.backend.set_busy("anna", [busy(20, 7, kind=FbType.BUSY_TENTATIVE)])
    assert starts(await served.ask(f"{SLOTS}?{TUESDAY}")) == []
    assert len(starts(await served.ask(f"{SLOTS}?{TUESDAY}&tentative=free"))) == 14


async def test_what_was_never_read_is_never_offered(served: Served) -> None:
    served.backend.confirm("anna", None)
    assert (await served.ask(f"{SLOTS}?{TUESDAY}")).status == 503
    for wish in ("on_stale=serve", "on_stale=busy", "on_stale=serve&tentative=free"):
        assert starts(await served.ask(f"{SLOTS}?{TUESDAY}&{wish}")) == []


async def test_an_event_that_may_be_at_any_time_closes_everything(served: Served) -> None:
    await served.backend.set_busy("anna", [busy(21)], incomplete="its start cannot be read")
    answer = await served.ask(f"{SLOTS}?{TUESDAY}")
    assert (answer.status, answer.error) == (503, "incomplete")
    assert "problems" in answer.json["fix"]


async def test_who_asks_for_what_is_known_gets_it_although_an_event_may_be_at_any_time(served: Served) -> None:
    await served.backend.set_busy("anna", [busy(21)], incomplete="its start cannot be read")
    answer = await served.ask(f"{SLOTS}?{TUESDAY}&duration=1h&step=1h&on_stale=serve")
    assert starts(answer) == ["08:00", "10:00", "11:00", "12:00", "13:00", "14:00"]
    assert answer.json["complete"] is False
    closed = await served.ask(f"{SLOTS}?{TUESDAY}&on_stale=busy")
    assert (starts(closed), closed.json["complete"]) == ([], False)


@pytest.mark.parametrize("window", [TUESDAY, "start=2029-11-24T08:00:00Z&end=2029-11-24T15:00:00Z"])
async def test_the_age_that_a_question_names_counts_and_not_that_of_the_profile(served: Served, window: str) -> None:
    served.backend.clock.advance(1800)
    assert (await served.ask(f"{SLOTS}?{window}")).status == 503
    answer = await served.ask(f"{SLOTS}?{window}&max_age=1h")
    assert (bool(starts(answer)), answer.json["stale"]) == (True, False)
    assert served.backend.refreshed == 0


async def test_old_data_is_an_error_unless_it_is_asked_for(served: Served) -> None:
    served.backend.clock.advance(DAY // 2)
    answer = await served.ask(f"{SLOTS}?{TUESDAY}")
    assert (answer.status, answer.error) == (503, "stale")
    assert "2026-11-23T12:00:00Z" in answer.json["detail"]
    assert starts(await served.ask(f"{SLOTS}?{TUESDAY}&on_stale=serve"))
    assert starts(await served.ask(f"{SLOTS}?{TUESDAY}&on_stale=busy")) == []


async def test_a_fresher_proof_may_be_asked_for(served: Served) -> None:
    served.backend.clock.advance(DAY // 2)
    assert (await served.ask(f"{SLOTS}?{TUESDAY}&max_age=1m")).json["stale"] is False


@pytest.mark.parametrize("path", ["slots", "slots?max_age=1m", "freebusy?max_age=1m"])
async def test_a_profile_without_calendars_is_not_all_free(served: Served, path: str) -> None:
    answer = await served.ask(f"/v1/profiles/nobody/{path}")
    assert (answer.status, answer.error) == (409, "unconfigured")
    assert "primary" in answer.json["fix"]


async def test_an_explanation_for_a_profile_without_calendars_says_what_that_means(served: Served) -> None:
    token = served.backend.token("*", "details")
    answer = (await served.ask("/v1/profiles/nobody/explain", token=token)).json
    assert "has no calendar that blocks, so none of its time is known to be free; set `primary:`" in answer["detail"]
    assert "detail" not in (await served.ask("/v1/profiles/anna/explain", token=token)).json


@pytest.mark.parametrize(
    "query", ["duration=0m", "step=0m", "step=30s", "duration=-1h", "hours=9-17", "tentative=maybe", "notice=soon"]
)
async def test_a_shape_that_is_none_is_refused(served: Served, query: str) -> None:
    assert (await served.ask(f"{SLOTS}?{TUESDAY}&{query}")).error == "bad-request"


async def test_too_many_slots_are_refused_before_they_are_looked_for(served: Served) -> None:
    answer = await served.ask(f"{SLOTS}?start=now&end=%2B1000d&step=1m&duration=1m")
    assert (answer.status, answer.error) == (400, "bad-request")
    assert "300000 steps" in answer.json["detail"]


@pytest.mark.parametrize(("hours", "step"), [(None, "5m"), (Hours((((540, 780),),) * 7), "1m")])
async def test_a_thousand_days_are_not_too_many(serve: Serve, tmp_path: Path, hours: Hours | None, step: str) -> None:
    backend = SmallBackend(tmp_path, hours=hours)
    await backend.set_busy("anna", [(NOW, NOW + 999 * DAY, FbType.BUSY)])
    served = await serve(backend)
    answer = await served.ask(f"{SLOTS}?start=now&end=%2B1000d&step={step}&duration=1m&notice=0m")
    assert answer.status == 200
    assert answer.json["slots"]


async def test_the_limit_is_described(served: Served) -> None:
    described = (await served.ask("/openapi.json", token=served.backend.token("anna"))).text
    assert f"at most {MAX_STEPS:,} points" in described


@pytest.mark.parametrize(
    "query",
    [
        "start=9999-12-30&end=9999-12-31T23:59:59Z",
        "start=9999-12-30T00:00:00Z&end=9999-12-31T00:00:00Z&buffer_after=1000d",
        "start=0001-01-01T00:00:00Z&end=0001-01-03T00:00:00Z&buffer_before=1d",
        "start=0001-01-01T00:00:00Z&end=0001-01-03T00:00:00Z&tz=America/New_York",
    ],
)
async def test_the_edges_of_time_are_a_window_like_any_other(served: Served, query: str) -> None:
    answer = await served.ask(f"{SLOTS}?{query}&notice=0m")
    assert answer.status == 200
    assert bool(answer.json["slots"]) is query.startswith("start=9999")
