"""What a look at one calendar settles, and when the next one is due."""

from typing import Any

import pytest
from msgspec.structs import replace

from busyd.period import Instant
from busyd.store.mirror import NO_ETAG, DoubtKind, ObjectDoubt, SyncMark, other_version_of
from busyd.sync.doubts import Answers
from busyd.sync.outcome import SyncOutcome
from busyd.sync.reasons import Reason
from busyd.sync.round_facts import KnownCalendar
from busyd.sync.settlement import Elsewhere, Settlement, may_release, settle_calendar
from busyd.sync.timing import ASK_AGAIN, MOVING, SETTLE, SETTLED_AFTER, SETTLED_LOOKS
from tests.sync.rounds import AT, calendar, changed, doubt, got, outcome_of

OTHERS = Elsewhere()
ALONE = Elsewhere(is_none=True)
X = "/1/3.ics"
ONLY_X = frozenset({X})
PROVED = doubt(DoubtKind.GONE, 10, last=10, proved=10, uid="u3")
UNREAD = doubt(DoubtKind.UNREAD, 60, last=30, asked=1, etag='"new"')
OUTDATED = doubt(DoubtKind.OUTDATED, 60, last=30, asked=1, etag='"new"')


def settled(outcome: SyncOutcome, *answers: Answers, elsewhere: Elsewhere = OTHERS) -> Settlement:
    """A calendar that was looked into."""
    return settle_calendar(outcome.record, outcome, answers=answers, elsewhere=elsewhere, at=AT)


def waited(known: ObjectDoubt, *answers: Answers, elsewhere: Elsewhere = OTHERS, **record: Any) -> Settlement:
    """A calendar that was not looked into, and of which X was in doubt."""
    entry = calendar(1, doubts={X: known}, **record)
    return settle_calendar(entry.record, None, answers=answers, elsewhere=elsewhere, at=AT)


def mark_of(settlement: Settlement) -> SyncMark:
    assert settlement.mark is not None
    return settlement.mark


def next_look(outcome: SyncOutcome) -> tuple[int | None, str | None]:
    """In how many seconds, and from which token."""
    mark = mark_of(settled(outcome))
    return None if mark.look_again is None else mark.look_again - AT, mark.earlier_token


# When the next look is due.


def test_a_look_that_finds_nothing_needs_no_other_one() -> None:
    assert next_look(outcome_of(calendar(1))) == (None, None)


def test_a_first_read_is_looked_at_once_more_by_comparing_everything() -> None:
    new = calendar(1, complete=False, sync_token=None)
    assert next_look(outcome_of(new, size=0, new=[1], listed=True)) == (SETTLE, None)


def test_a_promised_look_still_comes_from_the_token_it_was_promised_with() -> None:
    pending = calendar(1, look_again=Instant(AT + 5), earlier_token="t0")
    assert next_look(outcome_of(pending)) == (5, "t0")
    assert next_look(outcome_of(changed(1, look_again=Instant(AT + 5), earlier_token="t0"))) == (SETTLE, "t0")


@pytest.mark.parametrize(
    ("wait", "is_short", "moved", "token", "expected"),
    [
        (5, False, True, "t2", (5, "t-1", "t0")),  # the change is left to the look after the one that is due
        (5, False, False, "t1", (5, "t-1", "t0")),
        (-1, True, True, "t2", (-1, "t-1", "t0")),
        (5, False, True, "t0", (SETTLE, "t-1", "t0")),  # the token stands still, so everything was compared
        (5, False, True, None, (SETTLE, "t-1", "t1")),
        (0, False, True, "t2", (SETTLE, "t0", "t2")),
        (0, False, False, "t1", (SETTLE, "t0", "t1")),  # something came since the look before this one
        (0, False, False, "t0", (None, None, None)),
    ],
)
def test_changes_do_not_put_the_second_look_off_and_the_look_after_it_sees_them_once_more(
    wait: int, is_short: bool, moved: bool, token: str | None, expected: tuple[int | None, str | None, str | None]
) -> None:
    known: dict[str, Any] = {"sync_token": "t1" if moved else token}
    make = changed if moved else calendar
    entry = make(1, look_again=Instant(AT + wait), earlier_token="t-1", next_earlier_token="t0", **known)
    seen = outcome_of(entry)
    seen = replace(seen, look=replace(seen.look, sync_token=token), is_short=is_short)
    assert (*next_look(seen), mark_of(settled(seen)).next_earlier_token) == expected


@pytest.mark.parametrize("useless", ["refused", "truncated"])
@pytest.mark.parametrize("wait", [5, 0])
def test_a_series_of_second_looks_whose_tokens_are_of_no_use_goes_on_by_comparing_everything(
    useless: str, wait: int
) -> None:
    entry = changed(1, look_again=Instant(AT + wait), earlier_token="t-1", next_earlier_token="t0")
    seen = outcome_of(entry, new=[40])
    seen = replace(seen, look=replace(seen.look, **{useless: True}))
    assert (*next_look(seen), mark_of(settled(seen)).next_earlier_token) == (SETTLE, None, None)


@pytest.mark.parametrize(("token", "expected"), [("t0", (None, None)), ("t1", (SETTLE, None)), (None, (SETTLE, None))])
def test_where_tokens_are_of_no_use_a_change_since_the_last_look_is_looked_at_again_all_the_same(
    token: str | None, expected: tuple[int | None, str | None]
) -> None:
    known: dict[str, Any] = {"look_again": AT, "reconciled": Instant(AT - 90)}
    known |= {"earlier_token": "t-1", "next_earlier_token": "t0"}
    seen = outcome_of(calendar(1, sync_token=token, **known), listed=True)
    assert next_look(replace(seen, look=replace(seen.look, sync_token=token, refused=True))) == expected


@pytest.mark.parametrize(("token", "known"), [("t2", ("2", "t2")), ("t3", (None, None)), ("t1", ("1", "t1"))])
def test_a_look_beside_the_listing_is_as_new_as_that_where_both_name_the_same_new_token(
    token: str, known: tuple[str | None, str | None]
) -> None:
    seen = outcome_of(changed(1), new=[40])
    early = replace(seen, look=replace(seen.look, sync_token=token), is_early=True)
    mark = mark_of(settled(early))
    assert (mark.ctag, mark.listed_token) == known


def test_a_second_look_of_which_something_was_left_is_due_still() -> None:
    for make, wait in ((calendar, -1), (changed, SETTLE)):
        due = make(1, look_again=Instant(AT - 1), earlier_token="t0")
        assert next_look(replace(outcome_of(due), is_short=True)) == (wait, "t0")


@pytest.mark.parametrize("useless", ["refused", "truncated"])
def test_after_a_look_that_says_its_tokens_are_of_no_use_the_next_one_compares_everything(useless: str) -> None:
    seen = outcome_of(changed(1), new=[40])
    assert next_look(replace(seen, look=replace(seen.look, **{useless: True}))) == (SETTLE, None)


@pytest.mark.parametrize(("age", "wait"), [(15, 15), (30, 30), (60, 60), (90, None)])
def test_a_change_that_was_announced_and_not_found_is_looked_for_later_each_time(age: int, wait: int | None) -> None:
    sought = calendar(1, look_again=Instant(AT), earlier_token="t0", reconciled=Instant(AT - age))
    found_nothing = outcome_of(sought, listed=True)
    assert next_look(found_nothing) == (wait, None if wait is None else "t0")
    assert mark_of(settled(found_nothing)).reconciled == (AT if wait is None else None)
    newer = calendar(1, look_again=AT, earlier_token="t0", next_earlier_token="t0.5", reconciled=Instant(AT - age))
    assert next_look(outcome_of(newer, listed=True)) == (SETTLE, "t0" if wait else "t0.5")
    # What was found before is named once more by the delta, and then nothing is compared.
    assert next_look(outcome_of(sought)) == (None, None)


def test_a_contradiction_is_looked_at_again_and_later_each_time() -> None:
    assert next_look(outcome_of(changed(1), missing=[40]))[0] == ASK_AGAIN
    for age in (60, 300):
        old = calendar(1, doubts={X: doubt(DoubtKind.UNREAD, age, last=0, etag='"new"')})
        assert next_look(outcome_of(old)) == (age, None)


def test_what_is_only_gone_and_known_before_promises_no_other_look() -> None:
    seen = outcome_of(calendar(1, doubts={X: PROVED}), gone=[3], listed=True)
    assert next_look(seen) == (None, None)


def test_both_versions_of_an_object_stay_until_it_is_in_doubt_no_longer_or_believed_to_be_gone() -> None:
    outdated = doubt(DoubtKind.OUTDATED, 60, last=30, asked=1, etag='"new"')
    seen = outcome_of(changed(1, doubts={X: outdated}), gone=[3], listed=True)
    for answers in ((), (Answers(failed=frozenset({X})),), (Answers(not_found=frozenset({X})),)):
        assert other_version_of(X) not in settled(seen, *answers).forget
    changed_again = outcome_of(changed(1, doubts={X: replace(outdated, etag='"older"')}), missing=[3])
    assert other_version_of(X) not in settled(changed_again).forget
    assert other_version_of(X) in settled(outcome_of(changed(1, doubts={X: outdated}), new=[3])).forget


@pytest.mark.parametrize(("since", "proved"), [(-5, -5), (9999, 0)])
def test_what_is_gone_keeps_its_time_from_its_own_404_on_whatever_the_clock_does(since: int, proved: int) -> None:
    assert X not in waited(doubt(DoubtKind.GONE, since, last=proved, proved=proved, uid="u3")).forget


def test_one_event_that_has_said_it_is_gone_does_not_hide_that_others_were_not_asked() -> None:
    known = {"/1/4.ics": doubt(DoubtKind.GONE, 10, last=10, proved=10, uid="u4")}
    assert settled(outcome_of(changed(1, doubts=known), gone=[3, 4])).reason is Reason.NOT_ASKED


# What a mark proves.


def test_a_look_proves_the_calendar_even_if_an_object_is_in_doubt_and_blocks() -> None:
    for seen in (
        outcome_of(changed(1), missing=[3]),
        outcome_of(changed(1), outdated=[3]),
        outcome_of(changed(1), gone=[3]),
    ):
        assert mark_of(settled(seen)).as_of == AT


def test_a_truncated_look_and_a_false_listing_prove_nothing_of_the_whole() -> None:
    seen = outcome_of(changed(1), listed=True)
    truncated = replace(seen, look=replace(seen.look, truncated=True))
    mark = mark_of(settled(truncated))
    assert (mark.as_of, mark.ctag, mark.sync_token, mark.listed_token) == (None, None, None, None)
    false = settled(outcome_of(changed(1), gone=[3], listed=True), Answers({X: got(X)}))
    assert (mark_of(false).as_of, false.reason) == (None, Reason.HANDED_OUT)


def test_a_comparison_of_the_whole_calendar_is_noted_as_one() -> None:
    assert mark_of(settled(outcome_of(calendar(1), listed=True))).reconciled == AT
    assert mark_of(settled(outcome_of(calendar(1)))).reconciled is None


def test_a_look_moves_the_token_on_and_a_question_alone_does_not() -> None:
    moved = mark_of(settled(outcome_of(changed(1))))
    assert (moved.ctag, moved.sync_token, moved.listed_token) == ("2", "t2", "t2")
    pending: dict[str, Any] = {"look_again": Instant(AT + 5), "earlier_token": "t0", "listed_token": "l1"}
    pending["next_earlier_token"] = "t1"
    stays = mark_of(waited(PROVED, **pending))
    assert (stays.ctag, stays.sync_token, stays.listed_token) == ("1", "t1", "l1")
    assert (stays.look_again, stays.earlier_token, stays.next_earlier_token) == (AT + 5, "t0", "t1")
    assert stays.as_of == AT


# What is forgotten.


@pytest.mark.parametrize(
    ("known", "elsewhere", "reason"),
    [
        (PROVED, OTHERS, None),
        (PROVED, ALONE, Reason.ANSWERED_404),
        (PROVED, Elsewhere(arrived=frozenset({"u3"})), Reason.ARRIVED_ELSEWHERE),
        (PROVED, Elsewhere(arrived=frozenset({"u4"})), None),
        (replace(PROVED, uid=""), OTHERS, Reason.ANSWERED_404),
        (doubt(DoubtKind.GONE, MOVING, proved=MOVING, uid="u3"), OTHERS, Reason.NOT_MOVING),
        (doubt(DoubtKind.GONE, MOVING, proved=MOVING, uid="u3"), Elsewhere(is_unread=True), None),
        (replace(PROVED, proved=Instant(0)), Elsewhere(is_none=True, is_unlisted=True), None),
        (PROVED, Elsewhere(arrived=frozenset({"u3"}), is_unlisted=True), Reason.ARRIVED_ELSEWHERE),
        (doubt(DoubtKind.GONE, 9999, uid="u3"), ALONE, None),
        (doubt(DoubtKind.UNLISTED, 9999, asked=9, last=0, uid="u3"), ALONE, None),
        (doubt(DoubtKind.UNREAD, 9999, asked=9, last=0), ALONE, None),
        (doubt(DoubtKind.OUTDATED, 9999, asked=9, last=0), ALONE, None),
    ],
)
def test_only_what_proved_to_be_gone_is_forgotten_and_sooner_when_it_cannot_be_moving(
    known: ObjectDoubt, elsewhere: Elsewhere, reason: Reason | None
) -> None:
    settlement = waited(known, elsewhere=elsewhere)
    assert (X in settlement.forget) is (reason is not None)
    assert (X in mark_of(settlement).doubts) is (reason is None)
    assert may_release(calendar(1, doubts={X: known}).record, elsewhere=elsewhere, at=AT) is (reason is not None)
    if reason is not None:
        assert settlement.reason is reason


def test_what_is_kept_although_missing_is_told() -> None:
    settlement = settled(outcome_of(changed(1, doubts={"/1/4.ics": PROVED}), gone=[3, 4]))
    assert (settlement.kept, settlement.newly_missing) == (ONLY_X | {"/1/4.ics"}, ONLY_X)


def test_with_an_object_its_other_version_is_forgotten() -> None:
    assert waited(PROVED, elsewhere=ALONE).forget == {X, other_version_of(X)}


# What is stored.


def test_an_object_had_singly_is_stored_with_the_etag_that_was_listed() -> None:
    answer = Answers({X: got(X, 'W/"new"', text=b"new", is_as_before=False)})
    for settlement in (settled(outcome_of(changed(1), missing=[3]), answer), waited(UNREAD, answer)):
        [stored] = settlement.store
        assert (stored.href, stored.etag, stored.payload) == (X, '"new"', b"new")
        assert not settlement.unread | settlement.ghosts
        assert not mark_of(settlement).doubts


def test_an_unlisted_object_is_stored_as_it_was_handed_out() -> None:
    for etag, expected in (('"z"', '"z"'), ("", NO_ETAG)):
        answer = Answers({X: got(X, etag, text=b"z", is_as_before=False)})
        [stored] = settled(outcome_of(changed(1), gone=[3]), answer).store
        assert (stored.href, stored.etag, stored.payload) == (X, expected, b"z")


def test_of_an_outdated_object_the_old_version_stays_and_a_third_one_is_kept_beside_it() -> None:
    same = waited(OUTDATED, Answers({X: got(X)}))
    assert (same.store, same.unread, same.forget) == ((), ONLY_X, frozenset())
    third = waited(OUTDATED, Answers({X: got(X, '"c"', text=b"c", is_as_before=False)}))
    assert [(stored.href, stored.payload) for stored in third.store] == [(other_version_of(X), b"c")]
    assert (third.unread, third.forget) == (ONLY_X, frozenset())


def test_of_an_outdated_object_that_was_not_known_what_is_handed_out_is_kept() -> None:
    answer = Answers({X: got(X, '"c"', text=b"c", is_as_before=False, is_known=False)})
    settlement = waited(OUTDATED, answer)
    assert [(stored.href, stored.payload) for stored in settlement.store] == [(X, b"c")]
    assert settlement.unread == {X}


@pytest.mark.parametrize("answers", [(), (Answers(failed=frozenset({X})),), (Answers(not_found=frozenset({X})),)])
def test_both_versions_of_an_outdated_object_stay_while_nothing_else_is_known(answers: tuple[Answers, ...]) -> None:
    settlement = waited(OUTDATED, *answers)
    assert (settlement.forget, settlement.unread) == (frozenset(), ONLY_X)


def test_the_other_version_goes_once_the_listed_one_is_handed_out() -> None:
    answered = waited(OUTDATED, Answers({X: got(X, '"new"', text=b"new", is_as_before=False)}))
    read = settled(outcome_of(changed(1, doubts={X: replace(OUTDATED, etag='"older"')}), new=[3]))
    for settlement in (answered, read):
        assert settlement.forget == {other_version_of(X)}
        assert not settlement.unread


def test_a_listed_object_that_cannot_be_had_blocks_until_that_is_how_its_server_is() -> None:
    assert (waited(UNREAD).unread, waited(UNREAD).ghosts) == (ONLY_X, frozenset())
    for kind in (DoubtKind.UNREAD, DoubtKind.OUTDATED):
        ghost = waited(doubt(kind, SETTLED_AFTER, last=0, asked=SETTLED_LOOKS, etag='"new"'))
        assert (ghost.unread, ghost.ghosts, ghost.forget) == (frozenset(), ONLY_X, frozenset())
        assert mark_of(ghost).doubts.keys() == {X}


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        ([DoubtKind.UNREAD, DoubtKind.GONE, DoubtKind.UNLISTED], Reason.HANDED_OUT),
        ([DoubtKind.OUTDATED, DoubtKind.GONE], Reason.NOT_ASKED),
        ([DoubtKind.UNREAD], Reason.NOT_HANDED_OUT),
        ([DoubtKind.OUTDATED], Reason.OTHER_VERSION),
        ([], Reason.NOTHING_GONE),
    ],
)
def test_the_reason_says_most_about_what_is_kept(kinds: list[DoubtKind], reason: Reason) -> None:
    entry: KnownCalendar = calendar(1, doubts={f"/1/{kind}.ics": doubt(kind, 60) for kind in kinds})
    assert settle_calendar(entry.record, None, elsewhere=OTHERS, at=AT).reason is reason
