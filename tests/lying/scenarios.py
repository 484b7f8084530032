"""The first two dozen: absence, spelling, truncation, empty deltas, stale answers, and silence."""

from collections.abc import Mapping
from typing import ClassVar

from busyd.availability.policy import Rules
from tests.lying.server import (
    MAX_AGE,
    Calendar,
    Closes,
    Hangs,
    LyingServer,
    Member,
    Members,
    Reply,
    data_row,
    multistatus,
    row,
)


class CtagSame(LyingServer):
    """The ctag never moves, the sync token of the listing does."""

    def prepare(self) -> None:
        self.work.ctag = "fixed"


class TokenSame(LyingServer):
    """The token of the listing never moves, the ctag does."""

    def prepare(self) -> None:
        self.work.token = "tok:2"


class MultigetDeniesNew(LyingServer):
    """A multiget says 404 of a new object that a GET hands out."""

    def multiget_row(self, path: str) -> str:
        return row(path, status=404) if "b.ics" in path else super().multiget_row(path)


class Spelling(LyingServer):
    """The server knows its own spelling of an href only."""

    name = "b@x(1):2.ics"

    def step(self) -> None:
        self.work.put(self.name, self.event("B"))

    def is_at(self, path: str, href: str) -> bool:
        return path == href


class ListedNotHandedOut(LyingServer):
    """Listed with an ETag by every listing, 404 when fetched."""

    may_fail = True

    def find(self, path: str, *, lag: float = 0.0) -> Member | None:
        return None if "b.ics" in path else super().find(path, lag=lag)


class MultigetOmitsGetFails(LyingServer):
    """Left out of the multiget, and the GET fails."""

    may_fail = True

    def multiget_row(self, path: str) -> str:
        return "" if "b.ics" in path else super().multiget_row(path)

    def get(self, path: str) -> Reply:
        return Reply(500) if "b.ics" in path else super().get(path)


class TwoHomes(LyingServer):
    """The home set has two members; the event is in the second."""

    def prepare(self) -> None:
        self.second = self.add_calendar("c2", "Second")
        self.second.put("z.ics", self.event("Z", 6))

    def step(self) -> None:
        self.second.put("b.ics", self.event("B"))

    def homes(self) -> list[str]:
        return [f"{self.base}/h/", f"{self.base}/h2/"]

    def listing(self, home: str) -> list[str]:
        key = "c1" if home.endswith("/h/") else "c2"
        itself = row(home, "<resourcetype><collection/></resourcetype>")
        return [itself, row(f"{home}{key}/", self.properties(self.calendars[key]))]

    def itself(self, key: str) -> str:
        return row(self.href(key, ""), self.properties(self.calendars[key]))

    def href(self, key: str, name: str) -> str:
        return f"{self.base}/{'h' if key == 'c1' else 'h2'}/{key}/{name}"


class HomeTruncated(LyingServer):
    """The listing of the home ends with a 507; a new calendar is beyond it."""

    may_fail = True

    def step(self) -> None:
        self.add_calendar("c2", "New").put("b.ics", self.event("B"))

    def listing(self, home: str) -> list[str]:
        return super().listing(home)[:2] + ([row(home, status=507)] if self.lies else [])


class MoveLag(LyingServer):
    """An event moves, and what it moves to shows it only twelve seconds later."""

    allowed = 0
    late = 12

    def prepare(self) -> None:
        self.second = self.add_calendar("c2", "Second")
        self.second.put("z.ics", self.event("Z", 6))
        self.work.put("b.ics", self.event("B"))

    def step(self) -> None:
        self.work.delete("b.ics")

    def tick(self) -> None:
        if self.passed >= self.late and "b.ics" not in self.second.members:
            self.second.put("b.ics", self.event("B"))

    def is_busy(self) -> bool:
        return True


class EmptyDelta(LyingServer):
    """A delta has neither rows nor a token."""

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        return multistatus([]) if token and self.lies else super().sync(key, calendar, token=token)


class EmptyDeltaNewToken(LyingServer):
    """A delta has no rows, but the new token."""

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        if token and self.lies:
            return multistatus([], token=f"tok:{calendar.revision}")
        return super().sync(key, calendar, token=token)


class DeltaDenies(LyingServer):
    """A delta says 404 of an object that is still there."""

    allowed = 0

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B"))

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        if token and self.lies:
            return multistatus([row(self.href(key, "b.ics"), status=404)], token=f"tok:{calendar.revision}")
        return super().sync(key, calendar, token=token)


class StaleMultiget(LyingServer):
    """A multiget brings the old text with the old ETag."""

    def step(self) -> None:
        self.old = self.work.members["a.ics"]
        self.work.put("a.ics", self.event("A", self.hour))

    def multiget_row(self, path: str) -> str:
        return data_row(path, self.old) if self.lies else super().multiget_row(path)


class EncodedHref(LyingServer):
    """Lower-case hexadecimal digits, and a slash that is part of a name."""

    def step(self) -> None:
        self.work.put("b%c3%a9%2fx.ics", self.event("B"))


class RuleOfRenamed(LyingServer):
    """A calendar with a rule is renamed."""

    rules: ClassVar[Mapping[str, Rules]] = {"Work": Rules(all_day="busy")}
    allowed = 0

    def prepare(self) -> None:
        self.work.put("b.ics", self.all_day("B", extra="TRANSP:TRANSPARENT\r\n"))

    def step(self) -> None:
        self.work.name = "Renamed"
        self.work.touch()

    def is_busy(self) -> bool:
        return True


class RuleOfNamesake(LyingServer):
    """Another calendar takes the name of one whose events do not count."""

    rules: ClassVar[Mapping[str, Rules]] = {"Birthdays": Rules(all_day="free")}
    allowed = 0

    def prepare(self) -> None:
        self.second = self.add_calendar("c2", "Birthdays")
        self.second.put("z.ics", self.event("Z", 6))
        self.work.put("b.ics", self.all_day("B"))

    def step(self) -> None:
        self.second.name, self.work.name = "Old", "Birthdays"
        self.second.touch()
        self.work.touch()

    def is_busy(self) -> bool:
        return True


class TypeVanishes(LyingServer):
    """The calendar is listed as a plain collection."""

    allowed = 0

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B"))

    def step(self) -> None:
        self.work.types = "<collection/>"


class ListingsLoseAll(LyingServer):
    """Everything is gone from the listings, and GETs hand it out."""

    allowed = 0
    may_fail = True

    def prepare(self) -> None:
        for number in range(9):
            self.work.put(f"x{number}.ics", self.event(f"X{number}", 12 + number))
        self.work.put("b.ics", self.event("B"))

    def step(self) -> None:
        self.work.ctag = "gone"

    def rows(self, key: str, members: Members) -> list[str]:
        return [] if self.lies else super().rows(key, members)

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        if self.lies and token:
            gone = [row(self.href(key, name), status=404) for name in calendar.members]
            return multistatus(gone, token=f"tok:{calendar.revision}")
        return super().sync(key, calendar, token=token)


class LoginPage(LyingServer):
    """200 with a web page, for everything."""

    allowed = MAX_AGE
    may_fail = True

    def answer(self, method: str, target: str, body: str) -> Reply:
        return Reply(200, "<html>login</html>") if self.lies else super().answer(method, target, body)


class Empty207(LyingServer):
    """207 with nothing, for everything."""

    allowed = MAX_AGE
    may_fail = True

    def answer(self, method: str, target: str, body: str) -> Reply:
        return Reply(207) if self.lies else super().answer(method, target, body)


class NoAnswer(LyingServer):
    """Requests hang."""

    allowed = MAX_AGE
    may_fail = True

    def answer(self, method: str, target: str, body: str) -> Reply:
        if self.lies:
            raise Hangs
        return super().answer(method, target, body)


class HalfClosed(LyingServer):
    """Connections are closed without an answer."""

    allowed = MAX_AGE
    may_fail = True

    def answer(self, method: str, target: str, body: str) -> Reply:
        if self.lies:
            raise Closes
        return super().answer(method, target, body)


class TurnsTransparent(LyingServer):
    """The listing calls the calendar transparent, for twenty seconds."""

    allowed = 0

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B"))

    def step(self) -> None:
        self.tick()

    def tick(self) -> None:
        is_now = 0 <= self.passed < 20
        self.work.extra = "<C:schedule-calendar-transp><C:transparent/></C:schedule-calendar-transp>" if is_now else ""


class NewCalendarUnreadable(LyingServer):
    """A new calendar is listed without any readable property."""

    may_fail = True

    def step(self) -> None:
        self.add_calendar("c2", "New").put("b.ics", self.event("B"))

    def calendar_row(self, key: str) -> str:
        if key == "c1":
            return super().calendar_row(key)
        return (
            f"<response><href>{self.base}/h/{key}/</href><propstat><prop><resourcetype/><displayname/></prop>"
            "<status>HTTP/1.1 503 X</status></propstat></response>"
        )
