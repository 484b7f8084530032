"""A calendar with more occurrences than may be held: nothing of it is free, whatever came in which order."""

import itertools
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from busyd.availability.profile import Profile
from busyd.flow.ask import FreeBusyAnswer
from busyd.ical.limits import MAX_CALENDAR_OCCURRENCES
from busyd.index.batch import Incoming
from busyd.index.rolling import roll_horizon
from busyd.period import FbType, Instant
from busyd.state.horizon import DAY
from busyd.store.mirror import SyncMark
from tests.index.inside import WORK, Inside, StoppedClock, at, event, ref, window

BOUND = 1000
"""In place of the real one, where that would only take longer."""
WEEK = ("2026-06-01", "2026-06-08")
DAILY = [
    event(f"daily{number}", f"DTSTART:20260501T{number:02}0000Z", "DURATION:PT20M", "RRULE:FREQ=DAILY;COUNT=150")
    for number in range(10)
]
FLOATING = [
    event(f"floating{number}", f"DTSTART:20260501T{number:02}3000", "DURATION:PT10M", "RRULE:FREQ=DAILY;COUNT=150")
    for number in range(10)
]
Open = Callable[[], Inside]


@pytest.fixture(autouse=True)
def small_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("busyd.index.loading.MAX_CALENDAR_OCCURRENCES", BOUND)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(at("2026-05-31T12:00"))


@pytest.fixture
def open_inside(tmp_path: Path, clock: StoppedClock) -> Iterator[Open]:
    """The same state directory, opened as often as wanted; only the last one is open."""
    opened: list[Inside] = []

    def open_it() -> Inside:
        if opened:
            opened[-1].close()
        profiles = [Profile(name, timezone=zone, conflicts=(ref("anna/*"),))
                    for name, zone in (("anna", "Europe/Berlin"), ("bob", "America/New_York"))]  # fmt: skip
        opened.append(Inside(tmp_path, clock, profiles=profiles))
        return opened[-1]

    yield open_it
    opened[-1].close()


async def put(inside: Inside, *payloads: tuple[str, bytes], gone: tuple[str, ...] = ()) -> None:
    """Named objects, one commit for all."""
    incoming = [Incoming(f"{WORK.href}{name}", f'"{hash(payload)}"', payload) for name, payload in payloads]
    hrefs = [f"{WORK.href}{name}" for name in gone]
    mark = SyncMark("1", None, inside.clock.now())
    await inside.writer.store_batch(inside.record(WORK), incoming, gone=hrefs, mark=mark)
    await inside.publisher.confirm(await inside.store.read_calendars())


async def ask(inside: Inside, profile: str = "anna") -> FreeBusyAnswer:
    return await inside.backend.freebusy(profile, window(*WEEK))


def is_all_unknown(answer: FreeBusyAnswer) -> bool:
    whole = [(answer.window.start, answer.window.end, FbType.BUSY_UNAVAILABLE)]
    return not answer.complete and [(*span[:2], FbType(span[2])) for span in answer.spans] == whole


def named(payloads: list[bytes]) -> list[tuple[str, bytes]]:
    return [(f"{number}.ics", payload) for number, payload in enumerate(payloads)]


async def test_beyond_the_bound_nothing_is_free_and_the_calendar_says_so(open_inside: Open) -> None:
    inside = open_inside()
    await inside.show(WORK)
    await put(inside, *named(DAILY))
    found = await ask(inside)
    assert is_all_unknown(found)
    assert "more than 500,000 occurrences" in found.freshness.calendars[0].note
    (explained,) = await inside.backend.explain("anna", window(*WEEK))
    assert (explained.fbtype, explained.reason, explained.calendar) == (
        FbType.BUSY_UNAVAILABLE,
        "too-much",
        "anna/Work",
    )


@pytest.mark.parametrize("payloads", [DAILY, FLOATING], ids=["zoned", "floating"])
@pytest.mark.parametrize("seed", range(6))
async def test_the_order_in_which_objects_come_and_change_does_not_matter(
    open_inside: Open, payloads: list[bytes], seed: int
) -> None:
    chance = random.Random(seed)
    objects = named(payloads)
    kept = chance.sample(objects, chance.choice([5, 6, 7, 8]))  # of 150 each: 6 are within the bound
    inside = open_inside()
    await inside.show(WORK)
    for name, payload in chance.sample(objects, len(objects)):
        await put(inside, (name, payload))
        if chance.random() < 0.2:
            inside = open_inside()
            await inside.restore.load_tables()
    dropped = [name for name, payload in objects if (name, payload) not in kept]
    for name in chance.sample(dropped, len(dropped)):
        await put(inside, gone=(name,))
    for profile in ("anna", "bob"):
        found = await ask(inside, profile)
        if len(kept) * 150 > BOUND:
            assert is_all_unknown(found)
        else:
            assert found.complete
            assert sum(end - start for start, end, _ in found.spans) >= 7 * 600 * len(kept)
    again = open_inside()
    await again.restore.load_tables()
    assert is_all_unknown(await ask(again)) == (len(kept) * 150 > BOUND)


async def test_below_the_bound_again_every_event_counts(open_inside: Open) -> None:
    inside = open_inside()
    await inside.show(WORK)
    await put(inside, *named(DAILY[:6]))
    right = await ask(inside)
    assert right.complete
    await put(inside, *named(DAILY))
    assert is_all_unknown(await ask(inside))
    short = event("short", "DTSTART:20260701T100000Z", "DURATION:PT1H")
    await put(inside, *((f"{number}.ics", short) for number in range(6, 10)))
    found = await ask(inside)
    assert found.complete
    assert found.spans == right.spans


async def test_a_start_does_not_read_what_is_too_much(open_inside: Open) -> None:
    inside = open_inside()
    await inside.show(WORK)
    await put(inside, *named(DAILY))
    await put(inside, *((f"more{number}.ics", payload) for number, payload in enumerate(DAILY)))
    counts = await inside.store.count_rows(inside.record(WORK).id)
    assert (counts.most, counts.withheld) == (3000, 10)
    again = open_inside()
    assert is_all_unknown(await ask(again))
    await again.restore.load_tables()
    assert is_all_unknown(await ask(again))
    assert again.state.tables.of(again.record(WORK).id)["Europe/Berlin"].count == 1


async def test_as_time_goes_on_it_may_fit_again(open_inside: Open, clock: StoppedClock) -> None:
    inside = open_inside()
    await inside.show(WORK)
    await put(inside, *named(DAILY))
    clock.instant = Instant(clock.instant + 10 * DAY)
    assert await roll_horizon(inside.writer, clock.now())
    assert is_all_unknown(await ask(inside))
    clock.instant = Instant(clock.instant + 150 * DAY)  # most of them are further back than is kept
    assert await roll_horizon(inside.writer, clock.now())
    later = await inside.backend.freebusy("anna", window("2026-09-20", "2026-09-22"))
    assert later.complete
    assert len(later.spans) == 20


async def test_a_window_far_away_has_the_same_bound(open_inside: Open) -> None:
    inside = open_inside()
    await inside.show(WORK)
    future = [payload.replace(b"DTSTART:2026", b"DTSTART:2031") for payload in DAILY]
    await put(inside, *named(future))
    assert (await ask(inside)).complete
    far = await inside.backend.freebusy("anna", window("2031-05-01", "2032-01-01"))
    assert is_all_unknown(far)


async def test_the_bound_frees_nothing(open_inside: Open) -> None:
    inside = open_inside()
    await inside.show(WORK)
    for number, payload in enumerate([*DAILY, *FLOATING]):
        await put(inside, (f"{number}.ics", payload))
        blocked = (await ask(inside)).spans
        for day, done in itertools.product(range(7), range(number + 1)):
            start = at("2026-06-01") + day * DAY + (done % 10) * 3600
            start += 1800 - 7200 if done >= 10 else 0  # floating: read in Berlin
            if start >= at(WEEK[0]):
                assert any(low <= start < high for low, high, _ in blocked)


MEASURED = """
import asyncio, tempfile
from pathlib import Path
from busyd.availability.profile import Profile
from tests.index.inside import WORK, Inside, StoppedClock, at, event, ref

async def main():
    clock = StoppedClock(at("2026-05-31"))
    profiles = [Profile("anna", conflicts=(ref("anna/*"),))]
    inside = Inside(Path(tempfile.mkdtemp(dir={folder!r})), clock, profiles=profiles)
    await inside.show(WORK)
    rule = ("DURATION:PT5M", "RRULE:FREQ=HOURLY")
    await inside.put(WORK, *(event(f"u{{at}}", f"DTSTART:20260101T00{{at % 60:02}}00Z", *rule) for at in range(200)))
    print((await inside.backend.freebusy("anna", inside.writer.horizon)).complete)
    await inside.writer.close()
    inside.close()

asyncio.run(main())
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def test_two_hundred_hourly_rules_take_little_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEASURED.format(folder=str(tmp_path))]
    complete, peak = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    assert complete == "False"
    assert int(peak) * 1024 < 128 * 1024 * 1024


def test_two_hundred_thousand_single_events_are_within_the_bound() -> None:
    assert MAX_CALENDAR_OCCURRENCES >= 2 * 200_000
