"""What a round is planned from, as values: what is known when it begins, and what its requests have brought so far."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

from msgspec import Struct

from busyd.clock import Now as Now
from busyd.dav.errors import LoginRefused, ServerFault, TooManyRequests
from busyd.dav.operation import Listing
from busyd.errors import BusydError, RemoteError
from busyd.period import Instant
from busyd.remote.errors import Unreachable
from busyd.store.mirror import CalendarRecord
from busyd.sync.doubts import Answers
from busyd.sync.outcome import SyncOutcome

WHOLE_CONNECTION: Final = (LoginRefused, TooManyRequests)
"""What is no fault of one calendar: asking for the next one would only make it worse."""


class KnownCalendar(Struct, frozen=True):
    """What is known of a calendar once the new listing was taken."""

    record: CalendarRecord
    """As listed now; of a calendar that is about to cease to count, as it was (`keep_counting`)."""
    is_linked: bool = True
    """Some profile counts it or writes to it."""
    has_trouble: bool = False
    """The last try to read it failed."""
    not_before: float = float("-inf")
    """It failed lately, and is left alone until then (monotonic seconds)."""
    said_gone_since: Instant | None = None
    """When it first said itself that it is gone, while that is not yet believed."""
    ceasing_since: Instant | None = None
    """When it was first listed as one that no longer counts, while it still does."""
    wanted: Instant | None = None
    """Somebody waits for a proof at least as young as this."""
    is_awaited: bool = False
    """Somebody waits for this poll: what can wait is left to the next one."""
    is_looked_into: bool = False
    """A look at it was taken beside the listing."""

    @property
    def is_followed(self) -> bool:
        """Whether somebody needs it, and it was not proved to be gone."""
        return self.is_linked and not self.record.gone


class ReadFailed(Struct, frozen=True):
    """Reading a calendar ended in an error."""

    record: CalendarRecord
    error: BusydError


class Asked(Struct, frozen=True):
    """A calendar was asked itself whether it is there."""

    record: CalendarRecord
    is_gone: bool
    """It answered 404, 410 or 403."""


class ObjectsAsked(Struct, frozen=True):
    """Objects of a calendar were asked for singly."""

    record: CalendarRecord
    answers: Answers
    error: RemoteError | None = None
    """What kept the rest from being asked."""


Outcome = SyncOutcome | ReadFailed | Asked | ObjectsAsked
"""What came of one request of a plan."""


class RoundFacts(Struct, frozen=True):
    """All that a plan is made from, by calendar."""

    listing: Listing
    known: Mapping[int, KnownCalendar]
    now: Now
    read: Mapping[int, SyncOutcome]
    failed: Mapping[int, BusydError]
    is_gone: Mapping[int, bool]
    """What those calendars said that were asked themselves."""
    answers: Mapping[int, Sequence[Answers]]
    """What objects said that were asked for singly."""
    arrived: Mapping[str, frozenset[int]]
    """UID -> calendars in which it has lately turned up."""
    ended: RemoteError | None

    @classmethod
    def of(
        cls,
        listing: Listing,
        known: Iterable[KnownCalendar],
        *,
        outcomes: Sequence[Outcome],
        arrived: Mapping[str, frozenset[int]],
        now: Now,
    ) -> Self:
        failures = [outcome for outcome in outcomes if isinstance(outcome, ReadFailed)]
        asked = [outcome for outcome in outcomes if isinstance(outcome, ObjectsAsked)]
        read = {outcome.record.id: outcome for outcome in outcomes if isinstance(outcome, SyncOutcome)}
        answers: dict[int, list[Answers]] = {}
        for objects in asked:
            answers.setdefault(objects.record.id, []).append(objects.answers)
        turned_up = dict(arrived)
        for number, outcome in read.items():
            left = {uid: turned_up[uid] - {number} for uid in outcome.uids.values() if uid in turned_up}
            turned_up |= left  # where it has been lately it is no longer
            turned_up |= {uid: turned_up.get(uid, frozenset()) | {number} for uid in outcome.arrived}
        return cls(
            listing,
            {calendar.record.id: calendar for calendar in known},
            now,
            read=read,
            failed={failure.record.id: failure.error for failure in failures},
            is_gone={outcome.record.id: outcome.is_gone for outcome in outcomes if isinstance(outcome, Asked)},
            answers=answers,
            arrived=turned_up,
            ended=_what_ends_it(
                [failure.error for failure in failures] + [outcome.error for outcome in asked if outcome.error]
            ),
        )


def _what_ends_it(errors: Sequence[BusydError]) -> RemoteError | None:
    """After which error no further calendar is asked. One timeout or fault is the calendar's, two are the server's."""
    faults = 0
    for error in errors:
        is_fault = isinstance(error, Unreachable | ServerFault)
        faults += is_fault
        is_overload = isinstance(error, ServerFault) and error.status == 503
        if isinstance(error, RemoteError) and (
            isinstance(error, WHOLE_CONNECTION) or is_overload or (is_fault and faults > 1)
        ):
            return error
    return None
