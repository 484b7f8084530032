"""Appointments of busyd that an app changes through its CalDAV server: as if that had been done on a phone."""

import json

from busyd.period import to_rfc3339
from tests.icloud.accounts import Account
from tests.journey.daemon import wait_for
from tests.journey.scheduler import DAY, Scheduler, event
from tests.journey.test_caldav import App


def busy_of(scheduler: Scheduler, start: int) -> list[str]:
    found = scheduler.busyd.freebusy(to_rfc3339(start - DAY // 4), to_rfc3339(start + DAY // 4))["busy"]
    return [one["start"] for one in found]


class Desk:
    """An app that has the calendar Work of anna, and one appointment in it."""

    def __init__(self, scheduler: Scheduler, at: int) -> None:
        booked = scheduler.book(at)
        assert booked.status == 201, booked.body
        self._scheduler = scheduler
        self.path, self.uid = booked.headers["Location"], booked.json["uid"]
        self.name = f"{self.uid}.ics"
        self.app = App(scheduler.busyd, scope="details,book", calendar="Work")
        assert self.name in self.app.sync()

    @property
    def told(self) -> tuple[str, str, str]:
        now = self._scheduler.ask("GET", self.path).json
        return now["state"], now["changed_elsewhere"], now["start"]


def test_an_appointment_that_an_app_edits_is_told_as_edited(scheduler: Scheduler, anna: Account, ten: int) -> None:
    desk = Desk(scheduler, ten)
    text = anna.calendars["work"].objects()[desk.name].text
    assert desk.app.write("PUT", desk.name, text.replace("Intro call", "Intro call with Ben")) == 204
    assert busy_of(scheduler, ten) == [to_rfc3339(ten)]
    wait_for(lambda: desk.told == ("booked", "edited", to_rfc3339(ten)))


def test_an_appointment_that_an_app_moves_is_told_as_moved_and_can_be_moved_on(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    desk, later = Desk(scheduler, ten), ten + 7200
    assert desk.app.write("PUT", desk.name, event(desk.uid, later)) == 204
    assert to_rfc3339(later) in busy_of(scheduler, ten)  # before the answer, and the old time until it is looked at
    wait_for(lambda: desk.told == ("booked", "moved", to_rfc3339(later)))
    wait_for(lambda: busy_of(scheduler, ten) == [to_rfc3339(later)])
    moved = scheduler.ask("PATCH", desk.path, {"start": to_rfc3339(ten + 3600)})
    assert (moved.status, moved.json["start"]) == (200, to_rfc3339(ten + 3600)), moved.body
    assert list(anna.calendars["work"].objects()) == [desk.name]
    assert desk.app.sync()[desk.name] == 200  # the claim of its new time has come and gone, which may be told too


def test_an_appointment_that_an_app_deletes_is_removed_and_its_time_free(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    desk = Desk(scheduler, ten)
    assert desk.app.write("DELETE", desk.name) == 204
    wait_for(lambda: desk.told[0] == "removed")
    assert busy_of(scheduler, ten) == []
    assert scheduler.book(ten).status == 201
    assert scheduler.ask("DELETE", desk.path).status == 204
    assert len(anna.calendars["work"].objects()) == 1


def test_an_appointment_that_an_app_brings_back_is_adopted_again(scheduler: Scheduler, anna: Account, ten: int) -> None:
    desk = Desk(scheduler, ten)
    text = anna.calendars["work"].objects()[desk.name].text
    assert desk.app.write("DELETE", desk.name) == 204
    wait_for(lambda: desk.told[0] == "removed")
    assert desk.app.write("PUT", desk.name, text, If_None_Match="*") == 503  # iCloud remembers the dead for a minute
    anna.knobs.tombstone_seconds = 0
    wait_for(lambda: desk.app.write("PUT", desk.name, text, If_None_Match="*") == 201)
    wait_for(lambda: desk.told == ("booked", "restored", to_rfc3339(ten)))
    assert busy_of(scheduler, ten) == [to_rfc3339(ten)]


def test_an_appointment_that_an_app_moves_to_another_calendar_stays_busy(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    desk = Desk(scheduler, ten)
    home = App(scheduler.busyd, scope="details,book", calendar="Home").calendar
    assert desk.app.write("MOVE", desk.name, Destination=f"{home}{desk.name}", Overwrite="F") == 201
    assert busy_of(scheduler, ten) == [to_rfc3339(ten)]
    wait_for(lambda: desk.told[0] == "removed")
    assert busy_of(scheduler, ten) == [to_rfc3339(ten)]
    assert (scheduler.book(ten).error, list(anna.calendars["home"].objects())) == ("slot-taken", [desk.name])


def test_an_appointment_is_not_removed_while_its_server_does_not_take_that(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    desk = Desk(scheduler, ten)
    anna.knobs.fail_next(503, times=None)
    assert desk.app.write("DELETE", desk.name) == 503
    assert (busy_of(scheduler, ten), desk.told[0]) == ([to_rfc3339(ten)], "booked")
    assert desk.app.sync() == {desk.name: 200}
    anna.knobs.faults.clear()
    wait_for(lambda: desk.app.write("DELETE", desk.name) == 204)
    wait_for(lambda: desk.told[0] == "removed")


def test_an_appointment_cancelled_while_an_app_edits_it_is_not_lost_to_either(
    scheduler: Scheduler, anna: Account, ten: int
) -> None:
    desk = Desk(scheduler, ten)
    text = anna.calendars["work"].objects()[desk.name].text
    assert scheduler.ask("DELETE", desk.path).status == 204
    assert desk.app.write("PUT", desk.name, text.replace("Intro", "My"), If_Match='"of-before"') == 412
    assert desk.app.sync() == {desk.name: 404}
    assert anna.calendars["work"].objects() == {}
    assert json.loads(scheduler.ask("GET", desk.path).body)["state"] == "cancelled"
