"""A mirror that turns out to be damaged is read anew by the very start that finds it so."""

import contextlib
import sqlite3

from busyd.store.mirror import MIRROR_FILE
from busyd.store.sqlite.seal import seal
from tests.icloud.apple_text import calendar, event
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for

BUSY = [("2026-06-01T09:00:00Z", "2026-06-01T10:00:00Z", "BUSY")]
DAMAGES = (
    "UPDATE busy_index SET occurrences=zeroblob(length(occurrences))",
    "UPDATE busy_index SET facts=x'c1'",
    "UPDATE calendar SET listing='{'",
    "ALTER TABLE calendar DROP COLUMN doubts",
    "DROP TABLE busy_index",
)


def test_the_start_that_finds_the_mirror_damaged_reads_everything_anew(busyd: Busyd, icloud: SimulatedIcloud) -> None:
    text = calendar(event("a", "Meeting", "DTSTART:20260601T090000Z", "DTEND:20260601T100000Z"))
    icloud.account("anna@icloud.com").calendars["work"].put("a.ics", text)
    busyd.start()
    busyd.until_busy("2026-06-01", "2026-06-02", expected=BUSY)
    for damage in DAMAGES:
        assert busyd.stop() == 0
        mirror = busyd.state / MIRROR_FILE
        with contextlib.closing(sqlite3.connect(mirror)) as database:
            database.execute(damage)
            database.execute("DELETE FROM snapshot")
            database.commit()
        seal(mirror)  # as if it had happened in use
        busyd.start()
        aside = mirror.with_name(f"{MIRROR_FILE}.damaged")
        wait_for(lambda: aside.exists() and busyd.status_of("/healthz") == 200)  # noqa: B023 - asked at once
        busyd.until_busy("2026-06-01", "2026-06-02", expected=BUSY)
        aside.unlink()
