"""What is told of changes: once, after they can be seen, also after a kill, and never a title."""

import asyncio
import contextlib
import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from busyd.availability.profile import Profile
from busyd.index.rolling import roll_horizon
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.change_log import ChangeLog
from busyd.store.errors import StorageError
from tests.index.inside import HOME, WORK, Inside, StoppedClock, at, event, ref, timed, window
from tests.index.replay import Follower

ANNA = Profile("anna", conflicts=(ref("anna/Work"), ref("anna/Home")))
BOB = Profile("bob", conflicts=(ref("anna/Home"),))
CLEO = Profile("cleo", conflicts=ANNA.conflicts)
NINE = timed("a", "20260601T090000Z", "20260601T100000Z", "SUMMARY:Dentist", "LOCATION:Wetherby")
TEN = timed("b", "20260601T100000Z", "20260601T110000Z")


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    opened = Inside(tmp_path, StoppedClock(at("2026-05-31")), profiles=[ANNA, BOB])
    yield opened
    opened.close()


async def read_both(inside: Inside) -> int:
    """Both calendars are known and empty, and that is told; the number of the last entry."""
    await inside.show(WORK, HOME)
    await inside.put(WORK)
    await inside.put(HOME)
    await inside.publisher.tell_changes(("anna",))
    return inside.changes.newest


async def bodies_after(inside: Inside, number: int) -> list[bytes]:
    return [entry.change.body for entry in await inside.changes.entries_after(number)]


async def told_after(inside: Inside, number: int) -> list[dict[str, Any]]:
    await inside.publisher.tell_changes(("anna",))
    return [json.loads(body) for body in await bodies_after(inside, number)]


def short(told: list[dict[str, Any]]) -> list[tuple[str, str, str, str, str]]:
    return [(one["profile"], one["start"][11:16], one["end"][11:16], one["before"], one["type"]) for one in told]


async def test_a_span_that_becomes_busy_is_told_with_its_calendar(inside: Inside) -> None:
    last = await read_both(inside)
    await inside.put(WORK, NINE)
    assert await told_after(inside, last) == [
        {
            "at": "2026-05-31T00:00:00Z",
            "profile": "anna",
            "start": "2026-06-01T09:00:00Z",
            "end": "2026-06-01T10:00:00Z",
            "type": "BUSY",
            "before": "FREE",
            "uncertain": False,
            "cause": "calendar",
            "calendars": ["anna/Work"],
        }
    ]


async def test_a_span_that_becomes_free_is_told(inside: Inside) -> None:
    await read_both(inside)
    await inside.put(WORK, NINE, TEN)
    await inside.publisher.tell_changes(("anna",))
    last = inside.changes.newest
    await inside.put(WORK, gone=["1.ics"])
    told = await told_after(inside, last)
    assert short(told) == [("anna", "10:00", "11:00", "BUSY", "FREE")]
    assert [entry.change.event for entry in await inside.changes.entries_after(last)] == ["free"]


async def test_each_profile_is_told_what_changes_for_it(inside: Inside) -> None:
    last = await read_both(inside)
    await inside.put(HOME, NINE)
    told = await told_after(inside, last)
    assert sorted(short(told)) == [
        ("anna", "09:00", "10:00", "FREE", "BUSY"),
        ("bob", "09:00", "10:00", "FREE", "BUSY"),
    ]


async def test_a_failure_is_told_once_also_when_a_poll_is_ended_while_it_is_written(inside: Inside) -> None:
    await inside.publisher.tell_changes(("anna",))
    newest = inside.changes.newest
    inside.state.connections["anna"].trouble = "the login is refused"
    append, reached = inside.changes.append, asyncio.Event()

    async def append_slowly(*changes: Any, **kwargs: Any) -> None:
        reached.set()
        await asyncio.sleep(0)
        await append(*changes, **kwargs)

    inside.changes.append = append_slowly  # type: ignore[method-assign]
    telling = asyncio.ensure_future(inside.publisher.tell_changes(("anna",)))
    await reached.wait()
    telling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await telling
    await inside.publisher.tell_changes(("anna",))
    assert inside.changes.newest == newest + 1


async def test_an_event_that_moves_to_another_calendar_within_a_poll_is_no_change(inside: Inside) -> None:
    await read_both(inside)
    await inside.put(WORK, NINE)
    await inside.publisher.tell_changes(("anna",))
    last = inside.changes.newest
    await inside.put(WORK, gone=["0.ics"])
    await inside.put(HOME, NINE)
    assert [one for one in short(await told_after(inside, last)) if one[0] == "anna"] == []


async def test_two_changes_of_one_poll_keep_their_calendars(inside: Inside) -> None:
    last = await read_both(inside)
    await inside.put(WORK, NINE)
    await inside.put(HOME, TEN)
    told = [one for one in await told_after(inside, last) if one["profile"] == "anna"]
    assert [(one["start"][11:16], one["calendars"]) for one in told] == [
        ("09:00", ["anna/Work"]),
        ("10:00", ["anna/Home"]),
    ]


async def test_a_second_event_at_the_same_time_is_no_change(inside: Inside) -> None:
    await read_both(inside)
    await inside.put(WORK, NINE)
    await inside.publisher.tell_changes(("anna",))
    last = inside.changes.newest
    await inside.put(WORK, NINE, timed("c", "20260601T091500Z", "20260601T094500Z"))
    assert await told_after(inside, last) == []


async def test_what_is_not_understood_is_told_as_uncertain_and_never_as_free(inside: Inside) -> None:
    last = await read_both(inside)
    await inside.put(WORK, event("odd", "DTSTART:20260601T090000Z", "DTEND:20260601T100000Z", "RRULE:FREQ=SOMETIMES"))
    told = await told_after(inside, last)
    assert {(one["type"], one["uncertain"]) for one in told} == {("BUSY", True), ("BUSY-UNAVAILABLE", True)}
    assert {entry.change.event for entry in await inside.changes.entries_after(last)} == {"busy"}


async def test_nothing_of_titles_and_places_is_in_the_log(inside: Inside, tmp_path: Path) -> None:
    await read_both(inside)
    await inside.put(WORK, NINE)
    await inside.publisher.tell_changes()
    inside.changes.close()
    raw = (tmp_path / "changes.sqlite3").read_bytes()
    assert b"anna/Work" in raw
    assert b"Dentist" not in raw
    assert b"Wetherby" not in raw


async def test_while_a_calendar_was_never_read_all_time_is_uncertain(inside: Inside) -> None:
    await inside.show(WORK, HOME)
    await inside.put(WORK, NINE)
    last = inside.changes.newest
    await inside.put(HOME)
    told = [one for one in await told_after(inside, last) if one["profile"] == "anna"]
    assert {one["cause"] for one in told} == {"reading"}
    assert [(one["before"], one["type"]) for one in told] == [
        ("BUSY-UNAVAILABLE", "FREE"),
        ("BUSY-UNAVAILABLE", "BUSY"),
        ("BUSY-UNAVAILABLE", "FREE"),
    ]


async def test_where_too_much_changes_a_reset_is_told_instead(inside: Inside) -> None:
    last = await read_both(inside)
    days = [f"2026{month:02}{day:02}" for month in (6, 7, 8) for day in range(1, 29)]
    hours = [f"{day}T{hour:02}" for day in days for hour in range(0, 23, 3)]
    await inside.put(WORK, *(timed(hour, f"{hour}0000Z", f"{hour}3000Z") for hour in hours))
    assert await told_after(inside, last) == [{"at": "2026-05-31T00:00:00Z", "profile": "anna", "cause": "calendar"}]
    assert [entry.change.event for entry in await inside.changes.entries_after(last)] == ["reset"]


async def test_a_new_day_is_no_change(inside: Inside) -> None:
    await read_both(inside)
    await inside.put(WORK, timed("old", "20260228T090000Z", "20260228T100000Z"), NINE)
    await inside.publisher.tell_changes()
    last = inside.changes.newest
    inside.clock.instant = at("2026-06-01T00:00:30")
    assert await roll_horizon(inside.writer, inside.clock.now())
    assert await told_after(inside, last) == []


async def test_a_start_tells_what_a_kill_left_untold_and_only_once(inside: Inside, tmp_path: Path) -> None:
    last = await read_both(inside)
    await inside.put(WORK, NINE)  # seen, but not told
    inside.close()
    for expected in (1, 0):
        again = Inside(tmp_path, inside.clock, profiles=[ANNA, BOB])
        await again.restore.load_tables()
        entries = await again.changes.entries_after(last)
        assert [json.loads(entry.change.body)["cause"] for entry in entries] == ["restart"] * expected
        last = again.changes.newest
        again.close()


async def test_what_could_not_be_written_is_told_the_next_time(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    last = await read_both(inside)

    async def full(*_: object, **__: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(ChangeLog, "append", full)
        await inside.put(WORK, NINE)
        await inside.publisher.tell_changes(("anna",))
    await inside.put(WORK, NINE, TEN)
    told = await told_after(inside, last)
    assert short(told) == [("anna", "09:00", "11:00", "FREE", "BUSY")]
    assert told[0]["calendars"] == ["anna/Work"]


async def test_profiles_that_share_a_snapshot_are_told_the_same(tmp_path: Path) -> None:
    inside = Inside(tmp_path, StoppedClock(at("2026-05-31")), profiles=[ANNA, CLEO])
    last = await read_both(inside)
    await inside.put(WORK, NINE)
    told = await told_after(inside, last)
    assert [(one["profile"], one["calendars"]) for one in told] == [("anna", ["anna/Work"]), ("cleo", ["anna/Work"])]
    inside.close()


async def test_a_connection_that_fails_and_recovers_is_told_once_each(inside: Inside) -> None:
    last = await read_both(inside)
    connection = inside.state.connections["anna"]
    for trouble in ("no answer", "no answer yet", "", ""):
        connection.trouble, connection.last_poll = trouble, inside.clock.now()
        await inside.publisher.tell_changes(("anna",))
    told = [json.loads(body) for body in await bodies_after(inside, last)]
    assert [(one["connection"], one["state"], one["detail"]) for one in told] == [
        ("anna", "failed", "no answer"),
        ("anna", "ok", ""),
    ]


async def test_who_follows_the_log_knows_the_busy_time(inside: Inside) -> None:
    last = await read_both(inside)
    follower, dice = Follower(inside.state.profiles["bob"].snapshot), random.Random(1)  # type: ignore[arg-type]
    for step in range(60):
        hours = [dice.randrange(24 * 3) for _ in range(3)]
        payloads = [
            timed(f"{step}-{n}", f"2026060{1 + h // 24}T{h % 24:02}0000Z", f"2026060{1 + h // 24}T{h % 24:02}4500Z")
            for n, h in enumerate(hours)
        ]
        await inside.put(HOME, *payloads[: dice.randrange(4)], gone=dice.choice([[], ["2.ics"], ["0.ics"]]))
        if dice.random() < 0.5:
            await inside.publisher.tell_changes(("anna",))
    await inside.publisher.tell_changes(("anna",))
    while entries := await inside.changes.entries_after(last):
        follower.take(entry.change.body for entry in entries if "bob" in entry.change.profiles)
        last = entries[-1].number
    snapshot = inside.state.profiles["bob"].snapshot
    assert snapshot is not None
    assert follower.spans == snapshot.between(snapshot.span)


async def test_a_damaged_log_is_set_aside_and_its_numbers_do_not_come_again(inside: Inside, tmp_path: Path) -> None:
    await read_both(inside)
    await inside.put(WORK, NINE)
    await inside.publisher.tell_changes()
    last = inside.changes.newest
    inside.close()
    (tmp_path / "changes.sqlite3").write_bytes(b"not a database" * 100)
    again = Inside(tmp_path, inside.clock, profiles=[ANNA, BOB])
    await again.restore.load_tables()
    assert again.changes.oldest > last + 1
    assert (tmp_path / "changes.sqlite3.damaged").exists()
    again.close()
    with sqlite3.connect(tmp_path / "changes.sqlite3") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_what_busyd_itself_blocks_is_told_at_once_and_as_its_own(inside: Inside) -> None:
    last = await read_both(inside)
    rows = [
        Booking(number, BookingKind.BLOCK, "anna", BookingState.BOOKED, window(*span), inside.clock.now())
        for number, span in (
            ("1", ("2026-06-01T09:00", "2026-06-01T10:00")),
            ("2", ("2026-06-01T12:00", "2026-06-01T13:00")),
        )
    ]
    for row in rows:
        await inside.publisher.show_rows([row])
    told = [json.loads(body) for body in await bodies_after(inside, last)]
    assert [(one["start"][11:16], one["cause"], one["calendars"]) for one in told] == [
        ("09:00", "own", []),
        ("12:00", "own", []),
    ]


async def test_a_daemon_that_does_not_tell_changes_keeps_nothing_of_them_and_misses_none_later(inside: Inside) -> None:
    last = await read_both(inside)
    recorder = inside.publisher._changes
    assert recorder is not None
    await inside.put(WORK, TEN)  # noted, and not told yet
    await recorder.pause()
    for _ in range(3):
        await inside.put(WORK, NINE)
        await inside.put(WORK, gone=["0.ics"])
        await inside.publisher.tell_changes(("anna",))
        kept = (recorder._untold, recorder._told, recorder.origins._deleted, recorder.origins._rows)
        assert not any(kept)
    await inside.put(WORK, NINE)
    await recorder.resume(())
    assert short(await told_after(inside, last)) == [("anna", "09:00", "10:00", "FREE", "BUSY")]
