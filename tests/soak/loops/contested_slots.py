"""Two daemons and a phone want the same slots of one calendar, in virtual time: no slot is had twice.

They know nothing of each other, and each asks for every slot at the same moment. With `--lag` the server shows what was
written only seconds later. Then slots are had twice; all of them must be told.
"""

import argparse
import asyncio
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from busyd.errors import BusydError
from busyd.flow.appointment_requests import NewAppointment
from busyd.flow.appointment_view import AppointmentView
from busyd.flow.membership import NotProven
from busyd.flow.requests import KeyedRequest
from busyd.period import EARLIEST, Instant, Period, to_rfc3339
from busyd.store.bookings import Booking, BookingState, Details
from busyd.store.outbox import Outbox
from tests.booking.virtual_loop import VirtualLoop
from tests.booking.world import DAY, POLL, Daemon, account_of_anna
from tests.icloud.calendars import Calendar
from tests.journey.scheduler import event
from tests.soak.callers import LENGTH, read_event
from tests.soak.loops.two_daemons import TRIES, Contest

_PHONE: Final = 0.05
"""Of all slots, those that a person takes as well."""
_APART: Final = 0.3
"""Seconds, at most, between one daemon's request and the other's."""


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak contested-slots", description=__doc__)
    parser.add_argument("--slots", type=int, default=2000, help="how many both want (default: 2,000)")
    parser.add_argument("--at-once", type=int, default=10, help="so many of them at a time (default: 10)")
    parser.add_argument("--lag", type=float, default=0.0, metavar="SECONDS", help="of what is read (default: none)")
    parser.add_argument("--seed", type=int, default=1, help="of the dice (default: 1)")
    wanted = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        contest = contend(Path(folder), wanted.slots, at_once=wanted.at_once, lag=wanted.lag, seed=wanted.seed)
    print(*contest.lines(wanted.lag), f"seconds: {time.monotonic() - began:.0f}", sep="\n", flush=True)
    return 0 if contest.is_well(wanted.lag) else 1


def contend(folder: Path, slots: int, *, at_once: int, lag: float, seed: int) -> Contest:
    """Have every slot asked for by all of them at once."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        contenders = Contenders(folder, loop, contest=Contest(slots), chance=Random(seed))
        contenders.account.knobs.lag_seconds = lag
        return loop.run_until_complete(contenders.contend(at_once))
    finally:
        loop.end()
        asyncio.set_event_loop(None)


class Contenders:
    """Both daemons, and the phone."""

    def __init__(self, folder: Path, loop: VirtualLoop, *, contest: Contest, chance: Random) -> None:
        icloud, self.account = account_of_anna("Work", loop=loop)
        self._loop, self._contest, self._chance = loop, contest, chance
        self._daemons = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            self._daemons.append(Daemon(folder / name, icloud, self.account, loop=loop))

    @property
    def work(self) -> Calendar:
        return self.account.calendars["work"]

    async def contend(self, at_once: int) -> Contest:
        """Both ask for every slot; what came of it, once it had the time to be told."""
        for daemon in self._daemons:
            await daemon.boot()
        await asyncio.sleep(2 * POLL)
        places = asyncio.Semaphore(at_once)

        async def contend_for(start: Instant) -> None:
            async with places:
                await asyncio.gather(
                    *(self._book(daemon, start) for daemon in self._daemons), self._take_by_hand(start)
                )

        await asyncio.gather(*(contend_for(Instant(DAY + number * LENGTH)) for number in range(self._contest.slots)))
        await asyncio.sleep(self.account.knobs.lag_seconds + 4 * POLL)
        self._judge()
        for daemon in self._daemons:
            await daemon.stop()
        return self._contest

    async def _book(self, daemon: Daemon, start: Instant) -> None:
        """Ask until it is had by somebody."""
        await asyncio.sleep(self._chance.uniform(0, _APART))
        turn = 0
        while turn < TRIES:
            try:
                view = await self._settled(daemon, start, turn)
            except NotProven:  # nothing was done, so that the same is asked again
                self._contest.answers["not-proven"] += 1
                await asyncio.sleep(0.5)
                continue
            except BusydError:
                self._contest.answers["slot-taken"] += 1
            else:
                self._contest.answers[view.state] += 1
                if view.state in ("booked", "attention"):
                    return
            # Whoever has given way to the other tries again at another moment than that one.
            turn += 1
            await asyncio.sleep(self._chance.uniform(0.1, 2.0**turn))
            if _taken(self.work, start):
                return

    async def _settled(self, daemon: Daemon, start: Instant, turn: int) -> AppointmentView:
        asked = KeyedRequest("anna", self._loop.now(), key=f"{start}-{turn}", fingerprint=b"", token="t")
        new = NewAppointment(Period(start, Instant(start + LENGTH)), Details("Intro call"))
        view = await daemon.backend.appointments.add(asked, new)
        assert isinstance(view, AppointmentView)
        while view.is_under_way:
            await asyncio.sleep(1)
            view = await daemon.backend.appointments.find(asked, view.id)
        return view

    async def _take_by_hand(self, start: Instant) -> None:
        if self._chance.random() >= _PHONE:
            return
        await asyncio.sleep(self._chance.uniform(0, 2 * _APART))
        if not _taken(self.work, start):
            self.work.put(f"phone-{start}.ics", event(f"PHONE-{start}", start))

    def _judge(self) -> None:
        """Who has which slot now, and what is told of it."""
        contest, had = self._contest, dict[int, list[str]]()
        for stored in self.work.objects().values():
            had.setdefault(read_event(stored.text)[1].start, []).append(stored.uid)
        rows = {row.uid: row for daemon in self._daemons for row in daemon.ledger.outbox(_all_rows)}
        for row in rows.values():
            is_there = row.uid in had.get(row.span.start, ())
            if is_there is not (row.state in (BookingState.BOOKED, BookingState.ATTENTION)):
                contest.untold.append(f"told {row.state}, is {'there' if is_there else 'not there'}: {row}")
        contest.used = len(had)
        for start, uids in had.items():
            ours = [rows[uid] for uid in uids if uid in rows]
            contest.doubled += len(ours) > 1
            contest.with_phone += len(uids) > len(ours) > 0
            if len(uids) > 1 and any(not row.conflict and row.reason != "conflict" for row in ours):
                contest.untold.append(f"{to_rfc3339(start)} is had by {uids}: {[row.state for row in ours]}")


def _all_rows(outbox: Outbox) -> list[Booking]:
    return outbox.followed(EARLIEST)


def _taken(work: Calendar, start: Instant) -> bool:
    """Whether somebody has a slot, as a person sees it who looks a moment later."""
    spans = (read_event(stored.text)[1] for stored in work.objects().values())
    return any(span.start < start + LENGTH and start < span.end for span in spans)
