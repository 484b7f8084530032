"""A daemon that needs a connection polled now asks the one that polls it, and no hint that is lost keeps it waiting."""

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from busyd.period import Instant
from busyd.service.poll_forwarding import PollForwarding
from busyd.service.polling import Polling
from busyd.store.errors import SessionEnded
from busyd.store.postgresql.database_clock import DatabaseClock, Renewal, since_boot
from busyd.store.postgresql.fleet import Fleet
from busyd.store.postgresql.poll_requests import PollRequests
from tests.postgres import PostgresServer
from tests.store.fleets import Begin, let_expire

NOW = Instant(1_790_000_000)
NEVER = 100.0
"""Seconds that no test waits for."""


@pytest.fixture
def owner(begin: Begin) -> Fleet:
    """A daemon that polls two connections."""
    fleet = begin("owner")
    fleet.declare(["anna", "ben"])
    assert fleet.claim(500) >= {"anna", "ben"}
    return fleet


def until(fleet: Fleet, is_there: Callable[[], object]) -> None:
    """Wait for hints until something is there."""
    while not is_there():
        assert fleet.wait(NEVER)


async def here(work: Callable[[], Any]) -> Any:
    return work()


async def test_what_is_proved_because_another_has_asked_is_dated_no_earlier_than_the_question(
    owner: Fleet, begin: Begin
) -> None:
    answered = since_boot()
    clock = DatabaseClock(Renewal(float(NOW), answered - 5, answered))
    PollRequests(begin("a")).ask("anna", newer_than=Instant(NOW + 3), within=NEVER)

    async def report(_: str) -> bool:
        return False

    polls = PollForwarding(PollRequests(owner), here, clock=clock)
    assert clock.now() < NOW + 3
    await polls.serve(cast(Polling, SimpleNamespace(schedules={})), owned={"anna"}, report=report)
    await asyncio.gather(*polls._serving.values())
    assert clock.now() >= NOW + 3


async def test_a_connection_that_nobody_has_polled_is_not_told_as_polled(owner: Fleet, begin: Begin) -> None:
    asking = PollRequests(begin("a"))
    asking.ask("anna", newer_than=NOW, within=NEVER)

    async def report(name: str) -> bool:
        return name == "anna" and is_in_trouble

    polls = PollForwarding(PollRequests(owner), here, clock=DatabaseClock(owner.renew()))
    polling = cast(Polling, SimpleNamespace(schedules={}))  # it is being handed over
    for is_in_trouble in (False, True):
        await polls.serve(polling, owned={"anna"}, report=report)
        await asyncio.gather(*polls._serving.values())
        assert len(asking.answered()) == is_in_trouble


def test_all_who_ask_in_a_burst_get_one_poll_and_who_asks_later_another(owner: Fleet, begin: Begin) -> None:
    asked, others = PollRequests(owner), [PollRequests(begin(name)) for name in "ab"]
    for number, one in enumerate(others * 5):
        one.ask("anna", newer_than=Instant(NOW + number), within=NEVER)
    first = asked.asked()
    assert {name: poll.newer_than for name, poll in first.items()} == {"anna": NOW + 9}
    late = others[0].ask("anna", newer_than=NOW, within=NEVER)
    elsewhere = others[1].ask("ben", newer_than=NOW, within=NEVER)
    assert [one.answered() for one in others] == [frozenset(), frozenset()]
    asked.done(["anna"], read_at=first["anna"].read_at)
    assert [len(one.answered()) for one in others] == [5, 5]
    assert {number for (number,) in owner.execute("SELECT id FROM request")} == {late, elsewhere}
    assert set(asked.asked()) == {"anna", "ben"}


def test_owner_and_asker_hear_of_each_other_at_once(owner: Fleet, begin: Begin) -> None:
    asked, fleet = PollRequests(owner), begin("a")

    def answer() -> None:
        until(owner, asked.asked)
        asked.done(["anna"], read_at=asked.asked()["anna"].read_at)

    answering = threading.Thread(target=answer)
    answering.start()
    asking = PollRequests(fleet)
    asked_for = asking.ask("anna", newer_than=NOW, within=NEVER)
    until(fleet, lambda: asked_for in asking.answered())
    answering.join()


def test_a_hint_that_is_lost_with_the_connection_loses_no_request(
    owner: Fleet, begin: Begin, postgres: PostgresServer
) -> None:
    with postgres.connect("postgres") as other:
        end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name=%s"
        other.execute(end, (owner.server.application,))
    PollRequests(begin("a")).ask("anna", newer_than=NOW, within=NEVER)
    assert owner.wait(NEVER)  # the loss itself is heard
    assert not owner.wait(0)
    assert set(PollRequests(owner).asked()) == {"anna"}


def test_who_waits_is_woken_from_another_thread(owner: Fleet) -> None:
    waking = threading.Thread(target=owner.wake)
    waking.start()
    assert owner.wait(NEVER)
    waking.join()


def test_a_request_that_is_too_late_is_neither_asked_for_nor_taken_for_done(owner: Fleet, begin: Begin) -> None:
    asking = PollRequests(begin("a"))
    asking.ask("anna", newer_than=NOW, within=0)
    assert PollRequests(owner).asked() == {}
    assert asking.answered() == frozenset()
    assert owner.execute("SELECT id FROM request") == []


def test_what_nobody_polls_is_asked_of_whoever_claims_it(owner: Fleet, begin: Begin) -> None:
    fleet = begin("a")
    fleet.declare(["anna", "ben", "carla"])
    asking = PollRequests(fleet)
    asking.ask("carla", newer_than=NOW, within=NEVER)
    assert [asking.asked(), PollRequests(owner).asked()] == [{}, {}]
    assert fleet.claim(500) == {"carla"}
    assert set(asking.asked()) == {"carla"}


def test_requests_end_with_the_session_that_asked(owner: Fleet, begin: Begin) -> None:
    fleet = begin("a")
    asking = PollRequests(fleet)
    asking.ask("anna", newer_than=NOW, within=NEVER)
    let_expire(fleet)
    owner.take_over()
    assert PollRequests(owner).asked() == {}
    with pytest.raises(SessionEnded):
        asking.ask("anna", newer_than=NOW, within=NEVER)
