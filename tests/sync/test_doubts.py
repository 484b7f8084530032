"""What follows when a server contradicts itself about an object: what is asked, how often, and what is left of it."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from busyd.period import Instant
from busyd.store.mirror import DoubtKind, ObjectDoubt
from busyd.sync.doubts import (
    ASKED_AT_MOST,
    SAMPLE,
    Answers,
    after_answers,
    after_fetch,
    after_listing,
    clipped,
    is_current,
    is_due,
    is_listing_false,
    is_settled,
    needs_listing,
    next_look,
    next_question,
)
from busyd.sync.plan import SyncPlan, SyncState, plan_delta, plan_listing
from busyd.sync.timing import ASK_AGAIN, LONGEST_ASK, SETTLED_AFTER, SETTLED_ASK, SETTLED_LOOKS
from tests.sync.rounds import AT, doubt, got

GONE, UNLISTED, UNREAD, OUTDATED = DoubtKind.GONE, DoubtKind.UNLISTED, DoubtKind.UNREAD, DoubtKind.OUTDATED
LISTED = (UNREAD, OUTDATED)
X = "/c/x.ics"
SETTLED = doubt(UNREAD, SETTLED_AFTER, last=0, asked=SETTLED_LOOKS)


def listing(*hrefs: str, etag: str = '"a"') -> SyncPlan:
    """A listing of the whole calendar, of which the mirror has X."""
    return plan_listing(SyncState({X: '"a"'}), dict.fromkeys(hrefs, etag))


def delta(*, changed: Mapping[str, str] | None = None, vanished: tuple[str, ...] = ()) -> SyncPlan:
    """A sync answer for a calendar of which the mirror has X."""
    return plan_delta(SyncState({X: '"a"'}), changed=changed or {}, vanished=vanished)


def after(known: ObjectDoubt | None, plan: SyncPlan, *, is_whole: bool = True) -> ObjectDoubt | None:
    """The doubt about X after a look."""
    doubts = {} if known is None else {X: known}
    return after_listing(doubts, plan, uids={X: "ux"}, is_whole=is_whole, at=AT).get(X)


def answered(known: ObjectDoubt, **answers: Any) -> ObjectDoubt | None:
    """The doubt about X after it was asked for."""
    return after_answers({X: known}, Answers(**answers), at=AT).get(X)


# What a listing or a delta says.


@pytest.mark.parametrize(("plan", "is_whole"), [(listing("/c/y.ics"), True), (delta(vanished=(X,)), False)])
def test_what_a_look_lacks_is_in_doubt_and_not_gone(plan: SyncPlan, is_whole: bool) -> None:
    assert after(None, plan, is_whole=is_whole) == doubt(GONE, uid="ux")


@pytest.mark.parametrize("kind", [GONE, UNLISTED])
@pytest.mark.parametrize(("plan", "is_whole"), [(listing(X), True), (delta(changed={X: '"b"'}), False)])
def test_what_is_listed_is_not_missing_any_more(kind: DoubtKind, plan: SyncPlan, is_whole: bool) -> None:
    assert after(doubt(kind, 60, proved=30), plan, is_whole=is_whole) is None


@pytest.mark.parametrize("kind", list(DoubtKind))
def test_a_delta_that_does_not_name_an_object_says_nothing_of_it(kind: DoubtKind) -> None:
    known = doubt(kind, 60, etag='"a"')
    assert after(known, delta(changed={"/c/y.ics": '"b"'}), is_whole=False) == known


@pytest.mark.parametrize("kind", LISTED)
def test_what_is_doubted_of_a_version_is_doubted_while_that_version_is_listed(kind: DoubtKind) -> None:
    known = doubt(kind, 60, asked=2, last=30, etag='"a"')
    assert after(known, listing(X)) == known
    assert after(known, listing(X, etag='"b"')) is None


def test_what_was_missing_before_keeps_its_date_when_it_is_missing_again() -> None:
    known = doubt(GONE, 60, last=30, proved=30, uid="ux")
    assert after(known, listing("/c/y.ics")) == known
    assert after(known, delta(vanished=(X,)), is_whole=False) == known


def test_a_second_listing_without_an_object_that_is_handed_out_is_the_same_contradiction() -> None:
    known = doubt(UNLISTED, 60, asked=2, last=30, uid="ux")
    assert after(known, listing("/c/y.ics")) == known


def test_a_delta_that_calls_an_object_gone_which_was_only_unlisted_is_news() -> None:
    assert after(doubt(UNLISTED, 60, asked=2, last=30), delta(vanished=(X,)), is_whole=False) == doubt(GONE, uid="ux")


def test_what_a_listing_lacks_is_asked_anew_whatever_it_answered_before() -> None:
    known_before = (doubt(UNREAD, 60), doubt(UNREAD, 60, asked=9, last=15), doubt(OUTDATED, 60, asked=3, last=15))
    for known in known_before:
        assert after(known, listing("/c/y.ics")) == doubt(GONE, uid="ux")


def test_a_false_listing_is_never_how_that_server_is() -> None:
    assert is_listing_false({X: doubt(UNLISTED, SETTLED_AFTER, last=0, asked=SETTLED_LOOKS)})


def test_no_moment_lies_ahead_when_the_clock_was_set_back() -> None:
    assert clipped({X: doubt(GONE, -5, last=-5, proved=-5)}, at=AT) == {X: doubt(GONE, last=0, proved=0)}


# What was fetched.


def fetched(known: ObjectDoubt | None, plan: SyncPlan, **fetched: Any) -> ObjectDoubt | None:
    """The doubt about X after what changed was fetched."""
    doubts = {} if known is None else {X: known}
    return after_fetch(doubts, plan, **({"missing": (), "outdated": ()} | fetched), at=AT).get(X)


CHANGED = delta(changed={X: '"b"'})


def test_what_was_not_handed_out_or_as_another_version_is_in_doubt_as_the_version_that_was_listed() -> None:
    assert fetched(None, CHANGED, missing=[X]) == doubt(UNREAD, etag='"b"')
    assert fetched(None, CHANGED, outdated=[X]) == doubt(OUTDATED, etag='"b"')


@pytest.mark.parametrize("kind", list(DoubtKind))
def test_what_was_handed_out_as_listed_is_in_doubt_no_longer(kind: DoubtKind) -> None:
    assert fetched(doubt(kind, 60), CHANGED) is None


def test_what_was_not_fetched_stays_in_doubt() -> None:
    assert fetched(doubt(UNREAD, 60), delta(changed={"/c/y.ics": '"b"'})) == doubt(UNREAD, 60)


def test_what_a_look_names_as_changed_and_as_gone_and_is_not_handed_out_is_asked_as_gone() -> None:
    plan = delta(changed={X: '"b"'}, vanished=(X,))
    seen = after_listing({}, plan, uids={X: "ux"}, is_whole=False, at=AT)
    assert fetched(seen[X], plan, missing=[X]) == doubt(GONE, uid="ux")
    assert fetched(seen[X], plan) is None


# What an object says itself.


def test_an_object_is_proved_gone_by_its_own_404_and_keeps_the_date_of_its_disappearance() -> None:
    assert answered(doubt(GONE, 60, uid="ux"), not_found={X}) == doubt(GONE, 60, last=0, proved=0, uid="ux")


def test_an_object_that_was_handed_out_until_now_disappears_only_now() -> None:
    known = doubt(UNLISTED, 3000, asked=4, last=60, uid="ux")
    assert answered(known, not_found={X}) == doubt(GONE, 0, last=0, proved=0, uid="ux")


def test_an_object_that_is_missing_and_handed_out_makes_the_listing_false() -> None:
    left = answered(doubt(GONE, 60, uid="ux"), got={X: got(X)})
    assert left is not None
    assert left == doubt(UNLISTED, asked=1, last=0, uid="ux")
    assert is_listing_false({X: left})
    assert not is_listing_false({X: doubt(GONE)})


def test_a_listed_object_that_answers_404_is_unread_and_each_such_answer_counts() -> None:
    assert answered(doubt(UNREAD, 60, asked=2, last=30), not_found={X}) == doubt(UNREAD, 60, asked=3, last=0)


@pytest.mark.parametrize("kind", list(DoubtKind))
def test_an_answer_that_is_no_word_about_the_object_only_delays_the_next_question(kind: DoubtKind) -> None:
    assert answered(doubt(kind, 60, asked=2), failed={X}) == doubt(kind, 60, asked=2, last=0)


@pytest.mark.parametrize("kind", LISTED)
def test_an_object_handed_out_as_listed_is_in_doubt_no_longer(kind: DoubtKind) -> None:
    current = got(X, '"b"', is_as_before=False)
    assert answered(doubt(kind, 60, asked=2, etag='"b"'), got={X: current}) is None


def test_an_object_handed_out_as_another_version_is_outdated_and_each_such_answer_counts() -> None:
    assert answered(doubt(UNREAD, 60, asked=3, etag='"b"'), got={X: got(X)}) == doubt(
        OUTDATED, 60, asked=4, last=0, etag='"b"'
    )
    assert answered(doubt(OUTDATED, 60, asked=3, etag='"b"'), got={X: got(X)}) == doubt(
        OUTDATED, 60, asked=4, last=0, etag='"b"'
    )


def test_an_answer_about_what_is_not_in_doubt_changes_nothing() -> None:
    left = after_answers({X: doubt(GONE)}, Answers({"/c/y.ics": got("/c/y.ics")}, frozenset({"/c/z.ics"})), at=AT)
    assert left == {X: doubt(GONE)}


@pytest.mark.parametrize(
    ("etag", "listed", "is_as_before", "expected"),
    [
        ('"b"', '"b"', True, True),
        ('W/"b"', '"b"', True, True),
        ('"b-gzip"', '"b"', True, True),
        ('"a"', '"b"', False, False),
        ('"a"', '"b"', True, False),
        ("", '"b"', True, False),  # without an ETag an old text is not the new version
        ("", '"b"', False, True),
        ('"a"', "", True, True),  # none was listed: any will do
        ("", "", True, True),
    ],
)
def test_an_object_is_current_when_it_is_the_version_that_was_listed(
    etag: str, listed: str, is_as_before: bool, expected: bool
) -> None:
    assert is_current(etag, listed, is_as_before=is_as_before) is expected


# When it is asked.


def test_what_was_never_asked_is_asked_at_once_and_what_is_proved_never_again() -> None:
    for kind in DoubtKind:
        assert is_due(doubt(kind, 0), at=AT)
    assert not is_due(doubt(GONE, 9999, last=9999, proved=9999), at=AT)


@pytest.mark.parametrize(
    ("age_then", "wait"),
    [(0, ASK_AGAIN), (ASK_AGAIN, ASK_AGAIN), (60, 60), (LONGEST_ASK, LONGEST_ASK), (9999, LONGEST_ASK)],
)
@pytest.mark.parametrize("kind", list(DoubtKind))
def test_the_wait_until_it_is_asked_again_grows_with_the_age_of_the_doubt(
    kind: DoubtKind, age_then: int, wait: int
) -> None:
    for ago, expected in ((wait - 1, False), (wait, True)):
        assert is_due(doubt(kind, age_then + ago, last=ago, asked=1), at=AT) is expected


def test_what_is_settled_is_asked_once_a_day() -> None:
    for ago, expected in ((SETTLED_ASK - 1, False), (SETTLED_ASK, True)):
        assert is_due(doubt(UNREAD, ago + SETTLED_AFTER, last=ago, asked=SETTLED_LOOKS), at=AT) is expected


def test_a_clock_that_was_set_back_lets_nothing_wait_for_it() -> None:
    assert is_due(doubt(UNREAD, -9999, last=-9999), at=AT)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (doubt(UNREAD, SETTLED_AFTER, last=0, asked=SETTLED_LOOKS), True),
        (doubt(OUTDATED, SETTLED_AFTER, last=0, asked=SETTLED_LOOKS), True),
        (doubt(GONE, SETTLED_AFTER, last=0, asked=SETTLED_LOOKS), False),
        (doubt(UNREAD, SETTLED_AFTER, last=0, asked=SETTLED_LOOKS - 1), False),
        (doubt(UNREAD, SETTLED_AFTER, last=1, asked=SETTLED_LOOKS), False),  # the GETs are spread over it
        (doubt(UNREAD, SETTLED_AFTER, asked=SETTLED_LOOKS), False),
        (doubt(UNREAD, 9 * SETTLED_AFTER, last=9 * SETTLED_AFTER, asked=9), False),
    ],
)
def test_a_contradiction_is_settled_when_it_is_old_and_was_seen_often_over_that_time(
    known: ObjectDoubt, expected: bool
) -> None:
    assert is_settled(known) is expected


def test_what_is_settled_is_neither_looked_at_nor_makes_a_listing_false() -> None:
    assert next_look({X: SETTLED}, AT) is None
    assert not needs_listing({X: SETTLED})


def test_a_contradiction_is_looked_at_again_by_comparing_the_whole_calendar() -> None:
    doubts = {X: doubt(UNREAD, 600, last=300), "/c/y.ics": doubt(OUTDATED, 60, last=0), "/c/z.ics": doubt(GONE)}
    assert next_look(doubts, AT) == AT + 60
    assert needs_listing(doubts)


def test_what_is_only_gone_needs_no_other_look() -> None:
    for known in (doubt(GONE), doubt(GONE, 60, last=0, proved=0)):
        assert next_look({X: known}, AT) is None
        assert not needs_listing({X: known})


@pytest.mark.parametrize("kind", LISTED)
def test_an_object_that_contradicts_itself_for_ever_is_settled_after_little_more_than_an_hour_and_few_requests(
    kind: DoubtKind,
) -> None:
    known, requests = doubt(kind, etag='"b"'), 0
    for later in range(0, 2 * SETTLED_AFTER, 5):
        at = Instant(AT + later)
        if is_due(known, at=at):
            requests += 1
            answers = Answers(not_found=frozenset({X})) if kind is UNREAD else Answers({X: got(X)})
            known = after_answers({X: known}, answers, at=at)[X]
        assert known.last is not None
        assert is_settled(known) is (known.last - known.since >= SETTLED_AFTER)
    assert is_settled(known)
    assert SETTLED_LOOKS <= requests <= 2 * SETTLED_LOOKS + 2


# What is asked.


def many(kind: DoubtKind, count: int, *, prefix: str = "") -> dict[str, ObjectDoubt]:
    return {f"/c/{prefix}{number:04}.ics": doubt(kind) for number in range(count)}


CLEAN = Answers(not_found=frozenset({"/c/other.ics"}))


def test_nothing_in_doubt_is_nothing_asked() -> None:
    assert next_question({}, [], at=AT) is None
    assert next_question({X: doubt(GONE, proved=0)}, [], at=AT) is None
    assert next_question({X: doubt(UNREAD, last=0)}, [], at=AT) is None


@pytest.mark.parametrize("count", [1, SAMPLE, SAMPLE + 1, 1000])
def test_of_what_is_missing_a_sample_is_asked_first(count: int) -> None:
    question = next_question(many(GONE, count), [], at=AT)
    assert question is not None
    assert (len(question.hrefs), question.multiget) == (min(count, SAMPLE), False)


def test_another_poll_takes_another_sample() -> None:
    samples = {next_question(many(GONE, 200), [], at=Instant(AT + later)) for later in range(5)}
    assert len(samples) > 1


def test_contradictions_are_asked_with_the_sample_and_never_more_than_so_many() -> None:
    doubts = many(GONE, 30) | many(UNREAD, 30, prefix="u") | many(OUTDATED, 30, prefix="o")
    question = next_question(doubts, [], at=AT)
    assert question is not None
    kinds = [doubts[href].kind for href in question.hrefs]
    assert (kinds.count(GONE), len(kinds)) == (SAMPLE, SAMPLE + ASKED_AT_MOST)


def asked_next(doubts: dict[str, ObjectDoubt], *answers: Answers) -> tuple[int, bool]:
    """How many are asked after some answers of the same poll, and whether together."""
    for part in answers:
        doubts = after_answers(doubts, part, at=AT)
    question = next_question(doubts, answers, at=AT)
    return (len(question.hrefs), question.multiget) if question is not None else (0, False)


def test_when_none_of_the_sample_is_there_the_rest_is_asked_together_and_in_this_poll_no_more() -> None:
    doubts = many(GONE, 99)
    sample = next_question(doubts, [], at=AT)
    assert sample is not None
    clean = Answers(not_found=frozenset(sample.hrefs))
    assert asked_next(doubts, clean) == (ASKED_AT_MOST, True)
    rest = next_question(after_answers(doubts, clean, at=AT), [clean], at=AT)
    assert rest is not None
    assert not set(rest.hrefs) & set(sample.hrefs)
    assert asked_next(doubts, clean, Answers(not_found=frozenset(rest.hrefs))) == (0, False)


@pytest.mark.parametrize("how", ["failed", "cut"])
def test_when_the_sample_gives_no_clear_answer_no_other_is_asked_in_this_poll(how: str) -> None:
    doubts = many(GONE, 99)
    first = next_question(doubts, [], at=AT)
    assert first is not None
    answers = Answers(failed=frozenset(first.hrefs)) if how == "failed" else Answers(is_cut=True)
    assert next_question(after_answers(doubts, answers, at=AT), [answers], at=AT) is None


def test_who_has_waited_longest_is_asked_first() -> None:
    failing = {href: replace(one, last=Instant(AT - 900), asked=1) for href, one in many(UNREAD, 50).items()}
    new = many(UNREAD, 10, prefix="z")
    question = next_question(failing | new, [], at=Instant(AT + 9999))
    assert question is not None
    assert new.keys() <= set(question.hrefs)


def test_when_one_of_the_sample_is_there_no_other_is_asked_in_this_poll() -> None:
    doubts = many(GONE, 99)
    sample = next_question(doubts, [], at=AT)
    assert sample is not None
    there, *others = sample.hrefs
    assert asked_next(doubts, Answers({there: got(there)}, frozenset(others))) == (0, False)


@given(
    st.dictionaries(
        st.integers(0, 200).map(lambda number: f"/c/{number}.ics"),
        st.builds(doubt, st.sampled_from(list(DoubtKind)), st.integers(-9, 9999), last=st.none() | st.integers(-9, 99)),
        max_size=150,
    ),
    st.data(),
)
def test_a_poll_never_asks_without_bound_or_for_what_is_not_due(
    doubts: dict[str, ObjectDoubt], data: st.DataObject
) -> None:
    earlier: list[Answers] = []
    asked: list[str] = []
    while (question := next_question(doubts, earlier, at=AT)) is not None:
        assert all(is_due(doubts[href], at=AT) for href in question.hrefs)
        asked += question.hrefs
        there = data.draw(st.sets(st.sampled_from(question.hrefs)))
        failed = data.draw(st.sets(st.sampled_from(question.hrefs))) - there
        rest = frozenset(question.hrefs) - there - failed
        earlier.append(Answers({href: got(href) for href in there}, rest, frozenset(failed)))
        doubts = after_answers(doubts, earlier[-1], at=AT)
        assert len(earlier) <= 2
    assert len(asked) == len(set(asked)) <= SAMPLE + 2 * ASKED_AT_MOST
