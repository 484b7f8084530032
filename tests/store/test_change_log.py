"""The file of the log: numbers that never come again, and how long entries are kept."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from busyd.period import Instant, Period
from busyd.store import change_log
from busyd.store.change_log import CHANGES_FILE, ChangeLog
from busyd.store.changes import ChangeEvent, NewEntry, NumberGone, ToldAppointment, ToldState
from busyd.store.engine import Database
from busyd.store.errors import StorageError
from busyd.store.sqlite.change_log_schema import CHANGE_LOG_MIGRATIONS
from busyd.store.statements import changes as statements
from busyd.store.statements.changes import DAY

NOW = Instant(1_800_000_000)
NOTHING = ToldState()


@pytest.fixture
def log(open_log: Callable[[], Database]) -> Iterator[ChangeLog]:
    opened = ChangeLog(open_log())
    yield opened
    opened.close()


def change(text: str, profile: str = "anna") -> NewEntry:
    return NewEntry(ChangeEvent.BUSY, frozenset({profile}), text.encode())


async def texts_after(log: ChangeLog, number: int) -> list[str]:
    found: list[str] = []
    while entries := await log.entries_after(number):
        found += [entry.change.body.decode() for entry in entries]
        number = entries[-1].number
    return found


async def test_entries_are_numbered_in_order_and_read_again_after_a_start(
    log: ChangeLog, open_log: Callable[[], Database]
) -> None:
    await log.append([change("a"), change("b")], NOTHING, now=NOW)
    await log.append([change("c")], NOTHING, now=NOW)
    assert (log.oldest, log.newest) == (1, 3)
    assert await texts_after(log, 1) == ["b", "c"]
    log.close()
    again = ChangeLog(open_log())
    assert (again.oldest, again.newest) == (1, 3)
    assert await texts_after(again, 0) == ["a", "b", "c"]
    again.close()


async def test_after_a_restore_all_are_told_a_reset_wherever_they_have_come_to(
    log: ChangeLog, open_log: Callable[[], Database]
) -> None:
    await log.append([change("a")], ToldState(snapshots=[("anna", b"")]), now=NOW)
    log.reset_now(["ben"], now=NOW)
    log.close()
    again = ChangeLog(open_log())
    for number in (1, 5, again.newest - 2):  # of this log, of another, and of one that was restored just before
        resets = [(one.change.event, *one.change.profiles) for one in await again.entries_after(number)]
        assert resets == [(ChangeEvent.RESET, "anna"), (ChangeEvent.RESET, "ben")]
    assert len(await again.entries_after(0)) == 3
    again.reset_now([], now=Instant(NOW - 60))
    again.close()
    last = ChangeLog(open_log())
    assert last.newest == again.newest + 1
    last.close()


async def test_what_is_added_while_it_is_looked_for_is_told_once(log: ChangeLog) -> None:
    await asyncio.gather(log.append([change("a")], NOTHING, now=NOW), log.catch_up())
    assert await texts_after(log, 0) == ["a"]


async def test_what_is_older_than_memory_is_read_from_the_file(log: ChangeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (change_log, statements):
        monkeypatch.setattr(module, "AT_ONCE", 7)
    await log.append([change(str(number)) for number in range(1100)], NOTHING, now=NOW)
    assert await texts_after(log, 0) == [str(number) for number in range(1100)]
    assert await texts_after(log, 1095) == [str(number) for number in range(1095, 1100)]


@pytest.mark.parametrize("number", [-1, 3, 10**15])
async def test_a_number_that_was_never_given_is_gone(log: ChangeLog, number: int) -> None:
    await log.append([change("a"), change("b")], NOTHING, now=NOW)
    with pytest.raises(NumberGone):
        await log.entries_after(number)


async def test_entries_are_kept_for_30_days(log: ChangeLog) -> None:
    await log.append([change("old")], NOTHING, now=NOW)
    await log.append([change("younger")], NOTHING, now=Instant(NOW + 2 * DAY))
    await log.append([change("new")], NOTHING, now=Instant(NOW + 30 * DAY))
    assert log.oldest == 2
    assert await texts_after(log, 1) == ["younger", "new"]
    with pytest.raises(NumberGone):
        await log.entries_after(0)


async def test_too_many_entries_are_kept_for_7_days_all_the_same(
    log: ChangeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "MOST_ENTRIES", 2)
    await log.append([change("a"), change("b"), change("c")], NOTHING, now=NOW)
    await log.append([change("d")], NOTHING, now=Instant(NOW + 7 * DAY - 1))
    assert log.oldest == 1
    await log.append([change("e")], NOTHING, now=Instant(NOW + 7 * DAY + 3600))
    assert await texts_after(log, log.oldest - 1) == ["d", "e"]


async def test_numbers_go_on_where_everything_was_dropped(log: ChangeLog, open_log: Callable[[], Database]) -> None:
    await log.append([change("a")], NOTHING, now=NOW)
    await log.append([], NOTHING, now=Instant(NOW + 40 * DAY))
    assert (log.oldest, log.newest) == (2, 1)
    assert await log.entries_after(1) == ()
    log.close()
    again = ChangeLog(open_log())
    assert (again.oldest, again.newest) == (2, 1)
    await again.append([change("b")], NOTHING, now=NOW)
    assert [entry.number for entry in await again.entries_after(1)] == [2]
    again.close()


async def test_the_last_entries_of_one_profile_are_found_among_those_of_others(log: ChangeLog) -> None:
    await log.append([change(str(number), f"p{number % 700}") for number in range(2100)], NOTHING, now=NOW)
    found = await log.last_entries(lambda entry: "p3" in entry.change.profiles, 2)
    assert [entry.change.body for entry in found] == [b"703", b"1403"]


async def test_what_was_told_is_kept_with_the_entries_or_not_at_all(log: ChangeLog) -> None:
    await log.append([change("a")], ToldState(snapshots=[("anna", b"1")], failing=("x", "y")), now=NOW)
    await log.append([], ToldState(recovered=("x",)), now=NOW)
    assert await log.read_told(["anna", "bob"]) == {"anna": b"1"}
    assert await log.keep_told(profiles=["anna"], connections=["x", "y"]) == {"y"}
    assert await log.keep_told(profiles=["bob"], connections=["x"]) == set()
    assert await log.read_told(["anna"]) == {}
    with pytest.raises(StorageError):
        await log.append([change("b")], ToldState(snapshots=[("anna", object())]), now=NOW)  # type: ignore[list-item]
    assert await texts_after(log, 0) == ["a"]
    assert log.newest == 1


def told_as(state: str, *, start: str = "2027-01-15T10:00:00Z") -> ToldAppointment:
    return ToldAppointment(
        id="a1",
        profile="anna",
        token="t1",
        state=state,
        reason="",
        changed_elsewhere="",
        start=start,
        end="2027-01-15T11:00:00Z",
    )


async def tell(log: ChangeLog, *told: ToldAppointment, is_silent: bool = False) -> None:
    await log.append((), ToldState(appointments=told, is_silent=is_silent), now=NOW)


async def test_an_appointment_is_told_once_in_each_state_also_over_a_start(
    log: ChangeLog, open_log: Callable[[], Database]
) -> None:
    await tell(log, told_as("pending"), told_as("pending"), told_as("booked"))
    log.close()
    again = ChangeLog(open_log())
    await tell(again, told_as("booked"))
    await tell(again, told_as("booked", start="2027-01-15T09:00:00Z"))
    entries = await again.entries_after(0)
    bodies = [json.loads(entry.change.body) for entry in entries]
    assert [(body["before"], body["state"]) for body in bodies] == [
        ("", "pending"),
        ("pending", "booked"),
        ("booked", "booked"),
    ]
    assert {(entry.change.event, entry.change.token) for entry in entries} == {(ChangeEvent.APPOINTMENT, "t1")}
    again.close()


async def test_a_log_that_begins_anew_takes_appointments_as_told(
    log: ChangeLog, open_log: Callable[[], Database]
) -> None:
    assert log.is_new
    await tell(log, told_as("booked"), is_silent=True)
    assert await log.entries_after(0) == ()
    await tell(log, told_as("booked"), told_as("cancelled"))
    assert len(await log.entries_after(0)) == 1
    log.close()
    again = ChangeLog(open_log())
    assert not again.is_new
    again.close()


def busy_at(start: int, end: int, text: str = "x", *, profile: str = "anna") -> NewEntry:
    span = Period(Instant(start), Instant(end))
    return NewEntry(ChangeEvent.BUSY, frozenset({profile}), text.encode(), span=span, origin=b"{}")


async def test_the_entries_about_a_moment_are_found_among_all_others(log: ChangeLog) -> None:
    of_all_time = NewEntry(ChangeEvent.RESET, frozenset({"anna", "anna_2"}), b"all")
    changes = [busy_at(10, 20, "a"), busy_at(20, 30, "b"), busy_at(15, 16, "other", profile="anna_"), of_all_time]
    await log.append([*changes, busy_at(0, 50, "c")], NOTHING, now=NOW)

    async def found(moment: int, *, profile: str = "anna", most: int = 9) -> list[bytes]:
        entries = await log.entries_touching(profile, Instant(moment), most=most)
        assert all(entry.change.span is None or entry.change.origin == b"{}" for entry in entries)
        return [entry.change.body for entry in entries]

    assert await found(15) == [b"a", b"all", b"c"]
    assert await found(20) == [b"b", b"all", b"c"]
    assert await found(15, most=2) == [b"all", b"c"]
    assert await found(15, profile="ann") == []


async def test_the_log_knows_since_when_it_tells_everything_of_a_profile(log: ChangeLog) -> None:
    assert await log.known_since("anna") is None
    await log.append([change("a")], ToldState(snapshots=[("anna", b"1")]), now=NOW)
    await log.append([change("b")], ToldState(snapshots=[("anna", b"2")]), now=Instant(NOW + DAY))
    assert await log.known_since("anna") == NOW
    await log.append([], NOTHING, now=Instant(NOW + 31 * DAY))
    assert await log.known_since("anna") == NOW + DAY  # what is older was dropped
    await log.keep_told(profiles=[], connections=[])
    assert await log.known_since("anna") is None


async def test_working_hours_are_kept_for_30_days_with_those_before(log: ChangeLog) -> None:
    for day, text in ((0, "a"), (1, "a"), (2, "b"), (3, "c"), (40, "d")):
        await log.note_hours({"anna": text, "bob": "x"}, now=Instant(NOW + day * DAY))
    assert await log.read_hours("anna") == [(NOW + 3 * DAY, "c"), (NOW + 40 * DAY, "d")]
    assert await log.read_hours("bob") == [(NOW, "x")]


async def test_a_log_of_an_older_version_says_which_time_its_entries_are_about(tmp_path: Path) -> None:
    path = tmp_path / CHANGES_FILE
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        for migration in CHANGE_LOG_MIGRATIONS[:3]:
            migration(db)
        body = b'{"start":"2027-01-15T10:00:00Z","end":"2027-01-15T11:00:00Z"}'
        rows = [(NOW, "busy", "anna", body), (NOW + 5, "reset", "anna", b"{}")]
        db.executemany("INSERT INTO entry (at, event, profiles, body) VALUES (?,?,?,?)", rows)
        db.execute("INSERT INTO told (profile, snapshot) VALUES ('anna', x'31')")
        db.execute("PRAGMA user_version=3")
    log = ChangeLog.open_or_begin_anew(path, now=NOW)
    ten = Instant(int(datetime.fromisoformat("2027-01-15T10:00:00Z").timestamp()))
    found = await log.entries_touching("anna", ten, most=9)
    assert [entry.change.span for entry in found] == [Period(ten, Instant(ten + 3600)), None]
    assert await log.known_since("anna") == NOW
    log.close()
