"""Starts that end early: counted, slowed down after some, forgotten when all is well."""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from busyd.errors import Misconfigured, TryAgain
from busyd.period import Instant
from busyd.service.crash_counter import COUNTER_FILE, LONG_ENOUGH, CrashCounter, pause_after
from busyd.systemd import ServiceManager

NOW = 1_790_000_000


class Clock:
    """Time that passes in sleeps only, at once."""

    def __init__(self) -> None:
        self.time = NOW
        self.slept: list[float] = []

    def now(self) -> Instant:
        return Instant(self.time)

    def monotonic(self) -> float:
        return float(self.time)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += int(seconds)


class StoppedClock(Clock):
    """Time that never passes."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await asyncio.Event().wait()


class Killed(Exception):
    """Stands for the end of a process that had no time to do anything."""


async def die() -> int:
    raise Killed


async def stop_orderly() -> int:
    return 0


async def give_up() -> int:
    return 1


def refuse(error: Exception) -> Callable[[], object]:
    def prepare() -> object:
        raise error

    return prepare


async def start_and_die(state: Path, manager: ServiceManager, *, clock: Clock, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Killed):
            await CrashCounter(state, manager, clock=clock).run(prepare=list, start=die, stop=asyncio.Event())
        clock.time += 1


@pytest.fixture
def counter(manager: ServiceManager, tmp_path: Path) -> CrashCounter:
    return CrashCounter(tmp_path, manager, clock=Clock())


@pytest.mark.parametrize(("ends", "seconds"), [(0, 0), (1, 0), (3, 0), (4, 10), (5, 20), (6, 30), (10**9, 30)])
def test_the_pause_doubles_from_ten_seconds_to_half_a_minute(ends: int, seconds: float) -> None:
    assert pause_after(ends) == seconds


async def test_three_early_ends_cost_nothing_and_later_ones_more_and_more(
    tmp_path: Path, manager: ServiceManager
) -> None:
    clock = Clock()
    await start_and_die(tmp_path, manager, clock=clock, times=4)
    assert clock.slept == []
    await start_and_die(tmp_path, manager, clock=clock, times=3)
    assert clock.slept == [10, 20, 30]


async def test_a_pause_is_told_and_extends_the_time_to_start(
    tmp_path: Path, notify_socket: socket.socket, caplog: pytest.LogCaptureFixture, manager: ServiceManager
) -> None:
    await start_and_die(tmp_path, manager, clock=Clock(), times=5)
    told = notify_socket.recv(4096).decode().splitlines()
    assert told == ["EXTEND_TIMEOUT_USEC=70000000", "STATUS=the last 4 starts ended early: waiting 10 s"]
    assert caplog.messages == ["the last 4 starts ended early: waiting 10 seconds before this one"]


async def test_a_start_that_lived_long_enough_is_forgotten_with_all_before(
    tmp_path: Path, manager: ServiceManager
) -> None:
    clock = Clock()
    await start_and_die(tmp_path, manager, clock=clock, times=4)
    counter = CrashCounter(tmp_path, manager, clock=clock)

    async def live_long_and_die() -> int:
        await counter.forget_later()
        raise Killed

    with pytest.raises(Killed):
        await counter.run(prepare=list, start=live_long_and_die, stop=asyncio.Event())
    assert clock.slept == [10, LONG_ENOUGH]
    await start_and_die(tmp_path, manager, clock=clock, times=4)
    assert clock.slept == [10, LONG_ENOUGH]


@pytest.mark.parametrize(("start", "counted"), [(stop_orderly, False), (give_up, True)])
async def test_only_an_orderly_stop_is_no_early_end(
    counter: CrashCounter, tmp_path: Path, start: Callable[[], "asyncio.Future[int]"], counted: bool
) -> None:
    await counter.run(prepare=list, start=start, stop=asyncio.Event())
    assert (tmp_path / COUNTER_FILE).exists() is counted


async def test_a_fault_that_no_start_mends_is_no_early_end(counter: CrashCounter, tmp_path: Path) -> None:
    async def start() -> int:
        raise Misconfigured("wrong owner")

    with pytest.raises(Misconfigured):
        await counter.run(prepare=list, start=start, stop=asyncio.Event())
    assert not (tmp_path / COUNTER_FILE).exists()


async def test_a_fault_that_passes_is_an_early_end(tmp_path: Path, manager: ServiceManager) -> None:
    clock = Clock()

    async def start() -> int:
        raise TryAgain("the port is taken")

    for _ in range(5):
        with pytest.raises(TryAgain):
            await CrashCounter(tmp_path, manager, clock=clock).run(prepare=list, start=start, stop=asyncio.Event())
    assert clock.slept == [10]


async def test_a_missing_disk_is_waited_for_though_nothing_can_be_counted(
    tmp_path: Path, notify_socket: socket.socket, manager: ServiceManager
) -> None:
    clock = Clock()
    counter = CrashCounter(tmp_path / "disk" / "state", manager, clock=clock)
    with pytest.raises(TryAgain):
        await counter.run(prepare=refuse(TryAgain("no disk")), start=die, stop=asyncio.Event())
    assert clock.slept == [10]
    assert b"STATUS=no disk" in notify_socket.recv(4096)


async def test_a_stop_ends_the_pause_and_the_next_start_is_at_once(tmp_path: Path, manager: ServiceManager) -> None:
    clock, stop = StoppedClock(), asyncio.Event()
    await start_and_die(tmp_path, manager, clock=clock, times=4)
    counter = CrashCounter(tmp_path, manager, clock=clock)
    running = asyncio.create_task(counter.run(prepare=list, start=die, stop=stop))
    await asyncio.sleep(0)
    stop.set()
    assert await running == 0
    assert not (tmp_path / COUNTER_FILE).exists()


@pytest.mark.parametrize("moved", [3600, -3600])
async def test_ends_of_long_ago_do_not_count(tmp_path: Path, moved: int, manager: ServiceManager) -> None:
    clock = Clock()
    await start_and_die(tmp_path, manager, clock=clock, times=4)
    clock.time += moved
    await start_and_die(tmp_path, manager, clock=clock)
    assert clock.slept == []


@pytest.mark.parametrize("content", [b"", b"four", b"4", b"\xff\xfe", b"-4 " + str(NOW).encode(), b"9" * 5000])
async def test_a_damaged_counter_is_begun_anew(tmp_path: Path, content: bytes, manager: ServiceManager) -> None:
    (tmp_path / COUNTER_FILE).write_bytes(content)
    clock = Clock()
    await start_and_die(tmp_path, manager, clock=clock)
    assert (tmp_path / COUNTER_FILE).read_text() == f"1 {NOW}\n"
    assert clock.slept == []


@pytest.mark.parametrize("kind", ["a directory", "a link", "a pipe"])
async def test_a_counter_that_cannot_be_kept_prevents_no_start(
    counter: CrashCounter, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / COUNTER_FILE
    match kind:
        case "a directory":
            path.mkdir()
        case "a link":
            path.symlink_to(tmp_path / "elsewhere")
        case _:
            os.mkfifo(path)
    assert await counter.run(prepare=list, start=stop_orderly, stop=asyncio.Event()) == 0
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_started_by_hand_never_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    clock = Clock()
    asyncio.run(start_and_die(tmp_path, ServiceManager(), clock=clock, times=9))
    assert clock.slept == []
    assert list(tmp_path.iterdir()) == []
