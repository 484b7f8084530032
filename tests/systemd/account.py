"""`python -m tests.systemd.account`: inside the machine, a simulated iCloud with hundreds of events, on fixed ports.

Everything but the meetings of the first week is plain filler; some rules are heavy, so that the daemon needs its
worker process.
"""

import asyncio
from datetime import date, timedelta
from typing import Final

from tests.icloud.apple_text import calendar, event, timed
from tests.icloud.server import SimulatedIcloud

USER: Final = "anna@icloud.com"
PASSWORD: Final = "abcd-efgh-ijkl-mnop"
FIRST_PORT: Final = 18000
MONDAY: Final = date(2027, 3, 1)
EVENTS: Final = 600


def fill(icloud: SimulatedIcloud) -> None:
    """Half an hour a day for every event, and two hourly rules of one day each."""
    anna = icloud.add_account(USER, password=PASSWORD, addresses=(USER,))
    anna.add_default_calendars()
    work = anna.calendars["work"]
    for number in range(EVENTS):
        day = MONDAY + timedelta(days=number % 150)
        hour = 8 + number // 150
        work.put(
            f"{number}.ics", calendar(event(f"E{number}", "Filler", timed(day, f"{hour:02}:00", end=f"{hour:02}:30")))
        )
    for number in range(2):
        day = MONDAY + timedelta(days=number)
        hourly = event(f"H{number}", "Hourly", timed(day, "14:00", end="14:10"), "RRULE:FREQ=HOURLY;COUNT=3")
        work.put(f"hourly-{number}.ics", calendar(hourly))


async def _serve() -> None:
    async with SimulatedIcloud.start(first_port=FIRST_PORT) as icloud:
        fill(icloud)
        print(icloud.bootstrap_url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
