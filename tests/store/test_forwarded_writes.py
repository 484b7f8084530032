"""What one daemon has another one do is done once, and its outcome told, whatever answers of the server are lost."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, cast

import pytest
from msgspec.structs import replace

from busyd.flow.member_operations import DeleteMember, pack_outcome, unpack_operation
from busyd.flow.member_write import Conditions
from busyd.flow.writing import ObjectWriter
from busyd.period import Instant
from busyd.service.write_forwarding import WriteForwarding
from busyd.store.errors import SessionEnded
from busyd.store.postgresql.connection import TransactionConnection
from busyd.store.postgresql.fleet import Fleet
from busyd.store.postgresql.fleet_connection import FleetConnection
from busyd.store.postgresql.fleet_schema import FLEET
from busyd.store.postgresql.fleet_view import read_daemons
from busyd.store.postgresql.forwarded_writes import ForwardedWrites
from busyd.store.postgresql.poll_requests import PollRequests
from tests.postgres import LossyProxy, PostgresServer
from tests.store.fleets import Begin, let_expire

LONG = 3600.0
"""Seconds that no test takes."""


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[LossyProxy]:
    with LossyProxy(postgres) as proxy:
        yield proxy


@pytest.fixture
def sender(begin: Begin, proxy: LossyProxy) -> Fleet:
    """A daemon that polls nothing."""
    return behind(proxy, begin("sender"))


@pytest.fixture
def owner(begin: Begin, proxy: LossyProxy) -> Fleet:
    """A daemon that polls a connection."""
    fleet = behind(proxy, begin("owner"))
    fleet.declare(["anna"])
    assert "anna" in fleet.claim(500)
    return fleet


def behind(proxy: LossyProxy, fleet: Fleet) -> Fleet:
    fleet.use(replace(fleet.server, conninfo=proxy.in_front_of(fleet.server).conninfo))
    return fleet


def test_a_write_whose_forwarding_was_not_answered_is_taken_once(
    owner: Fleet, sender: Fleet, proxy: LossyProxy
) -> None:
    proxy.lose_answer_to = b"INSERT INTO errand"
    number = ForwardedWrites(sender).forward("anna", b"work", within=LONG)
    assert not proxy.lose_answer_to
    assert ForwardedWrites(owner).take() == {number: b"work"}


def test_an_outcome_whose_reading_was_not_answered_is_told(owner: Fleet, sender: Fleet, proxy: LossyProxy) -> None:
    sending, taking = ForwardedWrites(sender), ForwardedWrites(owner)
    number = sending.forward("anna", b"work", within=LONG)
    taking.take()
    taking.finish(number, b"done")
    proxy.lose_answer_to = b"SELECT id, outcome"
    assert sending.outcomes() == {number: b"done"}
    assert not proxy.lose_answer_to
    assert sending.outcomes() == {}


def test_a_write_whose_taking_was_not_answered_is_begun_once_and_by_nobody_else(
    owner: Fleet, sender: Fleet, proxy: LossyProxy
) -> None:
    sending, taking = ForwardedWrites(sender), ForwardedWrites(owner)
    number = sending.forward("anna", b"work", within=LONG)
    proxy.lose_answer_to = b"UPDATE errand SET taken_by"
    assert taking.take() == {number: b"work"}
    assert not proxy.lose_answer_to
    assert taking.take() == {}
    owner.release(["anna"])
    sender.declare(["anna"])
    assert "anna" in sender.claim(500)
    assert sending.take() == {}


async def test_an_outcome_stays_known_until_it_was_told(owner: Fleet, sender: Fleet) -> None:
    """As when what the owner has written cannot be followed yet."""

    async def here(work: Callable[[], Any]) -> Any:
        return work()

    forwarding = WriteForwarding(ForwardedWrites(sender), here, writer=cast(ObjectWriter, None))
    operation = DeleteMember(1, "a.ics", Conditions())
    sent = asyncio.ensure_future(forwarding.forwarder("anna")(operation))
    await asyncio.sleep(0)
    ((number, work),) = ForwardedWrites(owner).take().items()
    assert unpack_operation(work) == operation
    ForwardedWrites(owner).finish(number, pack_outcome(None))
    found = [await forwarding.collect() for _ in range(2)]
    assert [set(one) for one in found] == [{number}, {number}]
    forwarding.tell(found[-1])
    assert await sent is None
    assert await forwarding.collect() == {}


def test_a_write_that_is_too_late_is_not_begun_and_its_outcome_not_known(owner: Fleet, sender: Fleet) -> None:
    sending = ForwardedWrites(sender)
    number = sending.forward("anna", b"work", within=0)
    assert ForwardedWrites(owner).take() == {}
    assert sending.outcomes() == {number: None}
    assert sending.outcomes() == {}


def test_nothing_is_forwarded_once_the_session_has_ended(owner: Fleet, sender: Fleet) -> None:
    let_expire(sender)
    with pytest.raises(SessionEnded):
        ForwardedWrites(sender).forward("anna", b"work", within=LONG)
    assert ForwardedWrites(owner).take() == {}


def test_a_poll_that_was_asked_for_without_an_answer_is_asked_for_once_and_told(
    owner: Fleet, sender: Fleet, proxy: LossyProxy
) -> None:
    asking, asked = PollRequests(sender), PollRequests(owner)
    proxy.lose_answer_to = b"INSERT INTO request"
    number = asking.ask("anna", newer_than=Instant(0), within=LONG)
    assert owner.execute("SELECT id FROM request") == [(number,)]
    asked.done(["anna"], read_at=asked.asked()["anna"].read_at)
    proxy.lose_answer_to = b"SELECT id, done"
    assert asking.answered() == {number}
    assert not proxy.lose_answer_to


def test_daemons_of_the_version_before_are_seen_and_go_on_while_others_are_upgraded(postgres: PostgresServer) -> None:
    database = postgres.new_database()
    with closing(TransactionConnection(database, replace(FLEET, migrations=FLEET.migrations[:2]))) as connection:
        connection.write(
            lambda db: db.execute(
                "INSERT INTO session (id, name, address, until)"
                " VALUES (7, 'older', '', clock_timestamp() + interval '1 hour')"
            )
        )
    older = replace(database, session=7)
    with closing(FleetConnection(older)) as before:
        assert [(one.name, one.config_digest) for one in read_daemons(before)] == [("older", "")]
        with closing(Fleet(database)) as newer:
            newer.begin("newer", "")
            newer.tell_config_digest("d1")
            assert [(one.name, one.config_digest) for one in read_daemons(before)] == [("newer", "d1"), ("older", "")]
        before.execute("SELECT declare_connections(?, ?)", (7, ["anna"]))
        before.execute("UPDATE lease SET session=7 WHERE connection='anna'")
        number = ForwardedWrites(before).forward("anna", b"work", within=LONG)
        assert ForwardedWrites(before).take() == {number: b"work"}
