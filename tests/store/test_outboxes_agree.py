"""The rules of the outbox are the same on both engines; on PostgreSQL they hold whatever two processes do at once."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.engine import LedgerDatabase
from busyd.store.errors import Overlaps, StorageError
from busyd.store.ledger import Ledger
from busyd.store.outbox import Outbox
from busyd.store.postgresql.ledger_database import LedgerTables
from busyd.store.postgresql.ledger_schema import LEDGER
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from busyd.store.sqlite.ledger_file import LedgerFile

NOW = Instant(1_790_000_000)
PARENTS = {"a": "", "b": "", "c": "a", "d": "a", "e": "b"}
"""Id -> whose claim it is: that never changes, and nothing claims for a claim."""
spans = st.tuples(st.integers(0, 6), st.integers(1, 3)).map(
    lambda pair: Period(Instant(NOW + pair[0]), Instant(NOW + sum(pair)))
)
bookings = st.builds(
    Booking,
    id=st.sampled_from([*PARENTS]),
    kind=st.sampled_from(BookingKind),
    profile=st.sampled_from(["anna", "ben"]),
    state=st.sampled_from(BookingState),
    span=spans,
    created=st.just(NOW),
    target=st.none() | spans,
    calendar=st.sampled_from(["", "x /work/", "x /home/"]),
    counts=st.sampled_from([(), ("x /work/",), ("x /home/", "x /work/")]),
    touched=st.booleans(),
    forced=st.booleans(),
    expires=st.none() | st.integers(0, 10).map(lambda after: Instant(NOW + after)),
).map(lambda row: replace(row, parent=PARENTS[row.id]))


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.lists(bookings, min_size=1, max_size=10))
def test_what_one_engine_refuses_the_other_does_and_the_rows_are_the_same(
    both: Sequence[LedgerDatabase], rows: list[Booking]
) -> None:
    for one in both:
        one.write(lambda db: db.execute("DELETE FROM booking"))
    sqlite, postgresql = map(Ledger, both)
    for row in rows:
        assert outcome(sqlite, row) == outcome(postgresql, row)
        assert sqlite.outbox(everything) == postgresql.outbox(everything)


@pytest.fixture
def both(database: DatabaseServer, tmp_path: Path) -> Iterator[Sequence[LedgerDatabase]]:
    """A ledger on each engine."""
    with (
        contextlib.closing(LedgerFile(tmp_path / "ledger.sqlite3", busy_timeout=1)) as file,
        contextlib.closing(LedgerTables(database)) as tables,
    ):
        yield file, tables


def outcome(ledger: Ledger, row: Booking) -> str:
    """What becomes of a row that is added, or recorded where there is one of its id."""

    def work(outbox: Outbox) -> str:
        if outbox.find(row.id) is None:
            outbox.add(row)
            return "added"
        outbox.record(row)
        return "changed"

    try:
        return ledger.outbox(work)
    except Overlaps:
        return "overlaps"
    except StorageError:
        return "final"


def everything(outbox: Outbox) -> list[object]:
    """All that the outbox can be asked."""
    return [
        [outbox.find(number) for number in PARENTS],
        [outbox.of_profile(name, Period(NOW, Instant(NOW + 3))) for name in ("anna", "ben")],
        outbox.unsettled(Instant(NOW + 2)),
        [outbox.claims_of(number) for number in PARENTS],
        outbox.followed(Instant(NOW + 2)),
        outbox.holds_of("", Instant(NOW - 1)),
        outbox.has_holds(),
    ]


@pytest.mark.parametrize("ends_first", ["COMMIT", "ROLLBACK"])
def test_of_two_processes_that_take_the_same_time_at_once_one_gets_it_without_any_lock_of_theirs(
    database: DatabaseServer, ends_first: str
) -> None:
    row = Booking("a", BookingKind.HOLD, "anna", BookingState.BOOKED, Period(NOW, Instant(NOW + 60)), NOW)
    other = replace(row, id="b", span=Period(Instant(NOW + 30), Instant(NOW + 90)))
    with database.connect(LEDGER.schema) as first, database.connect(LEDGER.schema) as second:
        first.execute("BEGIN")
        Outbox(PostgresSession(first)).add(row)
        outcomes: list[str] = []

        def take() -> None:
            try:
                with database.errors():
                    Outbox(PostgresSession(second)).add(other)
                outcomes.append("taken")
            except Overlaps:
                outcomes.append("overlaps")

        thread = threading.Thread(target=take)
        thread.start()
        while not first.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
            assert thread.is_alive()
        first.execute(ends_first.encode())
        thread.join()
        assert outcomes == ["overlaps" if ends_first == "COMMIT" else "taken"]


def test_who_may_overlap_takes_nothing_from_who_comes_later(open_ledger: Callable[[], Ledger]) -> None:
    ledger = open_ledger()
    row = Booking("a", BookingKind.APPOINTMENT, "anna", BookingState.BOOKED, Period(NOW, Instant(NOW + 60)), NOW)
    assert outcome(ledger, row) == "added"
    assert outcome(ledger, replace(row, id="b", forced=True)) == "added"
    assert outcome(ledger, replace(row, id="c", kind=BookingKind.BLOCK)) == "added"
    assert outcome(ledger, replace(row, id="a", touched=True)) == "changed"
    assert outcome(ledger, replace(row, id="d")) == "overlaps"
    for number in "abc":
        assert outcome(ledger, replace(row, id=number, forced=True, state=BookingState.REMOVED)) == "changed"
    assert outcome(ledger, replace(row, id="d")) == "added"
