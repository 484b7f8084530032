"""Whether what was found gone in one calendar may be in another: when that is certain, it may be forgotten. Pure."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from busyd.connection import CalendarKind, RemoteCalendar
from busyd.dav.operation import Listing
from busyd.period import Instant
from busyd.store.mirror import CalendarRecord
from busyd.sync.decision import Action, Decision
from busyd.sync.due import is_look_due
from busyd.sync.reasons import Reason
from busyd.sync.round_facts import KnownCalendar, Now, RoundFacts
from busyd.sync.settlement import Doubt
from busyd.sync.timing import HOLD, UNTIL_READ


class Doubts(Struct, frozen=True):
    """Why something that was found gone may be in another calendar."""

    changing: frozenset[int]
    """Calendars that change, or are about to be looked at once more."""
    general: Doubt | None = None
    """What there is to doubt about every calendar."""
    need_listing: bool = False
    """Whether all depends on a listing younger than everything that was read."""

    def about(self, record: CalendarRecord) -> Doubt:
        if self.general is not None:
            return self.general
        if self.changing <= {record.id}:
            return Doubt(0, Reason.NOTHING_ELSE_CHANGES)
        return Doubt(HOLD, Reason.OTHERS_CHANGING)


def find_doubts(looks: Sequence[Decision], ceasing: frozenset[int], *, this: RoundFacts) -> Doubts:
    """Every other calendar must be known to be as mirrored, by a listing younger than the removal."""
    if any(look.action is Action.LEAVE_UNREAD for look in looks):
        return Doubts(frozenset(), Doubt(UNTIL_READ, Reason.OTHERS_UNREAD))
    changing = {number for number, outcome in this.read.items() if outcome.changed}
    changing |= {number for number, calendar in this.known.items() if _is_to_be_looked_at_again(calendar, this.now)}
    left = {number for number, outcome in this.read.items() if outcome.removes} | ceasing
    left |= {number for number, is_gone in this.is_gone.items() if is_gone}
    doubts = Doubts(frozenset(changing))
    if any(changing <= {number} for number in left):
        if this.listed_again is None:
            return replace(doubts, need_listing=True)
        if this.listed_again.listing is None:
            return replace(doubts, general=Doubt(HOLD, Reason.NOT_LISTED_AGAIN))
        if _has_changed_meanwhile(this.listed_again.listing, doubts.changing, this=this):
            return replace(doubts, general=Doubt(HOLD, Reason.CHANGED_MEANWHILE))
    stop = (this.known[number] for number in ceasing)
    return replace(doubts, need_listing=any(is_ceasing_over(calendar, doubts, now=this.now) for calendar in stop))


def is_ceasing_over(calendar: KnownCalendar, doubts: Doubts, *, now: Now) -> bool:
    """Whether a calendar has been listed as one that does not count for as long as there is doubt."""
    return now.wall - ceasing_since(calendar, now) >= doubts.about(calendar.record).grace_period


def ceasing_since(calendar: KnownCalendar, now: Now) -> Instant:
    return now.wall if calendar.ceasing_since is None else calendar.ceasing_since


def _is_to_be_looked_at_again(calendar: KnownCalendar, now: Now) -> bool:
    record = calendar.record
    pending = record.look_again is not None and not is_look_due(record, now.wall)
    return calendar.is_followed and pending


def _has_changed_meanwhile(listing: Listing, changing: frozenset[int], *, this: RoundFacts) -> bool:
    """Whether a listing taken now shows other calendars changed than those that are known to be, or new ones."""
    known = {
        calendar.record.remote.href: calendar.record for calendar in this.known.values() if not calendar.record.gone
    }
    listed = {remote.href: remote for remote in listing.calendars}
    if listed.keys() - known.keys():
        return True
    return any(_has_changed(record, listed.get(href)) for href, record in known.items() if record.id not in changing)


def _has_changed(record: CalendarRecord, listed: RemoteCalendar | None) -> bool:
    """Whether a calendar is listed another way than when the round began, or may be."""
    if record.missing_since is not None:
        return listed is not None
    if record.remote.kind is CalendarKind.SUBSCRIBED:
        return False
    return listed is None or _state_of(listed) is None or _state_of(listed) != _state_of(record.remote)


def _state_of(remote: RemoteCalendar) -> str | None:
    """What moves when something in the calendar changes; None where the server does not say."""
    return remote.ctag or remote.sync_token
