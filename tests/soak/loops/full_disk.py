"""Have the disk of the ledger fail from its N-th write on, for every N of a booking: what was accepted is not lost."""

import argparse
import json
import logging
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, busyd_in, wait_for
from tests.journey.scheduler import SCHEDULED, Answer, Scheduler, ten_o_clock
from tests.soak.callers import LENGTH, read_event

PASSWORD: Final = "abcd-efgh-ijkl-mnop"
SOURCE: Final = Path(__file__).parents[1] / "full_disk.c"
_UNHARMED: Final = 3
"""So many bookings in a row that come to no failing write say that there are no more of them."""


_FULL_FOR: Final = 1.5
"""Seconds until there is space again: long enough for a booking to come to every write."""


@dataclass
class FullDisk:
    """What came of every N."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    writes: int = 0
    """The last N that a booking came to."""


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak full-disk", description=__doc__)
    parser.add_argument("--first", type=int, default=1, help="the first N (default: 1)")
    parser.add_argument("--most", type=int, default=400, help="the last N, if a booking has so many (default: 400)")
    parser.add_argument("--step", type=int, default=1, help="from one N to the next (default: 1)")
    wanted = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # the simulator tells of every answer that nobody waited for
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = fill(Path(folder), range(wanted.first, wanted.most + 1, wanted.step))
    print(f"writes and syncs of a booking: {found.writes}; answers: {dict(found.answers)}")
    print(f"lost, doubled or untrue: {len(found.wrong)}", *found.wrong, sep="\n")
    print(f"seconds: {time.monotonic() - began:.0f}")
    return 1 if found.wrong else 0


def fill(folder: Path, numbers: Sequence[int]) -> FullDisk:
    """Book once for each number, with a disk that fails from that write on."""
    shim, control = folder / "full_disk.so", folder / "control"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(SOURCE), "-ldl"], check=True)
    environment = {"APPLE": PASSWORD, "LD_PRELOAD": str(shim), "FULL_DISK": str(control)}
    found = FullDisk()
    with SimulatedIcloud.in_thread() as icloud, busyd_in(folder, environment=environment) as busyd:
        account = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
        for name in ("Work", "Home"):
            account.add_calendar(name, id=name.casefold())
        busyd.configure(SCHEDULED.format(url=icloud.bootstrap_url))
        busyd.module = ("tests.soak.killable", "--unpaced")
        busyd.start()
        wait_for(lambda: not busyd.freebusy("now", "+1d")["stale"])
        made = json.loads(busyd.command("token", "add", "anna", "--scope", "book", "--json").stdout)
        scheduler = Scheduler(busyd, made["token"])
        accepted: dict[int, str] = {}
        unharmed = 0
        for number in numbers:
            start = ten_o_clock() + number * LENGTH
            answer = _book_on_full_disk(scheduler, control, number=number, start=start)
            found.answers[str(answer.status)] += 1
            again = wait_for(partial(_asked_again, scheduler, start, number))
            if again.status != 201 or (answer.status in (201, 202) and answer.json["id"] != again.json["id"]):
                found.wrong.append(f"{number}: {answer.status} {answer.body!r}, then {again.status} {again.body!r}")
            accepted[start] = again.headers["Location"]
            unharmed = unharmed + 1 if answer.status == 201 else 0
            if answer.status != 201:
                found.writes = number
            if unharmed >= _UNHARMED:
                break
        _restart(busyd)
        for start, path in accepted.items():
            if (told := scheduler.ask("GET", path)).status != 200 or told.json["state"] != "booked":
                found.wrong.append(f"{start}: after a restart {told.status} {told.body!r}")
        there = Counter(read_event(stored.text)[1].start for stored in account.calendars["work"].objects().values())
        if there != Counter(dict.fromkeys(accepted, 1)):
            found.wrong.append(f"the calendar has {there}, and not each of {sorted(accepted)} once")
    return found


def _book_on_full_disk(scheduler: Scheduler, control: Path, *, number: int, start: int) -> Answer:
    written = control.with_name("next")
    written.write_text(str(number))
    written.rename(control)
    freed = threading.Timer(_FULL_FOR, control.unlink)
    freed.start()
    try:
        return scheduler.book(start, key=f"n-{number}")
    finally:
        freed.join()


def _asked_again(scheduler: Scheduler, start: int, number: int) -> Answer | None:
    """What is told under the same key once the disk has space again."""
    answer = scheduler.book(start, key=f"n-{number}")
    return answer if answer.status not in (202, 503, 507) else None


def _restart(busyd: Busyd) -> None:
    busyd.stop(how=signal.SIGKILL)
    busyd.start()
    wait_for(lambda: not busyd.freebusy("now", "+1d")["stale"])
