"""Appointments in the log of changes: what a kill left untold is told by the next start, and nothing twice."""

import json
from pathlib import Path

from msgspec.structs import replace

from busyd.index.changes import ChangeRecorder
from busyd.period import Instant, Period
from busyd.state.state import State
from busyd.store.bookings import Booking, BookingKind, BookingState, Details
from busyd.store.change_log import CHANGES_FILE, ChangeLog
from busyd.store.mirror import MIRROR_FILE
from busyd.store.store import Store
from tests.http.small_backend import NOW, StoppedClock

ROW = Booking(
    id="a1",
    kind=BookingKind.APPOINTMENT,
    profile="anna",
    state=BookingState.PENDING,
    span=Period(Instant(NOW + 3600), Instant(NOW + 7200)),
    created=NOW,
    details=Details("secret meeting"),
)


async def told_by_a_start(folder: Path, *rows: Booking, later: tuple[Booking, ...] = ()) -> list[tuple[str, str, str]]:
    """The entries of all time after a start with these rows in the ledger, and further commits."""
    log = ChangeLog.open_or_begin_anew(folder / CHANGES_FILE, now=NOW)
    store = Store.open(folder / MIRROR_FILE)
    recorder = ChangeRecorder(log, State([], [], machine_zone="UTC"), clock=StoppedClock(), store=store)
    await recorder.take_as_told(rows)
    recorder.note_rows(rows)
    await recorder.tell()
    for row in later:
        recorder.note_rows((row,))
        await recorder.tell()
    bodies = [json.loads(entry.change.body) for entry in await log.entries_after(0)] if log.newest else []
    assert "secret" not in str(bodies)
    store.close()
    log.close()
    return [(body["before"], body["state"], body["reason"]) for body in bodies]


async def test_what_a_kill_left_untold_is_told_once_by_the_next_start(tmp_path: Path) -> None:
    booked = replace(ROW, state=BookingState.BOOKED)
    cancelled = replace(ROW, state=BookingState.CANCELLED, reason="secret illness")
    assert await told_by_a_start(tmp_path, ROW) == []  # a new log: it may have been told by an earlier one
    sending = replace(ROW, state=BookingState.SENDING)
    assert await told_by_a_start(tmp_path, booked, later=(booked, sending)) == [
        ("pending", "booked", ""),
        ("booked", "pending", ""),
    ]
    for _ in range(2):
        told = await told_by_a_start(tmp_path, cancelled, later=(cancelled,))
        assert told[2:] == [("pending", "cancelled", "")]
