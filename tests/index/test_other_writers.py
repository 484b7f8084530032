"""Another daemon writes the mirror too: what is read of its objects here is never taken for what they are by now."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from busyd.availability.profile import Profile
from busyd.clock import Now
from busyd.flow.shared_mirror import SharedMirror
from busyd.index.restore import Restore
from busyd.state.proofs import Proofs
from busyd.store.acceptances import Acceptance
from busyd.store.mirror import StoredObject
from busyd.store.postgresql.database_clock import DatabaseClock, Renewal, since_boot
from busyd.store.postgresql.other_daemons import CalendarMoved, ConnectionMoved, ObjectsMoved
from tests.index.inside import WORK, Inside, StoppedClock, at, event, ref, timed, window

DAY = ("2026-06-01", "2026-06-02")
AT_NINE = timed("a", "20260601T090000Z", "20260601T100000Z")
AT_TWO = timed("a", "20260601T140000Z", "20260601T150000Z")
HREF = f"{WORK.href}0.ics"


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    profiles = [Profile(name, timezone=zone, conflicts=(ref("anna/*"),)) for name, zone in
                (("anna", "UTC"), ("tokyo", "Asia/Tokyo"))]  # fmt: skip
    inside = Inside(tmp_path, StoppedClock(at("2026-05-31")), profiles=profiles)
    await inside.show(WORK)
    yield inside
    inside.close()


async def test_an_object_that_is_replaced_while_it_is_read_is_read_again(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    await inside.put(WORK, AT_NINE)
    await inside.store.transaction(lambda tx: tx.forget_entries())
    inside.state.tables.clear()
    expansion, calendar = inside.writer.expansion, inside.record(WORK).id
    expand = expansion.expand

    async def expand_and_be_outrun(payloads: Sequence[bytes], *more: object, **named: object) -> object:
        found = await expand(payloads, *more, **named)  # type: ignore[arg-type]
        replaced = StoredObject(HREF, '"2"', "a", AT_TWO)
        await inside.store.transaction(lambda tx: tx.put_object(calendar, replaced))
        return found

    monkeypatch.setattr(expansion, "expand", expand_and_be_outrun)
    await inside.writer.complete_tables()
    assert await inside.busy(*DAY) == [(at("2026-06-01T14:00"), at("2026-06-01T15:00"), "BUSY")]


async def test_a_zone_in_which_the_other_daemon_does_not_read_is_read_here(inside: Inside) -> None:
    await inside.put(WORK, event("a", "DTSTART;VALUE=DATE:20260601", "DTEND;VALUE=DATE:20260602", "TRANSP:OPAQUE"))
    before = [await inside.busy(*DAY, profile=name) for name in ("anna", "tokyo")]
    assert all(before)
    record = inside.record(WORK)
    ((_, _, entry),) = await inside.store.read_entries(record.id, "UTC")
    moved = ObjectsMoved({entry.object: [entry]}, {entry.object: (HREF, '"2"')})
    generation = await inside.store.generation_of(record.id)
    changed = ConnectionMoved(None, [record], [CalendarMoved(record.id, generation, moved)])
    await SharedMirror(inside.writer, inside.ledger).follow("anna", changed)
    assert [await inside.busy(*DAY, profile=name) for name in ("anna", "tokyo")] == before


async def test_what_is_accepted_at_another_daemon_or_no_longer_is_counts_so_here(inside: Inside) -> None:
    await inside.put(WORK, event("a", "DTSTART:20260601T090000Z", "DURATION:PT1H", "RRULE:FREQ=FORTNIGHTLY"))
    accepted = inside.backend.accepted_problems

    async def is_complete() -> bool:
        return (await inside.backend.freebusy("anna", window(*DAY))).complete

    ((noted, *_),) = inside.state.problems.values()
    acceptance = Acceptance(noted.id, "anna/Work", HREF, "a", "", inside.clock.now())
    assert not await is_complete()
    await accepted.follow({noted.id: acceptance})
    assert await is_complete()
    await accepted.follow({noted.id: acceptance})
    await accepted.follow({})
    assert not await is_complete()


async def test_what_other_daemons_have_read_stays_though_it_is_not_configured_here(inside: Inside) -> None:
    await inside.put(WORK, AT_NINE)
    inside.state.connections.clear()
    Restore(inside.writer, others={"anna"}).take_snapshots()
    assert len(await inside.store.read_calendars("anna")) == 1
    assert not inside.state.calendars
    Restore(inside.writer).take_snapshots()
    assert not await inside.store.read_calendars("anna")


async def test_a_start_keeps_what_daemons_have_proved_whose_clocks_lag_less(inside: Inside) -> None:
    await inside.put(WORK, AT_NINE)
    proved, answered = inside.clock.now(), since_boot()
    inside.writer.clock = clock = DatabaseClock(Renewal(proved - 3.5, answered - 5, answered))
    inside.state.proofs = Proofs()
    Restore(inside.writer, others={"anna"}, hear=clock.hear).take_snapshots()
    age = inside.state.proofs.age_of(inside.record(WORK), Now(clock.now(), clock.monotonic()))
    assert age == pytest.approx(1, abs=1)
