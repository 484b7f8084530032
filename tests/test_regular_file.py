"""Files that are no files: nobody waits for them."""

import os
from pathlib import Path

import pytest

from busyd.config import ConfigFaults, load_config
from busyd.credentials import CredentialMissing, FromFile, read_password
from busyd.regular_file import read_regular_file
from busyd.running import LOCK_FILE, holder_of


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_a_pipe_is_refused_at_once(pipe: Path) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        read_regular_file(pipe)


def test_a_pipe_as_configuration_is_a_fault(pipe: Path) -> None:
    with pytest.raises(ConfigFaults, match="not a regular file"):
        load_config(pipe, {})


def test_a_pipe_as_password_is_missing(pipe: Path) -> None:
    with pytest.raises(CredentialMissing, match="not a regular file"):
        read_password(FromFile(pipe), pipe.parent, environment={})


def test_a_pipe_as_lock_is_nobodys(pipe: Path) -> None:
    pipe.rename(pipe.parent / LOCK_FILE)
    assert holder_of(pipe.parent) is None


def test_brackets_without_end_are_a_fault_at_once(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("[" * 20_000)
    with pytest.raises(ConfigFaults):
        load_config(config, {})
