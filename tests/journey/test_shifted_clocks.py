"""Two daemons on one database, on machines whose clocks are 20 minutes apart: the database's clock decides at both."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from busyd.period import to_rfc3339
from tests.icloud.accounts import Account
from tests.icloud.server import SimulatedIcloud
from tests.journey.conftest import PASSWORD
from tests.journey.daemon import Busyd, busyd_in, wait_for
from tests.journey.scheduler import Scheduler, event
from tests.journey.test_bookings import book_token
from tests.journey.test_postgresql import TWO, logs, owned
from tests.postgres import PostgresServer
from tests.skips import skip

APART = 630  # half a minute more than is told: of two clocks, whole seconds are compared
"""Seconds by which each clock is wrong."""
NEAR = 120
"""Seconds within which a time is the true one, on a machine that has much to do."""


def shifted(seconds: int) -> dict[str, str]:
    """The environment of a process whose wall clock, and no other, is so far ahead."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        skip("libfaketime is not installed (apt-get install faketime)")
    shift = {"FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
    return {"LD_PRELOAD": str(found[0]), **shift}


@pytest.fixture
def shifted_pair(icloud: SimulatedIcloud, postgres: PostgresServer, tmp_path: Path) -> Iterator[list[Busyd]]:
    """The one whose clock is ahead, then the one whose clock is behind; each polls one of two connections."""
    ben = icloud.add_account("ben@icloud.com", password=PASSWORD, dsid="300000002")
    ben.add_calendar("Work", id="work")
    store = postgres.new_database().conninfo
    with ExitStack() as stack:
        daemons = []
        for name, seconds in (("ahead", APART), ("behind", -APART)):
            (tmp_path / name).mkdir()
            environment = {"APPLE": PASSWORD, **shifted(seconds)}
            daemon = stack.enter_context(busyd_in(tmp_path / name, environment=environment))
            daemon.configure(TWO.format(url=icloud.bootstrap_url, store=store))
            daemon.change("conflicts: [anna/Home]}", "conflicts: [anna/Home], max_age: 30s, slots: {notice: 2h}}")
            daemon.start()
            daemons.append(daemon)
        wait_for(lambda: {owned(one) for one in daemons} == {1}, describe=lambda: logs(daemons))
        yield daemons


def is_near(told: str, expected: float, *, within: int = NEAR) -> bool:
    return abs(datetime.fromisoformat(told).timestamp() - expected) < within


def test_daemons_whose_clocks_differ_agree_on_every_time(shifted_pair: list[Busyd], anna: Account, ten: int) -> None:
    schedulers = [
        Scheduler(daemon, book_token(daemon), keys=count(1000 * number)) for number, daemon in enumerate(shifted_pair)
    ]
    held = schedulers[0].ask(
        "POST", "/v1/profiles/anna/holds", {"start": to_rfc3339(ten), "duration": "30m", "ttl": "1m"}
    )
    assert held.status == 201, held.body
    assert is_near(held.json["expires"], time.time() + 60)
    for daemon, scheduler in zip(shifted_pair, schedulers, strict=True):
        assert scheduler.book(ten, key=f"held-{daemon.folder.name}").error == "slot-taken"
    anna.calendars["home"].put("dentist.ics", event("DENTIST", ten + 7200))
    window = to_rfc3339(ten + 7200), to_rfc3339(ten + 10_800)
    for daemon in shifted_pair:
        daemon.until_busy(*window, [(window[0], to_rfc3339(ten + 9000), "BUSY")])
        wait_for(lambda: not daemon.freebusy(*window)["stale"], describe=daemon.log.read_text)  # noqa: B023
        assert is_near(daemon.freebusy(*window)["as_of"], time.time())
        proved = daemon.get("/v1/profiles/anna/freebusy?max_age=0s")
        assert is_near(proved["as_of"], time.time())
        assert is_near(proved["start"], time.time())
        require_told(daemon)
    offered: list[dict[str, str]] = wait_for(partial(slots_if_equal, shifted_pair))
    assert is_near(offered[0]["start"], time.time() + 7200, within=1800 + NEAR)
    made = {one.json["id"]: one for one in [schedulers[0].book(ten + 10_800), schedulers[1].book(ten + 14_400)]}
    assert all(is_near(one.json["created"], time.time()) for one in made.values()), made
    until_free(shifted_pair[1], ten)
    wait_for(lambda: schedulers[1].book(ten).status == 201, describe=shifted_pair[1].log.read_text)
    assert schedulers[0].book(ten).error == "slot-taken"
    assert len(anna.calendars["work"].objects()) == 3
    for daemon in shifted_pair:
        assert owned(daemon) == 1
        assert "has not renewed its session" not in daemon.log.read_text()
    anna.password = "another"  # nothing of it can be confirmed any more
    for daemon in shifted_pair:
        wait_for(lambda: daemon.freebusy(*window)["stale"], describe=daemon.log.read_text)  # noqa: B023


def until_free(daemon: Busyd, start: int) -> None:
    """Wait for the end of what is held, which costs nothing as long as nobody tries to book."""
    wait_for(lambda: daemon.busy(to_rfc3339(start), to_rfc3339(start + 1800)) == [], describe=daemon.log.read_text)


def slots_if_equal(daemons: list[Busyd]) -> Any:
    """What is open within a day, where both say the same: what `notice` leaves changes on the half hour."""
    one, two = (daemon.get("/v1/profiles/anna/slots?end=%2B1d")["slots"] for daemon in daemons)
    return one if one == two else None


def require_told(daemon: Busyd) -> None:
    """Whoever looks is told that the clock of the machine is wrong."""
    fault = (
        f"this machine's clock is 0 h 10 min {'ahead of' if daemon.folder.name == 'ahead' else 'behind'} the database's"
    )
    assert fault in daemon.log.read_text()
    assert fault in daemon.command("status").stderr
    findings = json.loads(daemon.command("doctor", "--json").stdout)["findings"]
    assert [one["message"] for one in findings if (one["subject"], one["check"]) == ("store", "clock")] == [fault]


def test_a_daemon_is_taken_over_from_when_its_lease_ends_by_the_database(
    shifted_pair: list[Busyd], anna: Account, ten: int
) -> None:
    dead, other = shifted_pair  # by its own clock, the other one would wait for twenty minutes
    scheduler = Scheduler(other, book_token(other))
    dead.stop(how=signal.SIGKILL)
    left = [one for one in other.status()["sharing"]["daemons"] if not one["this"]]
    assert all(is_near(one["until"], time.time()) for one in left)
    wait_for(lambda: owned(other) == 2, describe=other.log.read_text)
    wait_for(lambda: scheduler.book(ten, key="k").status == 201, describe=other.log.read_text)
    anna.calendars["home"].put("dentist.ics", event("DENTIST", ten + 7200))
    window = to_rfc3339(ten + 7200), to_rfc3339(ten + 10_800)
    other.until_busy(*window, [(window[0], to_rfc3339(ten + 9000), "BUSY")])
    assert len(anna.calendars["work"].objects()) == 1
