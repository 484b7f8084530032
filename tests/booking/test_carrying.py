"""Rows carried on against the simulated iCloud: written once, whatever happens to a request, and nothing of a person's
is lost.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.booking.applying import WriteRefused, merged
from busyd.booking.carrying import Carrier, ProvenLook
from busyd.booking.composing import compose
from busyd.clock import SystemClock
from busyd.connection import Connection, ConnectionKind
from busyd.credentials import Secret
from busyd.dav.exchange import DavRequest, DavResponse
from busyd.flow.orders import ordered_cancel
from busyd.period import Instant, Period
from busyd.remote.client import CaldavClient
from busyd.remote.errors import WriteOutcomeUnknown
from busyd.remote.transport import Transport
from busyd.store.bookings import Booking, BookingKind, BookingState, WantedChange
from busyd.store.ledger import Ledger
from tests.icloud import Account, Calendar, SimulatedIcloud
from tests.icloud.knobs import Knobs

NOW = Instant(1_790_000_000)
SPAN = Period(Instant(1_796_115_600), Instant(1_796_117_400))
UID = "6F2A9E31-0000-4000-8000-000000000001"


@dataclass
class Network:
    """Sends what it is given, unless the next write is to be lost on the way there or back."""

    transport: Transport
    lose: str = ""
    names_no_versions: bool = False
    writes: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)

    async def send(self, request: DavRequest) -> DavResponse:
        if request.method not in ("PUT", "DELETE"):
            self.reads.append(request.method)
            response = await self.transport.send(request)
            if self.names_no_versions:
                named = [header for header in response.headers if header[0].lower() != "etag"]
                response = replace(response, headers=tuple(named))
            return response
        lost, self.lose = self.lose, ""
        self.writes.append(request.method)
        if lost != "request":
            response = await self.transport.send(request)
            if lost != "answer":
                return response
        raise WriteOutcomeUnknown("caldav.icloud.com", request.method)


@dataclass
class KeptRow:
    """What was committed last, and how often."""

    row: Booking
    states: list[BookingState] = field(default_factory=list)
    order: Callable[[Booking], Booking] | None = None
    """What somebody orders just before the next commit."""

    async def commit(self, before: Booking, after: Booking, /, *, is_answer: bool = False) -> Booking:
        ordered, self.order = self.order, None
        if ordered is not None:
            current = ordered(before)
            self.row = merged(current, after=after) if is_answer else current
        else:
            self.row = after
        if self.states[-1:] != [self.row.state]:
            self.states.append(self.row.state)
        return self.row


@dataclass
class Mirrored:
    """What the mirror was told of writes."""

    etags: list[str] = field(default_factory=list)

    async def take(self, row: Booking, payload: bytes, /, *, etag: str) -> None:
        assert bool(payload) is bool(etag), row.href
        self.etags.append(etag)


@dataclass
class Desk:
    """One row, and all that carries it."""

    network: Network
    ledger: KeptRow
    work: Calendar
    knobs: Knobs
    taken: bool = False
    sees: Callable[[], bool] | None = None
    mirrored: Mirrored = field(default_factory=Mirrored)

    async def carry(self, *, is_wanted: bool = True, claim: BookingState | None = None) -> BookingState:
        async def is_taken(row: Booking) -> bool:
            assert row.id == self.ledger.row.id
            return self.sees() if self.sees is not None else self.taken

        async def prove(row: Booking) -> ProvenLook:
            return ProvenLook(await is_taken(row), {})

        carrier = Carrier(
            CaldavClient(self.network),
            prove=prove,
            is_overlapped=is_taken,
            commit=self.ledger.commit,
            mirror=self.mirrored.take,
            clock=SystemClock(),
        )
        assert await carrier.carry(self.ledger.row, is_wanted=is_wanted, claim=claim) == self.ledger.row
        return self.ledger.row.state

    async def book(self) -> None:
        assert await self.carry() is BookingState.BOOKED

    def order_cancel(self) -> None:
        self.ledger.row = replace(self.ledger.row, state=BookingState.CANCELLING)

    @property
    def name(self) -> str:
        return f"{UID}.ics"

    @property
    def on_server(self) -> str:
        stored = self.work.get(self.name)
        return stored.text if stored is not None else ""

    def edit(self, old: str, new: str) -> None:
        text = self.on_server
        assert old in text
        self.work.put(self.name, text.replace(old, new))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with SimulatedIcloud.start() as icloud:
        account: Account = icloud.add_account("anna@icloud.com", dsid="300000001")
        account.add_default_calendars()
        work = account.calendars["work"]
        connection = Connection("anna", ConnectionKind.ICLOUD, icloud.bootstrap_url, "anna@icloud.com")
        hosts = (icloud.places.bootstrap, icloud.places.shard, icloud.places.other_shard)
        transport = Transport(connection, lambda: Secret(account.password), clock=SystemClock(), allow=hosts)
        row = Booking("1", BookingKind.APPOINTMENT, "anna", BookingState.PENDING, SPAN, NOW, uid=UID)
        row = replace(row, href=f"/300000001/calendars/work/{UID}.ics")
        row = replace(row, body=compose(row, zone="Europe/Berlin", now=NOW))
        yield Desk(Network(transport), KeptRow(row), work, account.knobs)
        await transport.close()


async def test_an_appointment_is_written_once_and_read_back(desk: Desk) -> None:
    await desk.book()
    assert desk.network.writes == ["PUT"]
    assert desk.ledger.states == [BookingState.SENDING, BookingState.CONFIRMED, BookingState.BOOKED]
    assert desk.ledger.row.etag
    assert "DTSTART;TZID=Europe/Berlin:20261201T100000" in desk.on_server
    assert await desk.carry() is BookingState.BOOKED
    assert desk.network.writes == ["PUT"]


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_a_put_of_unknown_outcome_is_looked_for_and_made_once(desk: Desk, lost: str) -> None:
    desk.network.lose = lost
    with pytest.raises(WriteOutcomeUnknown):
        await desk.carry()
    assert desk.ledger.row.state is BookingState.SENDING
    await desk.book()
    assert desk.network.writes == (["PUT", "PUT"] if lost == "request" else ["PUT"])
    assert not desk.ledger.row.touched
    assert len(desk.work.objects()) == 1
    assert desk.mirrored.etags == [desk.ledger.row.etag]  # by then, however listings lag


async def test_a_server_that_names_no_etag_is_understood(desk: Desk) -> None:
    desk.knobs.put_gives_etag = False
    await desk.book()
    assert await desk.carry() is BookingState.BOOKED
    assert (bool(desk.ledger.row.etag), desk.ledger.row.touched) == (True, False)
    desk.order_cancel()
    assert await desk.carry() is BookingState.CANCELLED
    assert desk.on_server == ""


async def test_a_slot_that_is_taken_is_refused_and_nothing_is_sent(desk: Desk) -> None:
    desk.taken = True
    assert await desk.carry() is BookingState.REFUSED
    assert desk.network.writes == []


@pytest.mark.parametrize("lost", ["", "request", "answer"])
async def test_cancelling_removes_what_is_ours(desk: Desk, lost: str) -> None:
    await desk.book()
    desk.order_cancel()
    desk.network.lose = lost
    if lost:
        with pytest.raises(WriteOutcomeUnknown):
            await desk.carry()
    assert await desk.carry() is BookingState.CANCELLED
    assert desk.on_server == ""
    assert desk.ledger.row.watch_until is not None


async def test_what_a_person_changed_is_not_deleted_unasked(desk: Desk) -> None:
    await desk.book()
    desk.edit("T100000", "T110000")
    desk.order_cancel()
    assert await desk.carry() is BookingState.ATTENTION
    assert "T110000" in desk.on_server
    desk.order_cancel()  # told, and asked for once more
    assert await desk.carry() is BookingState.CANCELLED
    assert desk.on_server == ""


@pytest.mark.parametrize("is_back", [False, True])
async def test_what_stays_because_a_person_moved_it_is_told_at_its_new_time(desk: Desk, is_back: bool) -> None:
    await desk.book()
    desk.edit("T103000", "T120000")
    text = desk.on_server
    if is_back:
        desk.work.delete(desk.name)
    desk.order_cancel()
    if is_back:
        assert await desk.carry() is BookingState.CANCELLED
        desk.work.put(desk.name, text)
    assert await desk.carry() is BookingState.ATTENTION
    row = desk.ledger.row
    assert (row.span.end, row.touched) == (SPAN.end + 5400, True)
    assert row.changed_elsewhere == ("restored" if is_back else "moved")


async def test_an_edit_on_the_phone_is_followed(desk: Desk) -> None:
    await desk.book()
    desk.edit("T103000", "T110000")
    assert await desk.carry() is BookingState.BOOKED
    assert (desk.ledger.row.span.end, desk.ledger.row.touched) == (SPAN.end + 1800, True)


async def test_a_second_edit_on_the_phone_changes_nothing_that_is_told_and_can_be_cancelled(desk: Desk) -> None:
    await desk.book()
    for place in ("Upstairs", "Downstairs"):
        desk.edit("END:VEVENT", f"COMMENT:{place}\r\nDESCRIPTION:{place}\r\nEND:VEVENT")
        before = desk.ledger.row
        assert await desk.carry() is BookingState.BOOKED
    assert desk.ledger.row == replace(before, etag=desk.ledger.row.etag)
    desk.order_cancel()
    assert await desk.carry() is BookingState.CANCELLED
    assert desk.on_server == ""


async def test_what_a_person_deleted_is_not_made_again_and_adopted_when_it_is_back(desk: Desk) -> None:
    await desk.book()
    text = desk.on_server
    desk.work.delete(desk.name)
    assert await desk.carry() is BookingState.REMOVED
    assert await desk.carry() is BookingState.REMOVED
    desk.work.put(desk.name, text)
    assert await desk.carry() is BookingState.BOOKED
    assert desk.network.writes == ["PUT"]


async def test_a_late_put_of_what_was_cancelled_is_deleted(desk: Desk) -> None:
    desk.network.lose = "answer"
    with pytest.raises(WriteOutcomeUnknown):
        await desk.carry()
    late = desk.on_server
    desk.work.delete(desk.name)
    desk.order_cancel()
    assert await desk.carry() is BookingState.CANCELLED
    desk.work.put(desk.name, late)
    assert await desk.carry() is BookingState.CANCELLED
    assert desk.on_server == ""


async def test_what_was_taken_back_before_it_was_sent_is_not_looked_for(desk: Desk) -> None:
    desk.ledger.row = replace(desk.ledger.row, state=BookingState.CANCELLED, uid="", href="", watch_until=SPAN.end)
    assert await desk.carry() is BookingState.CANCELLED
    assert desk.network.reads == []


async def test_a_claim_that_was_sent_twice_on_its_way_is_deleted_when_it_is_back(desk: Desk) -> None:
    desk.ledger.row = replace(desk.ledger.row, kind=BookingKind.CLAIM)
    assert await desk.carry() is BookingState.CLAIMED
    again = desk.on_server
    desk.order_cancel()
    assert await desk.carry() is BookingState.CANCELLED
    desk.work.put(desk.name, again)
    assert await desk.carry() is BookingState.CANCELLED
    assert desk.on_server == ""


async def test_a_claim_that_nobody_wants_any_more_goes_however_far_it_was(desk: Desk) -> None:
    desk.ledger.row = replace(desk.ledger.row, kind=BookingKind.CLAIM)
    desk.network.lose = "answer"
    with pytest.raises(WriteOutcomeUnknown):
        await desk.carry()
    assert await desk.carry(is_wanted=False) is BookingState.CANCELLED
    assert desk.on_server == ""


async def test_a_server_that_refuses_leaves_the_row_as_it_is(desk: Desk) -> None:
    desk.knobs.fail_next(507, method="PUT")
    with pytest.raises(WriteRefused, match="507"):
        await desk.carry()
    await desk.book()


@pytest.mark.parametrize("late", [False, True])
async def test_what_a_server_has_numbered_anew_is_still_ours(desk: Desk, late: bool) -> None:
    """SOGo and Google give an event another ETag right after it was written."""
    await desk.book()
    desk.work.housekeeping()
    if late:
        assert await desk.carry() is BookingState.BOOKED
        desk.work.housekeeping()
    desk.order_cancel()
    assert await desk.carry() is BookingState.CANCELLED
    assert desk.on_server == ""


async def test_whoever_gives_way_takes_back_what_its_server_has_numbered_anew(desk: Desk) -> None:
    def sees() -> bool:
        is_written = desk.on_server != ""
        if is_written:
            desk.work.housekeeping()
        return is_written

    desk.sees = sees
    assert await desk.carry() is BookingState.REFUSED
    assert desk.on_server == ""


async def test_what_a_server_has_numbered_anew_can_be_moved(desk: Desk) -> None:
    await desk.book()
    desk.work.housekeeping()
    desk.ledger.row = moving(desk.ledger.row)
    assert await desk.carry(claim=BookingState.CLAIMED) is BookingState.BOOKED
    assert (desk.ledger.row.span.start, desk.ledger.row.reason) == (SPAN.start + 3600, "")
    assert "T110000" in desk.on_server


async def test_what_is_brought_back_while_it_is_being_deleted_is_a_persons(desk: Desk) -> None:
    await desk.book()
    text = desk.on_server
    desk.order_cancel()
    desk.network.lose = "answer"
    with pytest.raises(WriteOutcomeUnknown):
        await desk.carry()
    desk.work.put(desk.name, text)
    assert await desk.carry() is BookingState.ATTENTION


async def test_whoever_sees_somebody_else_after_writing_gives_way(desk: Desk) -> None:
    carrier_sees = iter([False, True, True])
    desk.sees = lambda: next(carrier_sees)
    assert await desk.carry() is BookingState.REFUSED
    assert (desk.on_server, desk.network.writes) == ("", ["PUT", "DELETE"])


def edited(row: Booking) -> Booking:
    """A row for which another text is wanted."""
    details = replace(row.details, summary="Another text")
    body = compose(replace(row, details=details, sequence=row.sequence + 1), zone="Europe/Berlin", now=NOW)
    return replace(row, wanted=WantedChange(details, body, row.sequence + 1))


def moving(row: Booking) -> Booking:
    """A row that is to be moved by an hour."""
    target = Period(Instant(row.span.start + 3600), Instant(row.span.end + 3600))
    after = replace(row, span=target, sequence=row.sequence + 1)
    wanted = WantedChange(row.details, compose(after, zone="Europe/Berlin", now=NOW), after.sequence)
    return replace(row, state=BookingState.MOVING, target=target, wanted=wanted)


async def test_an_edit_asked_for_during_a_look_does_not_undo_what_that_has_seen(desk: Desk) -> None:
    await desk.book()
    desk.edit("T103000", "T110000")
    desk.ledger.order = edited
    assert await desk.carry() is BookingState.BOOKED
    assert "T110000" in desk.on_server
    row = desk.ledger.row
    assert (row.span.end, row.changed_elsewhere, row.reason) == (SPAN.end + 1800, "moved", "change-refused")


async def test_a_cancel_takes_back_an_edit_of_unknown_outcome(desk: Desk, tmp_path: Path) -> None:
    await desk.book()
    desk.ledger.row = edited(desk.ledger.row)
    desk.network.lose = "answer"
    with pytest.raises(WriteOutcomeUnknown):
        await desk.carry()
    assert "Another text" in desk.on_server
    ledger = Ledger.open(tmp_path / "ledger.sqlite3")
    desk.ledger.row = ledger.outbox(lambda outbox: ordered_cancel(desk.ledger.row, outbox, now=NOW, reason=""))
    ledger.close()
    assert await desk.carry() is BookingState.CANCELLED
    assert desk.on_server == ""


@pytest.mark.parametrize("request_", ["DELETE", "PUT"])
async def test_a_server_that_takes_no_etag_for_its_own_is_not_asked_over_and_over(desk: Desk, request_: str) -> None:
    await desk.book()
    if request_ == "DELETE":
        desk.order_cancel()
    else:
        desk.ledger.row = edited(desk.ledger.row)
    desk.knobs.fail_next(412, method=request_, times=None)
    desk.network.writes.clear()
    before = desk.ledger.row.state
    with pytest.raises(WriteRefused, match="412"):
        await desk.carry()
    assert (desk.network.writes, desk.ledger.row.state) == ([request_], before)


async def test_an_edit_is_known_by_what_it_says_where_a_server_keeps_neither_mark_nor_etag(desk: Desk) -> None:
    desk.knobs.put_gives_etag = False
    desk.knobs.rewriting = {"no-x-properties"}
    await desk.book()
    await desk.carry()
    desk.ledger.row = edited(desk.ledger.row)
    assert await desk.carry() is BookingState.BOOKED
    row = desk.ledger.row
    assert (row.details.summary, row.reason, row.touched) == ("Another text", "", False)


async def test_nothing_is_replaced_or_deleted_on_a_server_that_names_no_versions(desk: Desk) -> None:
    desk.knobs.put_gives_etag = False
    desk.network.names_no_versions = True
    await desk.book()
    desk.order_cancel()
    with pytest.raises(WriteRefused, match="428"):
        await desk.carry()
    assert desk.network.writes == ["PUT"]
    assert desk.on_server
