"""A connection that changes hands is polled in its turn, and what is due already one after the other."""

from datetime import timedelta

import pytest

from busyd.connection import Connection, ConnectionKind, RemoteCalendar
from busyd.period import Instant
from busyd.service.first_polls import AT_ONCE, FirstPolls
from busyd.state.connection_state import ConnectionState
from busyd.store.mirror import CalendarRecord
from busyd.sync.timing import APART
from tests.index.inside import StoppedClock, at

NOW = at("2026-06-01T12:00")


def state_of(**more: object) -> ConnectionState:
    """As the daemon that polled it before has told."""
    connection = Connection("anna", ConnectionKind.CALDAV, "https://a.example/", "anna", poll=timedelta(seconds=60))
    return ConnectionState(connection, **{"last_poll": Instant(NOW - 600), **more})  # type: ignore[arg-type]


def record(as_of: int | None, *, complete: bool = True) -> CalendarRecord:
    remote = RemoteCalendar("/work/", "Work")
    return CalendarRecord(1, "anna", remote, as_of=None if as_of is None else Instant(as_of), complete=complete)


@pytest.mark.parametrize(
    ("ago", "expected"),
    [(0, 0), (1, 0), (2, -1), (31, -30)],
)
def test_what_another_daemon_has_polled_lately_waits_as_if_it_were_this_one(ago: int, expected: int) -> None:
    clock = StoppedClock(NOW)
    first = FirstPolls(clock).of(state_of(), [record(NOW - 600), record(NOW - ago)], is_refused=False)
    assert first.last == clock.monotonic() + expected
    assert first.not_before == AT_ONCE.not_before


def test_what_is_due_already_begins_one_after_the_other() -> None:
    clock = StoppedClock(NOW)
    firsts = FirstPolls(clock)
    found = [firsts.of(state_of(), [record(NOW - 100)], is_refused=False) for _ in range(3)]
    begins = [max(first.last + 60, first.not_before) - NOW for first in found]
    assert begins == pytest.approx([0, APART, 2 * APART])


def test_what_was_never_read_or_not_as_a_whole_is_due() -> None:
    firsts = FirstPolls(StoppedClock(NOW))
    for records in ([], [record(None, complete=False)], [record(NOW - 5), record(NOW - 5, complete=False)]):
        assert firsts.of(state_of(last_poll=None), records, is_refused=False).last == AT_ONCE.last


def test_a_connection_of_which_nobody_has_told_how_it_went_is_due_however_young_its_proofs_are() -> None:
    untold = state_of(last_poll=None)
    assert FirstPolls(StoppedClock(NOW)).of(untold, [record(NOW - 5)], is_refused=False).last == AT_ONCE.last


def test_without_calendars_that_count_the_last_poll_says_when_it_is_due() -> None:
    first = FirstPolls(StoppedClock(NOW)).of(state_of(last_poll=Instant(NOW - 5)), [], is_refused=False)
    assert first.last == NOW - 4


def test_a_server_that_is_left_alone_is_so_by_whoever_takes_over_but_a_login_is_tried() -> None:
    firsts = FirstPolls(StoppedClock(NOW))
    troubled = state_of(trouble="asks for rarer requests", next_poll=Instant(NOW + 300))
    assert firsts.of(troubled, [record(NOW - 900)], is_refused=False).not_before == NOW + 300
    assert firsts.of(troubled, [record(NOW - 900)], is_refused=True).not_before == NOW
