"""What a server says -> what to change. The mirror must end equal to the remote, and never shrink without proof."""

from hypothesis import given
from hypothesis import strategies as st

from busyd.period import Instant
from busyd.sync.plan import FEW, MANY, UNREAD_ETAG, SyncPlan, SyncState, plan_delta, plan_listing, weigh
from busyd.sync.timing import HOLD

NOW = Instant(1_790_000_000)
HREFS = st.integers(0, 60).map(lambda number: f"/c/{number}.ics")
LISTINGS = st.dictionaries(HREFS, st.sampled_from(['"a"', '"b"', '"c"']), max_size=60)


def carried_out(state: SyncState, plan: SyncPlan, *, at: Instant, grace_period: int = 0) -> SyncState:
    """The state after the plan, when every fetch succeeds."""
    removal = weigh(state, plan, at=at, grace_period=grace_period)
    etags = {href: etag for href, etag in state.etags.items() if href not in removal.forget}
    return SyncState(etags | {href: plan.etags[href] for href in plan.fetch if href in plan.etags}, held=removal.held)


def state_of(count: int, **others: object) -> SyncState:
    return SyncState({f"/c/{number}.ics": '"a"' for number in range(count)}, **others)  # type: ignore[arg-type]


def hrefs(*numbers: int) -> list[str]:
    return [f"/c/{number}.ics" for number in numbers]


@given(LISTINGS, LISTINGS, st.sampled_from([0, HOLD]))
def test_two_agreeing_listings_always_make_the_mirror_equal(
    mirrored: dict[str, str], listed: dict[str, str], grace_period: int
) -> None:
    state = SyncState(mirrored)
    for at in (NOW, NOW + HOLD):
        state = carried_out(state, plan_listing(state, listed), at=Instant(at), grace_period=grace_period)
    assert state.etags == listed
    assert not state.held


@given(LISTINGS, LISTINGS, st.integers(0, HOLD - 1))
def test_listings_close_together_never_take_much_away(
    mirrored: dict[str, str], listed: dict[str, str], later: int
) -> None:
    state = SyncState(mirrored)
    for at in (NOW, NOW + later):
        state = carried_out(state, plan_listing(state, listed), at=Instant(at))
    lost = len(mirrored.keys() - state.etags.keys())
    assert lost <= MANY
    assert lost < FEW or lost <= 0.3 * len(mirrored)


def test_what_has_the_same_etag_is_not_fetched_again() -> None:
    plan = plan_listing(state_of(3), {"/c/0.ics": '"a"', "/c/1.ics": '"b"', "/c/2.ics": '"a"', "/c/9.ics": '"a"'})
    assert plan.fetch == ("/c/1.ics", "/c/9.ics")


def test_an_empty_listing_forgets_nothing_at_first_however_small_the_calendar() -> None:
    state = state_of(2)
    removal = weigh(state, plan_listing(state, {}), at=NOW)
    assert not removal.forget
    assert removal.held == {"/c/0.ics": NOW, "/c/1.ics": NOW}


def test_a_single_event_deleted_by_a_sync_answer_is_forgotten_at_once() -> None:
    state = state_of(3)
    removal = weigh(state, plan_delta(state, changed={}, vanished=hrefs(1)), at=NOW)
    assert (removal.forget, removal.held) == (frozenset(hrefs(1)), {})


def test_a_sync_answer_that_deletes_a_third_waits_for_a_second_look() -> None:
    state, gone = state_of(12), hrefs(0, 1, 2, 3, 4)
    removal = weigh(state, plan_delta(state, changed={}, vanished=gone), at=NOW)
    assert not removal.forget
    assert removal.held.keys() == set(gone)


def test_what_fetching_found_gone_counts_for_the_brake_as_well() -> None:
    state = state_of(12)
    plan = plan_delta(state, changed={}, vanished=hrefs(0, 1))
    assert not weigh(state, plan, at=NOW, gone=hrefs(2, 3, 4)).forget
    assert len(weigh(state, plan, at=NOW, gone=hrefs(2)).forget) == 3


def test_a_doubt_holds_back_even_a_single_event_until_it_is_old_enough() -> None:
    state = state_of(12)
    plan = plan_delta(state, changed={}, vanished=hrefs(1))
    first = weigh(state, plan, at=NOW, grace_period=3600)
    assert not first.forget
    again = state_of(12, held=first.held)
    assert not weigh(again, plan, at=Instant(NOW + 3599), grace_period=3600).forget
    assert weigh(again, plan, at=Instant(NOW + 3600), grace_period=3600).forget == set(hrefs(1))


def test_the_first_look_keeps_its_date_when_a_second_one_comes_too_early() -> None:
    state = state_of(12, held={"/c/1.ics": NOW})
    plan = plan_delta(state, changed={}, vanished=hrefs(1, 2))
    assert weigh(state, plan, at=Instant(NOW + 30), grace_period=HOLD).held == {"/c/1.ics": NOW, "/c/2.ics": NOW + 30}


def test_a_clock_that_was_set_back_makes_nothing_gone_and_no_date_lie_ahead() -> None:
    state = state_of(12, held={"/c/1.ics": Instant(NOW + 9999)})
    removal = weigh(state, plan_delta(state, changed={}, vanished=hrefs(1)), at=NOW, grace_period=HOLD)
    assert (removal.forget, removal.held) == (frozenset(), {"/c/1.ics": NOW})


def test_what_was_held_and_turns_up_again_is_held_no_longer() -> None:
    state = state_of(6, held={"/c/0.ics": NOW, "/c/1.ics": NOW})
    removal = weigh(state, plan_listing(state, dict(state.etags)), at=Instant(NOW + HOLD))
    assert (removal.forget, removal.held) == (frozenset(), {})


def test_a_delta_keeps_holding_what_it_does_not_mention() -> None:
    state = state_of(6, held={"/c/0.ics": NOW})
    plan = plan_delta(state, changed={"/c/1.ics": '"b"'}, vanished=[])
    assert weigh(state, plan, at=Instant(NOW + HOLD)).held == {"/c/0.ics": NOW}
    assert plan.fetch == ("/c/1.ics",)


def test_a_404_row_of_an_unknown_href_is_nothing() -> None:
    plan = plan_delta(state_of(1), changed={}, vanished=["/c/made-and-deleted.ics"])
    assert (plan.fetch, plan.gone) == ((), frozenset())


def test_deleted_and_made_again_under_one_name_is_a_change() -> None:
    plan = plan_delta(state_of(1), changed={"/c/0.ics": '"b"'}, vanished=["/c/0.ics"])
    assert (plan.fetch, plan.gone) == (("/c/0.ics",), frozenset())


def test_an_object_that_could_not_be_fetched_is_tried_at_every_look_unless_it_is_gone() -> None:
    state = SyncState({"/c/0.ics": UNREAD_ETAG, "/c/1.ics": '"a"'})
    assert plan_delta(state, changed={}, vanished=[]).fetch == ("/c/0.ics",)
    assert plan_delta(state, changed={}, vanished=["/c/0.ics"]).fetch == ()
