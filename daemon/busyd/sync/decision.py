"""What `round.py` decides: what is done with each calendar and why, as values that can be printed."""

from enum import StrEnum

from msgspec import Struct

from busyd.connection import RemoteCalendar
from busyd.errors import BusydError, RemoteError
from busyd.period import Instant
from busyd.store.mirror import CalendarRecord
from busyd.sync.doubts import Question
from busyd.sync.reasons import Reason
from busyd.sync.settlement import Settlement


class Action(StrEnum):
    """What is done with a calendar."""

    READ = "read"
    """Look into it; what is new or changed is stored at once."""
    ASK = "ask"
    """Ask it itself whether it is gone."""
    READ_FEED = "read-feed"
    """Read the source of a subscribed calendar, once all else is done."""
    SETTLE = "settle"
    """Commit its token, what was asked for singly, and what is forgotten."""
    CONFIRM = "confirm"
    """The listing proves that the mirror is as the calendar."""
    REMOVE = "remove"
    """Believe that it is gone."""
    STOP_COUNTING = "stop-counting"
    """Believe that it does not count any more."""
    HOLD = "hold"
    """It stays as it was, because it is not believed yet that it, or something in it, is gone."""
    KEEP_COUNTING = "keep-counting"
    """It counts as before, because it is not believed yet that it does not."""
    LEAVE_UNREAD = "leave-unread"
    """It stays as it was, because what it is now is not known; its proof grows old."""
    SKIP = "skip"
    """Nothing is to be done."""


class Decision(Struct, frozen=True):
    """What is done with one calendar, and why."""

    record: CalendarRecord
    action: Action
    reason: Reason
    settlement: Settlement = Settlement()
    """What to commit; for SETTLE."""
    remote: RemoteCalendar | None = None
    """As it is listed now; for STOP_COUNTING."""
    since: Instant | None = None
    """When it was first seen to be gone or not to count any more, while that is not yet believed."""
    error: BusydError | None = None
    """What a person is to be told of it."""
    retry: float | None = None
    """Seconds for which it is left alone the first time; each further time they double."""
    retry_least: float = 0.0
    """Seconds for which it is left alone at least."""

    def row(self) -> tuple[str, str, str]:
        """The calendar, what is done, and why, for people."""
        again, counts = self.settlement.look_again, {"forgotten": self.settlement.forget, "kept": self.settlement.kept}
        notes = [f"{len(hrefs)} {what}" for what, hrefs in counts.items() if hrefs]
        if again is not None and self.settlement.mark is not None and self.settlement.mark.as_of is not None:
            notes.append(f"again in {again - self.settlement.mark.as_of} s")
        return self.record.label, self.action, ", ".join([self.reason, *notes])


def is_proof(decision: Decision) -> bool:
    """Whether what was seen of a calendar proves the whole of it."""
    return decision.settlement.mark is not None and decision.settlement.mark.as_of is not None


class ReadCalendar(Struct, frozen=True):
    """Look into a calendar. Answered by SyncOutcome or ReadFailed."""

    record: CalendarRecord


class AskWhetherGone(Struct, frozen=True):
    """Have a calendar list its members. Answered by Asked."""

    record: CalendarRecord


class AskForObjects(Struct, frozen=True):
    """Ask for objects of a calendar singly. Answered by ObjectsAsked."""

    record: CalendarRecord
    question: Question


Request = ReadCalendar | AskWhetherGone | AskForObjects


class RoundPlan(Struct, frozen=True):
    """What a poll does next, and once nothing is left to ask, what it commits."""

    decisions: tuple[Decision, ...]
    """One for each calendar, and one more for each that is about to cease to count."""
    request: Request | None = None
    """What is to be sent next. None: the plan is final."""
    ceasing: frozenset[int] = frozenset()
    """The calendars that still count, although they are listed as ones that do not."""
    ended: RemoteError | None = None
    """Why no further calendar is read."""

    def having(self, *actions: Action) -> tuple[Decision, ...]:
        """The decisions for some actions, in the order in which they are carried out."""
        return tuple(decision for decision in self.decisions if decision.action in actions)

    @property
    def read(self) -> tuple[Decision, ...]:
        """What is still to be read."""
        return self.having(Action.READ)

    @property
    def confirm(self) -> tuple[Decision, ...]:
        """What the listing alone proves to be as mirrored."""
        return self.having(Action.CONFIRM)

    @property
    def settle(self) -> tuple[Decision, ...]:
        """Calendars that are committed one after the other. First where something is added: what has moved from one to
        another is then in one of them whenever somebody looks, also when the rest is never committed."""
        return tuple(sorted(self.having(Action.SETTLE), key=lambda decision: not decision.settlement.adds))

    @property
    def add_first(self) -> tuple[Decision, ...]:
        """Those that forget something, too: where events went both ways, all is to be added before any is forgotten."""
        return tuple(one for one in self.settle if one.settlement.adds and one.settlement.forget)

    @property
    def believe(self) -> tuple[Decision, ...]:
        """What is committed: each calendar that was read, and what becomes of calendars as a whole."""
        return self.having(Action.SETTLE, Action.REMOVE, Action.STOP_COUNTING)

    @property
    def hold(self) -> tuple[Decision, ...]:
        """Calendars that keep blocking although they were seen to be gone, or not to count any more."""
        return self.having(Action.HOLD, Action.KEEP_COUNTING)

    @property
    def unread(self) -> tuple[Decision, ...]:
        """Calendars of which it is not known what they are now."""
        return self.having(Action.LEAVE_UNREAD)

    @property
    def look_again(self) -> tuple[Decision, ...]:
        """Calendars that are looked into once more, although nothing may seem to have changed by then."""
        return tuple(decision for decision in self.decisions if decision.settlement.look_again is not None)

    @property
    def failed(self) -> tuple[Decision, ...]:
        """Calendars that could not be read, with what a person is to be told."""
        return tuple(decision for decision in self.decisions if decision.error is not None)

    @property
    def left_alone(self) -> tuple[Decision, ...]:
        """Calendars that are asked again only after a while, without being a failure."""
        return tuple(decision for decision in self.decisions if decision.error is None and decision.retry is not None)

    def failed_since(self, earlier: "RoundPlan") -> tuple[Decision, ...]:
        """What failed and had not yet in an earlier plan of the same round."""
        told = {decision.record.id for decision in earlier.failed}
        return tuple(decision for decision in self.failed if decision.record.id not in told)

    def table(self) -> str:
        """One row a calendar: what is done, and why."""
        rows = [decision.row() for decision in self.decisions]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def __str__(self) -> str:
        return f"next: {type(self.request).__name__}\n{self.table()}" if self.request is not None else self.table()
