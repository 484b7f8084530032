"""Since when is a moment busy or free, by what, and what was it before: from an edit on the phone to the terminal."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for
from tests.journey.test_changes import until_read

TEN = "2027-01-11T10:30:00Z"


def event(start: str, end: str, *lines: str) -> str:
    text = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//test//EN",
        "BEGIN:VEVENT",
        "UID:a",
        "DTSTAMP:20260101T000000Z",
        "CREATED:20261001T080000Z",
        "LAST-MODIFIED:20261002T090000Z",
        f"DTSTART:20270111T{start}00Z",
        f"DTEND:20270111T{end}00Z",
        "SUMMARY:Secret dentist",
        *lines,
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "\r\n".join([*text, ""])


def history(busyd: Busyd, *, at: str = TEN, token: str = "") -> Any:
    return busyd.get(f"/v1/profiles/anna/history?at={quote(at)}", token=token or busyd.admin_token())


def token(busyd: Busyd, *scopes: str) -> str:
    made = busyd.command("token", "add", "anna", "--scope", ",".join(scopes), "--json")
    return str(json.loads(made.stdout)["token"])


def sync(busyd: Busyd) -> None:
    """Poll, and wait until what it found is told, which is a moment after it counts."""
    assert busyd.command("sync", "--now").returncode == 0
    wait_for(lambda: told_as(history(busyd)), describe=lambda: history(busyd))


def told_as(answer: Any) -> bool:
    """Whether the log has told what the moment is now."""
    last = [one["data"] for one in answer["changes"] if one["event"] in ("busy", "free")][-1:]
    return not last or bool(last[0]["type"] == answer["type"])


def test_a_dispute_about_a_double_booking_can_be_answered(busyd: Busyd, icloud: SimulatedIcloud) -> None:
    busyd.start()
    until_read(busyd)
    work = icloud.account("anna@icloud.com").calendars["work"]
    began = history(busyd)
    assert (began["type"], began["within_hours"]) == ("FREE", None)
    assert [one["data"]["cause"] for one in began["changes"]] == ["reading"] * len(began["changes"])
    work.put("a.ics", event("1000", "1100"))
    sync(busyd)
    taken = history(busyd)
    change = taken["changes"][-1]
    assert (taken["type"], taken["since"], taken["known_since"]) == ("BUSY", change["at"], began["known_since"])
    assert (change["data"]["before"], change["data"]["type"]) == ("FREE", "BUSY")
    assert began["as_of"] <= change["confirmed_before"]["anna/Work"] <= change["at"]
    assert change["origin"]["events"] == [
        {
            "calendar": "anna/Work",
            "uid": "a",
            "href": work_href(taken),
            "summary": "Secret dentist",
            "what": "blocks",
            "created": "2026-10-01T08:00:00Z",
            "last_modified": "2026-10-02T09:00:00Z",
        }
    ]
    assert [one["summary"] for one in taken["events"]] == ["Secret dentist"]
    busyd.stop()
    work.put("a.ics", event("1400", "1500"))  # while busyd does not run
    busyd.start()
    sync(busyd)
    freed = history(busyd)
    assert (freed["type"], freed["events"]) == ("FREE", [])
    last = freed["changes"][-1]
    assert [(one["data"]["before"], one["data"]["type"]) for one in freed["changes"][-2:]] == [
        ("FREE", "BUSY"),
        ("BUSY", "FREE"),
    ]
    assert last["origin"]["events"][0]["what"] == "released"
    assert last["confirmed_before"]["anna/Work"] >= taken["as_of"]
    shown = busyd.command("why", "anna", "2027-01-11", "10:30", "--tz", "UTC").stdout
    assert "Mon 2027-01-11 10:30: free, noticed " in shown
    assert "free (was busy)" in shown
    assert "anna/Work: Secret dentist no longer takes it" in shown
    assert "(its calendar says: created Thu 2026-10-01 08:00, last changed Fri 2026-10-02 09:00)" in shown
    assert "anna/Work had last been confirmed " in shown
    assert "whether this moment was busy or free before " in shown


def work_href(answer: Any) -> str:
    return str(answer["events"][0]["href"])


def test_who_may_not_see_details_learns_when_and_not_what(busyd: Busyd, icloud: SimulatedIcloud) -> None:
    busyd.start()
    until_read(busyd)
    icloud.account("anna@icloud.com").calendars["work"].put("a.ics", event("1000", "1100"))
    sync(busyd)
    told = history(busyd, token=token(busyd, "freebusy"))
    assert told["type"] == "BUSY"
    assert told["since"]
    assert told["events"] is None
    assert [one["origin"] for one in told["changes"]] == [None] * len(told["changes"])
    assert not {"Secret", '"a"', "a.ics"} & {word for word in ("Secret", '"a"', "a.ics") if word in json.dumps(told)}
    for refused in (token(busyd, "book"), token(busyd, "metrics")):
        with pytest.raises(AssertionError, match="403"):
            history(busyd, token=refused)


def test_a_calendar_that_no_longer_counts_is_told_as_the_cause(busyd: Busyd, icloud: SimulatedIcloud) -> None:
    icloud.account("anna@icloud.com").calendars["work"].put("a.ics", event("1000", "1100"))
    busyd.change("[anna/Work]", "[anna/Work, anna/Home]")
    busyd.start()
    busyd.until_busy("2027-01-11", "2027-01-12", [("2027-01-11T10:00:00Z", "2027-01-11T11:00:00Z", "BUSY")])
    busyd.change("[anna/Work, anna/Home]", "[anna/Home]")
    assert busyd.command("reload").returncode == 0
    sync(busyd)
    last = history(busyd)["changes"][-1]
    assert (last["data"]["type"], last["data"]["cause"]) == ("FREE", "configuration")
    assert (last["origin"]["counts_no_longer"], last["confirmed_before"]) == (["anna/Work"], {})
    shown = busyd.command("why", "anna", TEN).stdout
    assert "anna/Work no longer counts" in shown


def test_other_working_hours_are_told_as_the_cause_that_nothing_is_offered(busyd: Busyd) -> None:
    busyd.change("conflicts: [anna/Work]", 'conflicts: [anna/Work], hours: {mon-fri: ["09:00-17:00"]}')
    busyd.start()
    until_read(busyd)
    assert (history(busyd)["within_hours"], history(busyd)["hours_changes"]) == (True, [])
    busyd.change("09:00-17:00", "13:00-17:00")
    assert busyd.command("reload").returncode == 0
    wait_for(lambda: history(busyd)["hours_changes"], describe=busyd.log.read_text)
    told = history(busyd)
    assert (told["within_hours"], [one["before"] for one in told["hours_changes"]]) == (False, [True])
    shown = busyd.command("why", "anna", TEN).stdout
    assert "outside the working hours  other working hours" in shown


def test_a_block_of_busyd_and_an_unknown_past_are_told_as_what_they_are(busyd: Busyd) -> None:
    busyd.start()
    until_read(busyd)
    line = ["block", "add", "anna", "--start", "2027-01-11T10:00:00Z", "--end", "2027-01-11T11:00:00Z", "--json"]
    made = json.loads(busyd.command(*line).stdout)
    last = history(busyd)["changes"][-1]
    assert last["origin"]["own"] == [{"kind": "block", "id": made["id"]}]
    assert f"busyd: block {made['id']}" in busyd.command("why", "anna", TEN).stdout
    far = history(busyd, at="2040-01-01")
    assert (far["since"], far["known_since"]) == (None, None)
    assert "does not follow this moment" in busyd.command("why", "anna", "2040-01-01").stdout


def test_what_is_mistyped_is_refused_with_what_was_meant(busyd: Busyd) -> None:
    busyd.start()
    misspelt = busyd.command("why", "ana", "today", "10:00")
    assert (misspelt.returncode, "did you mean 'anna'?" in misspelt.stderr) == (1, True)
    no_time = busyd.command("why", "anna", "whenever")
    assert no_time.returncode == 64
    assert "TIME: 'whenever' is not a point in time" in no_time.stderr
    busyd.stop()
    assert busyd.command("why", "anna", "now").returncode == 69
