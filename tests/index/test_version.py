"""Other time-zone data, or another busyd, reads the same objects differently: the stored index is made anew."""

from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.availability.profile import Profile
from busyd.ical import tzfile
from busyd.ical.zones import forget_outdated_zones
from busyd.store.transaction import Transaction
from tests.index.inside import WORK, Inside, StoppedClock, at, ref, timed

PROFILE = Profile("anna", conflicts=(ref("anna/*"),))
NINE = (at("2026-06-01T09:00"), at("2026-06-01T10:00"), "BUSY")


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(at("2026-05-31"))


async def with_a_wrong_index(folder: Path, clock: StoppedClock) -> None:
    """A state directory whose index says midnight of an event at nine."""
    inside = Inside(folder, clock, profiles=[PROFILE])
    await inside.show(WORK)
    await inside.put(WORK, timed("a", "20260601T090000Z", "20260601T100000Z"))

    def spoil(tx: Transaction) -> None:
        _, _, entry = tx.read_entries(inside.record(WORK).id, "UTC")[0]
        wrong = array("q", [at("2026-06-01"), at("2026-06-01T01:00"), 0])
        tx.put_entries([replace(entry, occurrences=wrong)])
        tx.advance_generation(inside.record(WORK).id)

    await inside.store.transaction(spoil)
    inside.close()


@pytest.fixture
def swapped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time-zone data of this machine is another release."""
    monkeypatch.setattr(tzfile, "_package_version", lambda: "2999z")
    tzfile.tzdata_version.cache_clear()
    yield
    monkeypatch.undo()
    tzfile.tzdata_version.cache_clear()


async def test_the_same_data_is_not_expanded_again(tmp_path: Path, clock: StoppedClock) -> None:
    await with_a_wrong_index(tmp_path, clock)
    again = Inside(tmp_path, clock, profiles=[PROFILE])
    await again.restore.load_tables()
    assert await again.busy("2026-06-01", "2026-06-02") != [NINE]
    again.close()


async def test_other_data_expands_everything_anew(
    tmp_path: Path, clock: StoppedClock, request: pytest.FixtureRequest
) -> None:
    await with_a_wrong_index(tmp_path, clock)
    request.getfixturevalue("swapped")
    again = Inside(tmp_path, clock, profiles=[PROFILE])
    await again.restore.load_tables()
    assert await again.busy("2026-06-01", "2026-06-02") == [NINE]
    again.close()


def test_data_that_is_replaced_while_we_run_is_noticed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not forget_outdated_zones()
    (tmp_path / "UTC").write_bytes(b"")
    (tmp_path / "tzdata.zi").write_text("# version 2998a\n")
    monkeypatch.setattr(tzfile, "TZPATH", (str(tmp_path),))
    assert forget_outdated_zones()
    assert tzfile.tzdata_version() == "2998a"
    assert not forget_outdated_zones()
    monkeypatch.undo()
    assert forget_outdated_zones()
