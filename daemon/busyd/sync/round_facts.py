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
from busyd.sync.settlement import SyncOutcome

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


class ListedAgain(Struct, frozen=True):
    """The calendars were listed once more, after everything was read."""

    listing: Listing | None
    """None when that failed."""


Outcome = SyncOutcome | ReadFailed | Asked | ListedAgain
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
    listed_again: ListedAgain | None
    ended: RemoteError | None

    @classmethod
    def of(cls, listing: Listing, known: Iterable[KnownCalendar], *, outcomes: Sequence[Outcome], now: Now) -> Self:
        failures = [outcome for outcome in outcomes if isinstance(outcome, ReadFailed)]
        return cls(
            listing,
            {calendar.record.id: calendar for calendar in known},
            now,
            read={outcome.record.id: outcome for outcome in outcomes if isinstance(outcome, SyncOutcome)},
            failed={failure.record.id: failure.error for failure in failures},
            is_gone={outcome.record.id: outcome.is_gone for outcome in outcomes if isinstance(outcome, Asked)},
            listed_again=next((outcome for outcome in outcomes if isinstance(outcome, ListedAgain)), None),
            ended=_what_ends_it([failure.error for failure in failures]),
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
