"""What `/slots` offers is accepted, and nothing else is, whatever the hours, buffers, notice and grid of a profile."""

import random

from busyd.period import to_rfc3339
from tests.icloud.accounts import Account
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for
from tests.journey.scheduler import DAY, Scheduler, event

PROFILES, OFFERED, OTHERS = 4, 3, 6
CONFIG = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}, poll: 5s}}
profiles:
"""
REFUSALS = {"slot-taken", "outside-hours", "too-soon", "too-far", "off-grid"}


def profile(name: str, dice: random.Random) -> str:
    """A profile with rules at random."""
    opens = dice.choice(("07:10", "09:00", "22:00"))
    hours = dice.choice(("", f'hours: {{mon-sun: ["{opens}-12:00", "13:05-18:20"]}}, ' if opens < "12" else ""))
    duration, step, notice = dice.choice((15, 30, 50)), dice.choice((10, 15, 30, 45)), dice.choice((0, 2, 100))
    before, after = dice.choice((0, 10, 25)), dice.choice((0, 5, 40))
    slots = (
        f"{{duration: {duration}m, step: {step}m, notice: {notice}h, window: 20d,"
        f" buffer_before: {before}m, buffer_after: {after}m}}"
    )
    zone = dice.choice(("Europe/Berlin", "Asia/Kathmandu", "America/New_York"))
    return f"  {name}: {{timezone: {zone}, primary: anna/Work, conflicts: [anna/Home], {hours}slots: {slots}}}\n"


def test_what_slots_offers_is_accepted_and_nothing_else(
    busyd: Busyd, icloud: SimulatedIcloud, anna: Account, ten: int, seed: int = 15
) -> None:
    dice = random.Random(seed)
    names = [f"p{number}" for number in range(PROFILES)]
    busyd.configure(CONFIG.format(url=icloud.bootstrap_url) + "".join(profile(name, dice) for name in names))
    day = ten - 20 * DAY
    for number in range(12):
        anna.calendars["home"].put(f"{number}.ics", event(f"E{number}", day + dice.randrange(2 * DAY // 300) * 300))
    busyd.start()
    windows = [f"/v1/profiles/{name}/freebusy?start=now&end=%2B1d" for name in names]
    wait_for(lambda: not any(busyd.get(window)["stale"] for window in windows), describe=busyd.log.read_text)
    scheduler = Scheduler(busyd, busyd.admin_token())
    for name in names:
        window = f"start={to_rfc3339(day)}&end={to_rfc3339(day + 2 * DAY)}"
        slots = {(slot["start"], slot["end"]) for slot in busyd.get(f"/v1/profiles/{name}/slots?{window}")["slots"]}
        assert slots
        starts = [to_rfc3339(day + minute * 300) for minute in range(2 * DAY // 300)]
        open_starts = {start for start, _ in slots}
        others = dice.sample([start for start in starts if start not in open_starts], OTHERS)
        wanted = dice.sample(sorted(open_starts), min(OFFERED, len(open_starts)))
        for start in (*wanted, *others, to_rfc3339(ten + 5 * DAY)):
            body = {"start": start, "summary": "Intro call"}
            told = scheduler.ask("POST", f"/v1/profiles/{name}/appointments", body)
            if start in open_starts:
                assert told.status == 201, (name, start, told.body)
                assert (told.json["start"], told.json["end"]) in slots
                assert scheduler.ask("DELETE", told.headers["Location"]).status == 204
            else:
                assert told.status in (409, 422), (name, start, told.body)
                assert told.error in REFUSALS
