"""Whatever a credential source, or the work after a poll, runs into, the polling of its connection goes on."""

import asyncio
from pathlib import Path

import pytest

from busyd.availability.profile import Profile
from busyd.clock import Now
from busyd.dav.errors import LoginRefused
from busyd.errors import BusydError, RemoteError, UserError
from busyd.period import Instant
from busyd.service.first_polls import FirstPoll
from busyd.service.schedule import PollSchedule
from busyd.sync.context import PollContext
from tests.index.inside import Inside, StoppedClock, at


def context_of(inside: Inside) -> PollContext:
    """Without a client: nothing is asked."""
    return PollContext(
        connection_state=inside.state.connections["anna"],
        client=None,  # type: ignore[arg-type]
        read_feed=None,  # type: ignore[arg-type]
        writer=inside.writer,
        ledger=inside.ledger,
        clock=inside.clock,
    )


async def test_a_password_that_cannot_be_read_does_not_end_the_polling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Inside(tmp_path, StoppedClock(at("2026-05-31T12:00")), profiles=[Profile("anna")])
    context = context_of(inside)
    asked = asyncio.Event()

    async def refused(*_: object, **__: object) -> None:
        raise LoginRefused("caldav.icloud.com")

    async def unreadable() -> bool:
        asked.set()
        raise UserError("the password file cannot be read", fix="make it readable")

    monkeypatch.setattr("busyd.service.schedule.poll_connection", refused)
    schedule = PollSchedule(context, has_another_password=unreadable)
    going_on = asyncio.create_task(schedule.run())
    await asyncio.wait([going_on, asyncio.create_task(asked.wait())], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ended = going_on.done()
    going_on.cancel()
    await asyncio.gather(going_on, return_exceptions=True)
    inside.close()
    assert not ended


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("impossible"), "the work after polling anna failed with an internal error"),
        (BusydError("the disk is full"), "the work after polling anna failed: the disk is full"),
    ],
)
async def test_what_fails_after_a_poll_is_logged_and_does_not_end_the_polling(
    error: Exception, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inside = Inside(tmp_path, StoppedClock(at("2026-05-31T12:00")), profiles=[Profile("anna")])
    context = context_of(inside)

    async def good(*_: object, **__: object) -> bool:
        return True

    async def failing(_: str) -> None:
        raise error

    monkeypatch.setattr("busyd.service.schedule.poll_connection", good)
    schedule = PollSchedule(context, has_another_password=good, after_poll=failing)
    for count in (1, 2):
        assert await schedule.poll_now()
        assert caplog.messages == [told] * count
    inside.close()


class ExactClock(StoppedClock):
    """Whoever sleeps has it go on by that."""

    async def sleep(self, seconds: float) -> None:
        whole, self.part = divmod(self.monotonic() + seconds, 1)
        self.instant = Instant(int(whole))
        await asyncio.sleep(0)


class TwoPolls:
    """Stands in for polls: the second one never ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, inside: Inside) -> None:
        self.at: list[float] = []
        """When each began to ask (monotonic)."""
        self.waits_for_store = 0.0
        """Seconds for which the first one waits before it asks."""
        self._begun = asyncio.Semaphore(0)
        self._inside = inside
        monkeypatch.setattr("busyd.service.schedule.poll_connection", self._poll)

    async def _poll(self, context: PollContext, *_: object, **__: object) -> bool:
        clock = self._inside.clock
        if not self.at and self.waits_for_store:
            await clock.sleep(self.waits_for_store)
        self.at.append(clock.monotonic())
        context.connection_state.asked = Now(clock.now(), clock.monotonic())
        self._begun.release()
        if len(self.at) == 2:
            await asyncio.Event().wait()
        return True

    async def both(self, schedule: PollSchedule, *first: FirstPoll) -> None:
        """Run the schedule until both have begun."""
        going_on = asyncio.create_task(schedule.run(*first))
        for _ in range(2):
            await self._begun.acquire()
        going_on.cancel()
        await asyncio.gather(going_on, return_exceptions=True)
        await schedule.stop()


async def never() -> bool:
    return False


async def test_the_next_poll_is_counted_from_the_first_request_of_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Inside(tmp_path, ExactClock(at("2026-05-31T12:00")), profiles=[Profile("anna")])
    context, polls = context_of(inside), TwoPolls(monkeypatch, inside)
    polls.waits_for_store = 20  # which has much to do
    await polls.both(PollSchedule(context, has_another_password=never))
    inside.close()
    interval = context.connection_state.connection.poll.total_seconds()
    assert 0.9 * interval <= polls.at[1] - polls.at[0] <= 1.01 * interval


@pytest.mark.parametrize("is_asked_for", [False, True])
async def test_a_first_poll_waits_for_its_turn_unless_somebody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_asked_for: bool
) -> None:
    inside = Inside(tmp_path, ExactClock(at("2026-05-31T12:00")), profiles=[Profile("anna")])
    context, polls = context_of(inside), TwoPolls(monkeypatch, inside)
    schedule = PollSchedule(context, has_another_password=never)
    began, interval = inside.clock.monotonic(), context.connection_state.connection.poll.total_seconds()
    if is_asked_for:
        assert await schedule.poll_now()
    await polls.both(schedule, FirstPoll(began - 10, began + interval))
    inside.close()
    assert polls.at[0] - began == (0 if is_asked_for else pytest.approx(interval))
    assert 0.9 * interval <= polls.at[1] - polls.at[0] <= 1.01 * interval


async def test_no_write_begins_once_polling_has_stopped_not_even_one_that_waited(tmp_path: Path) -> None:
    inside = Inside(tmp_path, StoppedClock(at("2026-05-31T12:00")), profiles=[Profile("anna")])
    schedule = PollSchedule(context_of(inside), has_another_password=never)
    begun: list[str] = []

    async def write(name: str) -> None:
        async with schedule.undisturbed():
            begun.append(name)
            await asyncio.sleep(0)

    writes = [asyncio.create_task(write(name)) for name in ("under way", "waiting")]
    await asyncio.sleep(0)
    await schedule.stop()
    await schedule.written()
    assert begun == ["under way"]
    first, second = await asyncio.gather(*writes, return_exceptions=True)
    assert first is None
    assert isinstance(second, RemoteError)
    inside.close()


async def test_a_halted_poll_is_broken_off_though_what_the_last_one_found_is_still_being_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Inside(tmp_path, StoppedClock(at("2026-05-31T12:00")), profiles=[Profile("anna")])
    telling, let_go = asyncio.Event(), asyncio.Event()

    async def hang(_: str) -> None:
        telling.set()
        await let_go.wait()

    polls = TwoPolls(monkeypatch, inside)
    schedule = PollSchedule(context_of(inside), has_another_password=never, after_poll=hang)
    first = asyncio.create_task(schedule.poll_now())
    await telling.wait()
    second = asyncio.create_task(schedule.poll_now())
    for _ in range(2):
        await polls._begun.acquire()
    schedule.halt()
    assert not await second
    let_go.set()
    assert await first
    await schedule.stop()
    inside.close()
