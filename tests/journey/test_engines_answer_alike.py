"""What two daemons answer about one account, of which one has its stores in files and the other in PostgreSQL."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.generate import generate_objects
from tests.icloud.accounts import Account
from tests.icloud.server import SimulatedIcloud
from tests.journey.conftest import PASSWORD
from tests.journey.daemon import Busyd, busyd_in, wait_for
from tests.journey.scheduler import SCHEDULED, Scheduler
from tests.postgres import PostgresServer

OBJECTS = 300
QUESTIONS = (
    "freebusy?start={long_ago}&end={far}",
    "freebusy?start={today}&end={soon}&tz=America/New_York",
    "explain?start={today}&end={soon}",
    "slots?start={today}&end={soon}&duration=30m",
    "slots?start={today}&end={soon}&duration=90m&step=15m",
)
_MOMENT = re.compile(r"20\d\d-?\d\d-?\d\dT\d\d:?\d\d:?\d\d(?:Z|[+-]\d\d:?\d\d)")

_UID = re.compile(r"UID:[0-9a-f]{32}@busyd")
"""Of a feed: made with the token, of which each daemon has another."""


@pytest.fixture
def pair(icloud: SimulatedIcloud, postgres: PostgresServer, tmp_path: Path) -> Iterator[tuple[Busyd, Busyd]]:
    """The one on PostgreSQL first; not started yet."""
    with ExitStack() as stack:
        daemons = []
        for name in ("postgresql", "sqlite"):
            (tmp_path / name).mkdir()
            daemons.append(stack.enter_context(busyd_in(tmp_path / name, environment={"APPLE": PASSWORD})))
            store = f"store: {postgres.new_database().conninfo}\n" if name == "postgresql" else ""
            daemons[-1].configure(SCHEDULED.format(url=icloud.bootstrap_url) + store)
        yield daemons[0], daemons[1]


def comparable(text: str) -> str:
    """Without the moments at which they have looked and answered, and with UIDs that no token is part of."""
    now = datetime.now(UTC)

    def blank(found: re.Match[str]) -> str:
        when = datetime.fromisoformat(found[0].replace("Z", "+00:00"))
        return "NOW" if abs(now - when) < timedelta(minutes=10) else found[0]

    uids: dict[str, int] = {}
    text = _UID.sub(lambda found: f"UID:{uids.setdefault(found[0], len(uids))}", text)
    return _MOMENT.sub(blank, text)


def both(pair: tuple[Busyd, Busyd], paths: tuple[str, str]) -> str:
    """What both answer, byte for byte."""
    first, second = (
        Scheduler(daemon, daemon.admin_token()).ask("GET", path) for daemon, path in zip(pair, paths, strict=True)
    )
    assert (first.status, second.status) == (200, 200)
    told = comparable(first.body.decode())
    assert told == comparable(second.body.decode())
    return told


def test_both_answer_the_same_byte_for_byte_whatever_their_rows_are_called(
    pair: tuple[Busyd, Busyd], anna: Account
) -> None:
    postgresql, sqlite = pair
    payloads = generate_objects(OBJECTS, 1)
    postgresql.start()
    wait_for(lambda: not postgresql.freebusy("now", "+1d")["stale"], describe=postgresql.log.read_text)
    for number in reversed(range(OBJECTS)):  # read in another order than by the other one
        anna.calendars["work" if number % 3 else "home"].put(f"{number}.ics", payloads[number].decode())
        if number == OBJECTS // 2:
            assert postgresql.command("sync").returncode == 0
    sqlite.start()
    for daemon in pair:
        assert daemon.command("sync").returncode == 0, daemon.log.read_text()
    today = datetime.now(UTC).date()
    days = {"long_ago": -300, "today": 0, "soon": 60, "far": 500}
    dates = {name: today + timedelta(days=number) for name, number in days.items()}
    for question in QUESTIONS:
        path = f"/v1/profiles/anna/{question.format_map(dates)}"
        assert len(both(pair, (path, path))) > 1000, path
    first, second = (json.loads(daemon.command("token", "add", "anna", "--json").stdout)["feed"] for daemon in pair)
    assert "BEGIN:VEVENT" in both(pair, (first, second))
