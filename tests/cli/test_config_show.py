"""`busyd config show`: every key that counts with the place where it is written, and no secret."""

from pathlib import Path

import pytest

from tests.cli.conftest import Busyd

WRITTEN = """\
listen: unix:/run/x
connections:
  anna: {username: anna@icloud.com, password: abcd-efgh-ijkl-mnop}
  holidays: {kind: ics, url: "https://example.org/s3cret/x.ics", poll: 6h}
profiles:
  anna: {timezone: Europe/Berlin, conflicts: [anna/Home, holidays]}
"""


@pytest.fixture
def config(home: Path) -> Path:
    path = home / ".config/busyd/config.yaml"
    path.write_text(WRITTEN)
    path.chmod(0o600)
    (path.parent / "config.d").mkdir()
    (path.parent / "config.d" / "a.yaml").write_text("profiles:\n  anna:\n    conflicts: [anna/Work]\n")
    return path


def test_each_value_has_its_place_those_of_further_files_and_defaults_too(busyd: Busyd, config: Path) -> None:
    lines = busyd("config", "show", "--origin").out.splitlines()
    assert f"connections.holidays.poll: 6h  # {config}:4" in lines
    assert f"profiles.anna.conflicts[2]: anna/Work  # {config.parent}/config.d/a.yaml:3" in lines
    assert "connections.anna.poll: 1m  # default" in lines
    assert "profiles.anna.rules.declined: free  # default" in lines
    assert not [line for line in lines if line.startswith("connections.holidays.poll: ") and "default" in line]


def test_no_secret_is_shown(busyd: Busyd, config: Path) -> None:
    del config
    for words in (("config", "show"), ("config", "show", "--origin"), ("config", "show", "--json")):
        shown = busyd(*words)
        assert shown.status == 0
        assert "s3cret" not in shown.out + shown.err
        assert "abcd-efgh" not in shown.out + shown.err
        assert "https://example.org/…" in shown.out


def test_a_faulty_file_is_told_as_everywhere(busyd: Busyd, config: Path) -> None:
    config.write_text("lisen: x\n")
    assert busyd("config", "show").status == 78
