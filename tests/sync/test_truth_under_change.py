"""What is free must be proved free, also while horizon, configuration, polls and stops get in each other's way."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from busyd.availability.policy import Rules
from busyd.availability.profile import Profile
from busyd.availability.snapshot import Snapshot
from busyd.connection import CalendarKind, Connection, ConnectionKind, RemoteCalendar
from busyd.index.batch import Incoming
from busyd.index.expansion import Expanded
from busyd.index.rolling import expand_window, roll_horizon
from busyd.index.writer import IndexWriter
from busyd.period import Instant, Period
from busyd.state.horizon import DAY
from busyd.state.profile_state import ProfileState
from busyd.store.errors import StorageError
from busyd.store.mirror import AccountRecord, SyncMark
from busyd.store.transaction import Transaction
from busyd.sync.context import ConnectionContext, refresh_state
from tests.index.inside import ANNA, HOME, WORK, Inside, StoppedClock, at, event, ref, timed, window

WEEK = window("2026-06-01", "2026-06-08")
NINE, TEN = at("2026-06-01T09:00"), at("2026-06-01T10:00")
BERLIN = Profile("anna", timezone="Europe/Berlin", conflicts=(ref("anna/*"),))
DAILY = event("daily", "DTSTART:20200101T090000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY")
TEAM = Connection("team", ConnectionKind.CALDAV, "https://dav.example.org/", "team")
Open = Callable[..., Inside]


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(at("2026-05-31T12:00"))


@pytest.fixture
def open_daemon(tmp_path: Path, clock: StoppedClock) -> Iterator[Open]:
    opened: list[Inside] = []

    def make(*profiles: Profile) -> Inside:
        opened.append(Inside(tmp_path, clock, profiles=profiles or [BERLIN]))
        return opened[-1]

    yield make
    for inside in opened:
        inside.close()


def incoming(payload: bytes, name: str = "new.ics") -> Incoming:
    return Incoming(f"{WORK.href}{name}", '"new"', payload)


async def disk_full(_: Callable[[Transaction], Any]) -> Any:
    """In the place of `Store.transaction`."""
    message = "database or disk is full"
    raise StorageError(message)


async def edge_day(inside: Inside) -> int:
    """Busy spans in the last day of the horizon."""
    end = inside.writer.horizon.end
    answer = await inside.backend.freebusy("anna", Period(Instant(end - DAY), end))
    assert answer.complete
    return len(answer.spans)


async def test_days_that_passed_while_busyd_was_stopped_are_expanded_at_the_start(
    open_daemon: Open, clock: StoppedClock
) -> None:
    inside = open_daemon()
    await inside.show(WORK)
    await inside.put(WORK, DAILY)
    clock.instant = Instant(clock.instant + 30 * DAY)
    again = open_daemon()
    await again.restore.load_tables()
    assert await edge_day(again) == 1


async def test_days_that_passed_while_busyd_was_stopped_are_not_lost_at_the_next_roll(
    open_daemon: Open, clock: StoppedClock
) -> None:
    inside = open_daemon()
    await inside.show(WORK)
    await inside.put(WORK, DAILY)
    clock.instant = Instant(clock.instant + 30 * DAY)
    again = open_daemon()
    await again.restore.load_tables()
    clock.instant = Instant(clock.instant + DAY)
    await roll_horizon(again.writer, clock.now())
    end = again.writer.horizon.end
    answer = await again.backend.freebusy("anna", Period(Instant(end - 31 * DAY), end))
    assert len(answer.spans) == 31


async def test_a_roll_while_a_batch_is_expanded_leaves_no_day_out(
    open_daemon: Open, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = open_daemon()
    await inside.show(WORK)
    await inside.put(WORK)
    expand = inside.writer.expansion.expand

    async def midnight_meanwhile(payloads: Sequence[bytes], zones: Any, *, span: Period) -> list[Expanded]:
        found = await expand(payloads, zones, span=span)
        monkeypatch.undo()
        clock.instant = Instant(clock.instant + DAY)
        await roll_horizon(inside.writer, clock.now())
        return found

    monkeypatch.setattr(inside.writer.expansion, "expand", midnight_meanwhile)
    await inside.put(WORK, DAILY)
    assert await edge_day(inside) == 1


async def reload(inside: Inside, *profiles: Profile) -> None:
    await inside.state.reconfigure([one.connection for one in inside.state.connections.values()], profiles)
    await inside.writer.complete_tables()


async def test_a_zone_that_was_left_and_is_read_in_again_has_what_changed_meanwhile(open_daemon: Open) -> None:
    inside = open_daemon()
    await inside.show(WORK)
    await inside.put(WORK)
    await reload(inside, replace(BERLIN, timezone="America/New_York"))
    await inside.put(WORK, event("day", "DTSTART;VALUE=DATE:20260603"))
    await reload(inside, BERLIN)
    assert await inside.busy("2026-06-01", "2026-06-08") == [(at("2026-06-02T22:00"), at("2026-06-03T22:00"), "BUSY")]


async def test_a_zone_that_is_added_while_a_batch_is_expanded_misses_nothing_of_it(
    open_daemon: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = open_daemon()
    await inside.show(WORK)
    await inside.put(WORK)
    expand = inside.writer.expansion.expand

    async def reload_meanwhile(payloads: Sequence[bytes], zones: Any, *, span: Period) -> list[Expanded]:
        found = await expand(payloads, zones, span=span)
        monkeypatch.undo()
        await reload(inside, replace(BERLIN, timezone="America/New_York"))
        return found

    monkeypatch.setattr(inside.writer.expansion, "expand", reload_meanwhile)
    await inside.put(WORK, event("day", "DTSTART;VALUE=DATE:20260603"))
    assert await inside.busy("2026-06-01", "2026-06-08") == [(at("2026-06-03T04:00"), at("2026-06-04T04:00"), "BUSY")]


async def test_a_batch_that_is_broken_off_is_in_memory_as_it_is_on_the_disk(open_daemon: Open) -> None:
    inside = open_daemon()
    await inside.show(WORK)
    await inside.put(WORK)
    transaction, loop = inside.store.transaction, asyncio.get_running_loop()
    in_the_store, broken_off = asyncio.Event(), threading.Event()

    async def watched(work: Callable[[Transaction], Any]) -> Any:
        def in_the_thread(tx: Transaction) -> Any:
            loop.call_soon_threadsafe(in_the_store.set)
            broken_off.wait(5)
            return work(tx)

        return await transaction(in_the_thread)

    inside.store.transaction = watched  # type: ignore[method-assign]
    mark = SyncMark("2", None, inside.clock.now())
    payload = timed("a", "20260601T090000Z", "20260601T100000Z")
    poll = asyncio.create_task(inside.writer.store_batch(inside.record(WORK), [incoming(payload)], mark=mark))
    await in_the_store.wait()
    poll.cancel()  # a reload changed this connection
    await asyncio.sleep(0)
    broken_off.set()
    await asyncio.gather(poll, return_exceptions=True)
    inside.store.transaction = transaction  # type: ignore[method-assign]
    inside.state.take_calendars(await inside.store.read_calendars())
    await inside.publisher.publish_snapshots()
    on_disk = len(await inside.store.read_etags(inside.record(WORK).id))
    busy = await inside.busy("2026-06-01", "2026-06-08")
    assert (on_disk, len(busy)) in ((0, 0), (1, 1))


async def test_what_a_broken_off_poll_has_stored_shows_before_the_next_poll_calls_it_fresh(open_daemon: Open) -> None:
    """`refresh_state` of the next, idle poll confirms the calendar: its time must be in the snapshot by then."""
    inside = open_daemon()
    await inside.show(WORK)
    await inside.put(WORK)
    mark = SyncMark("2", None, Instant(inside.clock.now() + 60))
    payload = timed("a", "20260601T090000Z", "20260601T100000Z")
    await inside.writer.store_batch(inside.record(WORK), [incoming(payload)], mark=mark)
    # Cancelled, or out of disk space, before its own refresh_state. The next poll finds nothing changed:
    connection_state = inside.state.connections["anna"]
    context = ConnectionContext(connection_state=connection_state, writer=inside.writer, ledger=inside.ledger)
    await refresh_state(context)
    answer = await inside.backend.freebusy("anna", WEEK)
    assert answer.freshness.as_of != mark.as_of or answer.spans == [(NINE, TEN, 3)]


async def test_other_addresses_count_as_soon_as_they_are_discovered(open_daemon: Open) -> None:
    inside = open_daemon()
    await inside.show(WORK)
    connection_state = inside.state.connections["anna"]
    connection_state.addresses = ("mailto:old@example.org",)
    declined = ("ORGANIZER:mailto:boss@example.org", "ATTENDEE;PARTSTAT=DECLINED:mailto:old@example.org")
    await inside.put(WORK, timed("a", "20260601T090000Z", "20260601T100000Z", *declined))
    assert await inside.busy("2026-06-01", "2026-06-08") == []
    connection_state.addresses = ("mailto:new@example.org",)  # what `_list` does after discovery
    context = ConnectionContext(connection_state=connection_state, writer=inside.writer, ledger=inside.ledger)
    await refresh_state(context)
    assert await inside.busy("2026-06-01", "2026-06-08") == [(NINE, TEN, "BUSY")]


async def test_a_changed_poll_interval_does_not_forget_who_i_am(open_daemon: Open) -> None:
    inside = open_daemon()
    inside.state.connections["anna"].addresses = ("mailto:alias@example.org",)
    await inside.state.reconfigure([replace(ANNA, poll=timedelta(seconds=90))], [BERLIN])
    assert inside.state.connections["anna"].addresses == ("mailto:alias@example.org",)


async def test_a_connection_dropped_by_a_reload_leaves_no_gap_in_service(open_daemon: Open) -> None:
    both = replace(BERLIN, conflicts=(ref("anna/*"), ref("team/Roadmap")))
    inside = open_daemon(both)
    await inside.show(WORK)
    await inside.state.reconfigure([ANNA, TEAM], [both])
    await inside.writer.complete_tables()
    await inside.state.reconfigure([ANNA], [BERLIN])  # complete_tables has to wait for the store: somebody asks
    await inside.backend.freebusy("anna", WEEK)


async def test_a_start_after_discovery_but_before_the_first_listing_knows_that_it_knows_nothing(
    open_daemon: Open,
) -> None:
    inside = open_daemon()
    account = AccountRecord("anna", ANNA.url, ANNA.username, "/p/", ("/1/calendars/",), (), False, inside.clock.now())
    await inside.store.transaction(lambda tx: tx.record_account(account))  # killed here
    team = Profile("anna", conflicts=(ref("team"), ref("anna/*")))
    again = open_daemon(team)
    await again.state.reconfigure([ANNA, replace(TEAM, kind=ConnectionKind.ICS)], [team])
    feed = RemoteCalendar(TEAM.url, "team", CalendarKind.FEED)
    await again.store.record_listing("team", [feed], at=again.clock.now())
    again.state.take_calendars(await again.store.read_calendars())
    await again.put(feed)
    await again.restore.load_tables()
    assert not (await again.backend.freebusy("anna", WEEK)).complete


async def test_a_proof_that_lies_ahead_of_the_clock_is_no_proof(open_daemon: Open, clock: StoppedClock) -> None:
    inside = open_daemon()
    await inside.show(WORK)
    await inside.put(WORK)
    clock.instant = Instant(clock.instant - 30 * DAY)
    assert (await inside.backend.freebusy("anna", WEEK)).freshness.stale


async def test_a_changed_address_of_a_feed_is_followed_at_once(open_daemon: Open) -> None:
    profile = Profile("anna", conflicts=(ref("holidays"),))
    inside = open_daemon(profile)
    old = Connection("holidays", ConnectionKind.ICS, "https://old.example.org/a.ics")
    await inside.state.reconfigure([old], [profile])
    feed = RemoteCalendar(old.url, "holidays", CalendarKind.FEED)
    await inside.store.record_listing("holidays", [feed], at=inside.clock.now())
    inside.state.take_calendars(await inside.store.read_calendars())
    await inside.put(feed)
    new = replace(old, url="https://new.example.org/b.ics")
    await inside.state.reconfigure([new], [profile])
    moved = replace(feed, href=new.url)
    await inside.store.record_listing("holidays", [moved], at=inside.clock.now())
    inside.state.take_calendars(await inside.store.read_calendars())
    await inside.writer.complete_tables()
    assert [record.remote.href for record in inside.state.linked_calendars("holidays")] == [new.url]
    assert not (await inside.backend.freebusy("anna", WEEK)).complete


async def test_explain_names_the_line_where_the_rule_stands_after_a_reload(open_daemon: Open) -> None:
    rules = Rules(all_day="busy", origin={"all_day": "config.yaml:10"})
    inside = open_daemon(replace(BERLIN, rules=rules))
    await inside.show(WORK)
    await inside.put(WORK, event("day", "DTSTART;VALUE=DATE:20260603", "TRANSP:TRANSPARENT"))
    await reload(inside, replace(BERLIN, rules=replace(rules, origin={"all_day": "config.yaml:12"})))
    assert [one.origin for one in await inside.backend.explain("anna", WEEK)] == ["config.yaml:12"]


async def test_explain_names_the_line_that_keeps_the_primary_from_blocking(open_daemon: Open) -> None:
    inside = open_daemon(
        Profile("anna", primary=ref("anna/Work"), primary_blocks=False, primary_blocks_origin="c.yaml:7")
    )
    await inside.show(WORK)
    await inside.put(WORK, timed("a", "20260601T090000Z", "20260601T100000Z"))
    [one] = await inside.backend.explain("anna", WEEK)
    assert (one.reason, one.rule, one.origin) == ("primary-does-not-block", "primary_blocks", "c.yaml:7")


async def test_explain_tells_of_a_calendar_that_was_never_read(open_daemon: Open) -> None:
    inside = open_daemon()
    await inside.show(WORK, HOME)
    await inside.put(WORK)
    assert [one.reason for one in await inside.backend.explain("anna", WEEK)] == ["never-read"]


async def test_problems_of_a_calendar_that_is_no_longer_linked_are_no_longer_told(open_daemon: Open) -> None:
    inside = open_daemon()
    await inside.show(WORK, HOME)
    await inside.put(WORK, event("odd", "DTSTART:notadate"))
    await reload(inside, replace(BERLIN, conflicts=(ref("anna/Home"),)))
    assert inside.backend.problems() == []
    assert {calendar for calendar, _ in inside.state.tables} == {inside.record(HOME).id}


async def test_a_calendar_that_is_listed_with_a_fault_leaves_nothing_free_behind_a_wildcard(open_daemon: Open) -> None:
    inside = open_daemon()
    now = inside.clock.now()
    await inside.store.transaction(lambda tx: tx.record_listing("anna", [WORK], at=now, unreadable=[HOME.href]))
    inside.state.take_calendars(await inside.store.read_calendars())
    await inside.restore.load_tables()
    await inside.put(WORK)
    assert not (await inside.backend.freebusy("anna", WEEK)).complete


async def test_calendars_of_another_account_under_the_same_name_do_not_answer_for_this_one(open_daemon: Open) -> None:
    inside = open_daemon()
    await inside.show(WORK)
    await inside.put(WORK)
    await inside.state.reconfigure([replace(ANNA, username="ben@icloud.com")], [BERLIN])
    await inside.writer.complete_tables()
    assert not (await inside.backend.freebusy("anna", WEEK)).complete


async def test_an_answer_beyond_the_horizon_claims_no_younger_proof_than_it_was_made_from(
    open_daemon: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = open_daemon()
    await inside.show(WORK)
    await inside.put(WORK)
    old, far = inside.clock.now(), window("2031-06-01", "2031-06-08")

    async def expand(writer: IndexWriter, profile_state: ProfileState, *, window: Period) -> Snapshot:
        snapshot = await expand_window(writer, profile_state, window=window)
        inside.clock.instant = Instant(old + 60)  # a poll ends meanwhile
        await inside.put(WORK, timed("a", "20310601T090000Z", "20310601T100000Z"))
        return snapshot

    monkeypatch.setattr("busyd.index.rolling.expand_window", expand)
    answer = await inside.backend.freebusy("anna", far)
    assert answer.spans or answer.freshness.as_of == old


async def test_a_start_on_a_full_disk_answers_from_what_there_is(open_daemon: Open) -> None:
    inside = open_daemon()
    await inside.show(WORK)
    await inside.put(WORK, timed("a", "20260601T090000Z", "20260601T100000Z"))
    again = open_daemon()

    again.store.transaction = disk_full  # type: ignore[method-assign,assignment]
    await again.restore.load_tables()
    assert await again.busy("2026-06-01", "2026-06-08") == [(NINE, TEN, "BUSY")]


async def test_what_one_profile_cannot_store_does_not_keep_another_from_its_new_snapshot(open_daemon: Open) -> None:
    amy = replace(BERLIN, name="amy")
    inside = open_daemon(BERLIN, amy)
    await inside.show(WORK)
    await inside.put(WORK)
    record = inside.record(WORK)
    await inside.writer.store_batch(record, [incoming(timed("a", "20260601T090000Z", "20260601T100000Z"))])
    transaction = inside.store.transaction

    inside.store.transaction = disk_full  # type: ignore[method-assign,assignment]
    await asyncio.gather(inside.publisher.publish_snapshots(), return_exceptions=True)
    inside.store.transaction = transaction  # type: ignore[method-assign]
    assert [len(await inside.busy("2026-06-01", "2026-06-08", profile=name)) for name in ("anna", "amy")] == [1, 1]


async def test_facts_that_no_occurrence_states_any_more_are_forgotten_with_the_day(
    open_daemon: Open, clock: StoppedClock
) -> None:
    inside = open_daemon()
    await inside.show(WORK)
    for number in range(30):
        guest = f"ATTENDEE;PARTSTAT=ACCEPTED:mailto:guest{number}@example.org"
        await inside.put(WORK, timed("a", "20260601T090000Z", "20260601T100000Z", guest))
    clock.instant = Instant(clock.instant + DAY)
    await roll_horizon(inside.writer, clock.now())
    assert len(inside.state.table.facts) == 1
    assert await inside.busy("2026-06-01", "2026-06-08") == [(NINE, TEN, "BUSY")]
