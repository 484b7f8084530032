"""Lies about single objects: statuses of rows, ETags, old texts, spelling."""

from tests.lying.server import Calendar, LyingServer, Member, Members, Reply, data_row, multistatus, row

HTML = "<html><body>Service unavailable</body></html>"


class MultigetForbids(LyingServer):
    """403 for one row of a multiget."""

    status = 403

    def multiget_row(self, path: str) -> str:
        return row(path, status=self.status) if "b.ics" in path else super().multiget_row(path)


class MultigetFails(MultigetForbids):
    """500 for one row of a multiget."""

    status = 500


class MultigetIsTruncated(MultigetForbids):
    """507 for one row of a multiget."""

    status = 507


class MultigetIsBlank(LyingServer):
    """A row of a multiget has empty calendar data."""

    def multiget_row(self, path: str) -> str:
        return data_row(path, Member('"x"', "")) if "b.ics" in path else super().multiget_row(path)


class MultigetIsEmpty(LyingServer):
    """A multiget is answered without any row."""

    def multiget_row(self, path: str) -> str:
        return "" if self.lies else super().multiget_row(path)


class MultigetGone(LyingServer):
    """REPORT is answered 404 as a whole, while PROPFIND and GET work."""

    status = 404

    def answer(self, method: str, target: str, body: str) -> Reply:
        return Reply(self.status) if method == "REPORT" and self.lies else super().answer(method, target, body)


class ReportForbidden(MultigetGone):
    """REPORT is answered 403 as a whole, while PROPFIND and GET work."""

    status = 403


class ReportFails(MultigetGone):
    """REPORT is answered 500 as a whole, while PROPFIND and GET work."""

    status = 500


class ReportNotModified(MultigetGone):
    """REPORT is answered 304 as a whole, while PROPFIND and GET work."""

    status = 304


class ReportUnavailable(MultigetGone):
    """REPORT is answered 502 as a whole, while PROPFIND and GET work."""

    status = 502


class ObjectForbidden(LyingServer):
    """A new object may not be read at all."""

    may_fail = True

    def multiget_row(self, path: str) -> str:
        return row(path, status=403) if "b.ics" in path else super().multiget_row(path)

    def get(self, path: str) -> Reply:
        return Reply(403) if "b.ics" in path else super().get(path)


class ObjectNotModified(ObjectForbidden):
    """A changed object is answered 304 by its GET, and left out of the multiget."""

    def step(self) -> None:
        self.work.put("a.ics", self.event("A", self.hour))

    def multiget_row(self, path: str) -> str:
        return "" if self.lies else super().multiget_row(path)

    def get(self, path: str) -> Reply:
        return Reply(304)


class EtagsSpelledThreeWays(LyingServer):
    """Listed with quotes, weak in a multiget, bare in a GET."""

    def multiget_row(self, path: str) -> str:
        member = self.find(path)
        return row(path, status=404) if member is None else data_row(path, Member(f"W/{member.etag}", member.text))

    def get(self, path: str) -> Reply:
        reply = super().get(path)
        return reply._replace(headers=tuple((name, value.strip('"')) for name, value in reply.headers))


class NoEtagAnywhere(LyingServer):
    """A server without ETags."""

    def step(self) -> None:
        self.work.put("a.ics", self.event("A", self.hour))

    def listed_etag(self, member: Member) -> str:
        return ""

    def multiget_row(self, path: str) -> str:
        member = self.find(path)
        return row(path, status=404) if member is None else data_row(path, Member("", member.text))

    def get(self, path: str) -> Reply:
        return super().get(path)._replace(headers=())


class NoEtagStaleMultiget(LyingServer):
    """A multiget brings the old text without an ETag."""

    def step(self) -> None:
        self.old = self.work.members["a.ics"]
        self.work.put("a.ics", self.event("A", self.hour))

    def multiget_row(self, path: str) -> str:
        return data_row(path, Member("", self.old.text)) if self.lies else super().multiget_row(path)


class EtagReused(LyingServer):
    """Changed under the same ETag; the delta names it."""

    def step(self) -> None:
        self.work.put("a.ics", self.event("A", self.hour), etag=self.work.members["a.ics"].etag)


class RecreatedWithinASecond(LyingServer):
    """Deleted and made again at once, under the same href and ETag."""

    def step(self) -> None:
        etag = self.work.members["a.ics"].etag
        self.work.delete("a.ics")
        self.work.put("a.ics", self.event("A", self.hour), etag=etag)


class RecreatedDenied(RecreatedWithinASecond):
    """The same, and the delta tells of the deletion as well."""

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        reply = super().sync(key, calendar, token=token)
        told = row(self.href(key, "a.ics"), status=404)
        return reply._replace(body=reply.body.replace("</multistatus>", f"{told}</multistatus>")) if token else reply


class NewEtagOldText(LyingServer):
    """A multiget brings the old text under the new ETag, for 25 seconds."""

    def step(self) -> None:
        self.old = self.work.members["a.ics"]
        self.work.put("a.ics", self.event("A", self.hour))

    def multiget_row(self, path: str) -> str:
        if 0 <= self.passed < 25 and "a.ics" in path:
            return data_row(path, Member(self.work.members["a.ics"].etag, self.old.text))
        return super().multiget_row(path)


class MultigetLags12(LyingServer):
    """Multigets lag behind the listing; an event is changed, another is new."""

    late = 12
    behind: tuple[str, ...] = ("multiget",)

    def step(self) -> None:
        self.lag = dict.fromkeys(self.behind, self.late)
        self.work.put("a.ics", self.event("A", self.hour))
        self.work.put("n.ics", self.event("N", 20))


class MultigetLags25(MultigetLags12):
    """The same for longer."""

    late = 25


class MultigetLags60(MultigetLags12):
    """The same for a minute."""

    late = 60


class ObjectsLag12(MultigetLags12):
    """Multigets and GETs lag behind the listing."""

    behind = ("multiget", "get")


class ObjectsLag25(ObjectsLag12):
    """The same for longer."""

    late = 25


class ObjectsLag60(ObjectsLag12):
    """The same for a minute."""

    late = 60


class GetLags60(MultigetLags12):
    """GETs alone lag."""

    late = 60
    behind = ("get",)


class NewObjectLags60(LyingServer):
    """A new event is listed and handed out only a minute later."""

    def step(self) -> None:
        self.lag = {"multiget": 60, "get": 60}
        super().step()


class NotYetACalendar(LyingServer):
    """A changed object is a web page for half a minute, in a GET and in a multiget."""

    text = HTML

    def step(self) -> None:
        self.work.put("a.ics", self.event("A", self.hour))

    def find(self, path: str, *, lag: float = 0.0) -> Member | None:
        member = super().find(path, lag=lag)
        if member is not None and 0 <= self.passed < 30 and "a.ics" in path:
            return Member(member.etag, self.text)
        return member


class HalfACalendar(NotYetACalendar):
    """A changed object ends in the middle for half a minute."""

    text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:x\r\n"


class CalendarAroundAPage(NotYetACalendar):
    """A changed object is a web page between the lines of a calendar for half a minute."""

    text = f"BEGIN:VCALENDAR\r\n{HTML}\r\nEND:VCALENDAR\r\n"


class CaseOfHref(LyingServer):
    """A multiget answers with an href in lower case."""

    def step(self) -> None:
        self.work.put("B-UP.ICS", self.event("B"))

    def multiget_row(self, path: str) -> str:
        return super().multiget_row(path).replace("B-UP.ICS", "b-up.ics")


class ExactSpelling(LyingServer):
    """The server knows its own spelling only."""

    name = "b%2Fx+y%20z.ics"

    def step(self) -> None:
        self.work.put(self.name, self.event("B"))

    def is_at(self, path: str, href: str) -> bool:
        return path == href


class LowerHexadecimal(ExactSpelling):
    """The same with lower-case digits, and characters that need not be encoded."""

    name = "%c3%a9%7e%2d(b)!*',;=.ics"


class Percent(ExactSpelling):
    """A name with a percent sign, and one that looks encoded twice."""

    name = "100%25%2540.ics"


class SpaceInHref(LyingServer):
    """A space that is not encoded."""

    def step(self) -> None:
        self.work.put("b c.ics", self.event("B"))


class SlashAtTheEnd(ExactSpelling):
    """An object whose href ends with a slash."""

    name = "b.ics/"


class RelativeHrefs(LyingServer):
    """Hrefs relative to the collection."""

    def rows(self, key: str, members: Members) -> list[str]:
        rows = super().rows(key, members)
        return [text.replace(self.href(key, ""), "") for text in rows]


class OtherHostHrefs(LyingServer):
    """Absolute hrefs that name another host."""

    def rows(self, key: str, members: Members) -> list[str]:
        rows = super().rows(key, members)
        return [text.replace("<href>", "<href>https://internal.example.org:8443") for text in rows]


class DoubledSlash(LyingServer):
    """Hrefs with a doubled slash within the path, in listings only."""

    def is_at(self, path: str, href: str) -> bool:
        return path.replace("//", "/") == href

    def rows(self, key: str, members: Members) -> list[str]:
        rows = super().rows(key, members)
        return [text.replace(f"/h/{key}/", f"/h//{key}/") for text in rows]


class SameUidNewHref(LyingServer):
    """An event is renamed to another href."""

    allowed = 0

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B"))
        self.add_calendar("c2", "Second").put("z.ics", self.event("Z", 6))

    def step(self) -> None:
        self.work.put("b2.ics", self.event("B"))
        self.work.delete("b.ics")


class SameUidNewHrefLate(SameUidNewHref):
    """The same, and the new href turns up twelve seconds later."""

    def step(self) -> None:
        self.work.delete("b.ics")

    def tick(self) -> None:
        if self.passed >= 12 and "b2.ics" not in self.work.members:
            self.work.put("b2.ics", self.event("B"))

    def is_busy(self) -> bool:
        return True


class TwoOfOneUid(LyingServer):
    """Two objects have the same UID, and one of them is deleted."""

    allowed = 0

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B"))
        self.work.put("b2.ics", self.event("B"))

    def step(self) -> None:
        self.work.delete("b2.ics")


class TwoOfOneUidElsewhere(LyingServer):
    """A copy in another calendar is new, and the delta denies the one that stays."""

    allowed = 0

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B"))
        self.second = self.add_calendar("c2", "Second")

    def step(self) -> None:
        self.second.put("copy.ics", self.event("B", 15))
        self.work.touch()

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        if token and self.lies and key == "c1":
            return multistatus([row(self.href(key, "b.ics"), status=404)], token=f"tok:{calendar.revision}")
        return super().sync(key, calendar, token=token)


class DeletedAndUndone(LyingServer):
    """A deletion that is undone within twenty seconds."""

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B"))

    def step(self) -> None:
        self.work.delete("b.ics")

    def tick(self) -> None:
        if self.passed >= 20 and "b.ics" not in self.work.members:
            self.work.put("b.ics", self.event("B"))


class DeletedAndUndoneSameEtag(DeletedAndUndone):
    """The same under the ETag that it had, in an account with another calendar."""

    allowed = 0

    def prepare(self) -> None:
        super().prepare()
        self.old = self.work.members["b.ics"]
        self.add_calendar("c2", "Second")

    def tick(self) -> None:
        if self.passed >= 20 and "b.ics" not in self.work.members:
            self.work.put("b.ics", self.old.text, etag=self.old.etag)
