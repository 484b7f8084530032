"""A daemon that is stopped for longer than it may be, in the middle of a booking and of a webhook, and then woken."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from busyd.period import to_rfc3339
from tests.icloud.accounts import Account
from tests.icloud.faults import Fault, Kind
from tests.icloud.server import SimulatedIcloud
from tests.journey.conftest import PASSWORD
from tests.journey.daemon import TIMEOUT, Busyd, busyd_in, wait_for
from tests.journey.scheduler import Scheduler, event
from tests.journey.test_bookings import book_token
from tests.journey.test_postgresql import TWO, add_webhook, changes_after, is_anew, last_number, logs, owned, store_of
from tests.postgres import PostgresServer
from tests.receiver import receiving
from tests.soak.fleet import WATCH_WRITES


@pytest.fixture
def pair(icloud: SimulatedIcloud, postgres: PostgresServer, tmp_path: Path) -> Iterator[tuple[Busyd, Busyd]]:
    """The first of them polls anna's connection and tells webhooks, the second one polls ben's."""
    ben = icloud.add_account("ben@icloud.com", password=PASSWORD, dsid="300000002")
    ben.add_calendar("Work", id="work")
    store, environment = postgres.new_database().conninfo, {"APPLE": PASSWORD}
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with (
        busyd_in(tmp_path / "one", environment=environment) as one,
        busyd_in(tmp_path / "two", environment=environment) as two,
    ):
        for daemon in (one, two):
            daemon.configure(TWO.format(url=icloud.bootstrap_url, store=store))
        one.start()
        wait_for(lambda: owned(one) == 2, describe=one.log.read_text)
        two.start()
        wait_for(lambda: (owned(one), owned(two)) == (1, 1), describe=lambda: logs((one, two)))
        assert {row["name"]: row["owner"] for row in two.status()["connections"]}["anna"].endswith("one/state")
        yield one, two


@pytest.mark.parametrize("kind", ["delay", "never-answers"])
def test_what_a_stopped_daemon_has_begun_is_settled_once_and_it_writes_nothing_once_woken(
    pair: tuple[Busyd, Busyd], icloud: SimulatedIcloud, anna: Account, ten: int, kind: Kind
) -> None:
    stopped, other = pair
    with (
        receiving() as receiver,
        ThreadPoolExecutor() as threads,
        psycopg.connect(store_of(stopped), autocommit=True) as database,
    ):
        add_webhook(pair, receiver)
        database.execute(WATCH_WRITES.encode())
        callers = [Scheduler(daemon, book_token(daemon)) for daemon in pair]
        number, is_stopped = last_number(other), threading.Event()
        receiver.answer = lambda _: 204 if is_stopped.wait(TIMEOUT) else 503
        anna.knobs.faults.add(Fault(kind=kind, method="PUT", seconds=5.0))
        booking = threads.submit(callers[0].book, ten, key="k")
        wait_for(lambda: any(entry.method == "PUT" for entry in icloud.log.entries))
        assert stopped.process is not None
        stopped.process.send_signal(signal.SIGSTOP)
        is_stopped.set()
        anna.calendars["home"].put("meanwhile.ics", event("MEANWHILE", ten + 7200))
        wait_for(lambda: owned(other) == 2, describe=other.log.read_text)
        wait_for(lambda: callers[1].book(ten, key="k").status == 201, describe=other.log.read_text)
        told = callers[1].book(ten, key="k").json
        stopped.process.send_signal(signal.SIGCONT)
        wait_for(lambda: is_anew(stopped), describe=stopped.log.read_text)
        with contextlib.suppress(OSError):  # nobody listens for a moment
            answer = booking.result()
            assert answer.status == 503 or answer.json["id"] == told["id"], answer.body
        wait_for(lambda: settled(callers[0], ten, told["id"]), describe=stopped.log.read_text)
        (stored,) = anna.calendars["work"].objects().values()
        assert stored.uid == told["uid"]
        assert database.execute(b"SELECT * FROM watch.wrong").fetchall() == []
        spans = [(to_rfc3339(at), to_rfc3339(at + 1800), "BUSY") for at in (ten, ten + 7200)]
        for daemon in pair:
            daemon.until_busy(to_rfc3339(ten), to_rfc3339(ten + 10_800), spans)
        entries = [[row["id"] for row in changes_after(daemon, number)] for daemon in pair]
        assert entries[0] == entries[1] == sorted(set(entries[0]))
        wait_for(lambda: {one.json["id"] for one in receiver.received} >= set(entries[0]))
        bodies = {(one.id, one.body) for one in receiver.received}
        assert len(bodies) == len({one.id for one in receiver.received}), "what comes again is the same"


def settled(caller: Scheduler, start: int, appointment: str) -> bool:
    """Whether the same key gives the same appointment, booked, at a daemon that may just be beginning anew."""
    try:
        answer = caller.book(start, key="k")
    except OSError:
        return False
    return answer.status == 201 and bool(answer.json["id"] == appointment)
