"""A full disk is told by `status` and `doctor` before the first write on it fails."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from busyd.cli.disk_space import find_lack_of_space
from busyd.cli.doctor_state import examine_state
from tests.cli.conftest import Busyd, Daemon
from tests.skips import skip


@pytest.fixture
def disk(home: Path) -> Iterator[Path]:
    """The state directory of this user, on a disk of its own with 64 kB and 8 inodes."""
    if os.geteuid() != 0:
        skip("only root can mount a small disk")
    state = home / ".local/state/busyd"
    state.mkdir(parents=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=8,mode=700", "tmpfs", str(state)], check=False
    )
    if made.returncode != 0:
        skip("no disk can be mounted here")
    yield state
    subprocess.run(["umount", str(state)], check=True)


def test_a_disk_with_space_is_nothing_to_tell(tmp_path: Path) -> None:
    assert find_lack_of_space(tmp_path) == ""
    assert find_lack_of_space(tmp_path / "missing") == ""


def test_a_disk_that_is_full_or_nearly_so_is_told(disk: Path) -> None:
    assert "is nearly full (64 kB are free)" in find_lack_of_space(disk)
    (disk / "x").write_bytes(b"x" * 65536)
    assert "is full (0 kB are free)" in find_lack_of_space(disk)
    for number in range(6):
        (disk / str(number)).touch()
    assert "no inodes are free" in find_lack_of_space(disk)


def test_doctor_and_status_tell_it_with_what_to_do(disk: Path, busyd: Busyd, daemon: Daemon) -> None:
    daemon.answer("/v1/status", {})
    entry = next(entry for entry in examine_state(disk) if entry.check == "disk")
    assert "nearly full" in entry.message
    assert "free some space" in entry.steps[0]
    ran = busyd("status")
    assert ran.status == 0
    assert "nearly full (64 kB are free): free some space on that disk" in ran.err
    assert "nearly full" in busyd("status", "--json").err
