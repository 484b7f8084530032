"""A small CalDAV server whose every answer can be overridden: a lie is a subclass. It opens no socket.

`step` is what happens on another device, some time after everything was read; from then on `lies` is true. What it
does makes the hour that is asked about busy, unless a scenario says otherwise.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Final, NamedTuple
from urllib.parse import unquote
from xml.sax.saxutils import escape, unescape

from busyd.availability.policy import Rules

Members = Mapping[str, "Member"]
NAMESPACES: Final = (
    'xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:CS="http://calendarserver.org/ns/" '
    'xmlns:A="http://apple.com/ns/ical/"'
)
CALENDAR: Final = "<collection/><C:calendar/>"
VEVENT: Final = '<C:comp name="VEVENT"/>'
TWO_POLLS: Final = 11
"""Seconds of false free that are allowed wherever the truth is told by anything: two polls, and a second."""
MAX_AGE: Final = 21
"""The same where nothing is told at all: then answers are stale."""


class Reply(NamedTuple):
    """An answer."""

    status: int
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class Hangs(Exception):
    """No answer comes."""


class Closes(Exception):
    """The connection ends in place of an answer."""


class Member(NamedTuple):
    """A calendar object as it is stored."""

    etag: str
    text: str


class State(NamedTuple):
    """A calendar at one moment."""

    since: float
    revision: int
    members: Mapping[str, Member]


@dataclass
class Calendar:
    """A calendar collection with its history."""

    now: Callable[[], float]
    name: str = "Work"
    members: dict[str, Member] = field(default_factory=dict)
    history: list[tuple[int, str]] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    revision: int = 1
    listed: bool = True
    types: str = CALENDAR
    components: str = VEVENT
    extra: str = ""
    """Further properties in the listing."""
    ctag: str | None = None
    """Listed for ever, in place of one that moves with the calendar."""
    token: str | None = None

    def put(self, name: str, text: str, *, etag: str = "") -> None:
        self.revision += 1
        self.members[name] = Member(etag or f'"e{self.revision}"', text)
        self._record(name)

    def delete(self, name: str) -> None:
        self.revision += 1
        self.members.pop(name, None)
        self._record(name)

    def touch(self) -> None:
        """The collection changes, and nothing in it."""
        self.revision += 1
        self._record("")

    def seen_after(self, lag: float) -> State:
        """As it was that many seconds ago."""
        moment = self.now() - lag
        earlier = [state for state in self.states if state.since <= moment or not lag]
        return earlier[-1] if earlier else State(0, 1, {})

    def _record(self, name: str) -> None:
        if name:
            self.history.append((self.revision, name))
        self.states.append(State(self.now(), self.revision, dict(self.members)))


class LyingServer:
    """One account. This one tells the truth, when it is not told to lag."""

    hour: ClassVar[int] = 10
    """The hour of the day that is asked about, in UTC."""
    allowed: ClassVar[int] = TWO_POLLS
    """Seconds for which the hour may be called free although it is busy."""
    may_fail: ClassVar[bool] = False
    """It tells so little that answers are stale or incomplete at the end."""
    path: ClassVar[str] = "/"
    """Where the URL in the configuration leads, below the account's own path."""
    conflicts: ClassVar[str] = "*"
    """The reference of the calendars that count, without the connection."""
    rules: ClassVar[Mapping[str, Rules]] = {}
    """Name of a calendar -> its rules, of which `all_day` alone may differ."""

    def __init__(self, now: Callable[[], float], *, day: int) -> None:
        """`now`: seconds of a clock that nobody sets; `day`: midnight of the day that is asked about."""
        self.now, self.day = now, day
        self.base = f"/{type(self).__name__.lower()}"
        self.lies = False
        self.stepped = 0.0
        self.requests: list[tuple[float, str, str]] = []
        self.lag: dict[str, float] = {}
        """Seconds by which `listing`, `sync`, `members`, `multiget` and `get` lag behind, once it lies."""
        self.calendars: dict[str, Calendar] = {}
        self.work = self.add_calendar("c1", "Work")
        self.work.put("a.ics", self.event("A", 5))
        self.prepare()

    def start_lying(self) -> None:
        self.lies, self.stepped = True, self.now()
        self.step()

    # What a scenario says.

    def prepare(self) -> None:
        """What the account holds before."""

    def step(self) -> None:
        self.work.put("b.ics", self.event("B"))

    def tick(self) -> None:
        """Called before each request: for what happens later."""

    def is_busy(self) -> bool:
        """Whether the hour is busy on the server now."""
        start, end = self._span(self.hour)
        wanted = f"DTSTART:{start}\r\nDTEND:{end}"
        members = (member for calendar in self.calendars.values() for member in calendar.members.values())
        return any(wanted in member.text for member in members)

    @property
    def passed(self) -> float:
        """Seconds since the step."""
        return self.now() - self.stepped if self.lies else -1.0

    # What scenarios are made of.

    def add_calendar(self, key: str, name: str) -> Calendar:
        self.calendars[key] = calendar = Calendar(self.now, name)
        calendar.touch()
        return calendar

    def event(self, uid: str, hour: int | None = None, *, extra: str = "") -> str:
        start, end = self._span(self.hour if hour is None else hour)
        return (
            f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//lying//EN\r\nBEGIN:VEVENT\r\nUID:{uid}-{self.base[1:]}\r\n"
            f"DTSTAMP:20260101T000000Z\r\nDTSTART:{start}\r\nDTEND:{end}\r\nSUMMARY:Title\r\n{extra}"
            "END:VEVENT\r\nEND:VCALENDAR\r\n"
        )

    def all_day(self, uid: str, *, extra: str = "") -> str:
        text, (start, end) = self.event(uid, extra=extra), self._span(self.hour)
        day = start[:8]
        return text.replace(f"DTSTART:{start}", f"DTSTART;VALUE=DATE:{day}").replace(f"DTEND:{end}", "DURATION:P1D")

    def _span(self, hour: int) -> tuple[str, str]:
        moments = (datetime.fromtimestamp(self.day + 3600 * at, UTC) for at in (hour, hour + 1))
        start, end = (f"{moment:%Y%m%dT%H%M%SZ}" for moment in moments)
        return start, end

    def lag_of(self, what: str) -> float:
        """Nothing is shown as it was before the last moment before the step."""
        return min(self.lag.get(what, 0.0), self.passed + 0.5) if self.lies else 0.0

    # Answers.

    def answer(self, method: str, target: str, body: str) -> Reply:
        """Raises Hangs, Closes."""
        self.tick()
        self.requests.append((self.now(), method, target))
        path = target.partition("?")[0]
        found = re.fullmatch(re.escape(self.base) + r"/h\d*(?:/([^/]+))?/?", path)
        if method == "GET":
            return self.get(path)
        if found is None:
            return self.root(path) if method == "PROPFIND" else Reply(405)
        if found[1] is None:
            return multistatus(self.listing(path.rstrip("/") + "/"))
        calendar = self.calendars.get(found[1])
        if calendar is None:
            return Reply(404)
        if method == "PROPFIND":
            return self.members(found[1], calendar)
        if "sync-collection" in body:
            token = re.search(r"sync-token>([^<]+)<", body)
            return self.sync(found[1], calendar, token=token[1] if token else None)
        return self.multiget([unescape(href) for href in re.findall(r"href>([^<]+)</", body)])

    def root(self, path: str) -> Reply:
        homes = "".join(f"<href>{home}</href>" for home in self.homes())
        return multistatus(
            [
                row(
                    path,
                    f"<current-user-principal><href>{self.base}/p/</href></current-user-principal>"
                    f"<resourcetype><collection/></resourcetype><C:calendar-home-set>{homes}</C:calendar-home-set>"
                    "<C:calendar-user-address-set><href>mailto:anna@example.org</href></C:calendar-user-address-set>",
                )
            ]
        )

    def homes(self) -> Sequence[str]:
        return [f"{self.base}/h/"]

    def listing(self, home: str) -> list[str]:
        rows = [row(home, "<resourcetype><collection/></resourcetype>")]
        return rows + [self.calendar_row(key) for key, calendar in self.calendars.items() if calendar.listed]

    def calendar_row(self, key: str) -> str:
        return row(f"{self.base}/h/{key}/", self.properties(self.calendars[key]))

    def properties(self, calendar: Calendar) -> str:
        revision = calendar.seen_after(self.lag_of("listing")).revision
        ctag = calendar.ctag if calendar.ctag is not None else f"ct{revision}"
        token = calendar.token if calendar.token is not None else f"tok:{revision}"
        return (
            f"<resourcetype>{calendar.types}</resourcetype><displayname>{calendar.name}</displayname>"
            f"<CS:getctag>{ctag}</CS:getctag><sync-token>{token}</sync-token><C:supported-calendar-component-set>"
            f"{calendar.components}</C:supported-calendar-component-set>{calendar.extra}"
        )

    def href(self, key: str, name: str) -> str:
        return f"{self.base}/h/{key}/{name}"

    def sync(self, key: str, calendar: Calendar, *, token: str | None) -> Reply:
        state = calendar.seen_after(self.lag_of("sync"))
        if token is None:
            return multistatus(self.rows(key, state.members), token=self.token_of(state))
        if not re.fullmatch(r"tok:[0-9]+", token):
            return Reply(403, f'<?xml version="1.0"?><error {NAMESPACES}><valid-sync-token/></error>')
        since = int(token.partition(":")[2])
        names = dict.fromkeys(name for revision, name in calendar.history if since < revision <= state.revision)
        present = {name: state.members[name] for name in names if name in state.members}
        gone = [row(self.href(key, name), status=404) for name in names if name not in state.members]
        return multistatus([*self.rows(key, present), *gone], token=self.token_of(state))

    def token_of(self, state: State) -> str:
        return f"tok:{state.revision}"

    def rows(self, key: str, members: Members) -> list[str]:
        return [
            row(self.href(key, name), f"<getetag>{escape(self.listed_etag(member))}</getetag><resourcetype/>")
            for name, member in members.items()
        ]

    def listed_etag(self, member: Member) -> str:
        return member.etag

    def itself(self, key: str) -> str:
        return row(f"{self.base}/h/{key}/", self.properties(self.calendars[key]))

    def members(self, key: str, calendar: Calendar) -> Reply:
        return multistatus([self.itself(key), *self.rows(key, calendar.seen_after(self.lag_of("members")).members)])

    def find(self, path: str, *, lag: float = 0.0) -> Member | None:
        """What there is at a path; any spelling of it is understood."""
        for key, calendar in self.calendars.items():
            for name, member in calendar.seen_after(lag).members.items():
                if self.is_at(path, self.href(key, name)):
                    return member
        return None

    def is_at(self, path: str, href: str) -> bool:
        return unquote(path) == unquote(href)

    def multiget(self, paths: Iterable[str]) -> Reply:
        return multistatus([self.multiget_row(path) for path in paths])

    def multiget_row(self, path: str) -> str:
        member = self.find(path, lag=self.lag_of("multiget"))
        return row(path, status=404) if member is None else data_row(path, member)

    def get(self, path: str) -> Reply:
        member = self.find(path, lag=self.lag_of("get"))
        if member is None:
            return Reply(404)
        etag = (("ETag", member.etag),) if member.etag else ()
        return Reply(200, member.text, (("Content-Type", "text/calendar"), *etag))


def multistatus(rows: Iterable[str], *, token: str = "") -> Reply:
    tail = f"<sync-token>{token}</sync-token>" if token else ""
    return Reply(207, f'<?xml version="1.0"?><multistatus {NAMESPACES}>{"".join(rows)}{tail}</multistatus>')


def row(href: str, properties: str = "", *, status: int = 0) -> str:
    if status:
        return f"<response><href>{escape(href)}</href><status>HTTP/1.1 {status} X</status></response>"
    return (
        f"<response><href>{escape(href)}</href><propstat><prop>{properties}</prop>"
        "<status>HTTP/1.1 200 OK</status></propstat></response>"
    )


def data_row(path: str, member: Member) -> str:
    etag = f"<getetag>{escape(member.etag)}</getetag>" if member.etag else ""
    return row(path, f"{etag}<C:calendar-data>{escape(member.text)}</C:calendar-data>")
