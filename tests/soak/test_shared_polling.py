"""What `scripts/soak shared-polling` finds in a log, and a short run of it."""

from pathlib import Path
from random import Random

import pytest

from tests.bench.stub import Exchange
from tests.postgres import PostgresServer
from tests.soak.loops.shared_polling import Kill, SharedPolling, judge

KILL = Kill(100.0, "one", frozenset({"c0"}), {"c0": 95.0})
IN_A_POLL = Kill(100.0, "one", frozenset({"c0"}), {"c0": 40.0})


def polled(*at: float, by: str = "one") -> list[Exchange]:
    return [Exchange("listing", 0, 0, one, one + 0.1, "c0", by) for one in at]


@pytest.mark.parametrize(
    ("log", "kills", "found"),
    [
        (polled(40, 98, 157), [], (0, 0, 0, 0)),
        (polled(100, 150), [], (0, 1, 0, 0)),
        ([Exchange("account", 0, 0, 70, 70.1, "c0", "one"), *polled(75, 126)], [], (0, 0, 0, 0)),
        (polled(75, 126), [], (0, 1, 0, 0)),
        (polled(70, 143), [], (0, 0, 1, 0)),
        (polled(40, 98, 100), [], (0, 1, 1, 0)),  # and none until the end
        ([*polled(98), *polled(98.05, by="two"), *polled(155, by="two")], [], (1, 1, 0, 0)),
        ([*polled(40, 95), *polled(167, by="two")], [KILL], (0, 0, 0, 0)),
        ([*polled(40), *polled(130, by="two")], [KILL], (0, 0, 0, 0)),
        ([*polled(40), *polled(146, by="two")], [KILL], (0, 0, 0, 1)),
        ([*polled(40, 99), *polled(130, by="two")], [IN_A_POLL], (0, 0, 0, 0)),
        ([*polled(40, 99), *polled(146, by="two")], [IN_A_POLL], (0, 0, 0, 1)),
        ([*polled(40, 99), *polled(130, by="two")], [KILL], (0, 1, 0, 0)),  # dated four seconds before it was sent
        ([*polled(40, 99), *polled(159, by="two")], [KILL], (0, 0, 0, 0)),
    ],
)
def test_what_is_too_soon_too_late_or_by_two_is_found(
    log: list[Exchange], kills: list[Kill], found: tuple[int, ...]
) -> None:
    polls = judge(log, 60, until=180, kills=kills)
    assert tuple(map(len, (polls.together, polls.early, polls.late, polls.not_taken_over))) == found


def test_daemons_that_share_connections_poll_none_together_and_write_only_what_is_theirs(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    loop = SharedPolling(tmp_path, postgres, connections=9, interval=5)
    polls, writes, wrong = loop.run(6, kills=0, chance=Random(1))
    assert polls.count >= 9
    assert writes >= 9
    assert (polls.together, wrong) == ([], [])
