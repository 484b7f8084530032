"""Goals 5 and 6: reading and expanding objects, beside icalendar with recurring-ical-events and beside libical."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import icalendar
import recurring_ical_events

from busyd.availability.index import index_object
from busyd.index.worker import is_heavy
from busyd.period import Instant, Period
from tests.bench.figures import Figure, count, missing, ratio, spread
from tests.bench.processes import REPOSITORY, children_cpu, clean_environment
from tests.bench.workshop import Workshop
from tests.generate import TODAY, generate_objects

OBJECTS: Final = 10_000
DAYS: Final = 400
ZONE: Final = "Europe/Berlin"
_ZONE_DEFINITION: Final = re.compile(rb"BEGIN:VTIMEZONE\r\n.*?END:VTIMEZONE\r\n", re.DOTALL)
_START: Final = int(datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC).timestamp())
SPAN: Final = Period(Instant(_START), Instant(_START + DAYS * 86_400))


def measure_import(workshop: Workshop) -> list[Figure]:
    """Goal 5: parse and expand 10,000 objects over 400 days."""
    payloads = generate_objects(OBJECTS, 1)
    heavy = sum(map(is_heavy, payloads)) / len(payloads) * 100
    return [
        *_beside_reference(workshop, payloads[: 300 if workshop.quick else 1000]),
        *_beside_libical(workshop, payloads),
        count(5, "share of objects read in the worker", value=heavy, at_most=1, unit=" %"),
    ]


def measure_old_series(workshop: Workshop) -> list[Figure]:
    """Goal 6: a daily series without end that began in 1970, and one that began this year."""
    values = []
    for _ in range(workshop.rounds):
        old, new = (_cpu_of(lambda year=year: _expand_daily(year)) for year in (1970, TODAY.year))  # type: ignore[misc]
        values.append(old / new)
    workshop.say(f"  this year's: {new / 300 * 1e6:.0f} us a call, 90 days")
    return [ratio(6, "daily since 1970, of daily since this year", values=values, at_most=1.5)]


def _expand_daily(year: int) -> None:
    payload = (
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:daily\r\nDTSTART;TZID={ZONE}:{year}0105T090000\r\n"
        "DURATION:PT1H\r\nRRULE:FREQ=DAILY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    ).encode()
    window = Period(Instant(_START), Instant(_START + 90 * 86_400))
    for _ in range(300):
        index_object(payload, window, zone=ZONE)


def _beside_reference(workshop: Workshop, payloads: Sequence[bytes]) -> list[Figure]:
    ours, theirs = [], []
    for payload in payloads:  # zones and rules that both sides keep
        index_object(payload, SPAN, zone=ZONE)
    for _ in range(2 if workshop.quick else 4):
        ours.append(_cpu_of(lambda: [index_object(payload, SPAN, zone=ZONE) for payload in payloads]))
        theirs.append(_cpu_of(lambda: [_expand_reference(payload) for payload in payloads]))
    each = len(payloads)
    workshop.say(f"  busyd {spread([each / one for one in ours], 'objects/s')}")
    workshop.say(f"  icalendar with recurring-ical-events {spread([each / one for one in theirs], 'objects/s')}")
    values = [slow / fast for fast, slow in zip(ours, theirs, strict=True)]
    return [ratio(5, "throughput, of icalendar with recurring-ical-events", values=values, at_least=25)]


def _expand_reference(payload: bytes) -> int:
    start = datetime.fromtimestamp(SPAN.start, UTC)
    calendar = icalendar.Calendar.from_ical(payload)
    return len(recurring_ical_events.of(calendar).between(start, start + timedelta(days=DAYS)))


def _beside_libical(workshop: Workshop, payloads: Sequence[bytes]) -> list[Figure]:
    """Whole processes: CPU of busyd's engine to that of a C program, with cached zones and with the data as sent."""
    what = "CPU of a whole import, of libical's in C"
    program = workshop.folder / "expand_with_libical"
    why = _compile(program)
    if why:
        return [missing(5, what, why=why)]
    sent = workshop.keep("sent.bin", _packed(payloads))
    bare = workshop.keep("stripped.bin", _packed([_ZONE_DEFINITION.sub(b"", payload) for payload in payloads]))
    mine = [sys.executable, "-m", "tests.bench.expand_all", str(sent)]
    # Those that take the same time are measured first, and in turn first: what has just kept the processor busy for
    # seconds leaves it slower for whoever comes next.
    cached = [
        _ratio(mine, [str(program), str(bare)], swapped=bool(at % 2)) for at in range(4 if workshop.quick else 12)
    ]
    as_sent = [_ratio(mine, [str(program), str(sent)]) for _ in range(2 if workshop.quick else 4)]
    seconds, found = zip(*[_run(mine) for _ in range(3)], strict=True)
    _, theirs = _run([str(program), str(bare)])
    workshop.say(f"  busyd's process {spread(seconds, 's CPU')}; {found[0]} occurrences, libical {theirs}")
    return [
        ratio(5, f"{what}, zones cached", values=cached, at_most=1.0),
        ratio(5, f"{what}, data as sent", values=as_sent, at_most=0.1),
    ]


def _ratio(mine: list[str], other: list[str], *, swapped: bool = False) -> float:
    """CPU of one run of mine to one of the other, run one after the other."""
    if swapped:
        theirs = _run(other)[0]
        return _run(mine)[0] / theirs
    return _run(mine)[0] / _run(other)[0]


def _compile(program: Path) -> str:
    """Build the C program; why not, when that cannot be."""
    if not shutil.which("gcc"):
        return "no gcc"
    source = Path(__file__).with_name("expand_with_libical.c")
    built = subprocess.run(["gcc", "-O2", "-o", str(program), str(source), "-lical"], capture_output=True, check=False)
    return "" if built.returncode == 0 else "no libical-dev"


def _packed(payloads: Sequence[bytes]) -> bytes:
    return b"".join(b"%d\n%b" % (len(payload), payload) for payload in payloads)


def _run(command: list[str]) -> tuple[float, int]:
    """CPU seconds and occurrences of one run."""
    before = children_cpu()
    told = subprocess.run(
        [*command, str(SPAN.start), str(SPAN.end)],
        cwd=REPOSITORY,
        env=clean_environment(),
        capture_output=True,
        check=True,
    )
    return children_cpu() - before, int(told.stdout)


def _cpu_of(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before
