"""What a poll decides about each calendar, row by row, without a server."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from busyd.connection import CalendarKind
from busyd.dav.errors import Forbidden, LoginRefused, MalformedResponse, NotFound, ServerFault, TooManyRequests
from busyd.dav.operation import Listing
from busyd.errors import BusydError, DataError
from busyd.period import Instant
from busyd.remote.errors import Trouble, Unreachable
from busyd.sync.decision import Action
from busyd.sync.reasons import Reason
from busyd.sync.round import feed_failed, keep_counting, plan_round
from busyd.sync.round_facts import KnownCalendar
from busyd.sync.timing import (
    CALENDAR_RETRY,
    GONE_AFTER,
    GONE_RETRY,
    HOLD,
    RECONCILE_EVERY,
    SETTLE,
    SUBSCRIPTION_INTERVAL,
    UNREAD_AGAIN,
)
from tests.sync.rounds import (
    AT,
    NOW,
    Server,
    about,
    calendar,
    changed,
    hrefs,
    listing_of,
    missing,
    outcome_of,
    play,
    row,
)

HOME = calendar(2)
TIMEOUT = Unreachable("h", Trouble.TIMEOUT)
SUBSCRIBED = {"kind": CalendarKind.SUBSCRIBED, "source": "https://feeds.example.org/a.ics"}
READ_BEFORE = {"source": SUBSCRIBED["source"], "interval": str(SUBSCRIPTION_INTERVAL)}


# What is read.


def test_a_listing_that_shows_no_change_is_proof_enough_and_nothing_else_is_asked() -> None:
    work = calendar(1)
    plan = plan_round(listing_of([work, HOME]), [work, HOME], now=NOW)
    assert plan.request is None
    assert [row(plan, work), row(plan, HOME)] == [("confirm", "unchanged")] * 2


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (calendar(1, complete=False), "never-read"),
        (calendar(1, remote={"ctag": "2"}), "changed"),
        (calendar(1, remote={"ctag": None, "sync_token": "t2"}), "changed"),
        (calendar(1, remote={"ctag": None, "sync_token": None}), "changed"),
        (calendar(1, look_again=AT), "look-again"),
        (calendar(1, look_again=Instant(AT + UNREAD_AGAIN + 1)), "look-again"),  # the clock was set back
        (calendar(1, reconciled=Instant(AT - RECONCILE_EVERY)), "daily-comparison"),
        (calendar(1, reconciled=Instant(AT + 1)), "daily-comparison"),  # the clock was set back
        (missing(1, GONE_AFTER), "long-missing"),
    ],
)
def test_a_calendar_is_read_when_its_listing_leaves_a_doubt(work: KnownCalendar, reason: str) -> None:
    plan = plan_round(listing_of([work]), [work], now=NOW)
    assert row(plan, work) == ("read", reason)
    assert plan.read


@pytest.mark.parametrize(
    "work",
    [
        calendar(1, remote={"sync_token": "t2"}),  # the ctag is what counts where there is one
        calendar(1, remote={"ctag": None}),
        calendar(1, look_again=Instant(AT + 1)),
        calendar(1, reconciled=Instant(AT - RECONCILE_EVERY + 1)),
        calendar(1, reconciled=None),
    ],
)
def test_a_calendar_without_a_doubt_is_not_read(work: KnownCalendar) -> None:
    assert row(play(work), work) == ("confirm", "unchanged")


def test_what_failed_last_time_is_read_last() -> None:
    server = Server([changed(1, has_trouble=True), changed(2), changed(3)])
    server.play()
    assert server.asked == ["read c2", "read c3", "read c1"]


def test_what_nobody_links_is_neither_read_nor_in_the_way() -> None:
    other = calendar(3, complete=False, is_linked=False)
    assert row(play(other), other) == ("skip", "not-linked")


def test_what_was_proved_to_be_gone_is_not_asked_again() -> None:
    old = missing(3, 9999, gone=True)
    server = Server([old])
    assert row(server.play(), old) == ("skip", "gone")
    assert not server.asked


# An event is gone.


def test_an_event_that_was_deleted_is_forgotten_at_once_when_no_other_calendar_changes() -> None:
    work = changed(1)
    server = Server([work, HOME], reads={1: outcome_of(work, gone=[3])})
    plan = server.play()
    assert row(plan, work) == ("settle", "nothing-else-changes")
    assert about(plan, work).settlement.forget == set(hrefs(work, 3))
    assert server.asked == ["read c1", "list again"]


def test_a_listed_event_that_answers_404_itself_is_as_good_as_deleted() -> None:
    work = changed(1)
    plan = play(work, HOME, reads={1: outcome_of(work, vanished=[3])})
    assert row(plan, work) == ("settle", "nothing-else-changes")
    assert about(plan, work).settlement.forget == set(hrefs(work, 3))


def test_a_listed_event_that_answers_404_stays_while_another_calendar_changes() -> None:
    work, home = changed(1), changed(2)
    plan = play(work, home, reads={1: outcome_of(work, vanished=[3]), 2: outcome_of(home, new=[40])})
    assert row(plan, work) == ("settle", "others-changing")
    assert about(plan, work).settlement.held == {hrefs(work, 3)[0]: AT}


def test_nothing_is_settled_before_every_calendar_was_read() -> None:
    work, home = changed(1), changed(2)
    plan = plan_round(listing_of([work, home]), [work, home], outcomes=[outcome_of(work, gone=[3])], now=NOW)
    assert row(plan, work) == ("hold", "not-all-read")
    assert not plan.believe


def test_an_event_that_moved_away_stays_while_the_other_calendar_changes_and_no_longer_than_that() -> None:
    work, home = changed(1), changed(2)
    first = play(work, home, reads={1: outcome_of(work, gone=[3]), 2: outcome_of(home, new=[40])})
    assert row(first, work) == ("settle", "others-changing")
    assert about(first, work).settlement.look_again == AT + HOLD
    held = {href: Instant(AT - HOLD) for href in hrefs(work, 3)}
    later = changed(1, held=held, look_again=AT)
    second = play(later, home, reads={1: outcome_of(later, gone=[3], listed=True), 2: outcome_of(home, new=[40])})
    assert row(second, later) == ("settle", "grace-period-over")
    assert about(second, later).settlement.forget == set(held)


def test_an_event_that_moved_away_stays_while_another_calendar_is_to_be_looked_at_again() -> None:
    work, home = changed(1), calendar(2, look_again=Instant(AT + 1))
    server = Server([work, home], reads={1: outcome_of(work, gone=[3])})
    assert row(server.play(), work) == ("settle", "others-changing")
    assert server.asked == ["read c1"]


@pytest.mark.parametrize(
    ("again", "reason"),
    [
        (None, "not-listed-again"),
        (Listing((changed(1).record.remote, changed(2).record.remote)), "changed-meanwhile"),
        (Listing((changed(1).record.remote,)), "changed-meanwhile"),
        (Listing((changed(1).record.remote, HOME.record.remote, calendar(9).record.remote)), "changed-meanwhile"),
        (Listing((calendar(1).record.remote, HOME.record.remote)), "nothing-else-changes"),
    ],
)
def test_a_deletion_is_believed_at_once_only_if_a_younger_listing_shows_no_other_change(
    again: Listing | None, reason: str
) -> None:
    work = changed(1)
    plan = play(work, HOME, again=again, reads={1: outcome_of(work, gone=[3])})
    assert row(plan, work) == ("settle", reason)
    assert bool(about(plan, work).settlement.forget) is (reason == "nothing-else-changes")


def test_a_server_that_names_no_state_of_its_calendars_never_shows_that_nothing_changed() -> None:
    work, home = changed(1), calendar(2, remote={"ctag": None, "sync_token": None}, sync_token=None, ctag=None)
    plan = play(work, home, reads={1: outcome_of(work, gone=[3])})
    assert row(plan, work) == ("settle", "changed-meanwhile")


def test_a_long_missing_calendar_that_turns_up_in_the_younger_listing_may_hold_what_moved() -> None:
    work, hidden = changed(1), missing(2, GONE_AFTER)
    back = Listing((work.record.remote, hidden.record.remote))
    plan = play(work, hidden, again=back, reads={1: outcome_of(work, gone=[3])})
    assert row(plan, work) == ("settle", "changed-meanwhile")


def test_a_subscribed_calendar_is_no_place_to_which_an_event_could_move() -> None:
    work, feed = changed(1), calendar(2, remote=SUBSCRIBED | {"ctag": None, "sync_token": None}, as_of=AT)
    plan = play(work, feed, reads={1: outcome_of(work, gone=[3])})
    assert row(plan, work) == ("settle", "nothing-else-changes")


@pytest.mark.parametrize(
    ("size", "gone", "reason"),
    [(12, 3, "nothing-else-changes"), (12, 5, "much-at-once"), (200, 20, "nothing-else-changes"),
     (200, 21, "much-at-once")],
)  # fmt: skip
def test_a_mass_disappearance_stays_until_a_second_look_agrees(size: int, gone: int, reason: str) -> None:
    work = changed(1)
    plan = play(work, reads={1: outcome_of(work, size=size, gone=range(gone))})
    settlement = about(plan, work).settlement
    assert row(plan, work) == ("settle", reason)
    assert (len(settlement.forget), len(settlement.held)) == ((0, gone) if reason == "much-at-once" else (gone, 0))


def test_a_mass_disappearance_is_believed_when_a_later_look_agrees() -> None:
    held = {href: Instant(AT - HOLD) for href in hrefs(calendar(1), *range(12))}
    work = calendar(1, held=held, look_again=AT)
    plan = play(work, reads={1: outcome_of(work, gone=range(12), listed=True)})
    assert row(plan, work) == ("settle", "grace-period-over")
    assert about(plan, work).settlement.forget == held.keys()


def test_a_calendar_that_lists_nothing_at_all_loses_nothing_at_first() -> None:
    work = changed(1)
    plan = play(work, reads={1: outcome_of(work, size=1, gone=[0], listed=True)})
    assert row(plan, work) == ("settle", "much-at-once")
    assert plan.look_again


def test_what_was_once_doubted_stays_for_its_minute_although_nothing_else_changes() -> None:
    held = {href: Instant(AT - HOLD + 1) for href in hrefs(calendar(1), 3)}
    work = calendar(1, held=held, look_again=AT)
    plan = play(work, reads={1: outcome_of(work, gone=[3], listed=True)})
    assert row(plan, work) == ("settle", "doubted-before")
    assert about(plan, work).settlement.held == held


def test_an_event_stays_while_another_object_of_its_calendar_could_not_be_had() -> None:
    work = changed(1)
    plan = play(work, reads={1: outcome_of(work, gone=[3], new=[40], unread=True)})
    assert row(plan, work) == ("settle", "object-unread")
    assert not about(plan, work).settlement.forget


def test_a_change_is_looked_at_once_more_a_little_later_from_the_token_before() -> None:
    work = changed(1)
    decision = about(play(work, reads={1: outcome_of(work, new=[40])}), work)
    assert decision.reason is Reason.NOTHING_GONE
    mark = decision.settlement.mark
    assert mark is not None
    assert (mark.sync_token, mark.look_again, mark.earlier_token) == ("t2", AT + SETTLE, "t1")


# Another calendar is unread.


@pytest.mark.parametrize(
    ("home", "answers", "expected"),
    [
        (changed(2, not_before=NOW.monotonic + 1), {}, "backing-off"),
        (changed(2), {"reads": {2: TIMEOUT}}, "failed"),
        (changed(2), {"reads": {2: DataError("no")}}, "failed"),
        (changed(2), {"reads": {2: NotFound("h")}}, "failed"),
        (changed(2), {"reads": {2: LoginRefused("h")}}, "connection-failed"),
        (calendar(2), {"listing": Listing((changed(1).record.remote,), ("/2/",))}, "listed-with-a-fault"),  # type: ignore[arg-type]
        (missing(2, GONE_AFTER - 1), {}, "missing"),
        (missing(2, GONE_AFTER, is_linked=False), {}, "still-there"),
    ],
)
def test_an_unread_calendar_holds_what_left_every_other_one_without_a_limit(
    home: KnownCalendar, answers: dict[str, Any], expected: str
) -> None:
    held = {href: Instant(AT - 9999) for href in hrefs(calendar(1), 3)}
    work = changed(1, held=held)
    reads = {1: outcome_of(work, gone=[3, 4])} | answers.pop("reads", {})
    plan = play(work, home, reads=reads, **answers)
    assert row(plan, home) == ("leave-unread", expected)
    assert row(plan, work) == ("settle", "others-unread")
    assert not about(plan, work).settlement.forget
    assert about(plan, work).settlement.held.keys() == set(hrefs(work, 3, 4))


def test_new_events_of_one_calendar_are_settled_while_another_is_unread() -> None:
    work, home = changed(1), changed(2)
    plan = play(work, home, reads={1: outcome_of(work, new=[40]), 2: TIMEOUT})
    assert row(plan, work) == ("settle", "nothing-gone")


# A calendar fails.


def test_a_calendar_that_failed_is_told_of_and_left_alone_for_a_while() -> None:
    work = changed(1)
    plan = play(work, reads={1: TIMEOUT})
    assert [(failure.error, failure.retry) for failure in plan.failed] == [(TIMEOUT, CALENDAR_RETRY)]
    assert plan.ended is None


def test_a_listed_calendar_that_answers_404_is_a_failure_and_not_gone() -> None:
    work = changed(1)
    server = Server([work], reads={1: NotFound("h")}, gone=[1])
    assert row(server.play(), work) == ("leave-unread", "failed")
    assert server.asked == ["read c1"]


@pytest.mark.parametrize(
    ("errors", "asked"),
    [
        ([LoginRefused("h")], 1),
        ([TooManyRequests("h")], 1),
        ([ServerFault("h", 503)], 1),
        ([ServerFault("h", 500), TIMEOUT], 2),
        ([TIMEOUT, NotFound("h"), TIMEOUT], 3),
        ([TIMEOUT, NotFound("h"), MalformedResponse("h", "cut"), Forbidden("h")], 4),
    ],
)
def test_no_further_calendar_is_read_once_the_fault_is_the_whole_connections(
    errors: list[BusydError], asked: int
) -> None:
    known = [changed(number) for number in range(1, 5)]
    server = Server(known, reads=dict(enumerate(errors, start=1)))
    plan = server.play()
    assert len(server.asked) == asked
    assert plan.ended is (errors[asked - 1] if asked < 4 else None)
    assert {row(plan, entry)[1] for entry in known[asked:]} <= {"connection-failed"}


def test_what_is_the_whole_connections_fault_is_not_told_of_one_calendar() -> None:
    assert not play(changed(1), changed(2), reads={1: LoginRefused("h")}).failed


# A calendar is missing from the listing.


def test_a_calendar_missing_from_the_listing_stays_as_it_was() -> None:
    work = missing(1, GONE_AFTER - 1)
    server = Server([work, HOME])
    assert row(server.play(), work) == ("leave-unread", "missing")
    assert not server.asked


def test_a_calendar_long_missing_is_read_like_any_other_while_it_answers() -> None:
    work = missing(1, GONE_AFTER)
    server = Server([work, HOME])
    assert row(server.play(), work) == ("settle", "nothing-gone")
    assert server.asked == ["read c1"]


def test_a_calendar_long_missing_that_was_read_a_moment_ago_is_not_read_at_every_poll() -> None:
    work = missing(1, 9999, as_of=Instant(AT - GONE_AFTER + 1))
    assert row(play(work, HOME), work) == ("leave-unread", "missing")


@pytest.mark.parametrize("error", [NotFound("h"), NotFound("h", status=410), Forbidden("h")])
def test_a_calendar_long_missing_that_says_itself_that_it_is_gone_is_believed(error: BusydError) -> None:
    work = missing(1, GONE_AFTER)
    server = Server([work, HOME], reads={1: error}, gone=[1])
    assert row(server.play(), work) == ("remove", "nothing-else-changes")
    assert server.asked == ["read c1", "ask c1", "list again"]


def test_a_calendar_long_missing_that_only_fails_is_not_believed_to_be_gone() -> None:
    work = missing(1, GONE_AFTER)
    assert row(play(work, HOME, reads={1: ServerFault("h", 500)}, gone=[1]), work) == ("leave-unread", "failed")
    assert row(play(work, HOME, reads={1: NotFound("h")}), work) == ("leave-unread", "failed")


def test_a_calendar_that_says_it_is_gone_stays_while_another_one_changes_and_no_longer_than_that() -> None:
    home = changed(2)
    for since, expected in ((None, "hold"), (AT - HOLD + 1, "hold"), (AT - HOLD, "remove")):
        work = missing(1, GONE_AFTER, said_gone_since=since)
        decision = about(play(work, home, reads={1: NotFound("h"), 2: outcome_of(home, new=[40])}, gone=[1]), work)
        assert decision.action == expected
        if expected == "hold":
            assert (decision.reason, decision.retry) == (Reason.OTHERS_CHANGING, GONE_RETRY)
            assert decision.since == (AT if since is None else since)


def test_a_calendar_that_has_said_it_is_gone_holds_nothing_of_the_others_until_it_is_asked_again() -> None:
    work, home = missing(1, 9999, said_gone_since=AT, not_before=NOW.monotonic + 1), changed(2)
    plan = play(work, home, reads={2: outcome_of(home, gone=[3])})
    assert row(plan, work) == ("hold", "said-gone")
    assert row(plan, home) == ("settle", "nothing-else-changes")


# A calendar that does not count is hidden.


def test_a_hidden_calendar_that_does_not_count_holds_what_left_the_others_for_it_may_count_by_now() -> None:
    hidden, work = missing(3, GONE_AFTER - 1, is_linked=False), changed(1)
    plan = play(work, hidden, reads={1: outcome_of(work, gone=[3])})
    assert (row(plan, hidden), row(plan, work)) == (("leave-unread", "missing"), ("settle", "others-unread"))
    assert about(plan, hidden).retry == GONE_AFTER


def test_a_hidden_calendar_is_asked_after_all_others_were_read_and_believed_when_it_says_it_is_gone() -> None:
    hidden, work = missing(3, GONE_AFTER, is_linked=False), changed(1)
    server = Server([hidden, work], gone=[3])
    assert row(server.play(), hidden)[0] == "hold"  # the other one changes
    assert server.asked == ["read c1", "ask c3"]
    assert row(play(hidden, HOME, gone=[3]), hidden) == ("remove", "nothing-else-changes")


def test_a_hidden_calendar_that_answers_is_left_alone_for_a_while_and_is_no_failure() -> None:
    hidden = missing(3, GONE_AFTER, is_linked=False)
    plan = play(hidden)
    assert row(plan, hidden) == ("leave-unread", "still-there")
    assert not plan.failed
    assert [decision.retry for decision in plan.left_alone] == [GONE_AFTER]


def test_a_hidden_subscription_is_asked_like_a_calendar_that_does_not_count() -> None:
    feed = missing(3, GONE_AFTER, remote=SUBSCRIBED)
    assert row(play(feed, gone=[3]), feed) == ("remove", "nothing-else-changes")


# A calendar ceases to count.


def ceases(entry: KnownCalendar) -> Listing:
    """The listing in which the calendar is marked as one that does not count, and Home as it was."""
    return Listing((replace(entry.record.remote, transparent=True), HOME.record.remote))


def test_a_calendar_marked_as_not_counting_is_stored_as_counting_until_that_is_believed() -> None:
    work = calendar(1)
    stored = keep_counting(ceases(changed(1)), [work.record, HOME.record])
    assert [(remote.transparent, remote.ctag) for remote in stored.calendars] == [(False, "2"), (False, "1")]


def test_a_calendar_that_becomes_a_subscription_is_stored_as_it_was_until_that_is_believed() -> None:
    work = calendar(1)
    listing = Listing((replace(work.record.remote, kind=CalendarKind.SUBSCRIBED, source="https://x.example/"),))
    [stored] = keep_counting(listing, [work.record]).calendars
    assert (stored.kind, stored.source) == (CalendarKind.OWN, "https://x.example/")


def whether_counts(entry: KnownCalendar, *others: KnownCalendar, **answers: Any) -> tuple[str, str]:
    plan = play(entry, *others, listing=ceases(entry), **answers)
    [decision] = plan.having(Action.KEEP_COUNTING, Action.STOP_COUNTING)
    return decision.action.value, decision.reason.value


def test_a_ceasing_calendar_counts_no_more_once_a_younger_listing_agrees_and_nothing_else_changes() -> None:
    assert whether_counts(calendar(1), HOME) == ("stop-counting", "nothing-else-changes")


def test_a_ceasing_calendar_is_read_as_ever_meanwhile() -> None:
    work = changed(1)
    plan = play(work, HOME, listing=ceases(work))
    assert row(plan, work) == ("settle", "nothing-gone")
    assert plan.ceasing == {1}


def test_a_ceasing_calendar_counts_while_another_one_changes_and_no_longer_than_that() -> None:
    home = changed(2)
    reads = {2: outcome_of(home, new=[40])}
    for since, expected in (
        (None, ("keep-counting", "others-changing")),
        (Instant(AT - HOLD + 1), ("keep-counting", "others-changing")),
        (Instant(AT - HOLD), ("stop-counting", "grace-period-over")),
    ):
        assert whether_counts(calendar(1, ceasing_since=since), home, reads=reads) == expected


def test_a_ceasing_calendar_counts_while_another_one_is_unread_however_long() -> None:
    work = calendar(1, ceasing_since=Instant(AT - 9999))
    assert whether_counts(work, changed(2), reads={2: TIMEOUT}) == ("keep-counting", "others-unread")


def test_a_ceasing_calendar_counts_when_a_younger_listing_shows_another_one_changed() -> None:
    work = calendar(1)
    moved = Listing((replace(work.record.remote, transparent=True), changed(2).record.remote))
    assert whether_counts(work, HOME, again=moved) == ("keep-counting", "changed-meanwhile")


def test_a_ceasing_calendar_counts_when_a_younger_listing_does_not_agree() -> None:
    work, home = calendar(1, ceasing_since=Instant(AT - HOLD)), changed(2)
    back = Listing((work.record.remote, home.record.remote))
    assert whether_counts(work, HOME, again=back) == ("keep-counting", "counts-again")
    assert whether_counts(work, home, again=None) == ("keep-counting", "not-listed-again")


# Subscribed calendars.


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"complete": False}, ("read-feed", "never-read")),
        ({"validators": READ_BEFORE | {"source": "https://old.example.org/"}}, ("read-feed", "never-read")),
        ({"as_of": Instant(AT - SUBSCRIPTION_INTERVAL)}, ("read-feed", "interval-over")),
        ({"validators": READ_BEFORE | {"interval": "60"}}, ("read-feed", "interval-over")),
        ({"wanted": Instant(AT - 30)}, ("read-feed", "wanted")),
        ({"look_again": AT}, ("read-feed", "look-again")),
        ({"remote": SUBSCRIBED | {"source": None}}, ("read-feed", "no-source")),
        ({}, ("skip", "not-due")),
        ({"wanted": Instant(AT - 90)}, ("skip", "not-due")),
        ({"complete": False, "not_before": NOW.monotonic + 1}, ("skip", "backing-off")),
    ],
)
def test_a_subscribed_calendar_is_read_when_it_is_due(known: dict[str, Any], expected: tuple[str, str]) -> None:
    feed = calendar(1, **{"remote": SUBSCRIBED, "validators": READ_BEFORE} | known)
    assert row(play(feed), feed) == expected


def test_a_host_of_a_feed_that_asks_for_peace_is_left_alone_for_twice_as_long() -> None:
    failure = feed_failed(calendar(1).record, TooManyRequests("h", retry_after="900"), at=AT)
    assert failure.retry_least == 1800


# All of it.


def test_a_plan_is_printed_as_one_row_a_calendar_with_what_is_done_and_why() -> None:
    work, home, old = changed(1), calendar(2), missing(3, 60)
    plan = play(work, home, old, reads={1: outcome_of(work, gone=[3], new=[40])})
    assert [line.split() for line in str(plan).splitlines()] == [
        ["anna/c1", "settle", "others-unread,", "1", "held,", "again", "in", "60", "s"],
        ["anna/c2", "confirm", "unchanged"],
        ["anna/c3", "leave-unread", "missing"],
    ]


MADE_UP = st.builds(
    lambda number, make, known: (make, number, known),
    st.integers(1, 4),
    st.sampled_from([calendar, changed, lambda number, **known: missing(number, GONE_AFTER, **known)]),
    st.fixed_dictionaries(
        {},
        optional={
            "is_linked": st.booleans(),
            "not_before": st.sampled_from([0.0, NOW.monotonic + 1]),
            "said_gone_since": st.sampled_from([Instant(AT - HOLD), AT]),
            "ceasing_since": st.just(Instant(AT - HOLD)),
            "look_again": st.sampled_from([AT, Instant(AT + 1)]),
        },
    ),
)


@settings(max_examples=50)
@given(st.lists(MADE_UP, unique_by=lambda made: made[1]), st.data())
def test_whatever_happens_a_round_ends_and_nothing_is_believed_gone_while_a_calendar_is_unread(
    made: list[Any], data: st.DataObject
) -> None:
    known = [make(number, **fields) for make, number, fields in made]
    reads: dict[int, Any] = {}
    for entry in known:
        outcomes = [outcome_of(entry, gone=[3], new=[40]), outcome_of(entry, vanished=[3]), outcome_of(entry)]
        reads[entry.record.id] = data.draw(st.sampled_from([*outcomes, NotFound("h"), TIMEOUT, TooManyRequests("h")]))
    transparent = {entry.record.id for entry in known if data.draw(st.booleans())}
    listing = Listing(
        tuple(
            replace(entry.record.remote, transparent=entry.record.id in transparent)
            for entry in known
            if entry.record.missing_since is None
        )
    )
    again = data.draw(st.sampled_from([listing, None]))
    gone = data.draw(st.sets(st.integers(1, 4)))
    server = Server(known, listing=listing, again=again, reads=reads, gone=gone)
    plan = server.play()
    assert len(server.asked) == len(set(server.asked))
    assert {decision.record.id for decision in plan.decisions} == {entry.record.id for entry in known}
    if plan.unread:
        assert not plan.having(Action.REMOVE, Action.STOP_COUNTING)
        assert not any(decision.settlement.forget for decision in plan.believe)
