"""What `busyd doctor` says of the daemon: not running, running and answering, or running and not answering."""

import os
import socket
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import busyd.cli.doctor_mirror
from busyd.cli.doctor_mirror import MirrorState, read_mirror_state
from busyd.cli.doctor_report import Labels, Level, ReportEntry
from busyd.cli.installation import SystemService, find_installation
from busyd.clock import SystemClock
from busyd.config import load_config
from busyd.period import Instant
from busyd.running import LOCK_FILE, Running, write_record
from busyd.service.state_dir import locked
from busyd.store.mirror import MIRROR_FILE
from busyd.store.store import Store
from tests.cli.conftest import write_config
from tests.other_user import being_nobody
from tests.skips import skip

UNANSWERED = "running, but it does not answer"


@pytest.fixture
def state(home: Path) -> Path:
    """The state directory of this user, with an empty mirror."""
    state = home / ".local/state/busyd"
    state.mkdir(mode=0o700, parents=True)
    Store.open(state / MIRROR_FILE).close()
    return state


@pytest.fixture
def hung(state: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A daemon that took its lock, listens, and never answers; the state."""
    monkeypatch.setattr(busyd.cli.doctor_mirror, "ANSWERS_WITHIN", 0.01)
    with ExitStack() as daemon:
        daemon.enter_context(locked(state))
        listener = daemon.enter_context(socket.create_server(("127.0.0.1", 0)))
        listen = f"127.0.0.1:{listener.getsockname()[1]}"
        config = write_config(home, listen)
        write_record(state, Running(os.getpid(), str(config), (listen,), "2026-11-29T00:00:00Z"))
        yield state


def look(home: Path, service: Path | None = None) -> tuple[MirrorState, ReportEntry]:
    nowhere = SystemService(home / "no-etc", service or home / "no-var", "no-such-user")
    return read_mirror_state(find_installation(Namespace(config=None, state=None), service=nowhere))


def test_a_daemon_that_hangs_runs_and_is_told_with_how_to_end_it(hung: Path, home: Path) -> None:
    mirror, entry = look(home)
    assert (entry.level, entry.message) == (Level.FAILED, UNANSWERED)
    assert f"kill -9 {os.getpid()}" in entry.steps[0]
    assert mirror.running and not mirror.known
    (hung / MIRROR_FILE).unlink()
    assert look(home)[1].message == UNANSWERED


def test_a_service_that_hangs_is_to_be_restarted_by_systemd(hung: Path, home: Path) -> None:
    entry = look(home, service=hung)[1]
    assert entry.message == UNANSWERED
    assert "`systemctl restart busyd`" in entry.steps[0]


def test_a_daemon_that_does_not_listen_yet_is_starting(state: Path, home: Path) -> None:
    with locked(state):
        assert look(home)[1].message.startswith("starting")


def test_one_that_does_not_run_is_told_with_how_to_start_it_and_nothing_is_written(state: Path, home: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in state.iterdir()}
    mirror, entry = look(home)
    assert (entry.level, entry.message) == (Level.WARNING, "not running")
    assert entry.steps == ("start it with `busyd run`",)
    assert mirror.known
    assert "systemctl start busyd" in look(home, service=state)[1].steps[0]
    assert {path.name: path.stat().st_mtime_ns for path in state.iterdir()} == before


def test_what_a_killed_daemon_left_is_not_read_beside_its_log(state: Path, home: Path) -> None:
    (state / f"{MIRROR_FILE}-wal").write_bytes(b"x")
    mirror, entry = look(home)
    assert entry.message == "not running"
    assert not mirror.known


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no database at all" * 100, "the mirror is damaged, but it can be rebuilt"),
        (None, "the mirror cannot be opened"),
    ],
)
def test_a_mirror_that_cannot_be_read_is_told_for_what_it_is(
    state: Path, home: Path, content: bytes | None, message: str
) -> None:
    mirror = state / MIRROR_FILE
    mirror.unlink()
    mirror.mkdir() if content is None else mirror.write_bytes(content)
    known, entry = look(home)
    assert (entry.level, entry.message) == (Level.FAILED, message)
    assert not known.known


@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_a_lock_that_is_no_file_is_no_fault_of_the_mirror(state: Path, home: Path, kind: str) -> None:
    os.mkfifo(state / LOCK_FILE) if kind == "fifo" else (state / LOCK_FILE).mkdir()
    assert look(home)[1].message == "not running"


def test_who_may_not_look_at_the_lock_is_told_so(state: Path, home: Path) -> None:
    if os.geteuid() != 0:
        skip("only root can become another user")
    for folder in (home, *home.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    state.chmod(0o755)
    (state / LOCK_FILE).touch(mode=0o600)
    with being_nobody():
        assert "may not check whether it is running" in look(home)[1].message


def test_a_feed_polled_seldom_is_not_told_as_too_old(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    feed = "connections:\n  days: {kind: ics, url: 'https://example.org/days.ics', poll: 6h}\n"
    path.write_text(feed + "profiles:\n  anna: {conflicts: [days]}\n")
    clock = SystemClock()
    told = {}
    for fresh in (frozenset({"anna"}), frozenset()):
        mirror = MirrorState({"days": (Instant(clock.now() - 3600),)}, running=True, fresh=fresh)
        [told[fresh]] = mirror.ages(load_config(path, {}), Labels(show_names=True), clock=clock)
    assert [entry.level for entry in told.values()] == [Level.OK, Level.WARNING]
    assert "all of it recently enough" in told[frozenset({"anna"})].message
