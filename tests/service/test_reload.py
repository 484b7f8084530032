"""What a reload says has changed: names and keys, never a value. What it refuses, and that it always ends."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

import busyd.service.reload
from busyd.config import Config, load_config
from busyd.service.polling import PasswordNews
from busyd.service.reload import Reloader, describe_changes
from tests.index.inside import HOME, Inside, StoppedClock, at, event, window

BEFORE = """
connections:
  anna: {username: anna@icloud.com, password: {env: CANARY}}
  team: {kind: caldav, url: 'https://dav.example.org/', username: team, password: {env: TEAM}}
profiles:
  anna:
    conflicts: [anna/Home, team/Plan]
    rules: {all_day: busy}
    calendars: {anna/Home: {all_day: free}}
  ben: {conflicts: [team/Plan]}
"""


def read(folder: Path, text: str) -> Config:
    path = folder / "config.yaml"
    path.write_text(text)
    return load_config(path, {})


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("profiles:", "# a line more\nprofiles:", []),
        ("{env: CANARY}", "{env: OTHER}", ["connection anna: password"]),
        ("username: team", "username: ben, poll: 5m", ["connection team: username, poll"]),
        ("  ben: {conflicts: [team/Plan]}", "", ["profile ben: removed"]),
        ("  ben: {", "  carl: {", ["profile carl: added", "profile ben: removed"]),
        ("[team/Plan]}", "[team/Plan], max_age: 1h, hours: {mon: '09:00-12:00'}}", ["profile ben: hours, max_age"]),
        ("all_day: free", "all_day: as-marked", ["profile anna: calendars"]),
        ("{all_day: free}", "{all_day: as-marked, max_age: 1h}", ["profile anna: calendars"]),
        ("profiles:", "time_zones: {Kerio City: Europe/Prague}\nprofiles:", ["time_zones"]),
    ],
)
def test_each_connection_and_profile_is_told_with_its_keys(
    tmp_path: Path, old: str, new: str, changes: list[str]
) -> None:
    before, after = read(tmp_path, BEFORE), read(tmp_path, BEFORE.replace(old, new))
    assert list(describe_changes(before, after)) == changes


class Alarm(StoppedClock):
    """Whoever sleeps wakes up when a test says so."""

    def __init__(self) -> None:
        super().__init__(at("2026-06-01"))
        self.rings = asyncio.Event()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.rings.wait()


class NoPolling:
    """In place of the connections that would be polled."""

    async def read_passwords(self) -> PasswordNews:
        return PasswordNews((), ())

    async def follow(self, connections: Mapping[str, object]) -> None:
        del connections


class NoListening:
    """In place of the sockets, where none changes."""

    needs_restart: tuple[str, ...] = ()

    async def prepare(self, wanted: object) -> object:
        return wanted

    async def apply(self, prepared: object) -> list[str]:
        del prepared
        return []


class Installed:
    """A reloader with a configuration that a test can change."""

    def __init__(self, folder: Path, inside: Inside, clock: Alarm) -> None:
        self.clock = clock
        self.inside = inside
        self.state = inside.state
        self.path = folder / "config.yaml"
        self.reloader = Reloader(
            self.path,
            read(folder, BEFORE),
            writer=inside.writer,
            listening=cast("Any", NoListening()),
            clock=clock,
        )

    async def reload(self) -> Any:
        return await self.reloader.reload(cast("Any", NoPolling()))


@pytest.fixture
async def installed(tmp_path: Path) -> AsyncIterator[Installed]:
    clock = Alarm()
    inside = Inside(tmp_path, clock, profiles=[])
    yield Installed(tmp_path, inside, clock)
    await inside.writer.close()
    inside.close()


async def test_a_file_system_that_hangs_refuses_the_reload_and_is_asked_again_when_it_is_back(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, back = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hang(path: Path, environment: Mapping[str, str]) -> Config:
        loop.call_soon_threadsafe(reads.set)
        back.wait()
        return load_config(path, environment)

    monkeypatch.setattr(busyd.service.reload, "load_config", hang)
    running = asyncio.create_task(installed.reload())
    await reads.wait()
    installed.clock.rings.set()
    outcome = await running
    assert outcome.outcome == "refused"
    assert "could not be read within 20 s; check the disk" in outcome.reason
    assert installed.state.refused_configuration
    assert installed.clock.slept == [20.0]
    installed.clock.rings.clear()
    again = await installed.reload()
    assert "an earlier reload is still waiting" in again.faults[0].message
    back.set()
    assert installed.reloader._reading is not None
    await installed.reloader._reading
    assert (await installed.reload()).outcome == "applied"
    assert not installed.state.refused_configuration


async def test_of_many_faults_the_log_has_the_first_and_their_number_and_who_asked_has_all(
    installed: Installed, caplog: pytest.LogCaptureFixture
) -> None:
    installed.path.write_text("".join(f"wrong{number}: {'x' * 1000}\n" for number in range(110)))
    outcome = await installed.reload()
    assert len(outcome.faults) == 110
    told = caplog.records[-1].getMessage().splitlines()
    assert len(told) == 6
    assert told[-1] == "and 105 more, which `busyd check` lists"
    assert max(map(len, told)) < 500


async def test_of_many_warnings_the_log_has_the_first_and_who_asked_has_all(
    installed: Installed, caplog: pytest.LogCaptureFixture
) -> None:
    password = "not-app-specific"
    entries = "".join(f"  c{n}: {{username: anna{n}@icloud.com, password: {password}}}\n" for n in range(30))
    installed.path.write_text(f"connections:\n{entries}")
    installed.path.chmod(0o600)
    outcome = await installed.reload()
    assert outcome.outcome == "applied"
    assert len(outcome.warnings) > 30
    told = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 6
    assert password not in caplog.text


async def test_a_name_for_an_unknown_time_zone_counts_for_what_is_mirrored_and_no_longer_when_it_is_gone(
    installed: Installed,
) -> None:
    inside, june = installed.inside, ("2026-06-09", "2026-06-12")
    folder, text = installed.path.parent, BEFORE.replace(", team/Plan", "")
    read(folder, text)
    await installed.reload()
    await inside.show(HOME)
    await inside.put(HOME, event("a", "DTSTART;TZID=Kerio City:20260610T120000", "DURATION:PT1H"))
    unknown = [(at("2026-06-09T22:00"), at("2026-06-11T01:00"), "BUSY-UNAVAILABLE")]
    assert await inside.busy(*june) == unknown
    read(folder, "time_zones: {Kerio City: Europe/Prague}\n" + text)
    assert (await installed.reload()).changed == ("time_zones",)
    assert await inside.busy(*june) == [(at("2026-06-10T10:00"), at("2026-06-10T11:00"), "BUSY")]
    assert (await inside.backend.freebusy("anna", window(*june))).complete
    assert not inside.backend.problems()
    read(folder, text)
    await installed.reload()
    assert await inside.busy(*june) == unknown
