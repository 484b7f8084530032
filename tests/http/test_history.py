"""The past of a moment over HTTP: what is known, since when, and where knowledge begins."""

from pathlib import Path
from typing import Any

import msgspec

from busyd.availability.hours import Hours
from busyd.flow import history
from busyd.period import FbType, Instant, Period, to_rfc3339
from busyd.store.changes import (
    ChangeCause,
    ChangeEvent,
    ConnectionChanged,
    NewEntry,
    ProfileReset,
    SpanChanged,
    ToldState,
)
from tests.http.conftest import Serve, Served
from tests.http.small_backend import NOW, SmallBackend

DAY = 86_400
NOON = Instant(NOW // DAY * DAY + 5 * DAY + 43_200)


def became(fbtype: FbType, *, before: FbType = FbType.FREE, at: int = NOW) -> NewEntry:
    span = Period(NOON, Instant(NOON + 3600))
    body = SpanChanged(
        at=to_rfc3339(at),
        profile="anna",
        start=to_rfc3339(span.start),
        end=to_rfc3339(span.end),
        type=fbtype.text,
        before=before.text,
        uncertain=False,
        cause=ChangeCause.CALENDAR,
        calendars=("anna/Work",),
    )
    return NewEntry.of(ChangeEvent.BUSY, ("anna",), told=body, span=span)


def reset(*, at: int) -> NewEntry:
    return NewEntry.of(
        ChangeEvent.RESET, ("anna",), told=ProfileReset(to_rfc3339(Instant(at)), "anna", ChangeCause.CALENDAR)
    )


async def tell(backend: SmallBackend, *entries: NewEntry, at: int = NOW) -> None:
    await backend.log.append(entries, ToldState(snapshots=[("anna", b"")]), now=Instant(at))


async def ask(served: Served, query: str = f"?at={to_rfc3339(NOON)}") -> Any:
    answer = await served.ask(
        f"/v1/profiles/anna/history{query}", token=served.backend.token("anna", "freebusy", "details")
    )
    assert answer.status == 200, answer.text
    return answer.json


async def test_what_has_not_changed_was_so_since_the_log_begins(served: Served) -> None:
    await tell(served.backend, at=NOW - 90)
    found = await ask(served)
    assert (found["type"], found["since"], found["known_since"]) == ("FREE", None, to_rfc3339(NOW - 90))


async def test_the_last_change_says_since_when(served: Served) -> None:
    await served.backend.set_busy("anna", [(NOON, NOON + 3600, FbType.BUSY)])
    await tell(served.backend, became(FbType.BUSY_TENTATIVE), at=NOW - 90)
    await tell(served.backend, became(FbType.BUSY, before=FbType.BUSY_TENTATIVE), at=NOW - 60)
    found = await ask(served)
    assert (found["type"], found["since"], found["known_since"]) == ("BUSY", to_rfc3339(NOW - 60), to_rfc3339(NOW - 90))
    assert [one["data"]["before"] for one in found["changes"]] == ["FREE", "BUSY-TENTATIVE"]
    assert (await ask(served, f"?at={to_rfc3339(NOON + 3600)}"))["changes"] == []


async def test_what_the_log_has_not_told_yet_is_never_dated(served: Served) -> None:
    await tell(served.backend, became(FbType.BUSY), at=NOW - 60)
    found = await ask(served)  # the calendar is free again, and the log does not know that
    assert (found["type"], found["since"], found["known_since"]) == ("FREE", None, to_rfc3339(NOW))


async def test_a_reset_is_where_knowledge_begins(served: Served) -> None:
    await tell(served.backend, became(FbType.BUSY), at=NOW - 90)
    await tell(served.backend, reset(at=NOW - 60), at=NOW - 60)
    found = await ask(served)
    assert (found["since"], found["known_since"]) == (None, to_rfc3339(NOW - 60))
    assert [one["event"] for one in found["changes"]] == ["busy", "reset"]


async def test_a_moment_that_the_log_does_not_follow_has_no_past(served: Served) -> None:
    await tell(served.backend, at=NOW - 2 * DAY)
    for days in (-93, 461):
        assert (await ask(served, f"?at={to_rfc3339(NOW + days * DAY)}"))["known_since"] is None
    await tell(served.backend, reset(at=NOW - DAY), at=NOW - DAY)
    for days in (-93, 461):
        assert (await ask(served, f"?at={to_rfc3339(NOW + days * DAY)}"))["known_since"] is None
    lately = NOW // DAY * DAY + 459 * DAY  # it came into view today
    assert (await ask(served, f"?at={to_rfc3339(lately)}"))["known_since"] == to_rfc3339(NOW // DAY * DAY)


async def test_of_very_many_changes_the_last_ones_are_told(served: Served, monkeypatch: Any) -> None:
    monkeypatch.setattr(history, "MOST_CHANGES", 2)
    await tell(served.backend, *(became(FbType.FREE, before=FbType.BUSY) for _ in range(3)))
    found = await ask(served)
    assert (found["truncated"], [one["id"] for one in found["changes"]]) == (True, [2, 3])


async def test_a_change_before_those_that_are_told_is_not_taken_for_none(served: Served, monkeypatch: Any) -> None:
    monkeypatch.setattr(history, "MOST_CHANGES", 2)
    await served.backend.set_busy("anna", [(NOON, NOON + 3600, FbType.BUSY)])
    await tell(served.backend, at=NOW - 300)
    await tell(served.backend, became(FbType.BUSY), at=NOW - 240)
    for at in (NOW - 180, NOW - 120, NOW - 60):
        down = ConnectionChanged(to_rfc3339(Instant(at)), "anna", "failed", "")
        await tell(served.backend, NewEntry.of(ChangeEvent.CONNECTION, ("anna",), told=down), at=at)
    found = await ask(served)
    assert (found["type"], found["since"], found["known_since"]) == ("BUSY", None, to_rfc3339(NOW - 120))


async def test_a_moment_outside_the_working_hours_is_told(serve: Serve, tmp_path: Path) -> None:
    backend = SmallBackend(tmp_path, hours=Hours((((9 * 60, 13 * 60),),) * 7))
    await backend.set_busy("anna", [])
    served = await serve(backend)
    assert (await ask(served, "?at=2027-01-11T10:00:00%2B01:00"))["within_hours"] is True
    assert (await ask(served, "?at=2027-01-11T13:00:00%2B01:00"))["within_hours"] is False


async def test_hours_that_were_others_are_told_where_that_makes_a_difference(served: Served) -> None:
    log = served.backend.log
    for at, hours in ((0, "9:00"), (9, "9:00"), (20, "13:00")):
        start = 60 * int(hours.partition(":")[0])
        text = msgspec.json.encode(("Europe/Berlin", Hours((((start, 17 * 60),),) * 7))).decode()
        await log.note_hours({"anna": text}, now=Instant(NOW + at))
    noticed = to_rfc3339(NOW + 20)
    assert (await ask(served, "?at=2027-01-11T10:00:00%2B01:00"))["hours_changes"] == [
        {"at": noticed, "within_hours": False, "before": True}
    ]
    assert (await ask(served, "?at=2027-01-11T14:00:00%2B01:00"))["hours_changes"] == []


async def test_times_that_are_none_are_refused(served: Served) -> None:
    for query in ("?at=soon", "?at=9999-12-31T23:59:59Z", "?tz=Nowhere", "?when=now"):
        answer = await served.ask(
            f"/v1/profiles/anna/history{query}", token=served.backend.token("anna", "freebusy", "details")
        )
        assert (answer.status, bool(answer.error)) == (400, True)
    assert (await ask(served, ""))["at"] == to_rfc3339(NOW)
