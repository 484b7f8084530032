"""However a server lies, time that is busy is not called free for longer than it takes to hear of it."""

import logging
from pathlib import Path

import pytest

from tests.lying.deltas import Deleted, ManyDeleted
from tests.lying.harness import POLL, World
from tests.lying.kinds import ALL
from tests.lying.scenarios import ListedNotHandedOut
from tests.lying.server import LyingServer, Member, Reply

DAY, HOUR = 86_400, 3600


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("settle", [0, 45])
@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
async def test_no_lie_makes_busy_time_free(kind: type[LyingServer], settle: int, tmp_path: Path) -> None:
    async with World.start(tmp_path, kind) as world:
        await world.lie(settle=settle)
        assert world.falsely_free <= kind.allowed, f"{world.history()} ({world.trouble})"
        told = world.moments[-1].told
        assert (told.complete and not told.stale) or kind.may_fail, f"{world.history()} ({world.trouble})"


async def test_a_plain_deletion_costs_one_further_request_and_is_free_after_half_a_minute_and_a_poll(
    tmp_path: Path,
) -> None:
    async with World.start(tmp_path, Deleted) as world:
        await world.lie(settle=45)
        polls = len(world.moments) // POLL - 1
        assert world.excess <= 30 + POLL
        # Two more for the change, as for any, one more look later, and the GET.
        assert len(world.server.requests) <= polls + 3


async def test_a_third_of_a_calendar_that_is_deleted_is_free_as_soon(tmp_path: Path) -> None:
    async with World.start(tmp_path, ManyDeleted) as world:
        await world.lie(settle=45)
        assert world.excess <= 30 + POLL


class Ghost(ListedNotHandedOut):
    """Listed for two hours before it is handed out."""

    def find(self, path: str, *, lag: float = 0.0) -> Member | None:
        return super().find(path, lag=lag) if self.passed < 2 * HOUR else LyingServer.find(self, path, lag=lag)


async def test_what_is_listed_and_never_handed_out_is_waited_for_for_an_hour_and_asked_for_daily(
    tmp_path: Path,
) -> None:
    async with World.start(tmp_path, Ghost) as world:
        await world.lie(HOUR - 100, settle=45)
        assert world.falsely_free <= LyingServer.allowed
        assert not world.told().complete
        await world.run(700)
        assert world.told().complete
        assert world.told().free
        gets = sum(method == "GET" for _, method, _ in world.server.requests)
        assert gets >= 6
        await world.run(DAY + HOUR, poll=600)
        assert not world.told().free


class FrozenForEver(LyingServer):
    """Neither ctag nor token ever moves."""

    def prepare(self) -> None:
        self.work.ctag, self.work.token = "ct3", "tok:3"


async def test_what_nothing_announces_is_found_by_the_daily_comparison(tmp_path: Path) -> None:
    async with World.start(tmp_path, FrozenForEver) as world:
        await world.lie(settle=45)
        assert world.told().free
        await world.run(DAY + HOUR, poll=600)
        assert not world.told().free


class AlwaysForbidden(LyingServer):
    """An object that is listed and answers 403 for ever."""

    def get(self, path: str) -> Reply:
        return Reply(403) if "b.ics" in path else super().get(path)

    def multiget_row(self, path: str) -> str:
        return "" if "b.ics" in path else super().multiget_row(path)


async def test_an_object_that_is_refused_never_becomes_free_by_itself(tmp_path: Path) -> None:
    async with World.start(tmp_path, AlwaysForbidden) as world:
        await world.lie(settle=45)
        await world.run(3 * HOUR, poll=60)
        assert not world.told().complete
        assert not world.told().is_free
