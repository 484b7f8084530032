"""Own time of a booking, and how many round trips it takes: what is left when the calendar's server answers at once."""

import json
import time
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.figures import Figure, count
from tests.bench.workshop import Workshop
from tests.icloud.apple_text import calendar, event
from tests.icloud.log import Entry
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, busyd_in, wait_for
from tests.journey.scheduler import DAY, SCHEDULED, Scheduler, ten_o_clock

PASSWORD: Final = "abcd-efgh-ijkl-mnop"
OBJECTS: Final = 1000
_POLLED_WITHIN: Final = 8.0
"""Seconds after which a poll has seen the booking before."""
LATENCY: Final = 0.1
"""Seconds that every answer takes, so that requests at the same time are seen to be."""


def measure_booking(workshop: Workshop) -> list[Figure]:
    """Goal 15: own time of a booking, by the CPU of all threads and by the wall clock, and its round trips."""
    bookings = 60 if workshop.quick else 300
    folder = workshop.folder / "booking"
    folder.mkdir()
    with SimulatedIcloud.in_thread() as icloud, busyd_in(folder, environment={"APPLE": PASSWORD}) as busyd:
        account = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
        for name in ("Work", "Home"):
            account.add_calendar(name, id=name.casefold())
        for number in range(OBJECTS):
            when = f"DTSTART:2027{1 + number % 12:02}{1 + number % 28:02}T220000Z\r\nDURATION:PT30M"
            account.calendars["home"].put(f"{number}.ics", calendar(event(f"HOME-{number}", "At home", when)))
        busyd.configure(SCHEDULED.format(url=icloud.bootstrap_url))
        busyd.module = ("tests.soak.killable", "--unpaced")
        busyd.start()
        wait_for(lambda: not busyd.freebusy("now", "+1d")["stale"])
        made = json.loads(busyd.command("token", "add", "anna", "--scope", "book", "--json").stdout)
        scheduler = Scheduler(busyd, made["token"])
        starts = iter(ten_o_clock() + day * DAY + half * 1800 for day in range(40) for half in range(20))
        for _ in range(5):
            scheduler.book(next(starts))
        cpu, wall = [], []
        for _ in range(bookings):
            before, began = _cpu_of(busyd), time.monotonic()
            entries = _booked(icloud, scheduler, next(starts))
            took = time.monotonic() - began
            wall.append((took - _covered(entries)) * 1000)
            cpu.append((_cpu_of(busyd) - before) * 1000)
        account.knobs.play("delay", times=None, seconds=LATENCY)
        at_once = [_in_a_row(_booked(icloud, scheduler, next(starts))) for _ in range(3)]
        warm = []
        for _ in range(5):  # a poll of its own accord may fall into one
            time.sleep(_POLLED_WITHIN)
            warm.append(_in_a_row(_booked(icloud, scheduler, next(starts))))
    return [
        count(15, "a booking: CPU of its own, p99", value=_p99(cpu), at_most=10, unit=" ms"),
        count(15, "a booking: CPU of its own, median", value=sorted(cpu)[len(cpu) // 2], unit=" ms"),
        count(15, "a booking: wall time beside the remote, p99", value=_p99(wall), unit=" ms"),
        count(15, "a booking: wall time beside the remote, median", value=sorted(wall)[len(wall) // 2], unit=" ms"),
        count(15, "a booking: requests one after the other, on a warm mirror", value=median(warm), at_most=3),
        count(15, "the same right after another booking", value=median(at_once)),
    ]


def _booked(icloud: SimulatedIcloud, scheduler: Scheduler, start: int) -> list[Entry]:
    """The requests that a booking has caused until it was answered."""
    known = len(icloud.log.entries)
    answer = scheduler.book(start)
    answered = time.monotonic()
    if answer.status != 201:
        message = f"a booking was answered {answer.status}: {answer.body!r}"
        print(
            scheduler.busyd.log.read_text()[-1500:],
            [(e.method, e.path[-30:], e.status, e.started, e.finished) for e in icloud.log.entries[known - 3 :]],
        )
        raise AssertionError(message)
    return [entry for entry in icloud.log.entries[known:] if entry.finished is not None and entry.finished < answered]


def _in_a_row(entries: list[Entry]) -> int:
    """How many of the requests cannot have been at the same time as another."""
    trips, free = 0, float("-inf")
    for entry in sorted(entries, key=lambda one: one.finished or 0.0):
        if entry.started >= free:
            trips, free = trips + 1, entry.finished or 0.0
    return trips


def _covered(entries: list[Entry]) -> float:
    """Seconds during which the server had at least one request."""
    total, free = 0.0, float("-inf")
    for entry in sorted(entries, key=lambda one: one.started):
        finished = entry.finished or entry.started
        total += max(0.0, finished - max(entry.started, free))
        free = max(free, finished)
    return total


def _cpu_of(busyd: Busyd) -> float:
    """Seconds of CPU that the daemon's threads have had; what its worker expands is done beside it."""
    assert busyd.process is not None
    tasks = Path(f"/proc/{busyd.process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]
