"""What is believed of what a feed lacks: little at once, much only when a later download agrees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.period import Instant
from busyd.sync.feed_settlement import settle_feed
from busyd.sync.plan import SyncState, plan_listing
from busyd.sync.reasons import Reason
from busyd.sync.settlement import Settlement
from busyd.sync.timing import FEED_HOLD, HOLD
from tests.sync.rounds import AT

HREFS = st.integers(0, 60).map(lambda number: f"uid:{number}")
LISTINGS = st.dictionaries(HREFS, st.sampled_from(["a", "b", "c"]), max_size=60)


def downloaded(state: SyncState, listed: dict[str, str], *, at: int) -> SyncState:
    """The state after a download, when everything in it was stored."""
    plan = plan_listing(state, listed)
    settlement = settle_feed(state, plan, validators={}, at=Instant(at))
    etags = {href: etag for href, etag in state.etags.items() if href not in settlement.forget}
    assert settlement.mark is not None
    return SyncState(etags | {href: listed[href] for href in plan.fetch}, held=settlement.mark.held)


@given(LISTINGS, LISTINGS)
def test_two_agreeing_downloads_always_make_the_mirror_equal(mirrored: dict[str, str], listed: dict[str, str]) -> None:
    state = SyncState(mirrored)
    for at in (AT, AT + FEED_HOLD):
        state = downloaded(state, listed, at=at)
    assert state.etags == listed
    assert not state.held


@given(LISTINGS, LISTINGS, st.integers(0, HOLD - 1))
def test_downloads_close_together_never_take_much_away(
    mirrored: dict[str, str], listed: dict[str, str], later: int
) -> None:
    state = SyncState(mirrored)
    for at in (AT, AT + later):
        state = downloaded(state, listed, at=at)
    lost = len(mirrored.keys() - state.etags.keys())
    assert lost <= max(3, len(mirrored) / 5)


def test_a_clock_that_was_set_back_makes_nothing_gone_and_no_date_lie_ahead() -> None:
    state = downloaded(
        SyncState({"uid:1": "a", "uid:2": "a"}, held={"uid:1": Instant(AT + 9999)}), {"uid:2": "a"}, at=AT
    )
    assert (state.etags, state.held) == ({"uid:1": "a", "uid:2": "a"}, {"uid:1": AT})


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
    assert not settlement.kept
    assert settlement.look_again is None


@pytest.mark.parametrize(("size", "left"), [(1, 0), (3, 0), (4, 0), (4, 3), (5, 3), (12, 7), (12, 9), (200, 150)])
def test_a_feed_that_is_empty_or_lost_more_than_a_fifth_is_believed_ten_minutes_later(size: int, left: int) -> None:
    settlement = feed(size, left=left)
    assert (len(settlement.forget), len(settlement.kept)) == (0, size - left)
    assert (settlement.look_again, settlement.reason) == (AT + FEED_HOLD, Reason.MUCH_AT_ONCE)
    early = feed(size, left=left, held=dict.fromkeys(settlement.kept, Instant(AT - FEED_HOLD + 1)))
    assert (early.forget, early.look_again) == (frozenset(), AT + 1)
    agreed = feed(size, left=left, held=dict.fromkeys(settlement.kept, Instant(AT - FEED_HOLD)))
    assert (agreed.forget, agreed.look_again) == (frozenset(settlement.kept), None)


@pytest.mark.parametrize(("size", "left"), [(2, 1), (3, 1), (5, 4), (12, 10), (100, 80)])
def test_what_a_feed_may_lose_is_gone_at_once(size: int, left: int) -> None:
    settlement = feed(size, left=left)
    assert (len(settlement.forget), settlement.look_again) == (size - left, None)


def test_a_large_feed_that_lost_many_but_no_fifth_is_believed_a_minute_later() -> None:
    settlement = feed(200, left=170)
    assert (len(settlement.kept), settlement.look_again) == (30, AT + HOLD)


def test_of_what_came_back_into_a_feed_nothing_is_held_any_more() -> None:
    held = {f"uid:{number}": Instant(AT - 60) for number in range(6, 12)}
    settlement = feed(12, left=11, held=held)
    assert (settlement.forget, settlement.look_again) == (frozenset({"uid:11"}), None)


def test_a_feed_that_never_had_an_event_is_empty_at_once() -> None:
    assert feed(0, left=0).look_again is None
