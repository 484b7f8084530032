"""When a calendar is looked into again although nothing may seem to have changed, and from which token. Pure."""

from typing import NamedTuple

from busyd.period import Instant
from busyd.sync.due import is_look_due
from busyd.sync.outcome import SyncOutcome
from busyd.sync.timing import SETTLE, SOUGHT, has_passed


class SecondLook(NamedTuple):
    """A look that is promised; all None: all is settled."""

    at: Instant | None = None
    start: str | None = None
    """The token from which it sees everything once more; without one it compares everything."""
    then: str | None = None
    """The token from which the one after it starts."""


def second_look(outcome: SyncOutcome, at: Instant) -> SecondLook:
    """The look that is to come after this one.

    Changes that come meanwhile do not put it off, or one that was hidden behind its token would stay so while they do
    not cease: they are left to the look after it. So each due look starts from the token of the one before the last,
    until nothing has changed and the token stands still.
    """
    record, look, newest = outcome.record, outcome.look, outcome.state.newest_token
    pending = record.look_again is not None and (outcome.is_short or not is_look_due(record, at))
    promised, token = record.next_earlier_token, look.sync_token
    is_open = promised not in (None, token) and not pending
    start, then = (record.earlier_token if record.look_again is not None else newest), token or newest
    if look.refused or look.truncated:
        start = newest = then = promised = None
    # A change that does not move the token was found by comparing everything.
    if pending and promised is not None and (token not in (None, promised) or not outcome.changed):
        return SecondLook(record.look_again, start, promised)
    if start is None and record.complete and _is_fruitless(outcome):
        start = newest  # what was announced now is sought from here; while it is not found, that look compares all, too
    if is_still_sought(outcome, at) and record.reconciled is not None:
        wait = SETTLE if is_open else max(at - record.reconciled, SETTLE)
        return SecondLook(Instant(at + wait), start, then)
    if outcome.changed or is_open or look.truncated or not record.complete:
        return SecondLook(Instant(at + SETTLE), start if pending else promised or newest, then)
    return SecondLook(record.look_again, start) if pending else SecondLook()


def is_still_sought(outcome: SyncOutcome, at: Instant) -> bool:
    """Whether a change was announced, and neither the delta since then nor a listing has had it so far.

    A delta that names something names it again in the second look, which starts from the same token. Where one names
    nothing, everything is compared; of the first such comparison the time is kept.
    """
    record = outcome.record
    is_second = record.earlier_token is not None and is_look_due(record, at)
    is_fruitless = _is_fruitless(outcome) and not outcome.changed
    return is_second and is_fruitless and not has_passed(record.reconciled, SOUGHT // 2, at=at)


def _is_fruitless(outcome: SyncOutcome) -> bool:
    """Whether everything was compared, and nothing differed."""
    look = outcome.look
    is_nothing = not (outcome.fetched or outcome.missing or outcome.outdated or look.plan.gone)
    return look.compared_all and not look.truncated and is_nothing
