"""A short run of `scripts/soak shared-slots`."""

from pathlib import Path
from random import Random

from tests.postgres import PostgresServer
from tests.soak.loops.shared_slots import Contenders


def test_what_is_asked_for_at_three_daemons_at_once_is_had_by_one(tmp_path: Path, postgres: PostgresServer) -> None:
    contest = Contenders(tmp_path, postgres, chance=Random(1)).contend(6, at_once=3)
    assert contest.faults == []
    assert contest.used == 6
    assert contest.answers["409"] >= 12


def test_what_was_told_outlives_a_database_that_crashes_while_it_is_written(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    contest = Contenders(tmp_path, postgres, chance=Random(1)).contend(40, at_once=4, crash_every=4)
    assert contest.faults == []
    assert contest.used >= 36  # whoever asks while the server is away may be told so each time
    assert contest.crashes
