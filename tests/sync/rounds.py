"""What a round is planned from, made up: calendars in which nothing happens unless a test says so, and a server."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from busyd.connection import RemoteCalendar
from busyd.dav.operation import Listing
from busyd.errors import BusydError
from busyd.period import Instant
from busyd.store.mirror import CalendarRecord
from busyd.sync.decision import AskWhetherGone, Decision, ListAgain, ReadCalendar, Request, RoundPlan
from busyd.sync.plan import Look, SyncState, plan_delta, plan_listing
from busyd.sync.round import plan_round
from busyd.sync.round_facts import Asked, KnownCalendar, ListedAgain, Now, Outcome, ReadFailed
from busyd.sync.settlement import SyncOutcome

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


def outcome_of(
    entry: KnownCalendar,
    *,
    size: int = 12,
    gone: Sequence[int] = (),
    vanished: Sequence[int] = (),
    new: Sequence[int] = (),
    unread: bool = False,
    listed: bool = False,
) -> SyncOutcome:
    """What reading a calendar of `size` objects brings. Objects are numbers; `listed`: all was compared."""
    record = entry.record
    etags = dict.fromkeys(hrefs(entry, *range(size)), '"a"')
    state = SyncState(etags, newest_token=record.sync_token, ctag=record.ctag, held=record.held)
    fetch = dict.fromkeys(hrefs(entry, *new), '"new"')
    absent = hrefs(entry, *gone)
    if listed:
        plan = plan_listing(state, {href: etag for href, etag in (etags | fetch).items() if href not in absent})
    else:
        plan = plan_delta(state, changed=fetch, vanished=absent)
    look = Look(plan, record.remote.sync_token, compared_all=listed)
    return SyncOutcome(record, state, look, frozenset(hrefs(entry, *vanished)), unread, len(plan.fetch))


class Server:
    """Answers what a plan asks for, and notes it. A calendar that is read brings nothing unless `reads` says so."""

    def __init__(
        self,
        known: Sequence[KnownCalendar],
        *,
        listing: Listing | None = None,
        again: Listing | str | None = "the same",
        reads: Mapping[int, SyncOutcome | BusydError] | None = None,
        gone: Iterable[int] = (),
    ) -> None:
        self.known = known
        self.listing = listing_of(known) if listing is None else listing
        self.again = self.listing if isinstance(again, str) else again
        self.reads, self.gone = dict(reads or {}), set(gone)
        self.asked: list[str] = []

    def play(self) -> RoundPlan:
        """The final plan."""
        outcomes: list[Outcome] = []
        while (plan := plan_round(self.listing, self.known, outcomes=outcomes, now=NOW)).request is not None:
            outcomes.append(self._answer(plan.request))
        return plan

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
            case ListAgain():
                self.asked.append("list again")
                return ListedAgain(self.again)


def play(*known: KnownCalendar, **answers: Any) -> RoundPlan:
    """The final plan of a round with these calendars and a Server's answers."""
    return Server(known, **answers).play()


def about(plan: RoundPlan, entry: KnownCalendar) -> Decision:
    """What is decided about a calendar itself, as opposed to whether it counts."""
    return next(decision for decision in plan.decisions if decision.record.id == entry.record.id)


def row(plan: RoundPlan, entry: KnownCalendar) -> tuple[str, str]:
    decision = about(plan, entry)
    return decision.action.value, decision.reason.value
