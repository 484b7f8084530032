"""A slice of `scripts/soak kills`: the daemon dies again and again, at a server that fails."""

from pathlib import Path

from tests.soak.loops.kills import kill


def test_nothing_is_lost_or_doubled_though_the_daemon_is_killed_again_and_again(tmp_path: Path) -> None:
    outcome = kill(tmp_path, 8, seed=4)
    assert outcome.kills.total() == 8
    assert not outcome.verdict, "\n".join(outcome.lines())
