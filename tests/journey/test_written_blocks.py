"""Blocks that are in a calendar too, against the simulated iCloud."""

import json

from busyd.period import to_rfc3339
from tests.icloud.accounts import Account
from tests.journey.daemon import wait_for
from tests.journey.scheduler import Scheduler, event

PATH = "/v1/profiles/anna/blocks"


def test_a_written_block_is_in_its_calendar_and_goes_with_it(scheduler: Scheduler, anna: Account, ten: int) -> None:
    blocks = anna.add_calendar("Blocks", id="blocks")
    wait_for(lambda: "Blocks" in scheduler.busyd.command("calendars").stdout)
    scheduler.busyd.change("primary: anna/Work", "primary: anna/Work, blocks: anna/Blocks")
    told = scheduler.busyd.command("reload")
    assert told.returncode == 0, told
    body = {"start": to_rfc3339(ten), "end": to_rfc3339(ten + 7200), "type": "BUSY-UNAVAILABLE", "write": True}
    made = scheduler.ask("POST", PATH, body, key="k")
    assert (made.status, made.json["state"], made.json["write"]) == (201, "booked", True), made.body
    assert scheduler.ask("POST", PATH, body, key="k").body == made.body
    (written,) = blocks.objects().values()
    assert "SUMMARY:Blocked" in written.text
    assert "X-MICROSOFT-CDO-BUSYSTATUS:OOF" in written.text
    assert scheduler.book(ten).status == 409
    path = made.headers["Location"]
    moved = scheduler.ask("PATCH", path, {"end": to_rfc3339(ten + 3600), "summary": "Dentist"})
    assert (moved.status, moved.json["end"]) == (200, to_rfc3339(ten + 3600)), moved.body
    (written,) = blocks.objects().values()
    assert "SUMMARY:Dentist" in written.text
    for _ in range(2):
        assert scheduler.ask("DELETE", path).status == 204
    assert blocks.objects() == {}
    assert scheduler.book(ten).status == 201


def test_without_a_calendar_of_their_own_blocks_are_in_the_primary(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    body = {"start": to_rfc3339(ten), "end": to_rfc3339(ten + 7200), "write": True}
    assert scheduler.ask("POST", PATH, body).status == 201
    assert len(anna.calendars["work"].objects()) == 1


def test_a_feed_of_its_own_is_no_source_of_busy_time(scheduler: Scheduler, anna: Account, ten: int) -> None:
    anna.calendars["work"].put("dentist.ics", event("DENTIST", ten))
    made = scheduler.busyd.command("token", "add", "anna", "--json")
    url = f"{scheduler.busyd.base}{json.loads(made.stdout)['feed']}"
    scheduler.busyd.change("connections:", f'connections:\n  me: {{kind: ics, url: "{url}", allow_private: true}}')
    scheduler.busyd.change("conflicts: [anna/Home]", "conflicts: [anna/Home, me]")
    scheduler.busyd.command("reload")
    told = wait_for(lambda: "a feed of this busyd" in (log := scheduler.busyd.log.read_text()) and log)
    assert "name the calendars" in told
