"""Callers that book, move and cancel at a daemon that dies; at the end, all that they were told must be so."""

import contextlib
import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import count, pairwise
from random import Random
from typing import Any, Final

import icalendar

from busyd.period import Instant, Period, to_rfc3339
from tests.icloud.accounts import Account
from tests.icloud.calendars import Calendar
from tests.icloud.exchange import Call
from tests.icloud.faults import Fault, FaultQueue, Kind
from tests.journey.scheduler import Answer, Scheduler

LENGTH: Final = 1800
_UNDER_WAY: Final = ("pending", "moving", "cancelling")
_MOST_LIVE: Final = 12
_LATEST: Final = 2.5
"""Seconds by which a request is carried out late."""
_FAULTS: Final[tuple[Kind, ...]] = (
    "reset",
    "reset-after-applying",
    "status",
    "status-after-applying",
    "late",
    "twice",
    "again",
)


class WriteFaults(FaultQueue):
    """Plays faults at random to what writes, and to looks at a single object."""

    __slots__ = ("_chance", "played", "sent_again", "share")

    def __init__(self, chance: Random, *, share: float) -> None:
        super().__init__()
        self._chance = chance
        self.share = share
        self.played: Counter[str] = Counter()
        self.sent_again: set[str] = set()
        """Names of which a request is carried out once more, later."""

    def take(self, call: Call, *, reused_connection: bool) -> Fault | None:  # noqa: ARG002
        share = {"PUT": self.share, "DELETE": self.share, "GET": self.share / 4}.get(call.method, 0.0)
        if self._chance.random() >= share:
            return None
        kind = self._chance.choice(_FAULTS) if call.method != "GET" else "reset"
        self.played[kind] += 1
        if kind == "again":
            self.sent_again.add(call.path.rpartition("/")[2].removesuffix(".ics"))
        return Fault(kind=kind, seconds=self._chance.uniform(0.05, _LATEST))


@dataclass
class Wish:
    """One appointment that somebody wants, and what was told of it last."""

    key: str
    start: int
    path: str = ""
    uid: str = ""
    told: str = ""
    """`booked`, `gone`, or nothing while nothing was told."""
    on_phone: str = ""
    """What a person has done with it: `edited` or `deleted`."""


@dataclass
class Caller:
    """Books, moves and cancels until it is over."""

    scheduler: Scheduler
    chance: Random
    name: str
    first: int
    slots: int
    over: threading.Event
    wishes: list[Wish] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def live(self) -> list[Wish]:
        return [wish for wish in self.wishes if wish.told == "booked"]

    def act_until_over(self) -> None:
        """One thing after the other."""
        while not self.over.is_set():
            live = self.live()
            dice = self.chance.random()
            if not live or (dice < 0.55 and len(live) < _MOST_LIVE):
                self.book()
            elif dice < 0.75:
                self.move(self.chance.choice(live))
            elif dice < 0.95:
                self.cancel(self.chance.choice(live))
            else:
                self.ask_again(self.chance.choice(live))

    def book(self) -> None:
        """Ask for a slot at random, as often as it takes to get an answer."""
        wish = Wish(f"{self.name}-{next(self._numbers)}", self._slot())
        self.wishes.append(wish)
        answer = self._ask("POST", "/v1/profiles/anna/appointments", wish, key=wish.key)
        self.told[f"POST {answer.status}"] += 1
        if answer.status == 202:
            wish.path = answer.headers["Location"]
            self._follow(wish)
            answer = self._ask("POST", "/v1/profiles/anna/appointments", wish, key=wish.key)
        if answer.status == 201:
            wish.path = answer.headers["Location"]
            self._take(wish, answer.json)
        elif answer.status in (409, 503):
            wish.told = "gone"
        else:
            self.untrue.append(f"{wish.key}: POST was answered {answer.status}: {answer.body!r}")

    def move(self, wish: Wish) -> None:
        """Ask for another time."""
        target, old, key = self._slot(), wish.start, f"{wish.key}-move-{next(self._numbers)}"
        answer = self._ask("PATCH", wish.path, wish, key=key, start=target)
        self.told[f"PATCH {answer.status}"] += 1
        if answer.status == 202:
            told = self._follow(wish)
            again = self._ask("PATCH", wish.path, wish, key=key, start=target)
            if again.status == 200 and told["state"] == "booked" and again.json["start"] != told["start"]:
                self.untrue.append(f"{wish.key}: the move was answered {again.body!r}, but is {told}")
            answer = again
        if answer.status == 200:
            if not wish.on_phone and instant_of(answer.json["start"]) != target:
                self.untrue.append(f"{wish.key}: 200, but not moved to {to_rfc3339(target)}: {answer.body!r}")
            self._take(wish, answer.json)
        elif answer.status not in (409, 412, 503):
            self.untrue.append(f"{wish.key}: PATCH was answered {answer.status}: {answer.body!r}")
        else:
            wish.start = old

    def cancel(self, wish: Wish) -> None:
        """Have it go; once more where a person's version would stay."""
        for _ in range(3):
            answer = self._ask("DELETE", wish.path, None, key=f"{wish.key}-cancel-{next(self._numbers)}")
            self.told[f"DELETE {answer.status}"] += 1
            if answer.status == 204:
                wish.told = "gone"
                return
            if answer.status == 202 and self._follow(wish)["state"] in ("cancelled", "removed"):
                wish.told = "gone"
                return
        self.untrue.append(f"{wish.key}: it cannot be cancelled: {answer.status} {answer.body!r}")
        wish.told = "gone"

    def ask_again(self, wish: Wish) -> None:
        """The same key and the same body get the same answer."""
        answers = [self._ask("GET", wish.path, None) for _ in range(2)]
        self.told["GET"] += 1
        if any(answer.status != 200 for answer in answers):
            self.untrue.append(f"{wish.key}: GET was answered {answers[-1].status}")

    def _take(self, wish: Wish, told: Any) -> None:
        wish.uid, wish.start = told["uid"], instant_of(told["start"])
        wish.told = "booked" if told["state"] in ("booked", "attention") else "gone"

    def _follow(self, wish: Wish) -> Any:
        """What it is once it is settled."""
        while True:
            answer = self._ask("GET", wish.path, None)
            if answer.status != 200:
                self.untrue.append(f"{wish.key}: accepted, and GET was answered {answer.status}")
                return {"state": "lost", "start": ""}
            told = answer.json
            if told["state"] not in _UNDER_WAY and told.get("reason") != "account":
                return told
            time.sleep(0.1)

    def _slot(self) -> int:
        return self.first + LENGTH * self.chance.randrange(self.slots)

    def _ask(self, method: str, path: str, wish: Wish | None, *, key: str = "", start: int = 0) -> Answer:
        """Ask until somebody answers; a 503 says that nothing was done, so that it is asked again."""
        body: dict[str, str] | None = None
        if wish is not None:
            body = {"start": to_rfc3339(start or wish.start)}
            if method == "POST":
                body |= {"duration": "30m", "summary": wish.key}
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self.scheduler.ask(method, path, body, key=key)
                if answer.status != 503 or (self.over.is_set() and method != "DELETE"):
                    return answer
                self.told["503"] += 1
            time.sleep(0.05)


@dataclass
class Phone:
    """A person who edits and deletes what callers were told of."""

    work: Calendar
    callers: list[Caller]
    chance: Random
    over: threading.Event
    done: Counter[str] = field(default_factory=Counter)

    def touch_until_over(self) -> None:
        """Now and then."""
        while not self.over.wait(self.chance.uniform(0.3, 1.5)):
            live = [wish for caller in self.callers for wish in caller.live()]
            if live:
                self._touch(self.chance.choice(live))

    def _touch(self, wish: Wish) -> None:
        name = f"{wish.uid}.ics"
        with self.work.lock:
            found = self.work.get(name)
            if found is None:
                return
            if self.chance.random() < 0.4:
                wish.on_phone = "deleted"
                self.work.delete(name)
            else:
                wish.on_phone = wish.on_phone or "edited"
                self.work.put(name, found.text.replace("SUMMARY:", "LOCATION:Seen on a phone\r\nSUMMARY:", 1))
        self.done[wish.on_phone] += 1


KINDS: Final = ("lost", "doubled", "ghosts", "overlaps", "untrue", "unsettled")


@dataclass
class Verdict:
    """What is wrong in the end, by kind."""

    wrong: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in KINDS})

    def __bool__(self) -> bool:
        return any(self.wrong.values())

    def counts(self) -> str:
        return ", ".join(f"{name} {len(found)}" for name, found in self.wrong.items())


def judge(
    callers: list[Caller], account: Account, *, tell: Callable[[str], Any], sent_again: Set[str] = frozenset()
) -> Verdict:
    """Compare what was told, what is told now (`tell` of a path), and what is in the calendar.

    What was cancelled and then sent again on its way looks as if a person had brought it back: that is to be told.
    """
    verdict = Verdict()
    wrong = verdict.wrong
    there = {stored.uid: read_event(stored.text) for stored in account.calendars["work"].objects().values()}
    keys = Counter(key for key, _ in there.values())
    wrong["doubled"] = [f"{key}: {number} times" for key, number in keys.items() if number > 1]
    known: set[str] = set()
    in_conflict: set[str] = set()
    for wish in (wish for caller in callers for wish in caller.wishes):
        told = tell(wish.path) if wish.path else None
        if told is None:
            if wish.told == "booked":
                wrong["lost"].append(f"{wish.key}: told booked, and nobody knows it")
            continue
        state, uid = told["state"], told["uid"]
        if state in _UNDER_WAY:
            wrong["unsettled"].append(f"{wish.key}: {told}")
        blocks = state in ("booked", "attention")
        known |= {uid} if blocks else set()
        in_conflict |= {uid} if told.get("reason") == "conflict" else set()
        if blocks and uid not in there and wish.on_phone == "deleted":
            wrong["unsettled"].append(f"{wish.key}: {state}, and not in the calendar")
        elif blocks and uid not in there:
            wrong["lost"].append(f"{wish.key}: {state}, and not in the calendar")
        elif blocks and there[uid][1].start != instant_of(told["start"]):
            wrong["untrue"].append(f"{wish.key}: told {told['start']}, is {to_rfc3339(there[uid][1].start)}")
        if (
            wish.told == "booked"
            and not wish.on_phone
            and (state != "booked" or wish.start != instant_of(told["start"]))
        ):
            wrong["lost"].append(f"{wish.key}: told booked at {to_rfc3339(wish.start)}, is {told}")
        if wish.told == "gone" and blocks and (state, uid in sent_again) != ("attention", True):
            wrong["untrue"].append(f"{wish.key}: told gone, is {told}")
    wrong["ghosts"] = [f"{uid}: {key}" for uid, (key, _) in there.items() if uid not in known]
    spans = sorted((span.start, span.end, uid, key) for uid, (key, span) in there.items())
    wrong["overlaps"] = [
        f"{one[3]} and {other[3]}"
        for one, other in pairwise(spans)
        if one[1] > other[0] and not {one[2], other[2]} & in_conflict
    ]
    for caller in callers:
        wrong["untrue"] += caller.untrue
    return verdict


def instant_of(text: str) -> Instant:
    """A time as it is told, as an instant."""
    return Instant(int(datetime.fromisoformat(text).timestamp()))


@lru_cache(maxsize=10_000)
def read_event(text: str) -> tuple[str, Period]:
    """The key that is in the title, and the time."""
    (event,) = icalendar.Calendar.from_ical(text).walk("VEVENT")
    start, end = (Instant(int(event.decoded(name).timestamp())) for name in ("DTSTART", "DTEND"))
    return str(event["SUMMARY"]).split()[0], Period(start, end)
