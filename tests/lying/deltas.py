"""Lies of listings and deltas about the members of a calendar: lag, contradiction, truncation, mass loss."""

from tests.lying.server import MAX_AGE, TWO_POLLS, Calendar, LyingServer, Members, Reply, State, multistatus, row


class ListingsLag12(LyingServer):
    """All listings lag, GETs do not."""

    late = 12
    behind: tuple[str, ...] = ("listing", "sync", "members")
    allowed = 12 + TWO_POLLS

    def step(self) -> None:
        self.lag = dict.fromkeys(self.behind, self.late)
        super().step()


class ListingsLag25(ListingsLag12):
    """The same for longer."""

    late = 25
    allowed = 25 + TWO_POLLS


class ListingsLag60(ListingsLag12):
    """The same for a minute."""

    late = 60
    allowed = 60 + TWO_POLLS


class TokenAhead12(ListingsLag12):
    """The home has the new ctag and token at once, and reports end with it before they show what is new."""

    behind: tuple[str, ...] = ("sync", "members")
    allowed = 12 + 15 + TWO_POLLS

    def token_of(self, state: State) -> str:
        return f"tok:{max(state.revision, self.work.revision)}"


class TokenAhead25(TokenAhead12):
    """The same for longer."""

    late = 25
    allowed = 25 + 15 + TWO_POLLS


class TokenAhead60(TokenAhead12):
    """The same for a minute."""

    late = 60
    allowed = 60 + 30 + TWO_POLLS


class DeltaLagsListingDoesNot60(TokenAhead60):
    """The same, while a listing of all members shows it."""

    behind = ("sync",)
    allowed = TWO_POLLS


class FrozenForAMinute(LyingServer):
    """Neither ctag nor token moves for a minute."""

    allowed = 60 + TWO_POLLS

    def tick(self) -> None:
        if self.lies:
            self.work.ctag, self.work.token = ("ct3", "tok:3") if self.passed < 60 else (None, None)


class TokenGoesBack(LyingServer):
    """The token of the listing goes back, and the ctag stands still."""

    def prepare(self) -> None:
        for _ in range(5):
            self.work.touch()
        self.work.ctag = "fixed"

    def step(self) -> None:
        super().step()
        self.work.token = "tok:2"


class TokenForgotten(LyingServer):
    """The server has forgotten its tokens, and says so by a 500."""

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        return Reply(500) if token and self.lies else super().sync(key, calendar, token=token)


class PagesContradict(LyingServer):
    """The first page names an object, the last one denies it."""

    first, last = "named", "denied"

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        if token and self.lies:
            etag = calendar.members["b.ics"].etag
            named = row(self.href(key, "b.ics"), f"<getetag>{etag}</getetag>")
            pages = {"named": named, "denied": row(self.href(key, "b.ics"), status=404)}
            if token == "page:2":
                return multistatus([pages[self.last]], token=f"tok:{calendar.revision}")
            return multistatus([pages[self.first], row(f"{self.base}/h/{key}/", status=507)], token="page:2")
        return super().sync(key, calendar, token=token)


class PagesContradictAgain(PagesContradict):
    """The other way round."""

    first, last = "denied", "named"


class KnownIsDeniedAndNamed(PagesContradict):
    """The same about an object that is known, and changes."""

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B", 20))


class DeltaOfAnotherCalendar(LyingServer):
    """A delta names hrefs of another calendar, as changed and as gone."""

    allowed = TWO_POLLS

    def prepare(self) -> None:
        self.second = self.add_calendar("c2", "Second")
        self.second.put("z.ics", self.event("Z", 6))

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        reply = super().sync(key, calendar, token=token)
        if not token or not self.lies or key != "c1":
            return reply
        return reply._replace(body=reply.body.replace("</multistatus>", f"{self.foreign_rows()}</multistatus>"))

    def foreign_rows(self) -> str:
        return "".join(self.rows("c2", self.second.members))


class DeltaDeniesOtherCalendar(DeltaOfAnotherCalendar):
    """A delta denies what another calendar has."""

    allowed = 0

    def prepare(self) -> None:
        super().prepare()
        self.second.put("b.ics", self.event("B"))

    def step(self) -> None:
        self.work.touch()

    def foreign_rows(self) -> str:
        return row(self.href("c2", "b.ics"), status=404)


class MembersTruncated(LyingServer):
    """No sync reports; the listing ends with a 507 before what is new."""

    may_fail = True
    allowed = MAX_AGE

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        return Reply(501)

    def members(self, key: str, calendar: Calendar) -> Reply:
        rows = self.rows(key, calendar.members)
        return multistatus([self.itself(key), *rows[:1], *([row(self.href(key, ""), status=507)] if self.lies else [])])


class MembersTruncatedInAForeignRow(MembersTruncated):
    """The same, and the 507 stands in a row of a member."""

    def members(self, key: str, calendar: Calendar) -> Reply:
        rows = self.rows(key, calendar.members)
        told = [row(self.href(key, "more"), status=507)] if self.lies else []
        return multistatus([self.itself(key), *rows[:1], *told])


class SyncTruncatedInAForeignRow(LyingServer):
    """A delta with a 507 for something else than the collection."""

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        if token and self.lies and not token.startswith("page"):
            told = row("/somewhere/", status=507)
            return multistatus([*self.rows(key, {"a.ics": calendar.members["a.ics"]}), told], token="tok:3")
        return super().sync(key, calendar, token=token)


class NoSyncReports(LyingServer):
    """A server without sync reports and tokens."""

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        return Reply(400)

    def properties(self, calendar: Calendar) -> str:
        text = super().properties(calendar)
        return text.replace("<sync-token>", "<x>").replace("</sync-token>", "</x>")


class ManyLost(LyingServer):
    """Thirty of a hundred are gone from listings and deltas; a GET hands them out."""

    allowed = 0
    may_fail = True
    status = 200

    def prepare(self) -> None:
        for number in range(99):
            self.work.put(f"x{number:02}.ics", self.event(f"X{number}", 12))
        self.work.put("b.ics", self.event("B"))
        self.add_calendar("c2", "Second")

    def step(self) -> None:
        self.lost = {"b.ics", *(f"x{number:02}.ics" for number in range(29))}
        self.work.touch()

    def rows(self, key: str, members: Members) -> list[str]:
        kept = {name: member for name, member in members.items() if not self.lies or name not in self.lost}
        return super().rows(key, kept)

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        if not self.lies or not token or key != "c1":
            return super().sync(key, calendar, token=token)
        gone = [row(self.href(key, name), status=404) for name in sorted(self.lost)]
        return multistatus(gone if token != f"tok:{calendar.revision}" else [], token=f"tok:{calendar.revision}")

    def multiget_row(self, path: str) -> str:
        return row(path, status=404) if self.is_lost(path) else super().multiget_row(path)

    def get(self, path: str) -> Reply:
        return Reply(self.status) if self.is_lost(path) and self.status != 200 else super().get(path)

    def is_lost(self, path: str) -> bool:
        return self.lies and path.rpartition("/")[2] in self.lost


class ManyLostAndFailing(ManyLost):
    """The same, and their GETs fail."""

    status = 500


class ManyLostAndForbidden(ManyLost):
    """The same, and their GETs are forbidden."""

    status = 403


class ManyLostButOne(ManyLost):
    """Only the one that makes the hour busy is handed out by a GET."""

    def get(self, path: str) -> Reply:
        return Reply(404) if self.is_lost(path) and "b.ics" not in path else super().get(path)


class ManyDeleted(ManyLost):
    """They are gone indeed."""

    may_fail = False

    def step(self) -> None:
        super().step()
        for name in self.lost:
            self.work.delete(name)


class FewLost(ManyLost):
    """Three are gone from listings and deltas; a GET hands them out."""

    def step(self) -> None:
        super().step()
        self.lost = {"b.ics", "x01.ics", "x02.ics"}


class LostForAWhile(ManyLost):
    """Listings lose much for half a minute, and then have it again."""

    may_fail = False

    def tick(self) -> None:
        if self.passed >= 30 and self.lost:
            self.lost = set()
            self.work.touch()


class Deleted(LyingServer):
    """A plain deletion."""

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B"))
        self.add_calendar("c2", "Second").put("z.ics", self.event("Z", 6))

    def step(self) -> None:
        self.work.delete("b.ics")


class DeletedFromListingsLate(LyingServer):
    """An event moves; where it was, it is listed for 25 seconds more."""

    allowed = 0

    def prepare(self) -> None:
        self.work.put("b.ics", self.event("B"))
        self.second = self.add_calendar("c2", "Second")

    def step(self) -> None:
        self.second.put("b.ics", self.event("B"))
        self.work.delete("b.ics")

    def rows(self, key: str, members: Members) -> list[str]:
        rows = super().rows(key, members)
        if key == "c1" and 0 <= self.passed < 25:
            rows.append(row(self.href(key, "b.ics"), '<getetag>"old"</getetag>'))
        return rows


class MovesAndReportsLag(DeletedFromListingsLate):
    """An event moves to a calendar whose home listing, reports and objects lag by 25 seconds."""

    def seen(self, key: str) -> float:
        return 25.0 if self.lies and key == "c2" else 0.0

    def properties(self, calendar: Calendar) -> str:
        self.lag["listing"] = 25.0 if calendar is self.second else 0.0
        return super().properties(calendar)

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        self.lag["sync"] = self.seen(key)
        return super().sync(key, calendar, token=token)

    def rows(self, key: str, members: Members) -> list[str]:
        return LyingServer.rows(self, key, members)
