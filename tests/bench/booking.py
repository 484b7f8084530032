"""Own time of a booking, and how many round trips it takes: what is left when the calendar's server answers at once."""

import time
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from tests.bench.figures import Figure, count
from tests.bench.workshop import Workshop
from tests.icloud.apple_text import calendar, event
from tests.icloud.log import Entry
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, busyd_in
from tests.journey.scheduler import DAY, SCHEDULED, Scheduler, scheduler_of, ten_o_clock

PASSWORD: Final = "abcd-efgh-ijkl-mnop"
_SETTLED_WITHIN: Final = 16.0
"""Seconds after which the second looks that follow the first read are due."""
OBJECTS: Final = 1000
_QUICK_OBJECTS: Final = 300
"""In each of the two calendars: where next to nothing was there before, all that has changed lately is nearly all."""
LATENCY: Final = 0.15
"""Seconds that every answer takes: what is done meanwhile keeps nobody waiting."""


class Spent(NamedTuple):
    """Milliseconds of one booking until its 201."""

    own: float
    """CPU while the server has no request of it: what the answer waits for beside the server."""
    all: float
    """CPU, also while the server is waited for."""
    wall: float
    """By the clock while the server has no request."""
    trips: int
    """Requests one after the other."""


class Meter:
    """Divides what the daemon spends into what is spent while it waits for the server, and the rest."""

    def __init__(self, busyd: Busyd, icloud: SimulatedIcloud) -> None:
        self._busyd, self._icloud = busyd, icloud
        self._edges: list[tuple[float, float]] = []
        icloud.log.watch = lambda: self._edges.append(self._now())

    def spend(self, scheduler: Scheduler, start: int) -> Spent:
        """Make a booking."""
        self._edges.clear()
        began = self._now()
        entries = _booked(self._icloud, scheduler, start)
        ended = self._now()
        pairs = list(zip(self._edges[::2], self._edges[1::2], strict=False))  # without a poll that has begun since
        own, wall = (ended[at] - began[at] - sum(after[at] - before[at] for before, after in pairs) for at in (0, 1))
        return Spent(own * 1000, (ended[0] - began[0]) * 1000, wall * 1000, _in_a_row(entries))

    def _now(self) -> tuple[float, float]:
        """Seconds of CPU that the daemon's threads have had, and of the clock."""
        assert self._busyd.process is not None
        tasks = Path(f"/proc/{self._busyd.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9, time.monotonic()


def measure_booking(workshop: Workshop) -> list[Figure]:
    """Goal 15: what a booking takes beside its server until the 201, and its round trips.

    Polls of the daemon's own accord are an hour away, so that none falls into a booking. What its worker process
    expands is not counted: a booking gives it nothing to do.
    """
    bookings = 10 if workshop.quick else 120
    folder = workshop.folder / "booking"
    folder.mkdir()
    with SimulatedIcloud.in_thread() as icloud, busyd_in(folder, environment={"APPLE": PASSWORD}) as busyd:
        account = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
        for name in ("Work", "Home"):
            account.add_calendar(name, id=name.casefold())
        for number in range(_QUICK_OBJECTS if workshop.quick else OBJECTS):
            when = f"DTSTART:2027{1 + number % 12:02}{1 + number % 28:02}T220000Z\r\nDURATION:PT30M"
            for name in ("home", "work"):
                account.calendars[name].put(f"{number}.ics", calendar(event(f"{name}-{number}", "At home", when)))
        busyd.configure(SCHEDULED.format(url=icloud.bootstrap_url).replace("poll: 5s", "poll: 1h"))
        busyd.module = ("tests.soak.killable", "--unpaced")
        scheduler = scheduler_of(busyd)
        starts = iter(ten_o_clock() + day * DAY + half * 1800 for day in range(40) for half in range(20))
        time.sleep(_SETTLED_WITHIN)
        busyd.command("sync", "--now")
        account.knobs.play("delay", times=None, seconds=LATENCY)
        for _ in range(5):
            scheduler.book(next(starts))
        meter = Meter(busyd, icloud)
        spent = [meter.spend(scheduler, next(starts)) for _ in range(bookings)]
    own, whole, wall = (sorted(getattr(one, name) for one in spent) for name in ("own", "all", "wall"))
    return [
        count(15, "a booking: CPU beside the server, p99", value=_p99(own), at_most=10, unit=" ms"),
        count(15, "a booking: CPU beside the server, median", value=median(own), unit=" ms"),
        count(15, "a booking: CPU in all until the 201, median", value=median(whole), unit=" ms"),
        count(15, "a booking: wall time beside the server, p99", value=_p99(wall), unit=" ms"),
        count(15, "a booking: wall time beside the server, median", value=median(wall), unit=" ms"),
        count(
            15, "a booking: requests one after the other, the most", value=max(one.trips for one in spent), at_most=3
        ),
    ]


def _booked(icloud: SimulatedIcloud, scheduler: Scheduler, start: int) -> list[Entry]:
    """The requests that a booking has caused until it was answered."""
    known = len(icloud.log.entries)
    answer = scheduler.book(start)
    answered = time.monotonic()
    if answer.status != 201:
        message = f"a booking was answered {answer.status}: {answer.body!r}; {scheduler.busyd.log.read_text()[-1500:]}"
        raise AssertionError(message)
    return [entry for entry in icloud.log.entries[known:] if entry.finished is not None and entry.finished < answered]


def _in_a_row(entries: list[Entry]) -> int:
    """How many of the requests cannot have been at the same time as another."""
    trips, free = 0, float("-inf")
    for entry in sorted(entries, key=lambda one: one.finished or 0.0):
        if entry.started >= free:
            trips, free = trips + 1, entry.finished or 0.0
    return trips


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]
