"""Lies about whole calendars: listed twice, or not, answering 404, changing what they are."""

from tests.lying.server import CALENDAR, MAX_AGE, TWO_POLLS, Calendar, LyingServer, Members, Reply, multistatus, row

VTODO = '<C:comp name="VTODO"/>'


class ListedTwiceNewFirst(LyingServer):
    """Listed twice, with the new state first and the old one last."""

    is_new_first = True

    def listing(self, home: str) -> list[str]:
        rows = super().listing(home)
        if not self.lies:
            return rows
        self.work.ctag, self.work.token = "ct3", "tok:3"
        old = self.calendar_row("c1")
        self.work.ctag = self.work.token = None
        return [*rows, old] if self.is_new_first else [rows[0], old, *rows[1:]]


class ListedTwiceOldFirst(ListedTwiceNewFirst):
    """The other way round."""

    is_new_first = False


class ListedTwiceOnceBroken(ListedTwiceNewFirst):
    """Once with properties, and once as forbidden."""

    def listing(self, home: str) -> list[str]:
        return [*LyingServer.listing(self, home), *([row(f"{self.base}/h/c1/", status=403)] if self.lies else [])]


class WholeCalendarGone25(LyingServer):
    """The calendar is not listed and answers 404 for 25 seconds."""

    allowed = 0
    status = 404
    until = 25
    is_listed = False

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B"))
        self.add_calendar("c2", "Second").put("z.ics", self.event("Z", 6))

    def step(self) -> None:
        self.tick()

    def tick(self) -> None:
        self.work.listed = self.is_listed or not self.is_away()

    def is_away(self) -> bool:
        return 0 <= self.passed < self.until

    def answer(self, method: str, target: str, body: str) -> Reply:
        if self.is_away() and "/h/c1/" in target and self.status != 200:
            self.tick()
            self.requests.append((self.now(), method, target))
            return Reply(self.status)
        return super().answer(method, target, body)


class WholeCalendarForbidden25(WholeCalendarGone25):
    """The same with 403."""

    status = 403


class WholeCalendarFailing(WholeCalendarGone25):
    """The same with 500, to the end."""

    status = 500
    until = 1000
    may_fail = True


class WholeCalendarUnlisted(WholeCalendarGone25):
    """It is not listed, and answers as ever, to the end."""

    status = 200
    until = 1000


class ListedAndGone(WholeCalendarGone25):
    """It is listed, and answers 404, to the end."""

    until = 1000
    is_listed = True
    may_fail = True


class ListedAndForbidden(ListedAndGone):
    """It is listed, and answers 403, to the end."""

    status = 403


class UnlistedChanges(WholeCalendarUnlisted):
    """A calendar that is not listed gets a new event."""

    allowed = TWO_POLLS

    def prepare(self) -> None:
        self.add_calendar("c2", "Second").put("z.ics", self.event("Z", 6))

    def step(self) -> None:
        super().step()
        self.work.put("b.ics", self.event("B"))


class OnlyCalendarUnlisted(LyingServer):
    """The only calendar vanishes from the listing; its members answer as ever."""

    allowed = 0
    may_fail = True

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B"))

    def step(self) -> None:
        self.work.listed = False


class SecondHomeFails(LyingServer):
    """Of two homes the second one fails; its calendar gets a new event."""

    allowed = MAX_AGE
    may_fail = True
    status = 500

    def prepare(self) -> None:
        self.second = self.add_calendar("c2", "Second")
        self.second.put("z.ics", self.event("Z", 6))

    def step(self) -> None:
        self.second.put("b.ics", self.event("B"))

    def homes(self) -> list[str]:
        return [f"{self.base}/h/", f"{self.base}/h2/"]

    def calendar_row(self, key: str) -> str:
        return row(self.href(key, ""), self.properties(self.calendars[key]))

    def itself(self, key: str) -> str:
        return self.calendar_row(key)

    def href(self, key: str, name: str) -> str:
        return f"{self.base}/{'h' if key == 'c1' else 'h2'}/{key}/{name}"

    def answer(self, method: str, target: str, body: str) -> Reply:
        if self.lies and target.rstrip("/").endswith("/h2"):
            return Reply(self.status)
        return super().answer(method, target, body)

    def listing(self, home: str) -> list[str]:
        key = "c1" if home.endswith("/h/") else "c2"
        return [row(home, "<resourcetype><collection/></resourcetype>"), self.calendar_row(key)]


class SecondHomeGone(SecondHomeFails):
    """The same with 404."""

    status = 404


class SecondHomeEmpty(SecondHomeFails):
    """The second home lists itself only; its calendar answers as ever."""

    allowed = TWO_POLLS

    def answer(self, method: str, target: str, body: str) -> Reply:
        if self.lies and target.rstrip("/").endswith("/h2"):
            return multistatus([row(f"{self.base}/h2/", "<resourcetype><collection/></resourcetype>")])
        return LyingServer.answer(self, method, target, body)


class TasksBecomeEvents(LyingServer):
    """A calendar for tasks takes events, too."""

    def prepare(self) -> None:
        self.second = self.add_calendar("c2", "Tasks")
        self.second.components = VTODO

    def step(self) -> None:
        self.second.components += '<C:comp name="VEVENT"/>'
        self.second.put("b.ics", self.event("B"))


class EventsBecomeTasks(LyingServer):
    """A calendar is listed as one for tasks, and hands out its events."""

    allowed = 0

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B"))
        self.add_calendar("c2", "Second")

    def step(self) -> None:
        self.work.components = VTODO


class LosesItsTypeForAWhile(EventsBecomeTasks):
    """A calendar is listed as a plain collection for a while, and changes meanwhile."""

    allowed = TWO_POLLS

    def prepare(self) -> None:
        self.add_calendar("c2", "Second")

    def step(self) -> None:
        self.work.put("b.ics", self.event("B"))

    def tick(self) -> None:
        self.work.types = "<collection/>" if 0 <= self.passed < 60 else CALENDAR


class BecomesAnOutbox(LyingServer):
    """A calendar is marked as an outbox as well."""

    def step(self) -> None:
        super().step()
        self.work.types = f"{CALENDAR}<C:schedule-outbox/>"


class NewEmptyCalendar(LyingServer):
    """A new calendar, in which nothing is."""

    def step(self) -> None:
        super().step()
        self.add_calendar("c2", "Empty")


class NewCalendar(LyingServer):
    """A new calendar with an event, which is not readable for twelve seconds."""

    status = 500

    def step(self) -> None:
        self.add_calendar("c2", "New").put("b.ics", self.event("B"))

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        if key == "c2" and self.passed < 12:
            return Reply(self.status)
        return super().sync(key, calendar, token=token)


class NewCalendarLooksEmpty(LyingServer):
    """A new calendar whose reports show nothing for twelve seconds."""

    allowed = 12 + TWO_POLLS

    def step(self) -> None:
        self.add_calendar("c2", "New").put("b.ics", self.event("B"))

    def rows(self, key: str, members: Members) -> list[str]:
        return [] if key == "c2" and self.passed < 12 else super().rows(key, members)


class PathIsReused(LyingServer):
    """A calendar is deleted, and another one made under its path."""

    allowed = TWO_POLLS

    def step(self) -> None:
        del self.calendars["c1"]
        self.work = self.add_calendar("c1", "Other")
        self.work.touch()
        self.work.put("b.ics", self.event("B"))


class Single(LyingServer):
    """The URL is that of one calendar."""

    path = "/h/c1/"
    conflicts = "*"

    def prepare(self) -> None:
        self.add_calendar("c2", "Second").put("z.ics", self.event("Z", 6))

    def members(self, key: str, calendar: Calendar) -> Reply:
        return super().members(key, calendar)


class SingleGone(Single):
    """The one calendar answers 404."""

    allowed = 0
    may_fail = True
    status = 404
    until = 1000

    def prepare(self) -> None:
        super().prepare()
        self.work.put("b.ics", self.event("B"))

    def step(self) -> None:
        pass

    def answer(self, method: str, target: str, body: str) -> Reply:
        if 0 <= self.passed < self.until and "/h/c1" in target:
            return Reply(self.status)
        return super().answer(method, target, body)


class SingleForbidden(SingleGone):
    """The one calendar answers 403."""

    status = 403


class SingleGoneForAWhile(SingleGone):
    """The one calendar answers 404 for 25 seconds."""

    until = 25
    may_fail = False


class SingleGoneWithin(SingleGone):
    """A 207 that contains nothing but a 404."""

    def answer(self, method: str, target: str, body: str) -> Reply:
        reply = super().answer(method, target, body)
        return multistatus([row(target, status=404)]) if reply.status == 404 else reply


class SharedCalendarForbidden(LyingServer):
    """A home with somebody else's calendars, one of which answers 403 and is still listed."""

    allowed = 0
    may_fail = True

    def prepare(self) -> None:
        boss = self.add_calendar("c2", "Boss")
        boss.types = f"{CALENDAR}<CS:shared/>"
        boss.put("b.ics", self.event("B"))

    def step(self) -> None:
        self.calendars["c2"].touch()

    def answer(self, method: str, target: str, body: str) -> Reply:
        return Reply(403) if self.lies and "/h/c2/" in target else super().answer(method, target, body)


class HomeOfNothing(LyingServer):
    """The home lists itself and nothing else, for 25 seconds; calendars answer as ever."""

    def listing(self, home: str) -> list[str]:
        return super().listing(home)[:1] if 0 <= self.passed < 25 else super().listing(home)


class HomeIsForbidden(LyingServer):
    """The home answers 403, to the end."""

    allowed = MAX_AGE
    may_fail = True
    status = 403

    def answer(self, method: str, target: str, body: str) -> Reply:
        if self.lies and target.rstrip("/").endswith("/h"):
            return Reply(self.status)
        return super().answer(method, target, body)


class HomeNotModified(HomeIsForbidden):
    """The home answers 304."""

    status = 304


class HomeOfAnother(LyingServer):
    """The home lists calendars of another home, with the names of those that were there."""

    allowed = MAX_AGE
    may_fail = True

    def calendar_row(self, key: str) -> str:
        text = super().calendar_row(key)
        return text.replace(f"{self.base}/h/", f"{self.base}/hh/") if self.lies else text


class RowWithoutHrefs(LyingServer):
    """The new calendar's row has its properties in a 404 propstat."""

    may_fail = True

    allowed = TWO_POLLS

    def step(self) -> None:
        self.add_calendar("c2", "New").put("b.ics", self.event("B"))

    def calendar_row(self, key: str) -> str:
        text = super().calendar_row(key)
        return text.replace("200 OK", "404 Not Found") if key == "c2" else text


class RowForbidden(RowWithoutHrefs):
    """The new calendar's row is a 403."""

    def calendar_row(self, key: str) -> str:
        return row(f"{self.base}/h/c2/", status=403) if key == "c2" else super().calendar_row(key)
