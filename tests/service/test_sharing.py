"""What a daemon answers of calendars that another one reads: never free what it cannot prove."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.availability.profile import Profile
from busyd.connection import RemoteCalendar
from busyd.flow.occupancy import others_busy
from busyd.index.batch import Incoming
from busyd.index.retry import retry_when_due
from busyd.index.rolling import roll_horizon
from busyd.period import FbType, Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.errors import StorageDamaged
from busyd.store.mirror import DoubtKind, ObjectDoubt, SyncMark
from busyd.store.postgresql.connection import TransactionConnection
from busyd.store.postgresql.database_clock import DatabaseClock, Renewal, since_boot
from busyd.store.postgresql.schema import MIRROR
from tests.index.inside import ANNA, HOME, WORK, StoppedClock, at, event, ref, timed, window
from tests.postgres import PostgresServer
from tests.service.sharing import Daemons, SharingDaemon

BEN = replace(ANNA, name="ben", username="ben@icloud.com")
DAY = ("2026-06-01", "2026-06-02")
AT_NINE = timed("a", "20260601T090000Z", "20260601T100000Z")
NINE = [(at("2026-06-01T09:00"), at("2026-06-01T10:00"), "BUSY")]
TWO = Period(at("2026-06-01T14:00"), at("2026-06-01T15:00"))
HOLD = Booking("h", BookingKind.HOLD, "anna", BookingState.BOOKED, TWO, at("2026-05-31"), fbtype=int(FbType.BUSY))
NOTHING_KNOWN = [(at(DAY[0]), at(DAY[1]), "BUSY-UNAVAILABLE")]
PROFILES = (Profile("anna", timezone="UTC", primary=ref("anna/Work"), conflicts=(ref("anna/Home"),)),)


@pytest.fixture
async def daemons(postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Daemons]:
    monkeypatch.setattr("busyd.store.postgresql.fleet.LEASE", 3600)
    async with AsyncExitStack() as stack:
        yield Daemons(postgres.new_database(), tmp_path, stack)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(at("2026-05-31"))


async def is_complete(daemon: SharingDaemon) -> bool:
    return (await daemon.backend.freebusy("anna", window(*DAY))).complete


async def test_what_one_daemon_reads_another_answers(daemons: Daemons, clock: StoppedClock) -> None:
    owner, other = [await daemons.begin(clock, profiles=PROFILES) for _ in range(2)]
    await owner.show(WORK, HOME)
    await owner.put(WORK, AT_NINE)
    await owner.put(HOME)
    await other.follow()
    assert await other.busy(*DAY) == NINE
    assert await is_complete(other)


async def test_what_another_has_proved_is_not_ahead_of_the_clock_of_a_daemon_whose_answers_take_longer(
    daemons: Daemons, clock: StoppedClock
) -> None:
    owner, other = [await daemons.begin(clock, profiles=PROFILES) for _ in range(2)]
    answered = since_boot()
    other.session.clock = DatabaseClock(Renewal(clock.now() - 3.5, answered - 5, answered))
    await owner.show(WORK, HOME)
    await owner.put(WORK, AT_NINE)
    assert other.session.clock.now() < clock.now()
    await other.follow()
    assert other.session.clock.now() >= clock.now()


async def test_calendars_of_another_account_under_the_same_name_say_nothing_here(
    daemons: Daemons, clock: StoppedClock
) -> None:
    """As when one machine has been given another login, and the other one not yet."""
    owner, other = [await daemons.begin(clock, profiles=PROFILES) for _ in range(2)]
    trouble = other.state.connections["anna"]
    for username, expected in (("anna@icloud.com", NINE), ("ben@icloud.com", NOTHING_KNOWN), ("anna@icloud.com", NINE)):
        await owner.show(WORK, HOME, username=username)
        await owner.put(WORK, AT_NINE)
        await owner.put(HOME)
        await other.follow()
        assert await other.busy(*DAY) == expected
        assert await is_complete(other) is (expected == NINE)
        assert ("another address or user name" in trouble.trouble) is (expected != NINE)


async def test_an_account_without_calendars_is_known_to_have_none_everywhere(
    daemons: Daemons, clock: StoppedClock
) -> None:
    profiles = [Profile("anna", timezone="UTC", conflicts=(ref("anna/*"),))]
    owner, other = [await daemons.begin(clock, profiles=profiles) for _ in range(2)]
    await other.follow()
    assert not other.state.connections["anna"].listed
    await owner.show()
    for _ in range(2):
        await other.follow()
        assert other.state.connections["anna"].listed
    here, there = [(await daemon.backend.freebusy("anna", window(*DAY))).freshness for daemon in (owner, other)]
    assert here.calendars == there.calendars


@pytest.mark.parametrize("calendars", [(), (WORK,)])
async def test_changed_addresses_of_an_account_reach_all_daemons(
    daemons: Daemons, clock: StoppedClock, calendars: tuple[RemoteCalendar, ...]
) -> None:
    owner, other = [await daemons.begin(clock, profiles=PROFILES) for _ in range(2)]
    for addresses in ((), ("anna@example.org",), ("a@example.org", "anna@example.org")):
        await owner.show(*calendars, addresses=addresses)
        await other.follow()
        assert other.state.connections["anna"].addresses == addresses


async def test_ids_of_a_mirror_that_another_daemon_has_begun_anew_are_not_taken_for_those_of_before(
    daemons: Daemons, clock: StoppedClock
) -> None:
    """As after damage. What this daemon has read itself stays until it reads it again."""
    owner = await daemons.begin(clock, profiles=PROFILES, connections=(ANNA, BEN))
    await owner.show(WORK, HOME)
    await owner.put(WORK, AT_NINE)
    await owner.put(HOME)
    owner.member.owned = frozenset({"anna"})
    TransactionConnection(daemons.database, MIRROR, anew=True).close()
    other = await daemons.begin(clock, profiles=(), connections=(ANNA, BEN))
    await other.show(WORK, HOME, connection="ben", username=BEN.username)
    await other.put(WORK)
    await other.put(HOME)
    await owner.follow()
    assert await owner.busy(*DAY) == NINE


async def test_no_proof_is_shown_before_what_other_daemons_had_booked_until_then(
    daemons: Daemons, clock: StoppedClock
) -> None:
    owner, other = [await daemons.begin(clock, profiles=PROFILES) for _ in range(2)]
    await owner.show(WORK, HOME)
    for calendar in (WORK, HOME):
        await owner.put(calendar)
    await other.follow()
    await owner.ledger.outbox(lambda outbox: outbox.add(HOLD))
    clock.instant = Instant(clock.instant + 60)
    for calendar in (WORK, HOME):
        await owner.put(calendar, AT_NINE)
    following = asyncio.create_task(other.follow())
    seen = set()
    while not following.done():
        await asyncio.sleep(0)
        found = await other.backend.freebusy("anna", window(*DAY))
        seen.add((found.freshness.as_of, len(found.busy)))
    await following
    assert (clock.now(), 2) in seen
    assert (clock.now(), 1) not in seen


async def test_what_is_booked_while_much_is_followed_is_shown_before_all_of_that_is(
    daemons: Daemons, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile this daemon goes on to prove what it polls itself."""
    monkeypatch.setattr("busyd.service.fleet._FOLLOW_EVERY", 0.0)
    connections = [ANNA, *(replace(BEN, name=f"ben{number}") for number in range(3))]
    owner, other = [await daemons.begin(clock, profiles=PROFILES, connections=connections) for _ in range(2)]
    for connection in connections:
        await owner.show(WORK, HOME, connection=connection.name, username=connection.username)
    following, seen = asyncio.create_task(other.follow()), set[int]()
    while not any(other.state.calendars_of(connection.name) for connection in connections):
        await other.state.changed_since(other.state.revision)
    async with other.publisher.changing:  # which the others wait for
        await owner.ledger.outbox(lambda outbox: outbox.add(HOLD))
    while not following.done():
        seen.add(len(other.state.own.of("anna")))
        await asyncio.sleep(0)
    await following
    assert seen == {0, 1}


async def test_what_is_damaged_is_found_where_it_is_followed(daemons: Daemons, clock: StoppedClock) -> None:
    """So that the daemon reads everything anew, and does not stay behind with all else."""
    owner, other = [await daemons.begin(clock, profiles=PROFILES) for _ in range(2)]
    await owner.show(WORK)
    await owner.put(WORK, AT_NINE)
    await other.follow()
    with contextlib.closing(TransactionConnection(daemons.database, MIRROR)) as connection:
        connection.write(lambda db: db.execute("UPDATE busy_index SET incomplete='damaged'"))
    with pytest.raises(StorageDamaged):
        await other.follow()


PRAGUE, NEW_YORK = {"kerio city": "Europe/Prague"}, {"kerio city": "America/New_York"}
"""As if daemons had different data about time zones."""
WEEKLY = event(
    "a", "DTSTART;TZID=Kerio City:20260601T100000", "DTEND;TZID=Kerio City:20260601T110000", "RRULE:FREQ=WEEKLY"
)


def hour(day: str, start: int) -> list[tuple[Instant, Instant, str]]:
    return [(at(f"{day}T{start:02}:00"), at(f"{day}T{start + 1:02}:00"), "BUSY")]


async def test_daemons_that_read_time_zones_differently_each_answer_by_their_own_reading(
    daemons: Daemons, clock: StoppedClock
) -> None:
    """As while one machine has newer data: only one reading is stored, and nobody takes it for another one."""
    days = [("2026-06-01", "2026-06-02"), ("2026-06-08", "2026-06-09"), ("2029-06-04", "2029-06-05")]
    profiles = (Profile("anna", timezone="UTC", primary=ref("anna/Work")),)
    owner = await daemons.begin(clock, profiles=profiles, time_zones=PRAGUE)
    other = await daemons.begin(clock, profiles=profiles, time_zones=NEW_YORK)

    async def each_by_its_own(*others: SharingDaemon) -> None:
        for start, end in days:
            assert await owner.busy(start, end) == hour(start, 8)
            for one in others:
                assert await one.busy(start, end) == hour(start, 14 if one.state.own_zones is NEW_YORK else 8)

    await owner.show(WORK)
    await owner.put(WORK, WEEKLY)
    await other.follow()
    await each_by_its_own(other)
    clock.instant = Instant(clock.instant + 86_400)
    days.append(("2027-08-23", "2027-08-24"))
    for daemon in (owner, other):
        await roll_horizon(daemon.writer, clock.now())
    await each_by_its_own(other)
    third = await daemons.begin(clock, profiles=profiles, time_zones=PRAGUE)
    await other.follow()
    await each_by_its_own(other, third)
    await owner.put(WORK, WEEKLY.replace(b"\r\nEND:VEVENT", b"\r\nSUMMARY:x\r\nEND:VEVENT"))
    for daemon in (other, third):
        await daemon.follow()
    await each_by_its_own(other, third)
    other.state.own_zones = PRAGUE  # it has the newer data as well by now, after the others
    await other.restore.load_tables()
    await each_by_its_own(other, third)


async def test_what_was_accepted_of_one_version_is_not_accepted_of_another_that_is_read_as_a_whole(
    daemons: Daemons, clock: StoppedClock
) -> None:
    owner, other = [await daemons.begin(clock, profiles=PROFILES) for _ in range(2)]
    await owner.show(WORK, HOME)
    href = f"{WORK.href}0.ics"
    for calendar in (WORK, HOME):
        await owner.put(calendar, AT_NINE)

    async def list_as(etag: str, *, others: int = 0) -> None:
        """The server lists the event as this version, and does not hand it out; and so many other events."""
        new = [Incoming(f"{WORK.href}new{one}.ics", etag, AT_NINE) for one in range(others)]
        doubts = {href: ObjectDoubt(DoubtKind.UNREAD, clock.now(), etag=etag)}
        mark = SyncMark("1", None, clock.now(), doubts=doubts)
        await owner.writer.store_batch(owner.record(WORK), new, unread=[href], mark=mark)
        await owner.publisher.confirm(await owner.store.read_calendars())
        await other.follow()

    await list_as('"2"')
    assert not await is_complete(other)
    (problem,) = {one.id for noted in owner.state.problems.values() for one in noted}
    await owner.backend.accepted_problems.accept(problem, clock.now())
    await other.follow()
    assert await is_complete(other)
    await list_as('"3"', others=501)
    assert not await is_complete(owner)
    assert not await is_complete(other)


async def test_no_snapshot_is_kept_for_a_state_of_the_mirror_that_this_daemon_does_not_have_yet(
    daemons: Daemons, clock: StoppedClock
) -> None:
    """As whoever starts next would answer from it."""
    owner, other = [await daemons.begin(clock, profiles=PROFILES) for _ in range(2)]
    await owner.show(WORK, HOME)
    for calendar in (WORK, HOME):
        await owner.put(calendar, timed("old", "20260501T090000Z", "20260501T100000Z"))
    await other.follow()
    record = other.record(WORK)
    ((_, _, entry),) = await other.store.read_entries(record.id, "UTC")
    other.state.postponed.add(entry.object, record.id, why="it could not be read then", now=0.0)
    await owner.put(WORK, timed("old", "20260501T090000Z", "20260501T100000Z"), AT_NINE)
    await retry_when_due(other.writer)
    third = await daemons.begin(clock, profiles=PROFILES)
    assert await third.busy(*DAY) == NINE


async def test_an_event_that_has_moved_to_a_new_calendar_is_never_in_neither(
    daemons: Daemons, clock: StoppedClock
) -> None:
    """However long it takes to link that to all profiles, and whatever else is shown meanwhile."""
    profiles = [Profile(f"p{number}", timezone="UTC", conflicts=(ref("anna/*"),)) for number in range(60)]
    owner, other = [await daemons.begin(clock, profiles=some) for some in (profiles[:1], profiles)]
    await owner.show(WORK)
    await owner.put(WORK, AT_NINE)
    await other.follow()
    await owner.show(WORK, HOME)
    await owner.put(HOME, AT_NINE)
    await owner.put(WORK, gone=["0.ics"])
    following = asyncio.create_task(other.follow())
    while not following.done():
        await other.publisher.publish_profiles(["p59"])
        assert NINE[0] in await other.busy(*DAY, profile="p59")
        await asyncio.sleep(0)
    await following
    assert await other.busy(*DAY, profile="p59") == NINE
    assert [record.remote.name for record in other.state.linked_calendars("anna")] == ["Work", "Home"]


async def test_what_has_moved_at_another_daemon_takes_its_time_from_a_booking_before_it_is_followed(
    daemons: Daemons, clock: StoppedClock
) -> None:
    owner, other = [await daemons.begin(clock, profiles=PROFILES) for _ in range(2)]
    await owner.show(WORK, HOME)
    await owner.put(WORK, AT_NINE)
    await owner.put(HOME)
    await other.follow()
    await owner.put(HOME, AT_NINE)
    await owner.put(WORK, gone=["0.ics"])
    profile_state, nine = other.state.profiles["anna"], Period(*NINE[0][:2])
    assert await others_busy(other.writer, profile_state, window=nine, uids=(), rows=None)
    await other.follow()
    busy = await others_busy(other.writer, profile_state, window=nine, uids=(), rows=None)
    assert busy == [(*NINE[0][:2], int(FbType.BUSY))]


async def test_what_another_daemon_has_proved_in_the_second_of_a_start_is_not_doubted(
    daemons: Daemons, clock: StoppedClock
) -> None:
    """With many connections something always was."""
    owner = await daemons.begin(clock, profiles=PROFILES)
    await owner.show(WORK, HOME)
    for calendar in (WORK, HOME):
        await owner.put(calendar)
    other = await daemons.begin(clock, profiles=PROFILES)
    assert not (await other.backend.freebusy("anna", window(*DAY))).freshness.stale


async def test_a_connection_is_not_handed_over_while_it_is_polled_nor_while_that_is_due(
    daemons: Daemons, clock: StoppedClock
) -> None:
    owner = await daemons.begin(clock, profiles=PROFILES)
    connection_state, now = owner.state.connections["anna"], owner.session.clock.now()
    assert owner.member._is_idle("anna")  # it cannot even be tried
    owner.polling.schedules["anna"] = owner.member._stand_in("anna")
    assert not owner.member._is_idle("anna")  # its first poll is under way
    connection_state.next_poll = Instant(now - 1)
    assert not owner.member._is_idle("anna")
    connection_state.next_poll = Instant(now + 3600)
    assert owner.member._is_idle("anna")
