"""Everything that may happen to bookings, in any order, and what must be true at each step and once all has settled.

Somebody books, holds, moves and cancels; a person adds, edits, moves, deletes and brings back events on a phone;
requests and answers are lost or late, reads lag, and the daemon is killed and started again.
"""

import asyncio
import re
import tempfile
from collections import Counter
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from busyd.errors import BusydError
from busyd.flow.appointment_requests import AppointmentChanges, NewAppointment
from busyd.flow.appointment_view import AppointmentView
from busyd.flow.requests import KeyedRequest, Told
from busyd.period import Instant, Period, to_rfc3339
from busyd.store.bookings import BLOCKS_NOTHING, Booking, BookingKind, BookingState, Details
from tests.booking.world import DAY, MISHAPS, POLL, WHOLE_DAY, Mishap, Trap, World
from tests.journey.scheduler import event
from tests.soak.callers import read_event

LENGTH: Final = 1800
_SETTLES_WITHIN: Final = 900
_UNDER_WAY: Final = frozenset(
    {
        BookingState.PENDING,
        BookingState.SENDING,
        BookingState.CONFIRMED,
        BookingState.MOVING,
        BookingState.YIELDING,
        BookingState.CANCELLING,
    }
)

_slots = st.integers(0, 7)
_which = st.integers(0, 100)
_waits = st.sampled_from((0.001, 0.05, 0.15, 0.25, 0.4, 1.0, 3.0, 12.0, 40.0))


@dataclass(eq=False)
class Wish:
    """An appointment that somebody wants, and what became of it."""

    key: str
    slot: int
    id: str = ""
    uid: str = ""
    is_told: bool = False
    """It was said to be booked."""
    is_refused: bool = False
    is_cancelled: bool = False
    """Somebody has ordered that it goes."""
    is_moved: bool = False
    """Another time was asked for, and not answered yet."""
    is_touched: bool = False
    """By a person."""
    deleted: str = ""
    """The text that a person has deleted."""

    def take(self, told: AppointmentView | Told) -> None:
        """An answer."""
        assert isinstance(told, AppointmentView), "only the handlers keep answers"
        assert self.id in ("", told.id), f"{self.key} was {self.id}, and is {told.id}"
        self.id, self.uid = told.id, told.uid
        if not told.is_under_way:
            self.is_told = self.is_told or told.state == "booked"
            self.is_refused = told.state == "refused"
            self.slot = slot_of(told.span)


class BookingMachine(RuleBasedStateMachine):
    """One world."""

    steps: ClassVar[int] = 0
    """Of all that ran."""
    done: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self._folder.name))
        self.wishes: list[Wish] = []
        self.holds: list[tuple[int, str]] = []
        self._keys = 0
        self._asking: set[asyncio.Task[None]] = set()

    @initialize(lag=st.sampled_from((0.0, 0.0, 5.0)), remembers=st.booleans())
    def begin(self, lag: float, remembers: bool) -> None:
        knobs = self.world.account.knobs
        knobs.lag_seconds, knobs.tombstone_seconds = lag, 60.0 if remembers else 0.0
        self._pass_time(2 * POLL)

    # What somebody asks for.

    @rule(slot=_slots, wait=_waits)
    def book(self, slot: int, wait: float) -> None:
        wish = Wish(self._key(), slot)
        self.wishes.append(wish)
        self._ask(self._book(wish), wait)

    @precondition(lambda self: self.holds)
    @rule(which=_which, wait=_waits)
    def book_what_was_held(self, which: int, wait: float) -> None:
        slot, hold = self.holds.pop(which % len(self.holds))
        wish = Wish(self._key(), slot)
        self.wishes.append(wish)
        self._ask(self._book(wish, hold=hold), wait)

    @rule(slot=_slots, wait=_waits)
    def hold(self, slot: int, wait: float) -> None:
        self._ask(self._hold(slot), wait)

    @precondition(lambda self: self.wishes)
    @rule(which=_which, wait=_waits)
    def ask_again(self, which: int, wait: float) -> None:
        """With the same key, as who has got no answer does."""
        wish = self.wishes[which % len(self.wishes)]
        self._ask(self._book(wish), wait)

    @precondition(lambda self: self._live())
    @rule(which=_which, slot=_slots, wait=_waits)
    def move(self, which: int, slot: int, wait: float) -> None:
        self._ask(self._change(self._pick(which), slot=slot), wait)

    @precondition(lambda self: self._live())
    @rule(which=_which, wait=_waits)
    def edit(self, which: int, wait: float) -> None:
        self._ask(self._change(self._pick(which), slot=None), wait)

    @precondition(lambda self: any(wish.id for wish in self.wishes))
    @rule(which=_which, wait=_waits)
    def cancel(self, which: int, wait: float) -> None:
        known = [wish for wish in self.wishes if wish.id]
        self._ask(self._cancel(known[which % len(known)]), wait)

    # What a person does.

    @rule(slot=_slots, half=st.booleans(), at_home=st.booleans())
    def phone_adds(self, slot: int, half: bool, at_home: bool) -> None:
        key, place = f"PHONE-{self._key()}", self.world.home if at_home else self.world.work
        place.put(f"{key}.ics", event(key, start_of(slot) + (LENGTH // 2 if half else 0)))
        self._note("phone adds")

    @rule(which=_which)
    def phone_deletes_its_own(self, which: int) -> None:
        found = [(place, name) for place in (self.world.work, self.world.home) for name in place.objects()]
        found = [(place, name) for place, name in found if name.startswith("PHONE-")]
        if found:
            place, name = found[which % len(found)]
            place.delete(name)
            self._note("phone deletes its own")

    @precondition(lambda self: self._live())
    @rule(which=_which)
    def phone_deletes(self, which: int) -> None:
        wish = self._pick(which)
        stored = self.world.work.get(f"{wish.uid}.ics")
        if stored is not None:
            wish.is_touched, wish.deleted = True, stored.text
            self.world.work.delete(stored.name)
            self._note("phone deletes")

    @precondition(lambda self: self._live())
    @rule(which=_which, slot=st.none() | _slots)
    def phone_edits(self, which: int, slot: int | None) -> None:
        wish = self._pick(which)
        stored = self.world.work.get(f"{wish.uid}.ics")
        if stored is not None:
            wish.is_touched = True
            text = stored.text.replace("SUMMARY:", "LOCATION:Seen on a phone\r\nSUMMARY:", 1)
            if slot is not None:
                text = _moved(text, start_of(slot))
            self.world.work.put(stored.name, text)
            self._note("phone edits" if slot is None else "phone moves")

    @precondition(lambda self: any(wish.deleted for wish in self.wishes))
    @rule(which=_which)
    def phone_brings_back(self, which: int) -> None:
        gone = [wish for wish in self.wishes if wish.deleted]
        wish = gone[which % len(gone)]
        if self.world.work.get(f"{wish.uid}.ics") is None:
            self.world.work.put(f"{wish.uid}.ics", wish.deleted)
            self._note("phone brings back")
        wish.deleted = ""

    # What goes wrong.

    @precondition(lambda self: len(self.world.network.traps) < 2)
    @rule(mishap=st.sampled_from(MISHAPS), late=st.sampled_from((0.3, 5.0, 50.0)))
    def next_write_fails(self, mishap: Mishap, late: float) -> None:
        self.world.network.traps.append(Trap(mishap, seconds=late))

    @precondition(lambda self: not self.world.network.traps)
    @rule()
    def next_read_fails(self) -> None:
        self.world.network.traps.append(Trap("lost", of_reads=True))

    @rule(wait=_waits)
    def restart(self, wait: float) -> None:
        self._asking.clear()  # they get no answer
        self.world.restart()
        self._note("restart")
        self._pass_time(wait)

    @rule(wait=_waits)
    def time_passes(self, wait: float) -> None:
        self._pass_time(wait)

    @precondition(lambda self: self.wishes)
    @rule()
    def settle(self) -> None:
        """Nothing more goes wrong, and whoever got no answer asks again."""
        self.world.network.traps.clear()
        self._pass_time(60)  # for what is late
        for _ in range(_SETTLES_WITHIN // 60):
            if not self._asking and not [row for row in self.world.rows() if _is_under_way(row)]:
                break
            self._pass_time(60)
        for wish in self.wishes:
            if not (wish.is_told or wish.is_refused or wish.is_cancelled):
                self._ask(self._book(wish), 60)
        self._pass_time(4 * POLL)
        self._check_settled()
        self._note("settled")

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.world.close()
            self._folder.cleanup()

    # What must be true at each step.

    @invariant()
    def nobody_else_gets_time_that_is_kept(self) -> None:
        type(self).steps += 1
        self._pass_time(0.001)  # what is committed is shown before anybody is told of it
        kept = [(row, span) for row in self.world.rows() for span in row.spans]
        told = self.world.loop.run_until_complete(self.world.backend.freebusy("anna", WHOLE_DAY))
        for row, span in kept:
            assert _covers(told.spans, span), f"not busy: {row}"
        for (row, span), (other, another) in combinations(kept, 2):
            overlaps = span.start < another.end and another.start < span.end
            is_family = row.id == other.id or row.id == other.parent or other.id == row.parent
            if overlaps and not is_family and not (row.touched or other.touched):
                message = f"two rows take the same time: {row} and {other}"
                raise AssertionError(message)

    @invariant()
    def what_was_acknowledged_is_there(self) -> None:
        rows = {row.id: row for row in self.world.rows()}
        mirrored = self.world.mirrored("work")
        for wish in self.wishes:
            if wish.id:
                assert wish.id in rows, f"{wish} is not known"
            if wish.is_told and not wish.is_cancelled and not wish.is_touched:
                row = rows[wish.id]
                assert row.state in (BookingState.BOOKED, BookingState.MOVING), f"{wish} is {row}"
                assert self.world.work.get(f"{wish.uid}.ics") is not None, f"{wish} is not in the calendar: {row}"
                is_shown_late = self.world.account.knobs.lag_seconds > 0  # to a look at its name it is there at once
                assert is_shown_late or row.href in mirrored, f"{wish} is not in the mirror: {row}"
                assert wish.is_moved or slot_of(row.span) == wish.slot, f"{wish} is {row}"

    def _check_settled(self) -> None:
        world, rows = self.world, self.world.rows()
        there = {stored.uid: read_event(stored.text) for stored in world.work.objects().values()}
        at_home = {stored.uid: read_event(stored.text) for stored in world.home.objects().values()}
        assert not self._asking, "somebody has got no answer"
        keys = Counter(key for uid, (key, _) in there.items() if not uid.startswith("PHONE-"))
        assert [key for key, number in keys.items() if number > 1] == [], "twice in the calendar"
        known = {row.uid: row for row in rows if row.kind is not BookingKind.HOLD}
        for row in known.values():
            assert not _is_under_way(row), f"not settled: {row}"
            if row.kind is BookingKind.CLAIM:
                assert row.state in BLOCKS_NOTHING, f"a claim is left: {row}"
            if row.state is BookingState.BOOKED:
                assert row.uid in there, f"not in the calendar: {row}"
                assert there[row.uid][1] == row.span, f"told {row}, is at {there[row.uid][1]}"
            elif row.state is not BookingState.ATTENTION:
                assert row.uid not in there, f"in the calendar, and it is {row}"
        for uid in there:
            assert uid in known or uid.startswith("PHONE-"), f"nobody knows {uid}"
        etags = {stored.name: stored.etag for stored in world.work.objects().values()}
        assert {href.rpartition("/")[2]: etag for href, etag in world.mirrored("work").items()} == etags
        everything = {**there, **at_home}
        for row in known.values():
            if row.state is BookingState.BOOKED:
                others = [key for uid, (key, span) in everything.items() if uid != row.uid and _meet(span, row.span)]
                assert row.conflict == bool(others), f"{row} overlaps {others}"
        for wish in self.wishes:
            for row in [one for one in rows if one.id == wish.id]:
                wish.is_moved, wish.slot = False, slot_of(row.span)

    # How it is done.

    def _ask(self, coroutine: Coroutine[Any, Any, None], wait: float) -> None:
        task = self.world.loop.create_task(coroutine)
        self._asking.add(task)
        self._pass_time(wait)

    def _pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)
        for done in [one for one in self._asking if one.done()]:
            self._asking.discard(done)
            done.result()

    async def _book(self, wish: Wish, *, hold: str = "") -> None:
        details = Details(summary=wish.key)
        new = NewAppointment(_span(wish.slot), details, hold=hold)
        try:
            wish.take(await self.world.backend.appointments.add(self._asked(wish.key), new))
            self._note(f"booked {wish.is_told}")
        except BusydError as error:
            assert not wish.id, f"{wish} was accepted, and is refused now: {error}"
            wish.is_refused = True
            self._note(f"book: {type(error).__name__}")

    async def _hold(self, slot: int) -> None:
        with suppress(BusydError):
            told = await self.world.backend.holds.add(
                self._asked(self._key()), _span(slot), ttl=600, render=lambda view: view.id.encode()
            )
            self.holds.append((slot, told.body.decode()))
            self._note("held")

    async def _change(self, wish: Wish, *, slot: int | None) -> None:
        if slot is None:
            changes = AppointmentChanges(details=lambda known: Details(known.summary, location="Upstairs"))
        else:
            changes = AppointmentChanges(span=lambda _: _span(slot))
        wish.is_moved = True
        try:
            wish.take(await self.world.backend.appointments.change(self._asked(self._key()), wish.id, changes=changes))
            self._note("changed")
        except BusydError as error:
            self._note(f"change: {type(error).__name__}")
        row = self.world.ledger.outbox(lambda outbox: outbox.find(wish.id))
        if row is not None and not _is_under_way(row):
            wish.is_moved, wish.slot = False, slot_of(row.span)

    async def _cancel(self, wish: Wish) -> None:
        wish.is_cancelled = True
        with suppress(BusydError):
            await self.world.backend.appointments.cancel(self._asked(self._key()), wish.id, reason="")
            self._note("cancelled")

    def _asked(self, key: str) -> KeyedRequest:
        return KeyedRequest("anna", self.world.loop.now(), key=key, fingerprint=key.encode(), token="t")

    def _key(self) -> str:
        self._keys += 1
        return f"key{self._keys}"

    def _live(self) -> list[Wish]:
        return [wish for wish in self.wishes if wish.is_told and not wish.is_cancelled]

    def _pick(self, which: int) -> Wish:
        live = self._live()
        return live[which % len(live)]

    def _note(self, what: str) -> None:
        type(self).done[what] += 1


def start_of(slot: int) -> Instant:
    return Instant(DAY + 10 * 3600 + slot * LENGTH)


def slot_of(span: Period) -> int:
    return (span.start - start_of(0)) // LENGTH


def _span(slot: int) -> Period:
    return Period(start_of(slot), start_of(slot + 1))


def _meet(one: Period, other: Period) -> bool:
    return one.start < other.end and other.start < one.end


def _covers(spans: Iterable[tuple[int, int, int]], wanted: Period) -> bool:
    """Whether all of a span is busy, with whatever types."""
    at = int(wanted.start)
    for start, end, _ in sorted(spans):
        if start <= at < end:
            at = end
    return at >= wanted.end


def _is_under_way(row: Booking) -> bool:
    return row.state in _UNDER_WAY or row.wanted is not None


def _moved(text: str, start: Instant) -> str:
    """An event at another time, as a phone writes it."""
    head, begin, rest = text.partition("BEGIN:VEVENT")
    for name, at in (("DTSTART", start), ("DTEND", start + LENGTH)):
        stamp = to_rfc3339(at).replace("-", "").replace(":", "")
        rest = re.sub(rf"(?m)^{name}[;:].*?(?=\r?$)", f"{name}:{stamp}", rest, count=1)
    return head + begin + rest
