"""What a round is planned from, made up: calendars in which nothing happens unless a test says so, and a server."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from busyd.connection import RemoteCalendar
from busyd.dav.href import ETag, Href
from busyd.dav.objects import FetchedObject
from busyd.dav.operation import Listing
from busyd.errors import BusydError, RemoteError
from busyd.period import Instant
from busyd.store.mirror import CalendarRecord, DoubtKind, ObjectDoubt
from busyd.sync.decision import AskForObjects, AskWhetherGone, Decision, ReadCalendar, Request, RoundPlan
from busyd.sync.doubts import Answers, Got, Question
from busyd.sync.outcome import SyncOutcome
from busyd.sync.plan import Look, SyncState, plan_delta, plan_listing
from busyd.sync.round import plan_round
from busyd.sync.round_facts import Asked, KnownCalendar, Now, ObjectsAsked, Outcome, ReadFailed

AT = Instant(1_790_000_000)
"""The moment at which each round begins."""
NOW = Now(AT, 5000.0)


def calendar(number: int, *, remote: Mapping[str, Any] | None = None, **known: Any) -> KnownCalendar:
    """A linked calendar, read and proved a minute ago, listed as it was then. Fields of KnownCalendar or its record."""
    own = {name: known.pop(name) for name in KnownCalendar.__struct_fields__ if name in known}
    listed = RemoteCalendar(f"/{number}/", f"c{number}", ctag="1", sync_token="t1")
    record = CalendarRecord(
        number,
        "anna",
        replace(listed, **remote or {}),
        ctag="1",
        sync_token="t1",
        listed_token="t1",
        as_of=Instant(AT - 60),
        reconciled=Instant(AT - 60),
        complete=True,
    )
    return KnownCalendar(replace(record, **known), **own)


def changed(number: int, **known: Any) -> KnownCalendar:
    """One whose listing shows another state than the mirror's."""
    return calendar(number, remote={"ctag": "2", "sync_token": "t2"}, **known)


def missing(number: int, seconds: int, **known: Any) -> KnownCalendar:
    """One that the listings have lacked for so long, and that was proved before."""
    since = Instant(AT - seconds)
    return calendar(number, **{"missing_since": since, "as_of": Instant(since - 60)} | known)


def listing_of(known: Iterable[KnownCalendar], *, unreadable: Sequence[str] = ()) -> Listing:
    """The listing from which the records were taken."""
    present = [entry.record for entry in known if entry.record.missing_since is None]
    calendars = tuple(record.remote for record in present if record.remote.href not in unreadable)
    return Listing(calendars, tuple(unreadable))  # type: ignore[arg-type]


def hrefs(entry: KnownCalendar, *numbers: int) -> list[str]:
    return [f"{entry.record.remote.href}{number}.ics" for number in numbers]


def uid_of(href: str) -> str:
    """The UID of the object `N.ics` is `uN`, whatever its calendar."""
    return "u" + href.rpartition("/")[2].removesuffix(".ics")


def doubt(
    kind: DoubtKind, age: int = 0, *, last: int | None = None, proved: int | None = None, **own: Any
) -> ObjectDoubt:
    """What there is to doubt for `age` seconds, with the moments told as seconds before AT."""
    moments = [None if ago is None else Instant(AT - ago) for ago in (last, proved)]
    return ObjectDoubt(kind, Instant(AT - age), last=moments[0], proved=moments[1], **own)


def got(href: str, etag: str = '"a"', *, text: bytes = b"old", is_as_before: bool = True, is_known: bool = True) -> Got:
    """An object as a GET hands it out."""
    return Got(FetchedObject(Href(href), ETag(etag), text), is_as_before, is_known)


def outcome_of(
    entry: KnownCalendar,
    *,
    size: int = 12,
    gone: Collection[int] = (),
    new: Collection[int] = (),
    missing: Collection[int] = (),
    outdated: Collection[int] = (),
    uids: Mapping[str, str] | None = None,
    arrived: Collection[str] | None = None,
    listed: bool = False,
) -> SyncOutcome:
    """What reading a calendar of `size` objects brings. Objects are numbers, and of the UID `uN`.

    `missing` and `outdated` ones are listed as new or changed and not handed out so; `listed`: all was compared. What
    is new has arrived, unless `arrived` says otherwise.
    """
    record = entry.record
    etags = dict.fromkeys(hrefs(entry, *range(size)), '"a"')
    state = SyncState(etags, newest_token=record.sync_token, doubts=record.doubts, held=record.held)
    fetch = dict.fromkeys(hrefs(entry, *new, *missing, *outdated), '"new"')
    absent = hrefs(entry, *gone)
    if listed:
        plan = plan_listing(state, {href: etag for href, etag in (etags | fetch).items() if href not in absent})
    else:
        plan = plan_delta(state, changed=fetch, vanished=absent)
    return SyncOutcome(
        record,
        state,
        Look(plan, record.remote.sync_token, compared_all=listed),
        missing=frozenset(hrefs(entry, *missing)),
        outdated=frozenset(hrefs(entry, *outdated)),
        fetched=len(plan.fetch),
        uids={href: uid_of(href) for href in plan.gone} if uids is None else uids,
        arrived=frozenset(map(uid_of, hrefs(entry, *new))) if arrived is None else frozenset(arrived),
    )


class Server:
    """Answers what a plan asks for, and notes it. A calendar that is read brings nothing unless `reads` says so.

    An object that is asked for singly is not there, unless it is `handed_out` or `failing`; with an `error` nothing
    more is told of any. `gone` calendars say so themselves.
    """

    def __init__(
        self,
        known: Sequence[KnownCalendar],
        *,
        listing: Listing | None = None,
        reads: Mapping[int, SyncOutcome | BusydError] | None = None,
        gone: Iterable[int] = (),
        handed_out: Iterable[Got] = (),
        failing: Iterable[str] = (),
        error: RemoteError | None = None,
        arrived: Mapping[str, frozenset[int]] | None = None,
    ) -> None:
        self.known = known
        self.listing = listing_of(known) if listing is None else listing
        self.reads, self.gone = dict(reads or {}), set(gone)
        self.handed_out = {str(one.fetched.href): one for one in handed_out}
        self.failing, self.error = set(failing), error
        self.arrived = arrived or {}
        self.asked: list[str] = []
        self.questions: list[tuple[int, Question]] = []

    def play(self, now: Now = NOW) -> RoundPlan:
        """The final plan."""
        outcomes: list[Outcome] = []
        while (plan := self._plan(outcomes, now)).request is not None:
            assert len(outcomes) < 4 * len(self.known), f"the round does not end: {self.asked}"
            outcomes.append(self._answer(plan.request))
        return plan

    def said_404(self, href: str) -> bool:
        """Whether the object was asked, and said that it is not there."""
        asked = {href for _, question in self.questions for href in question.hrefs}
        return self.error is None and href in asked and href not in self.failing and href not in self.handed_out

    def _plan(self, outcomes: Sequence[Outcome], now: Now) -> RoundPlan:
        return plan_round(self.listing, self.known, outcomes=outcomes, arrived=self.arrived, now=now)

    def _answer(self, request: Request) -> Outcome:
        match request:
            case ReadCalendar(record):
                self.asked.append(f"read {record.remote.name}")
                entry = next(entry for entry in self.known if entry.record.id == record.id)
                answer = self.reads.get(record.id) or outcome_of(entry)
                return ReadFailed(record, answer) if isinstance(answer, BusydError) else answer
            case AskWhetherGone(record):
                self.asked.append(f"ask {record.remote.name}")
                return Asked(record, record.id in self.gone)
            case AskForObjects(record, question):
                how = "multiget" if question.multiget else "get"
                self.asked.append(f"{how} {len(question.hrefs)} of {record.remote.name}")
                self.questions.append((record.id, question))
                return ObjectsAsked(record, self._objects(question), self.error)

    def _objects(self, question: Question) -> Answers:
        if self.error is not None:
            return Answers(is_cut=True)
        there = {href: self.handed_out[href] for href in question.hrefs if href in self.handed_out}
        failed = self.failing.intersection(question.hrefs) - there.keys()
        return Answers(there, frozenset(question.hrefs) - there.keys() - failed, frozenset(failed))


def play(*known: KnownCalendar, **answers: Any) -> RoundPlan:
    """The final plan of a round with these calendars and a Server's answers."""
    return Server(known, **answers).play()


def about(plan: RoundPlan, entry: KnownCalendar) -> Decision:
    """What is decided about a calendar itself, as opposed to whether it counts."""
    return next(decision for decision in plan.decisions if decision.record.id == entry.record.id)


def row(plan: RoundPlan, entry: KnownCalendar) -> tuple[str, str]:
    decision = about(plan, entry)
    return decision.action.value, decision.reason.value


def doubts_of(plan: RoundPlan, entry: KnownCalendar) -> dict[str, ObjectDoubt]:
    """What a round leaves in doubt about the objects of a calendar."""
    mark = about(plan, entry).settlement.mark
    return dict(entry.record.doubts if mark is None else mark.doubts)
