"""What a server says -> what to change. A mirror must end equal to the remote, and never shrink without proof."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.period import Instant
from busyd.store.mirror import GHOST_ETAG, UNREAD_ETAG, DoubtKind, ObjectDoubt
from busyd.sync.plan import Delta, SyncState, contradicts, own_members, plan_delta, plan_listing
from busyd.sync.timing import SETTLED_AFTER, SETTLED_LOOKS

NOW = Instant(1_790_000_000)
HREFS = st.integers(0, 60).map(lambda number: f"/c/{number}.ics")
LISTINGS = st.dictionaries(HREFS, st.sampled_from(['"a"', '"b"', '"c"']), max_size=60)


def state_of(count: int, **others: Any) -> SyncState:
    return SyncState({f"/c/{number}.ics": '"a"' for number in range(count)}, **others)


def hrefs(*numbers: int) -> list[str]:
    return [f"/c/{number}.ics" for number in numbers]


def test_a_delta_that_names_what_was_long_in_vain_asked_for_has_it_fetched() -> None:
    ghost = ObjectDoubt(DoubtKind.UNREAD, NOW, asked=SETTLED_LOOKS, last=Instant(NOW + SETTLED_AFTER), etag='"a"')
    state = SyncState({"/c/0.ics": GHOST_ETAG}, doubts={"/c/0.ics": ghost})
    assert plan_delta(state, changed={"/c/0.ics": '"a"'}, vanished=[]).fetch == ("/c/0.ics",)


@given(LISTINGS, LISTINGS)
def test_what_a_listing_has_and_lacks_is_the_whole_difference(mirrored: dict[str, str], listed: dict[str, str]) -> None:
    plan = plan_listing(SyncState(mirrored), listed)
    kept = {href: etag for href, etag in mirrored.items() if href not in plan.gone}
    assert kept | {href: listed[href] for href in plan.fetch} == listed
    assert not plan.gone & listed.keys()


def test_what_has_the_same_etag_is_not_fetched_again() -> None:
    plan = plan_listing(state_of(3), {"/c/0.ics": '"a"', "/c/1.ics": '"b"', "/c/2.ics": '"a"', "/c/9.ics": '"a"'})
    assert plan.fetch == ("/c/1.ics", "/c/9.ics")


def test_what_a_delta_does_not_mention_is_neither_fetched_nor_gone() -> None:
    plan = plan_delta(state_of(6), changed={"/c/1.ics": '"b"'}, vanished=[])
    assert (plan.fetch, plan.gone) == (("/c/1.ics",), frozenset())


def test_what_a_delta_names_is_fetched_whatever_its_etag() -> None:
    """QUIRK(sogo): different versions of an object may have the same ETag."""
    for etag in ('"a"', '"b"', ""):
        assert plan_delta(state_of(1), changed={"/c/0.ics": etag}, vanished=[]).fetch == ("/c/0.ics",)


def test_a_404_row_of_an_unknown_href_is_nothing() -> None:
    plan = plan_delta(state_of(1), changed={}, vanished=["/c/made-and-deleted.ics"])
    assert (plan.fetch, plan.gone) == ((), frozenset())


def test_named_as_changed_and_as_vanished_is_both_and_reading_it_decides() -> None:
    plan = plan_delta(state_of(1), changed={"/c/0.ics": '"b"'}, vanished=["/c/0.ics"])
    assert (plan.fetch, plan.gone) == (("/c/0.ics",), frozenset({"/c/0.ics"}))


@pytest.mark.parametrize("kind", [DoubtKind.UNREAD, DoubtKind.OUTDATED])
def test_a_version_that_is_in_doubt_is_asked_singly_and_not_fetched_with_the_others(kind: DoubtKind) -> None:
    state = SyncState({"/c/0.ics": UNREAD_ETAG}, doubts={"/c/0.ics": ObjectDoubt(kind, NOW, etag='"b"')})
    assert plan_listing(state, {"/c/0.ics": '"b"'}).fetch == ()
    assert plan_listing(state, {"/c/0.ics": '"c"'}).fetch == ("/c/0.ics",)


@pytest.mark.parametrize("kind", [DoubtKind.GONE, DoubtKind.UNLISTED])
def test_what_seemed_to_be_gone_and_is_listed_as_another_version_is_fetched(kind: DoubtKind) -> None:
    state = state_of(2, doubts={"/c/0.ics": ObjectDoubt(kind, NOW)})
    plan = plan_listing(state, {"/c/0.ics": '"b"', "/c/1.ics": '"a"'})
    assert (plan.fetch, plan.gone) == (("/c/0.ics",), frozenset())


def test_an_object_that_is_not_mirrored_as_listed_is_fetched_even_if_no_etag_is_listed() -> None:
    assert plan_listing(SyncState({"/c/0.ics": UNREAD_ETAG}), {"/c/0.ics": UNREAD_ETAG}).fetch == ("/c/0.ics",)


def test_an_empty_delta_contradicts_a_listing_that_shows_a_change_whatever_token_it_ends_with() -> None:
    for token in (None, "t1", "t2"):
        empty = Delta({}, frozenset(), token, itself=True)
        assert contradicts(state_of(1, newest_token="t1", has_news=True), empty)
        assert not contradicts(state_of(1, newest_token="t1"), empty)
    for delta in (
        Delta({"/c/0.ics": ""}, frozenset(), "t2", itself=True),
        Delta({}, frozenset({"/x"}), "t2", itself=True),
    ):
        assert not contradicts(state_of(1, has_news=True), delta)


def test_what_an_answer_names_in_another_calendar_is_not_of_this_one() -> None:
    mixed = {"/1/a.ics": "a", "/2/b.ics": "b"}
    assert own_members(SyncState({"/1/z.ics": "z"}, others=("/2/",)), mixed) == {"/1/a.ics": "a"}
    assert own_members(SyncState({"/1/z.ics": "z"}, others=("/2/",)), {"/2/b.ics": "b"}) == {}
    assert own_members(SyncState({}, others=("/2/",)), mixed) == {"/1/a.ics": "a"}


def test_a_server_may_have_two_names_for_one_calendar() -> None:
    listed = {"/2/b.ics": "b"}
    assert own_members(SyncState({}, others=("/2/",)), listed) == listed
    assert own_members(SyncState({"/2/a.ics": "a"}, others=("/2/",)), listed) == listed
