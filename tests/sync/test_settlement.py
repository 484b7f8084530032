"""What a look at one calendar settles, and when the next one is due."""

import pytest
from msgspec.structs import replace

from busyd.period import Instant
from busyd.sync.plan import UNREAD_ETAG, SyncState, plan_listing
from busyd.sync.reasons import Reason
from busyd.sync.settlement import Doubt, Settlement, SyncOutcome, settle_calendar, settle_feed
from busyd.sync.timing import FEED_HOLD, HOLD, SETTLE, UNREAD_AGAIN
from tests.sync.rounds import AT, calendar, changed, outcome_of

CERTAIN = Doubt(0, Reason.NOTHING_ELSE_CHANGES)


def next_look(outcome: SyncOutcome) -> tuple[int | None, str | None]:
    """In how many seconds, and from which token."""
    mark = settle_calendar(outcome, CERTAIN, at=AT).mark
    assert mark is not None
    return None if mark.look_again is None else mark.look_again - AT, mark.earlier_token


def test_a_look_that_finds_nothing_needs_no_other_one() -> None:
    assert next_look(outcome_of(calendar(1))) == (None, None)


def test_a_first_read_is_looked_at_once_more_by_comparing_everything() -> None:
    new = calendar(1, complete=False, sync_token=None)
    assert next_look(outcome_of(new, size=0, new=[1], listed=True)) == (SETTLE, None)


def test_a_promised_look_still_comes_from_the_token_it_was_promised_with() -> None:
    pending = calendar(1, look_again=Instant(AT + 5), earlier_token="t0")
    assert next_look(outcome_of(pending)) == (5, "t0")
    assert next_look(outcome_of(changed(1, look_again=Instant(AT + 5), earlier_token="t0"))) == (SETTLE, "t0")


@pytest.mark.parametrize("useless", ["refused", "unproved"])
def test_after_a_look_that_says_its_tokens_are_of_no_use_the_next_one_compares_everything(useless: str) -> None:
    seen = outcome_of(changed(1), new=[40])
    assert next_look(replace(seen, look=replace(seen.look, **{useless: True}))) == (SETTLE, None)


def test_an_object_that_could_not_be_had_is_soon_tried_again_and_after_that_rarely() -> None:
    assert next_look(outcome_of(changed(1), new=[40], unread=True)) == (SETTLE, "t1")
    again = outcome_of(calendar(1), unread=True)
    again.state.etags["/1/0.ics"] = UNREAD_ETAG  # type: ignore[index]
    assert next_look(again)[0] == UNREAD_AGAIN


def feed(size: int, *, left: int, held: dict[str, Instant] | None = None) -> Settlement:
    """Settle a feed that had `size` events and has `left`."""
    etags = {f"uid:{number}": "a" for number in range(size)}
    state = SyncState(etags, held=held or {})
    listed = {f"uid:{number}": "a" for number in range(left)}
    return settle_feed(state, plan_listing(state, listed), validators={"etag": '"1"'}, at=AT)


@pytest.mark.parametrize("held", [None, {"uid:7": Instant(AT - HOLD)}])
def test_an_event_missing_from_a_feed_is_gone_at_once(held: dict[str, Instant] | None) -> None:
    settlement = feed(8, left=7, held=held)
    assert settlement.forget == {"uid:7"}
    assert not settlement.held
    assert settlement.look_again is None


@pytest.mark.parametrize(("size", "left"), [(1, 0), (3, 0), (4, 0), (4, 3), (5, 3), (12, 7), (12, 9), (200, 150)])
def test_a_feed_that_is_empty_or_lost_more_than_a_fifth_is_believed_ten_minutes_later(size: int, left: int) -> None:
    settlement = feed(size, left=left)
    assert (len(settlement.forget), len(settlement.held)) == (0, size - left)
    assert (settlement.look_again, settlement.reason) == (AT + FEED_HOLD, Reason.MUCH_AT_ONCE)
    early = feed(size, left=left, held=dict.fromkeys(settlement.held, Instant(AT - FEED_HOLD + 1)))
    assert (early.forget, early.look_again) == (frozenset(), AT + 1)
    agreed = feed(size, left=left, held=dict.fromkeys(settlement.held, Instant(AT - FEED_HOLD)))
    assert (agreed.forget, agreed.look_again) == (frozenset(settlement.held), None)


@pytest.mark.parametrize(("size", "left"), [(2, 1), (3, 1), (5, 4), (12, 10), (100, 80)])
def test_what_a_feed_may_lose_is_gone_at_once(size: int, left: int) -> None:
    settlement = feed(size, left=left)
    assert (len(settlement.forget), settlement.look_again) == (size - left, None)


def test_a_large_feed_that_lost_many_but_no_fifth_is_believed_a_minute_later() -> None:
    settlement = feed(200, left=170)
    assert (len(settlement.held), settlement.look_again) == (30, AT + HOLD)


def test_of_what_came_back_into_a_feed_nothing_is_held_any_more() -> None:
    held = {f"uid:{number}": Instant(AT - 60) for number in range(6, 12)}
    settlement = feed(12, left=11, held=held)
    assert (settlement.forget, settlement.look_again) == (frozenset({"uid:11"}), None)


def test_a_feed_that_never_had_an_event_is_empty_at_once() -> None:
    assert feed(0, left=0).look_again is None
