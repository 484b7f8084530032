"""Which busyd a command means: what was named, the system's service, the user's own."""

import fcntl
import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from busyd.cli.check import read_as_the_daemon
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import Installation, SystemService, find_installation
from busyd.config import ConfigFaults
from busyd.running import Running, write_record
from tests.other_user import being_nobody, give_to_nobody
from tests.skips import skip

Run = Callable[[Path, Path], None]
CONFIG = "connections:\n  f: {kind: ics, url: 'https://example.org/f.ics'}\n"


@pytest.fixture
def service(tmp_path: Path) -> SystemService:
    """A service of its own: configured, and never started."""
    service = SystemService(tmp_path / "etc/config.yaml", tmp_path / "var", "no-such-user")
    service.config.parent.mkdir()
    service.config.write_text(CONFIG)
    return service


@pytest.fixture
def own(home: Path) -> Path:
    """The user's own configuration."""
    return home / ".config/busyd/config.yaml"


@pytest.fixture
def run() -> Iterator[Run]:
    """Pretends to be a daemon on a state directory, started with a configuration."""
    with ExitStack() as daemons:

        def start(state: Path, config: Path) -> None:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = daemons.enter_context((state / "lock").open("w"))
            lock.write("4711")
            lock.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
            write_record(
                state, Running(4711, str(config), ("127.0.0.1:1", "[::1]:2", "unix:/s"), "2026-11-29T00:00:00Z")
            )

        yield start


def find(
    home: Path, service: SystemService, *, config: Path | None = None, state: Path | None = None, **more: str
) -> Installation:
    environment = {"HOME": str(home), **more}
    return find_installation(Namespace(config=config, state=state), environment=environment, service=service)


def test_the_users_own_where_no_service_runs(home: Path, service: SystemService, own: Path) -> None:
    found = find(home, service)
    assert (found.path, found.state, found.running) == (own, home / ".local/state/busyd", None)


def test_a_running_service_comes_first_for_who_may_enter_its_state(
    home: Path, service: SystemService, run: Run, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(CONFIG)
    run(service.state, elsewhere)
    found = find(home, service)
    assert (found.path, found.state) == (elsewhere, service.state)
    assert found.running is not None
    assert [str(address) for address in found.running.addresses] == ["127.0.0.1:1", "[::1]:2", "unix:/s"]


def test_a_service_that_only_starts_is_meant_with_its_usual_configuration(home: Path, service: SystemService) -> None:
    service.state.mkdir(mode=0o700)
    with (service.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = find(home, service)
    assert (found.path, found.state, found.running) == (service.config, service.state, None)


def test_what_was_named_wins_over_a_running_service(home: Path, service: SystemService, run: Run, own: Path) -> None:
    run(service.state, service.config)
    assert find(home, service, config=own).state == home / ".local/state/busyd"
    assert find(home, service, BUSYD_CONFIG=str(own)).state == home / ".local/state/busyd"
    assert find(home, service, state=home / "x").path == own


def test_the_state_is_that_of_the_daemon_that_was_started_with_the_named_file(
    home: Path, service: SystemService, run: Run, own: Path
) -> None:
    run(service.state, own)
    assert find(home, service, config=own).state == service.state


def test_a_state_written_in_the_file_counts_even_when_the_file_is_faulty(
    home: Path, service: SystemService, own: Path, run: Run, tmp_path: Path
) -> None:
    own.write_text(f"state: {tmp_path}/written\nnonsense: 1\n")
    run(tmp_path / "written", own)
    found = find(home, service)
    assert found.state == tmp_path / "written"
    assert found.running is not None
    assert found.config_or_none is None
    with pytest.raises(ConfigFaults):
        _ = found.config


def test_a_named_state_brings_the_configuration_of_the_daemon_on_it(
    home: Path, service: SystemService, run: Run, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(CONFIG)
    run(tmp_path / "state", other)
    assert find(home, service, state=tmp_path / "state").path == other


def test_the_systems_configuration_goes_with_the_systems_state_before_and_between_runs(
    home: Path, service: SystemService, own: Path
) -> None:
    own.unlink()
    assert find(home, service).state == home / ".local/state/busyd"  # there is no service here
    service.state.mkdir(mode=0o700)
    assert find(home, service).state == service.state
    assert find(home, service, config=service.config).state == service.state
    assert find(home, service, STATE_DIRECTORY="/given:/more").state == Path("/given")


def test_another_user_is_told_that_busyd_runs_as_a_service(home: Path, service: SystemService, own: Path) -> None:
    if os.geteuid() != 0:
        skip("only root can become another user")
    own.unlink()
    service.state.mkdir(mode=0o700)
    service.config.chmod(0o640)
    _open_the_way_to(service.config.parent)
    with being_nobody():
        found = find(home, service)
        assert (found.state, found.is_closed, found.running) == (service.state, True, None)
        for ask in (found.require_access, lambda: found.config):
            with pytest.raises(CommandFailed, match="busyd runs as a service here") as told:
                ask()
            assert "sudo" in told.value.fix


def test_how_to_start_and_restart_is_told_for_the_installation_that_is_meant(
    home: Path, service: SystemService, own: Path
) -> None:
    users = find(home, service)
    assert "`busyd run`" in users.how_to_start and "systemctl" not in users.how_to_start + users.how_to_restart
    own.unlink()
    service.state.mkdir(mode=0o700)
    services = find(home, service)
    assert "busyd run" not in services.how_to_start + services.how_to_restart
    assert "`systemctl start busyd`" in services.how_to_start
    assert "`journalctl -u busyd -p err`" in services.how_to_start
    assert "`systemctl restart busyd`" in services.how_to_restart


def test_a_user_whose_systemd_starts_busyd_is_told_to_ask_that_one(
    home: Path, service: SystemService, own: Path
) -> None:
    enabled = home / ".config/systemd/user/default.target.wants/busyd.service"
    enabled.parent.mkdir(parents=True)
    enabled.symlink_to("../busyd.service")
    found = find(home, service, config=own)
    assert found.is_user_service
    assert "`systemctl --user start busyd`" in found.how_to_start
    assert "`journalctl --user -u busyd -p err`" in found.how_to_start
    assert "`systemctl --user restart busyd`" in found.how_to_restart
    assert "`journalctl --user -u busyd`" in found.how_to_revive
    assert not find(home, service, config=own, state=home / "elsewhere").is_user_service


def test_root_does_not_run_the_daemon_of_the_service_by_hand(
    home: Path, service: SystemService, own: Path, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        skip("only root can give a directory to another user")
    find(home, service).require_own()
    own.unlink()
    service.state.mkdir(mode=0o700)
    find(home, service).require_own()  # a service that runs as root
    give_to_nobody(service.state)
    with pytest.raises(CommandFailed, match="busyd runs as a service here") as told:
        find(home, service).require_own()
    assert "`systemctl start busyd`" in told.value.fix
    assert told.value.status == ExitStatus.CONFIG
    find(home, service, state=tmp_path / "own").require_own()


def test_another_user_does_not_run_the_daemon_of_the_service_on_a_state_of_their_own(
    home: Path, service: SystemService, own: Path
) -> None:
    if os.geteuid() != 0:
        skip("only root can become another user")
    own.unlink()
    service.state.mkdir(mode=0o700)
    _open_the_way_to(service.config.parent)
    with being_nobody(), pytest.raises(CommandFailed, match="busyd runs as a service here"):
        find(home, service).require_own()


def test_what_systemd_makes_at_the_start_is_not_missing_while_the_service_is_stopped(
    home: Path, service: SystemService, own: Path, run: Run, tmp_path: Path
) -> None:
    own.unlink()
    made = tmp_path / "run"
    service = SystemService(service.config, service.state, "no-such-user", (made,))
    service.state.mkdir(mode=0o700)
    service.config.write_text(f"listen: [unix:{made}/s, unix:{tmp_path}/typo/s]\n{CONFIG}")
    missing = f"there is no directory {made};"
    _, warnings = read_as_the_daemon(find(home, service))
    assert missing not in str(warnings) and f"there is no directory {tmp_path}/typo;" in str(warnings)
    run(service.state, service.config)
    _, warnings = read_as_the_daemon(find(home, service))
    assert missing in str(warnings)


def test_root_takes_no_configuration_from_a_record_that_its_user_could_have_written(
    home: Path, service: SystemService, run: Run, foreign_state: Path
) -> None:
    planted = foreign_state / "planted.yaml"
    planted.write_text("connections: {x: {username: u, password: {command: [touch, /tmp/x]}}}")
    run(foreign_state, planted)
    for path in foreign_state.iterdir():
        give_to_nobody(path)
    service = SystemService(service.config, foreign_state)
    assert find(home, service).path == service.config


def test_a_record_without_the_lock_or_of_another_process_is_none(home: Path, service: SystemService, run: Run) -> None:
    run(service.state, service.config)
    (service.state / "lock").write_text("4712")
    assert find(home, service).running is None
    (service.state / "lock").write_text("4711")
    assert find(home, service).running is not None
    (service.state / "running.json").write_text("{}")
    assert find(home, service).running is None


def _open_the_way_to(folder: Path) -> None:
    for step in (folder, *folder.parents):
        if step != Path("/") and step.stat().st_uid == os.geteuid() and not step.stat().st_mode & 0o001:
            step.chmod(step.stat().st_mode | 0o011)
