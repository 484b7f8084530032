"""One time-zone database: what an event calls 09:00 is 09:00 to working hours, questions and the command line too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from busyd.ical import tzfile

ASKING = """
import json
from datetime import datetime
from functools import partial
from busyd.availability.busy import busy_periods
from busyd.availability.hours import Hours
from busyd.availability.policy import Rules
from busyd.availability.slots import SlotShape, open_slots
from busyd.cli.window import show_time, shown_zone
from busyd.config.parsers import parse_zone
from busyd.http.query import parse_window
from busyd.ical.zones import reading_zone
from busyd.period import EARLIEST, Instant, Period, to_rfc3339

zone = partial(reading_zone, parse_zone("Europe/Berlin"))
dates = {"start": "2026-11-23", "end": "2026-11-24"}
windows = [parse_window(query, now=Instant(0), zone=zone)[0] for query in (dates, {**dates, "tz": "Europe/Berlin"})]
payload = b"\\r\\n".join([
    b"BEGIN:VCALENDAR", b"BEGIN:VEVENT", b"UID:1", b"DTSTART;TZID=Europe/Berlin:20261123T090000", b"DURATION:PT1H",
    b"END:VEVENT", b"END:VCALENDAR", b"",
])
wide = Period(Instant(windows[0].start - 86_400), Instant(windows[0].end + 86_400))
slots = open_slots([], wide, zone=zone(), hours=Hours((((540, 600),), *[()] * 6)), shape=SlotShape(3600, 3600),
                   earliest=EARLIEST)
busy = busy_periods([payload], wide, zone="Europe/Berlin", rules=Rules(), addresses=(), availability=None).periods
print(json.dumps({
    "event": to_rfc3339(busy[0][0]),
    "hours": to_rfc3339(next(slot for slot in slots if slot)[0]),
    "days": [to_rfc3339(window.start) for window in windows],
    "shown": show_time("2026-11-23T08:00:00Z", zone()),
}))
"""


@pytest.fixture
def older_system_data(tmp_path: Path) -> Path:
    """A zone folder of an old release, in which Berlin has the clocks of Tokyo."""
    (tmp_path / "Europe").mkdir()
    for name in ("UTC", "Europe/Berlin"):
        (tmp_path / name).write_bytes(tzfile._package_file("Asia/Tokyo"))
    (tmp_path / "tzdata.zi").write_text("# version 1999a\n")
    return tmp_path


def test_hours_and_questions_use_the_rules_that_events_use(older_system_data: Path) -> None:
    environment = {**os.environ, "PYTHONTZPATH": str(older_system_data)}
    asked = subprocess.run([sys.executable, "-c", ASKING], env=environment, capture_output=True, text=True, timeout=60)
    assert (asked.stderr, asked.returncode) == ("", 0)
    assert asked.stdout.strip() == (
        '{"event": "2026-11-23T08:00:00Z", "hours": "2026-11-23T08:00:00Z", '
        '"days": ["2026-11-22T23:00:00Z", "2026-11-22T23:00:00Z"], "shown": "Mon 2026-11-23 09:00"}'
    )


def test_no_other_module_opens_the_standard_librarys_zones() -> None:
    package = Path(tzfile.__file__).parent.parent
    importing = {
        str(module.relative_to(package))
        for module in package.rglob("*.py")
        if "import zoneinfo" in module.read_text() or "from zoneinfo" in module.read_text()
    }
    assert importing == {"ical/tzfile.py"}
