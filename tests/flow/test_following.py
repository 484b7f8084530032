"""What a poll makes of rows that change while they are compared with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.flow.following import FollowedRows
from busyd.flow.looks import Looks
from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState, calendar_key
from tests.http.small_backend import NOW, SmallBackend

SPAN = Period(Instant(NOW + 3600), Instant(NOW + 7200))


@dataclass
class Crowd(Looks):
    """Sees nobody, and lets something happen at its first look."""

    happens: Callable[[], None]
    looked: list[str] = field(default_factory=list)

    async def may_be_taken(self, profile: str, rows: Sequence[Booking]) -> list[Booking]:
        assert all(row.profile == profile for row in rows)
        if not self.looked:
            self.happens()
        self.looked += [row.id for row in rows]
        return []


@dataclass
class Followed:
    """Rows of anna's calendar, and what is to happen while they are looked at."""

    backend: SmallBackend
    rows: FollowedRows
    crowd: Crowd
    carried: list[str]

    def row(self, number: str, *, calendar: str = "") -> Booking:
        record = self.backend.state.calendars[1]
        key = calendar or calendar_key("anna", record.remote.href)
        href = f"{record.remote.href}{number}.ics"
        row = Booking(number, BookingKind.APPOINTMENT, "anna", BookingState.BOOKED, SPAN, NOW, uid=number, etag='"1"')
        return replace(row, calendar=key, href=href)

    async def store(self, row: Booking) -> None:
        await self.backend.store_object(1, row.href, b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", etag=row.etag)


@pytest.fixture
async def followed(tmp_path: Path) -> Followed:
    backend, carried = SmallBackend(tmp_path), list[str]()
    await backend.store.record_listing("anna", [backend.state.calendars[1].remote], at=NOW)
    await backend.set_busy("anna", [])
    crowd = Crowd(lambda: None)

    def carry_on(row: Booking, /, *, by_poll: bool = False) -> None:
        assert not by_poll, "it rests"
        carried.append(row.id)

    rows = FollowedRows(backend._writer, crowd, carry_on=carry_on, clock=backend.clock)
    return Followed(backend, rows, crowd, carried)


async def test_a_row_that_comes_while_others_are_compared_is_compared_at_the_next_poll(followed: Followed) -> None:
    there, late = followed.row("a"), followed.row("b")
    await followed.store(there)
    followed.rows.take(there)
    followed.crowd.happens = lambda: followed.rows.take(late)
    await followed.rows.after_poll("anna")
    assert followed.carried == []
    await followed.rows.after_poll("anna")
    assert followed.carried == ["b"]  # the mirror does not have it


async def test_nothing_goes_wrong_where_the_last_row_is_let_go_of_meanwhile(followed: Followed) -> None:
    there, other = followed.row("a"), followed.row("b", calendar="anna /elsewhere/")
    await followed.store(there)
    followed.rows.take(there)
    followed.rows.take(other)
    followed.crowd.happens = lambda: followed.rows.take(replace(other, uid=""))
    await followed.rows.after_poll("anna")
    assert followed.crowd.looked == ["a"]
    assert followed.rows.find("b") is None
