"""What a reload says has changed: names and keys, never a value."""

from pathlib import Path

import pytest

from busyd.config import Config, load_config
from busyd.service.reload import describe_changes

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
    ],
)
def test_each_connection_and_profile_is_told_with_its_keys(
    tmp_path: Path, old: str, new: str, changes: list[str]
) -> None:
    before, after = read(tmp_path, BEFORE), read(tmp_path, BEFORE.replace(old, new))
    assert list(describe_changes(before, after)) == changes
