"""The state directory: how it is made, who owns it, and root working in it as its owner."""

import os
import threading
from pathlib import Path

import pytest

from busyd.errors import Misconfigured, TryAgain
from busyd.ownership import as_owner_of, describe_user, make_state_directory, owner_of
from tests.other_user import NOBODY, give_to_nobody


def test_the_directory_is_for_its_owner_only(tmp_path: Path) -> None:
    make_state_directory(tmp_path / "state")
    make_state_directory(tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_parents_are_made_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make_state_directory(tmp_path / ".local" / "state" / "busyd")
    assert (tmp_path / ".local" / "state" / "busyd").is_dir()


def test_parents_are_made_in_the_state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "states"))
    make_state_directory(tmp_path / "states" / "busyd")
    assert (tmp_path / "states" / "busyd").is_dir()


def test_elsewhere_a_missing_parent_may_be_a_disk_that_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home-that-is-not-mounted"))
    for state in ("disk/busyd", "home-that-is-not-mounted/.local/state/busyd"):
        with pytest.raises(TryAgain, match="does not exist"):
            make_state_directory(tmp_path / state)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "busyd")
    with pytest.raises(TryAgain, match="does not exist"):
        make_state_directory(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


@pytest.mark.parametrize("state", ["file", "file/state"])
def test_a_file_in_its_place_stays_there_and_is_told(tmp_path: Path, state: str) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(Misconfigured, match="directory"):
        make_state_directory(tmp_path / state)
    assert (tmp_path / "file").read_text() == "precious"


def test_a_user_without_a_name_is_a_number() -> None:
    assert describe_user(NOBODY.pw_uid) == "nobody"
    assert describe_user(4_000_000_000) == "4000000000"


def test_root_is_the_owner_of_the_directory_inside_and_root_again_afterwards(foreign_state: Path) -> None:
    before = os.geteuid(), os.getegid(), os.getgroups()
    with as_owner_of(foreign_state):
        assert (os.geteuid(), os.getegid()) == (NOBODY.pw_uid, NOBODY.pw_gid)
        with as_owner_of(foreign_state):
            (foreign_state / "file").touch()
        assert os.geteuid() == NOBODY.pw_uid
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
    assert (foreign_state / "file").stat().st_uid == NOBODY.pw_uid


def test_a_thread_that_waits_for_another_is_the_owner_too(foreign_state: Path) -> None:
    users: list[int] = []

    def work() -> None:
        with as_owner_of(foreign_state):
            users.append(os.geteuid())

    thread = threading.Thread(target=work)
    with as_owner_of(foreign_state):
        thread.start()
        thread.join(0.1)  # long enough to look who this process is, and to wait for its turn
        assert users == []
    thread.join()
    assert users == [NOBODY.pw_uid]


def test_root_is_root_again_after_a_failure(foreign_state: Path) -> None:
    with pytest.raises(KeyError), as_owner_of(foreign_state):
        raise KeyError
    assert os.geteuid() == 0


def test_a_directory_that_does_not_exist_yet_will_be_of_the_one_above(foreign_state: Path) -> None:
    with as_owner_of(foreign_state / "a" / "b"):
        (foreign_state / "a").mkdir()
    assert (foreign_state / "a").stat().st_uid == NOBODY.pw_uid


def test_in_a_directory_of_its_own_root_stays_root(tmp_path: Path) -> None:
    with as_owner_of(tmp_path):
        assert os.geteuid() == os.getuid()


def test_a_link_that_another_user_planted_does_not_lead_root_into_a_directory_of_root(
    foreign_state: Path, tmp_path: Path
) -> None:
    first, second = foreign_state / "first", foreign_state.parent / "second"
    first.symlink_to(tmp_path)
    give_to_nobody(first)
    second.symlink_to(first)  # root's own link, by way of theirs
    for way in (first, second):
        assert owner_of(way) == NOBODY.pw_uid
        with as_owner_of(way), pytest.raises(PermissionError):
            (way / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_a_link_of_root_to_the_directory_of_another_user_counts_as_that_directory(foreign_state: Path) -> None:
    link = foreign_state.parent / "link"
    link.symlink_to("state")
    assert owner_of(link) == owner_of(foreign_state / ".." / "state") == NOBODY.pw_uid


def test_links_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(Misconfigured, match="symbolic links"):
        owner_of(tmp_path / "loop")
