"""`python -m tests.fuzz [SECONDS]`: coverage-guided fuzzing of the reader and the engine with atheris.

Any exception is a finding, and so is an opaque event that a readable start has and that nothing is said of.
"""

import sys
from typing import Final

import atheris

with atheris.instrument_imports(include=["busyd.ical", "busyd.availability"]):
    from busyd.availability.index import index_object
    from busyd.ical.split import UnreadableFeed, split_feed

from busyd.period import Instant, Period
from tests.generate import generate_objects

SPAN: Final = Period(Instant(1_790_000_000), Instant(1_790_000_000 + 30 * 86_400))
SENTINEL: Final = (
    b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:sentinel\r\nDTSTART:20261001T090000Z\r\n"
    b"DTEND:20261001T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
NINE: Final = 1_790_845_200


def read(data: bytes) -> None:
    """Whatever comes first, the calendar behind it is read, or nothing is called complete."""
    found = index_object(data + b"\r\n" + SENTINEL, SPAN, zone="Europe/Berlin")
    seen = any(start <= NINE < end for start, end, _ in found.rows)
    if not (seen or found.incomplete or found.problems or b"METHOD" in data.upper() or b"UID" in data.upper()):
        message = "an opaque event behind other text is neither busy nor told"
        raise AssertionError(message)
    try:
        split_feed(data)
    except UnreadableFeed:
        return


def main() -> None:
    seconds = sys.argv[1] if len(sys.argv) > 1 else "60"
    for payload in generate_objects(50, 7):
        read(payload)
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", *sys.argv[2:]], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
