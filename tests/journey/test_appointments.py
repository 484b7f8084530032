"""Appointments against the simulated iCloud: what a scheduler asks for is in the calendar once; phones are heard."""

import json
import signal
from dataclasses import replace

import pytest

from busyd.period import to_rfc3339
from tests.icloud.accounts import Account
from tests.icloud.faults import Fault
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for
from tests.journey.scheduler import DAY, SCHEDULED, Scheduler, event, scheduler_of


def busy_of(scheduler: Scheduler, start: int) -> list[tuple[str, str]]:
    found = scheduler.busyd.freebusy(to_rfc3339(start - DAY // 4), to_rfc3339(start + DAY // 4))["busy"]
    return [(one["start"], one["end"]) for one in found]


def test_a_booking_is_in_the_calendar_once_however_often_it_is_asked_for(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    told = scheduler.book(ten, key="k", description="Line one\nLine two", location="Studio 4")
    assert told.status == 201, (told.body, scheduler.busyd.log.read_text())
    assert told.json["state"] == "booked"
    assert set(told.json["proof"]["before"]) == set(told.json["proof"]["after"]) == {"anna/Work", "anna/Home"}
    assert scheduler.book(ten, key="k", description="Line one\nLine two", location="Studio 4").body == told.body
    (written,) = anna.calendars["work"].objects().values()
    assert "SUMMARY:Intro call" in written.text
    assert "DTSTART;TZID=Europe/Berlin" in written.text
    assert busy_of(scheduler, ten) == [(to_rfc3339(ten), to_rfc3339(ten + 1800))]
    taken = scheduler.book(ten)
    assert (taken.status, taken.error) == (409, "slot-taken")
    assert len(taken.json["alternatives"]) == 3
    other = scheduler.book(ten + 7200, key="k")
    assert (other.status, other.error) == (422, "idempotency-mismatch")


def test_a_refusal_says_what_is_in_the_way_to_those_who_may_know(scheduler: Scheduler, anna: Account, ten: int) -> None:
    anna.calendars["home"].put("dentist.ics", event("DENTIST", ten))
    wait_for(lambda: busy_of(scheduler, ten))
    refused = scheduler.book(ten)
    assert (refused.status, refused.error, "explain" in refused.json) == (409, "slot-taken", False)
    added = scheduler.busyd.command("token", "add", "anna", "--scope", "book,details", "--json")
    insider = replace(scheduler, token=json.loads(added.stdout)["token"])
    told = [(one["calendar"], one["uid"], one["blocks"]) for one in insider.book(ten).json["explain"]]
    assert told == [("anna/Home", "DENTIST", True)]


def test_an_event_in_the_very_time_of_an_appointment_is_told_as_a_conflict(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    path = scheduler.book(ten).headers["Location"]
    anna.calendars["home"].put("dentist.ics", event("DENTIST", ten))  # which makes no other time busy
    told = wait_for(lambda: (now := scheduler.ask("GET", path).json)["state"] == "attention" and now)
    assert told["reason"] == "conflict"


def test_a_booking_takes_a_look_a_put_and_a_look_also_right_after_another(
    busyd: Busyd, icloud: SimulatedIcloud, anna: Account, ten: int
) -> None:
    busyd.configure(SCHEDULED.format(url=icloud.bootstrap_url).replace("poll: 5s", "poll: 1h"))
    scheduler = scheduler_of(busyd)
    for number in range(3):
        icloud.log.clear()
        assert scheduler.book(ten + number * 3600).status == 201
        known = [(entry.method, entry.path[-6:], entry.report) for entry in list(icloud.log.entries)]
        # A look into a calendar is taken beside the listing: see tests/lying/test_awaited.py.
        waited_for = [(method, report) for method, _, report in known if report != "sync-collection"]
        assert waited_for == [("PROPFIND", ""), ("PUT", ""), ("PROPFIND", "")], known
    assert len(anna.calendars["work"].objects()) == 3


def test_a_cancelled_booking_is_free_at_once_and_stays_told(scheduler: Scheduler, anna: Account, ten: int) -> None:
    path = scheduler.book(ten).headers["Location"]
    for _ in range(2):
        assert scheduler.ask("DELETE", path).status == 204
    assert anna.calendars["work"].objects() == {}
    assert busy_of(scheduler, ten) == []
    assert scheduler.ask("GET", path).json["state"] == "cancelled"


def test_a_booking_that_its_server_only_says_to_have_removed_stays_busy_until_it_is(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    path, work = scheduler.book(ten).headers["Location"], anna.calendars["work"]
    drop = anna.knobs.faults.add(Fault(kind="status", method="DELETE", status=204, times=None))
    told = scheduler.ask("DELETE", path)
    assert (told.status, told.json["state"]) == (202, "cancelling")
    assert work.objects()
    assert busy_of(scheduler, ten) == [(to_rfc3339(ten), to_rfc3339(ten + 1800))]
    anna.knobs.faults.waiting.remove(drop)
    wait_for(lambda: scheduler.ask("GET", path).json["state"] == "cancelled")
    assert work.objects() == {}
    assert busy_of(scheduler, ten) == []


def test_a_move_keeps_the_event_and_a_refused_one_leaves_it(scheduler: Scheduler, anna: Account, ten: int) -> None:
    booked = scheduler.book(ten)
    path, work = booked.headers["Location"], anna.calendars["work"]
    assert scheduler.book(ten + 7200).status == 201
    refused = scheduler.ask("PATCH", path, {"start": to_rfc3339(ten + 7200)})
    assert (refused.status, refused.error) == (409, "slot-taken")
    moved = scheduler.ask("PATCH", path, {"start": to_rfc3339(ten + 3600), "summary": "Later"})
    assert (moved.status, moved.json["start"], moved.json["summary"]) == (200, to_rfc3339(ten + 3600), "Later")
    assert moved.json["uid"] == booked.json["uid"]
    found = work.get(f"{booked.json['uid']}.ics")
    assert found is not None
    assert "SEQUENCE:1" in found.text
    assert len(work.objects()) == 2
    assert busy_of(scheduler, ten)[0][0] == to_rfc3339(ten + 3600)


def test_what_a_phone_does_to_a_booking_is_told(scheduler: Scheduler, anna: Account, ten: int) -> None:
    booked = scheduler.book(ten)
    path, name, work = booked.headers["Location"], f"{booked.json['uid']}.ics", anna.calendars["work"]
    found = work.get(name)
    assert found is not None
    work.put(name, found.text.replace("Intro call", "Intro call with Ben"))
    wait_for(lambda: scheduler.ask("GET", path).json["changed_elsewhere"] == "edited")
    work.delete(name)
    wait_for(lambda: scheduler.ask("GET", path).json["state"] == "removed")
    wait_for(lambda: busy_of(scheduler, ten) == [])  # what the mirror has goes once it has said so itself
    assert scheduler.ask("DELETE", path).status == 204


def test_somebody_else_in_the_time_is_told_within_a_poll(scheduler: Scheduler, anna: Account, ten: int) -> None:
    path = scheduler.book(ten).headers["Location"]
    anna.calendars["home"].put("dentist.ics", event("DENTIST", ten + 600))
    told = wait_for(lambda: (now := scheduler.ask("GET", path).json)["state"] == "attention" and now)
    assert told["reason"] == "conflict"
    (noted,) = scheduler.busyd.get("/v1/status", token=scheduler.busyd.admin_token())["appointments"]
    assert (noted["appointment"], noted["state"], noted["reason"]) == (told["id"], "attention", "conflict")
    shown = scheduler.busyd.command("status")
    assert f"appointment {told['id']} of anna" in shown.stderr
    assert "somebody else's event overlaps it; settle with them who has the time" in shown.stderr
    metrics = scheduler.busyd.get("/metrics").splitlines()
    assert [line for line in metrics if line.startswith("busyd_appointments")] == [
        'busyd_appointments{profile="anna",state="attention"} 1.0'
    ]
    assert len(anna.calendars["work"].objects()) == 1


def test_an_event_that_may_be_at_any_time_is_no_conflict_of_what_is_booked(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    path, home, busyd = scheduler.book(ten).headers["Location"], anna.calendars["home"], scheduler.busyd
    rule = event("RULE", ten - DAY).replace("END:VEVENT", "RRULE:FREQ=NONSENSE\r\nEND:VEVENT")
    home.put("rule.ics", rule)
    wait_for(lambda: not busyd.freebusy(to_rfc3339(ten), to_rfc3339(ten + 1800))["complete"])
    other = scheduler.book(ten + 7200)
    assert (other.status, other.error) == (503, "incomplete")
    home.put("dentist.ics", event("DENTIST", ten + 3600))  # beside it: what is booked is compared with it
    wait_for(lambda: len(busy_of(scheduler, ten)) == 2)
    assert busyd.command("sync", "--now").returncode == 0
    assert scheduler.ask("GET", path).json["state"] == "booked"
    home.put("dentist.ics", event("DENTIST", ten + 600))
    wait_for(lambda: scheduler.ask("GET", path).json["reason"] == "conflict")
    home.put("dentist.ics", event("DENTIST", ten + 3600))
    wait_for(lambda: scheduler.ask("GET", path).json["state"] == "booked")


def told_of(scheduler: Scheduler, token: str) -> list[tuple[str, str, str]]:
    """State before, state, and changed elsewhere of every entry of an appointment."""
    page = scheduler.busyd.get("/v1/profiles/anna/changes?limit=1000", token=token, accept="application/json")
    told = [one["data"] for one in page["changes"] if one["event"] == "appointment"]
    return [(one["before"], one["state"], one["changed_elsewhere"]) for one in told]


def test_every_state_is_told_once_in_the_log_of_changes(scheduler: Scheduler, anna: Account, ten: int) -> None:
    busyd, work = scheduler.busyd, anna.calendars["work"]
    path = scheduler.book(ten).headers["Location"]
    scheduler.ask("PATCH", path, {"start": to_rfc3339(ten + 3600)})
    busyd.stop(how=signal.SIGKILL)
    busyd.start()
    name = f"{scheduler.ask('GET', path).json['uid']}.ics"
    found = work.get(name)
    assert found is not None
    work.put(name, found.text.replace("Intro call", "Secret call"))
    wait_for(lambda: scheduler.ask("GET", path).json["changed_elsewhere"] == "edited")
    scheduler.ask("DELETE", f"{path}?reason=secret")
    expected = [
        ("", "pending", ""),
        ("pending", "booked", ""),
        ("booked", "moving", ""),
        ("moving", "booked", ""),
        ("booked", "booked", "edited"),
        ("booked", "cancelling", "edited"),
        ("cancelling", "cancelled", "edited"),
    ]
    assert told_of(scheduler, scheduler.token) == expected
    assert told_of(scheduler, busyd.admin_token()) == expected
    for scope, seen in (("freebusy", []), ("book", []), ("details", expected)):
        other = json.loads(busyd.command("token", "add", "anna", "--scope", scope, "--json").stdout)["token"]
        assert told_of(scheduler, other) == seen
    shown = busyd.command("changes", "anna", "--tz", "UTC").stdout
    assert "booked (was moving)" in shown
    assert "ecret" not in shown


def test_the_command_line_books_moves_and_cancels(scheduler: Scheduler, anna: Account, ten: int) -> None:
    command, work = scheduler.busyd.command, anna.calendars["work"]
    words = ("book", "anna", "--start", to_rfc3339(ten), "--duration", "30m", "--summary", "Intro call")
    booked = command(*words, "--key", "k", "--json")
    assert booked.returncode == 0, booked.stderr
    assert command(*words, "--key", "k", "--json").stdout == booked.stdout
    refused = command(*words)
    assert refused.returncode == 1
    assert "open instead: " in refused.stderr
    appointment = json.loads(booked.stdout)["id"]
    moved = command("move", "anna", appointment, "--start", to_rfc3339(ten + 3600), "--json")
    assert json.loads(moved.stdout)["end"] == to_rfc3339(ten + 5400)
    assert len(work.objects()) == 1
    window = ("--start", to_rfc3339(ten), "--end", to_rfc3339(ten + DAY))
    assert appointment in command("appointments", "anna", *window).stdout
    assert command("cancel", "anna", appointment).stdout == f"cancelled: {appointment}\n"
    assert work.objects() == {}


def test_what_was_under_way_when_the_daemon_died_is_settled_by_the_next(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    anna.knobs.faults.add(Fault(kind="reset-after-applying", method="PUT", times=None))
    anna.knobs.faults.add(Fault(kind="reset", method="GET", path="ics$", times=None))
    pending = scheduler.book(ten, key="k")
    assert (pending.status, pending.json["state"]) == (202, "pending"), pending.body
    scheduler.busyd.stop(how=signal.SIGKILL)
    anna.knobs.faults.clear()
    scheduler.busyd.start()
    path = pending.headers["Location"]
    wait_for(lambda: scheduler.ask("GET", path).json["state"] == "booked", describe=scheduler.busyd.log.read_text)
    assert scheduler.book(ten, key="k").status == 201
    assert len(anna.calendars["work"].objects()) == 1


def test_guests_are_written_only_once_the_slot_is_certain(scheduler: Scheduler, anna: Account, ten: int) -> None:
    guests = [{"email": "ben@example.org", "name": 'Ben "B"; Smith'}]
    told = scheduler.book(ten, guests=guests, invite="server")
    assert (told.status, told.json["invited"]) == (201, "sent"), told.body
    work = anna.calendars["work"]
    (written,) = work.objects().values()
    text = written.text.replace("\r\n ", "")
    assert "mailto:ben@example.org" in text
    assert "ORGANIZER" in text
    moved = scheduler.ask("PATCH", told.headers["Location"], {"start": to_rfc3339(ten + 3600)})
    assert (moved.status, moved.json["invited"]) == (200, "sent"), moved.body
    (written,) = work.objects().values()
    assert "mailto:ben@example.org" in written.text.replace("\r\n ", "")
    kept = scheduler.book(ten, guests=guests)
    assert (kept.status, kept.json["invited"], kept.json["guests"]) == (201, "", guests)
    other = work.get(f"{kept.json['uid']}.ics")
    assert other is not None
    assert "ATTENDEE" not in other.text


def test_a_move_that_could_not_be_proven_may_be_asked_for_again_with_its_key(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    path, target = scheduler.book(ten).headers["Location"], to_rfc3339(ten + 3600)
    anna.knobs.fail_next(503, times=None, method="PROPFIND")
    anna.knobs.fail_next(503, times=None, method="REPORT")
    assert scheduler.ask("PATCH", path, {"start": target}, key="move").status == 503
    anna.knobs.faults.clear()
    moved = wait_for(lambda: (now := scheduler.ask("PATCH", path, {"start": target}, key="move")).status != 503 and now)
    assert (moved.status, moved.json["start"]) == (200, target)


def test_a_refused_move_is_refused_again_under_its_key(scheduler: Scheduler, anna: Account, ten: int) -> None:
    path, target = scheduler.book(ten).headers["Location"], to_rfc3339(ten + 3600)
    anna.calendars["home"].put("dentist.ics", event("DENTIST", ten + 3600))
    answers = [scheduler.ask("PATCH", path, {"start": target}, key="move") for _ in range(2)]
    assert [answer.status for answer in answers] == [409, 409], [answer.body for answer in answers]
    assert scheduler.ask("GET", path).json["start"] == to_rfc3339(ten)


def test_a_claim_goes_though_the_daemon_died_as_soon_as_the_appointment_was_moved(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    path, target = scheduler.book(ten).headers["Location"], to_rfc3339(ten + 3600)
    scheduler.busyd.stop()
    scheduler.busyd.module = ("tests.soak.killable", "--die-at", "mirror:after:2")
    scheduler.busyd.start()
    with pytest.raises(ConnectionError):
        wait_for(lambda: scheduler.ask("PATCH", path, {"start": target}, key="move").status != 503)
    scheduler.busyd.stop()
    scheduler.busyd.module = ("busyd",)
    scheduler.busyd.start()
    wait_for(lambda: len(anna.calendars["work"].objects()) == 1, describe=scheduler.busyd.log.read_text)
    assert scheduler.ask("GET", path).json["start"] == target


def test_a_claim_that_comes_back_after_its_end_is_deleted(scheduler: Scheduler, anna: Account, ten: int) -> None:
    path, work = scheduler.book(ten).headers["Location"], anna.calendars["work"]
    anna.knobs.tombstone_seconds = 0
    anna.knobs.play("again", method="PUT", seconds=1)
    assert scheduler.ask("PATCH", path, {"start": to_rfc3339(ten + 3600)}).status == 200
    wait_for(lambda: len(work.objects()) == 2)
    wait_for(lambda: len(work.objects()) == 1, describe=scheduler.busyd.log.read_text)


def test_who_books_where_the_login_is_refused_is_told_to_store_another_password(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    anna.password = "wxyz-wxyz-wxyz-wxyz"
    wait_for(lambda: "refused a login" in scheduler.busyd.log.read_text())
    refused = scheduler.book(ten)
    assert (refused.status, refused.error, refused.json["cause"]) == (503, "not-proven", "login-refused")
    words = ("book", "anna", "--start", to_rfc3339(ten), "--duration", "30m", "--summary", "Intro call")
    told = scheduler.busyd.command(*words)
    assert told.returncode == 77
    assert "`busyd credential set anna`" in told.stderr
