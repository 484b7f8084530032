"""Connections are shared out among daemons: each is owned by one, which keeps it until it lets it go or ends."""

import contextlib
import itertools
import math
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from busyd.store.errors import SessionEnded
from busyd.store.postgresql.database_clock import DatabaseClock
from busyd.store.postgresql.fleet import SHARED_DUTIES, Fleet
from busyd.store.postgresql.session import PostgresSession
from tests.postgres import PostgresServer
from tests.store.fleets import Begin, let_expire, opened_by, until_waiting

MANY = [f"c{number:02}" for number in range(59)]
"""With the shared duties these are sixty."""


def declared(begin: Begin, *names: str) -> list[Fleet]:
    """A daemon of each name, all with the same configuration."""
    fleets = [begin(name) for name in names]
    for fleet in fleets:
        fleet.declare(MANY)
    return fleets


def claim_all(fleets: list[Fleet]) -> list[frozenset[str]]:
    """What each owns, once each has claimed what it may."""
    return [fleet.claim(500) for fleet in fleets]


def settle(fleets: list[Fleet], *, rounds: int) -> None:
    """What daemons do every few seconds."""
    for _ in range(rounds):
        for fleet in fleets:
            fleet.release(fleet.excess())
        claim_all(fleets)


def test_three_daemons_that_claim_at_once_own_each_connection_once_and_as_many_each(begin: Begin) -> None:
    fleets = declared(begin, "a", "b", "c")
    start = threading.Barrier(3)

    def claim(fleet: Fleet) -> list[frozenset[str]]:
        owned = []
        for _ in range(30):
            start.wait()
            owned.append(fleet.claim(1))
        return owned

    with ThreadPoolExecutor(3) as threads:
        claims = list(threads.map(claim, fleets))
    assert all(before <= after for of_one in claims for before, after in itertools.pairwise(of_one))
    owned = [of_one[-1] for of_one in claims]
    assert [len(of_one) for of_one in owned] == [20, 20, 20]
    assert frozenset.union(*owned) == {*MANY, SHARED_DUTIES}


def test_owners_are_told_with_their_address(begin: Begin) -> None:
    (fleet,) = declared(begin, "a")
    fleet.claim(1)
    first, *others = fleet.owners()
    assert (first.connection, first.name, first.address) == (SHARED_DUTIES, "a", "https://a.example")
    assert first.until is not None
    assert {(owner.name, owner.address, owner.until) for owner in others} == {("", "", None)}


def test_a_daemon_that_joins_gets_its_share_a_few_at_a_time_and_nothing_moves_twice(begin: Begin) -> None:
    fleets = declared(begin, "a", "b")
    before = claim_all(fleets)
    (third,) = declared(begin, "c")
    assert third.claim(500) == frozenset()
    assert [len(fleet.excess()) for fleet in fleets] == [1, 1]
    fleets.append(third)
    settle(fleets, rounds=30)
    after = [fleet.owned() for fleet in fleets]
    assert [len(owned) for owned in after] == [22, 22, 16]
    assert after[0] < before[0]
    assert after[1] < before[1]
    assert [fleet.excess() for fleet in fleets] == [[], [], []]


def test_the_duties_of_one_daemon_alone_are_not_handed_over_for_balance(begin: Begin) -> None:
    (first,) = declared(begin, "a")
    first.claim(500)
    settle([first, *declared(begin, "b", "c", "d")], rounds=60)
    assert SHARED_DUTIES in first.owned()


def test_what_a_daemon_owned_before_is_what_it_claims_first(begin: Begin) -> None:
    fleets = declared(begin, "a", "b")
    before = claim_all(fleets)
    for fleet in fleets:
        fleet.end()
    assert claim_all(declared(begin, "b", "a")) == before[::-1]


def test_nothing_of_a_session_that_has_expired_is_claimed_before_it_is_ended(begin: Begin) -> None:
    first, second = declared(begin, "a", "b")
    claim_all([first, second])
    let_expire(first)
    assert len(second.claim(500)) == 30
    assert second.take_over() == ["a"]
    assert len(second.claim(500)) == 60
    with pytest.raises(SessionEnded):
        first.renew()
    assert first.claim(500) == frozenset()


def test_a_session_that_still_reports_when_it_is_ended_holds_nobody_up(begin: Begin) -> None:
    first = begin("a")
    first.declare(["x", "y", "z"])
    first.claim(500)
    second = begin("b")
    first.execute("SET application_name='another'")  # it goes on once the connections of its name are ended
    let_expire(first)
    with contextlib.closing(second.server.connect("fleet")) as other, ThreadPoolExecutor(2) as threads:
        other.execute("BEGIN")
        other.execute("SELECT FROM lease WHERE connection='y' FOR UPDATE")
        reported = threads.submit(first.report, dict.fromkeys("zyx", "well"))
        until_waiting(second.server, 1)
        ended = threads.submit(second.take_over)
        until_waiting(second.server, 2)
        other.execute("COMMIT")
        reported.result()
        assert ended.result() == ["a"]


def test_a_connection_is_released_by_its_owner_alone(begin: Begin) -> None:
    first, second = declared(begin, "a", "b")
    mine, others = claim_all([first, second])
    assert first.release(others) == mine
    assert second.owned() == others
    one = min(mine)
    assert first.release([one]) == mine - {one}
    let_expire(first)
    assert first.release(mine) == mine - {one}


def test_a_connection_is_released_only_when_what_its_owner_still_writes_is_kept(begin: Begin) -> None:
    first, second = declared(begin, "a", "b")
    mine, _ = claim_all([first, second])
    order: list[str] = []

    def release() -> None:
        first.release(mine)
        order.append("released")

    def slow(db: PostgresSession) -> None:
        releasing.start()
        waiting = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%SET session=NULL%' AND wait_event_type='Lock'"
        while not order and not db.execute(waiting).fetchone():
            db.execute("SELECT pg_stat_clear_snapshot()")
        order.append("written")
        assert len(second.claim(500)) == 30

    releasing = threading.Thread(target=release)
    with opened_by(first) as connection:
        connection.write(slow)
    releasing.join()
    assert order == ["written", "released"]


def test_a_connection_is_claimed_only_by_who_has_it_in_the_configuration(begin: Begin) -> None:
    first, second = begin("a"), begin("b")
    first.declare(["both", "old"])
    second.declare(["both", "new"])
    assert {owner.connection for owner in first.owners()} == {SHARED_DUTIES, "both", "old", "new"}
    assert claim_all([first, second]) == [{SHARED_DUTIES, "both"}, {"new"}]


def test_what_is_in_no_configuration_any_more_is_dropped_once_it_is_released(begin: Begin) -> None:
    first, second = begin("a"), begin("b")
    first.declare(["both", "old"])
    second.declare(["both"])
    first.claim(500)
    first.release(["both"])
    first.declare([])
    connections = [owner.connection for owner in first.owners()]
    assert connections == [SHARED_DUTIES, "both"]  # "old" was never claimed
    second.declare([])
    first.declare([])
    assert [owner.connection for owner in first.owners()] == [SHARED_DUTIES]


def test_a_lease_that_is_owned_stays_though_no_configuration_has_it(begin: Begin) -> None:
    fleet = begin("a")
    fleet.declare(["old"])
    owned = fleet.claim(500)
    fleet.declare([])
    assert fleet.owned() == owned == {SHARED_DUTIES, "old"}
    fleet.release(["old"])
    fleet.declare([])
    assert [owner.connection for owner in fleet.owners()] == [SHARED_DUTIES]


def test_what_nobody_claims_for_long_is_claimed_beyond_the_share_and_kept(begin: Begin) -> None:
    first, second = begin("a"), begin("b")
    first.declare(MANY)
    second.declare([])
    assert len(first.claim(500)) == 30
    with contextlib.closing(first.server.connect("fleet")) as other:
        other.execute("UPDATE lease SET free_since=free_since - interval '10 s'")
    assert len(first.claim(500)) == 60
    assert first.excess() == []


def test_declaring_after_the_end_is_refused(begin: Begin) -> None:
    fleet = begin("a")
    fleet.end()
    with pytest.raises(SessionEnded):
        fleet.declare(MANY)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_database_that_is_restarted_within_the_lease_changes_no_owner(
    begin: Begin, postgres: PostgresServer, how: signal.Signals
) -> None:
    fleets = declared(begin, "a", "b")
    before = claim_all(fleets)
    with opened_by(fleets[0]) as connection:
        postgres.stop(how=how)
        postgres.start()
        assert [fleet.take_over() for fleet in fleets] == [[], []]
        connection.write(lambda _: fleets[0].renew())
    assert claim_all(fleets) == before


def test_a_database_that_was_away_for_longer_gives_each_daemon_back_what_it_had(
    begin: Begin, postgres: PostgresServer
) -> None:
    fleets = declared(begin, "a", "b")
    before = claim_all(fleets)
    postgres.stop()
    postgres.start()
    for fleet in fleets:
        let_expire(fleet)
    for fleet, name in zip(fleets, "ab", strict=True):
        with pytest.raises(SessionEnded):
            fleet.renew()
        fleet.begin(name, "")
        fleet.declare(MANY)
    fleets[1].take_over()
    assert claim_all(fleets[::-1]) == before[::-1]


def test_daemons_whose_clocks_are_minutes_apart_date_by_the_database(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = begin("a")
    query = "SELECT CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"
    for minutes in (-10, 10):
        monkeypatch.setattr("time.time", lambda ahead=60 * minutes: 1_790_000_000 + ahead)
        renewal = fleet.renew()
        clock = DatabaseClock(renewal)
        (earliest,) = fleet.execute(query)[0]
        now = clock.now()
        (latest,) = fleet.execute(query)[0]
        assert math.floor(earliest - renewal.round_trip) <= now <= latest
