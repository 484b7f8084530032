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
from busyd.store.mirror import DoubtKind
from busyd.sync.decision import Action
from busyd.sync.doubts import ASKED_AT_MOST, SAMPLE
from busyd.sync.reasons import Reason
from busyd.sync.round import feed_failed, keep_counting, plan_round
from busyd.sync.round_facts import KnownCalendar, Now
from busyd.sync.timing import (
    ASK_AGAIN,
    CALENDAR_RETRY,
    GONE_AGAIN,
    HOLD,
    LOOK_LONGEST,
    MISSING_AGAIN,
    MOVING,
    MOVING_UNSEEN,
    RECONCILE_EVERY,
    SETTLE,
    SETTLED_AFTER,
    SETTLED_LOOKS,
    SUBSCRIPTION_INTERVAL,
)
from tests.sync.rounds import (
    AT,
    NOW,
    Server,
    about,
    calendar,
    changed,
    doubt,
    doubts_of,
    got,
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
        (calendar(1, remote={"sync_token": "t2"}), "changed"),
        (calendar(1, remote={"ctag": None}), "changed"),
        (calendar(1, remote={"sync_token": None}), "changed"),
        (calendar(1, remote={"ctag": None, "sync_token": None}), "changed"),
        (calendar(1, look_again=AT), "look-again"),
        (calendar(1, look_again=Instant(AT + LOOK_LONGEST + 1)), "look-again"),  # the clock was set back
        (calendar(1, reconciled=Instant(AT - RECONCILE_EVERY)), "daily-comparison"),
        (calendar(1, reconciled=Instant(AT + 1)), "daily-comparison"),  # the clock was set back
        (missing(1, 0), "missing"),
        (missing(1, 9999, as_of=AT), "missing"),
    ],
)
def test_a_calendar_is_read_when_its_listing_leaves_a_doubt(work: KnownCalendar, reason: str) -> None:
    plan = plan_round(listing_of([work]), [work], now=NOW)
    assert row(plan, work) == ("read", reason)
    assert plan.read


@pytest.mark.parametrize(
    "work",
    [
        calendar(
            1, remote={"sync_token": "l2"}, listed_token="l2"
        ),  # some list another token than their reports end with
        calendar(1, remote={"ctag": None}, ctag=None),
        calendar(1, remote={"sync_token": None}, sync_token="t1", listed_token=None),
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


def test_an_event_that_is_gone_is_asked_itself_and_its_time_is_kept_while_it_may_be_moving() -> None:
    work = changed(1)
    server = Server([work, HOME], reads={1: outcome_of(work, gone=[3])})
    plan = server.play()
    assert server.asked == ["read c1", "get 1 of c1"]
    assert row(plan, work) == ("settle", "may-be-moving")
    assert not about(plan, work).settlement.forget
    assert about(plan, work).settlement.kept == set(hrefs(work, 3))


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"handed_out": [got("/1/3.ics")]}, "handed-out"),
        ({"failing": ["/1/3.ics"]}, "not-asked"),
        ({"error": TIMEOUT}, "not-asked"),
        ({"error": LoginRefused("h")}, "not-asked"),
    ],
)
def test_nothing_but_its_own_404_makes_an_event_gone(answers: dict[str, Any], reason: str) -> None:
    work = changed(1)
    for seconds in (0, MOVING, 99_999):
        since = calendar(1, doubts={"/1/3.ics": doubt(DoubtKind.GONE, seconds, uid="u3")})
        for entry, reads in ((work, {1: outcome_of(work, gone=[3])}), (since, {})):
            plan = play(entry, reads=reads, **answers)
            assert row(plan, entry) == ("settle", reason)
            assert not about(plan, entry).settlement.forget


def test_an_event_that_did_not_turn_up_elsewhere_is_forgotten_when_the_time_for_moving_is_over() -> None:
    for seconds in (MOVING - 1, MOVING):
        work = calendar(1, doubts={"/1/3.ics": doubt(DoubtKind.GONE, seconds, last=seconds, proved=seconds, uid="u3")})
        server = Server([work, HOME])
        plan = server.play()
        assert not server.asked
        if seconds < MOVING:
            assert row(plan, work) == ("confirm", "unchanged")
        else:
            assert row(plan, work) == ("settle", "not-moving")
            assert about(plan, work).settlement.forget >= set(hrefs(work, 3))
            assert not doubts_of(plan, work)


@pytest.mark.parametrize("got_by_get", [True, False])
def test_what_is_added_is_committed_before_anything_is_forgotten(got_by_get: bool) -> None:
    """An event that has moved, and that only its own GET hands out, is in one of them whoever looks when."""
    work, home = calendar(1), changed(2)
    (left,), (arrived,) = hrefs(work, 3), hrefs(home, 5)
    work = calendar(1, doubts={left: doubt(DoubtKind.GONE, MOVING, last=MOVING, proved=MOVING, uid="u3")})
    handed_out = [got(arrived, '"new"', is_as_before=False, is_known=False)] if got_by_get else []
    plan = play(work, home, reads={2: outcome_of(home, missing=[5])}, handed_out=handed_out)
    assert left in about(plan, work).settlement.forget
    assert [decision.record.id for decision in plan.settle] == [2, 1]


def test_where_events_went_both_ways_all_are_added_before_any_is_forgotten() -> None:
    work, home = changed(1), changed(2)
    left = {1: hrefs(work, 3)[0], 2: hrefs(home, 4)[0]}
    arrived = {1: hrefs(work, 5)[0], 2: hrefs(home, 6)[0]}
    doubts = {
        number: {href: doubt(DoubtKind.GONE, MOVING, last=MOVING, proved=MOVING, uid=f"u{number + 2}")}
        for number, href in left.items()
    }
    work, home = (replace(one, record=replace(one.record, doubts=doubts[one.record.id])) for one in (work, home))
    plan = play(
        work,
        home,
        reads={1: outcome_of(work, missing=[5]), 2: outcome_of(home, missing=[6])},
        handed_out=[got(href, '"new"', is_as_before=False, is_known=False) for href in arrived.values()],
    )
    for entry in (work, home):
        assert left[entry.record.id] in about(plan, entry).settlement.forget
        assert [one.href for one in about(plan, entry).settlement.store] == [arrived[entry.record.id]]
    assert {decision.record.id for decision in plan.add_first} == {1, 2}


def test_an_event_is_forgotten_at_once_when_there_is_no_other_calendar_to_which_it_could_have_moved() -> None:
    work = changed(1)
    server = Server([work], reads={1: outcome_of(work, gone=[3])})
    plan = server.play()
    assert row(plan, work) == ("settle", "answered-404")
    assert set(hrefs(work, 3)) <= about(plan, work).settlement.forget
    assert server.asked == ["read c1", "get 1 of c1"]


def test_a_subscribed_calendar_is_no_place_to_which_an_event_could_move() -> None:
    work, feed = changed(1), calendar(2, remote=SUBSCRIBED | {"ctag": None, "sync_token": None}, as_of=AT)
    plan = play(work, feed, reads={1: outcome_of(work, gone=[3])})
    assert row(plan, work) == ("settle", "answered-404")


@pytest.mark.parametrize(
    ("other", "answers"),
    [
        (calendar(2, is_linked=False), {}),
        (calendar(2, remote={"transparent": True}, is_linked=False), {}),
        (missing(2, 9999), {}),
        (missing(2, 9999, is_linked=False), {}),
        (calendar(2), {"listing": Listing((changed(1).record.remote,), ("/2/",))}),  # type: ignore[arg-type]
    ],
)
def test_every_other_calendar_that_holds_events_is_one_to_which_they_could_move(
    other: KnownCalendar, answers: dict[str, Any]
) -> None:
    work = changed(1)
    plan = play(work, other, reads={1: outcome_of(work, gone=[3])}, **answers)
    assert row(plan, work) == ("settle", "may-be-moving")


def test_an_event_that_has_turned_up_in_another_calendar_is_forgotten_where_it_was() -> None:
    work, home = changed(1), changed(2)
    reads = {1: outcome_of(work, gone=[3]), 2: outcome_of(home, new=[3])}
    for known in ([work, home], [home, work]):
        plan = Server(known, reads=reads).play()
        assert row(plan, work) == ("settle", "arrived-elsewhere")
        assert about(plan, work).settlement.forget >= set(hrefs(work, 3))


def test_what_turned_up_in_an_earlier_poll_counts_as_well_but_not_in_the_same_calendar() -> None:
    work = changed(1)
    for calendars, reason in (({2}, "arrived-elsewhere"), ({1}, "may-be-moving"), ({1, 2}, "arrived-elsewhere")):
        plan = play(work, HOME, reads={1: outcome_of(work, gone=[3])}, arrived={"u3": frozenset(calendars)})
        assert row(plan, work) == ("settle", reason)


def test_what_turned_up_elsewhere_and_has_left_there_again_is_not_believed_to_be_there() -> None:
    """An event that goes to and fro: where it is by now may have been read before it came."""
    work, home = changed(1), changed(2)
    reads = {1: outcome_of(work, gone=[3]), 2: outcome_of(home, gone=[3])}
    plan = play(work, home, reads=reads, arrived={"u3": frozenset({1, 2})})
    for entry in (work, home):
        assert row(plan, entry) == ("settle", "may-be-moving")
        assert not about(plan, entry).settlement.forget


def test_a_copy_in_another_calendar_never_makes_an_event_gone_that_is_still_handed_out() -> None:
    work, home = changed(1), changed(2)
    reads = {1: outcome_of(work, gone=[3]), 2: outcome_of(home, new=[3])}
    plan = play(work, home, reads=reads, handed_out=[got("/1/3.ics")])
    assert row(plan, work) == ("settle", "handed-out")
    assert not about(plan, work).settlement.forget


def test_nothing_is_settled_before_every_calendar_was_read() -> None:
    work, home = changed(1), changed(2)
    plan = plan_round(listing_of([work, home]), [work, home], outcomes=[outcome_of(work, new=[3])], now=NOW)
    assert row(plan, work) == ("hold", "not-all-read")
    assert not plan.believe


def test_an_event_named_as_changed_and_as_vanished_is_read_and_not_doubted() -> None:
    work = changed(1)
    server = Server([work], reads={1: outcome_of(work, gone=[3], new=[3])})
    plan = server.play()
    assert row(plan, work) == ("settle", "nothing-gone")
    assert server.asked == ["read c1"]


def test_a_listing_that_lacks_an_event_which_is_handed_out_proves_nothing_of_the_calendar() -> None:
    work = changed(1)
    plan = play(work, HOME, reads={1: outcome_of(work, gone=[3], listed=True)}, handed_out=[got("/1/3.ics")])
    mark = about(plan, work).settlement.mark
    assert mark is not None
    assert (mark.as_of, mark.look_again) == (None, AT + ASK_AGAIN)
    later = calendar(1, doubts=mark.doubts, as_of=Instant(AT - 60), look_again=Instant(AT + 1))
    quiet = play(later, HOME)
    assert row(quiet, later) == ("leave-unread", "handed-out")


def test_a_change_is_looked_at_once_more_a_little_later_from_the_token_before() -> None:
    work = changed(1)
    decision = about(play(work, reads={1: outcome_of(work, new=[40])}), work)
    assert decision.reason is Reason.NOTHING_GONE
    mark = decision.settlement.mark
    assert mark is not None
    assert (mark.sync_token, mark.look_again, mark.earlier_token) == ("t2", AT + SETTLE, "t1")


# Many events are gone at once.


def test_of_many_events_that_are_gone_a_sample_is_asked_and_then_all_others_by_and_by() -> None:
    work = changed(1)
    server = Server([work], reads={1: outcome_of(work, size=200, gone=range(150))})
    plan = server.play()
    assert server.asked == ["read c1", f"get {SAMPLE} of c1", f"multiget {ASKED_AT_MOST} of c1"]
    believed = {href for href in about(plan, work).settlement.forget if "#" not in href}
    assert len(believed) == SAMPLE + ASKED_AT_MOST
    assert all(map(server.said_404, believed))
    assert row(plan, work) == ("settle", "not-asked")
    for _ in range(2):
        rest = calendar(1, doubts=doubts_of(plan, work))
        again = Server([rest])
        plan = again.play()
        assert len(again.asked) == 2
    assert not doubts_of(plan, rest)
    assert row(plan, rest) == ("settle", "answered-404")


def test_a_single_one_of_the_sample_that_is_there_ends_the_asking_and_the_belief() -> None:
    work = changed(1)
    everything = [got(href) for href in hrefs(work, *range(40))]
    server = Server([work], reads={1: outcome_of(work, size=40, gone=range(40), listed=True)}, handed_out=everything)
    plan = server.play()
    assert server.asked == ["read c1", f"get {SAMPLE} of c1"]
    assert row(plan, work) == ("settle", "handed-out")
    assert not about(plan, work).settlement.forget
    assert about(plan, work).settlement.kept == set(hrefs(work, *range(40)))


@given(st.sets(st.integers(0, 59)), st.sets(st.integers(0, 59)))
def test_however_many_are_gone_only_those_are_forgotten_that_said_so_themselves(
    there: set[int], dumb: set[int]
) -> None:
    work = changed(1)
    server = Server(
        [work],
        reads={1: outcome_of(work, size=80, gone=range(60))},
        handed_out=[got(href) for href in hrefs(work, *there)],
        failing=hrefs(work, *dumb),
    )
    settlement = about(server.play(), work).settlement
    believed = {href for href in settlement.forget if "#" not in href}
    assert all(map(server.said_404, believed))
    assert believed | settlement.kept == set(hrefs(work, *range(60)))


# A listed event is not handed out, or as another version.


def test_a_listed_event_that_answers_404_is_asked_by_its_own_get_and_stays_unread() -> None:
    work = changed(1)
    server = Server([work], reads={1: outcome_of(work, missing=[3])})
    plan = server.play()
    assert server.asked == ["read c1", "get 1 of c1"]
    assert row(plan, work) == ("settle", "not-handed-out")
    settlement = about(plan, work).settlement
    assert (settlement.unread, settlement.forget) == (frozenset(hrefs(work, 3)), frozenset())
    assert settlement.look_again == AT + ASK_AGAIN


def test_a_listed_event_that_a_get_hands_out_counts_like_any_other() -> None:
    work = changed(1)
    plan = play(work, reads={1: outcome_of(work, missing=[3])}, handed_out=[got("/1/3.ics", '"new"', text=b"new")])
    assert row(plan, work) == ("settle", "nothing-gone")
    [stored] = about(plan, work).settlement.store
    assert (stored.href, stored.etag, stored.payload) == ("/1/3.ics", '"new"', b"new")
    assert not about(plan, work).settlement.unread


def test_an_event_handed_out_as_another_version_is_asked_until_the_versions_agree() -> None:
    work = changed(1)
    first = play(work, reads={1: outcome_of(work, outdated=[3])}, handed_out=[got("/1/3.ics")])
    assert row(first, work) == ("settle", "other-version")
    assert about(first, work).settlement.unread == set(hrefs(work, 3))
    later = calendar(1, doubts={"/1/3.ics": doubt(DoubtKind.OUTDATED, ASK_AGAIN, last=ASK_AGAIN, etag='"new"')})
    current = got("/1/3.ics", '"new"', text=b"new", is_as_before=False)
    second = play(later, handed_out=[current])
    assert row(second, later) == ("settle", "nothing-gone")
    assert [one.payload for one in about(second, later).settlement.store] == [b"new"]
    assert not doubts_of(second, later)


def test_what_has_contradicted_itself_for_long_is_asked_rarely_and_makes_nothing_unproved() -> None:
    old = doubt(DoubtKind.UNREAD, 2 * SETTLED_AFTER, last=60, asked=SETTLED_LOOKS, etag='"a"')
    work = calendar(1, doubts={"/1/3.ics": old})
    server = Server([work])
    assert row(server.play(), work) == ("confirm", "unchanged")
    assert not server.asked


def test_events_in_doubt_are_asked_for_although_the_listing_shows_no_change() -> None:
    work = calendar(1, doubts={"/1/3.ics": doubt(DoubtKind.UNREAD, 60, last=60, etag='"a"')})
    server = Server([work])
    assert row(server.play(), work) == ("settle", "not-handed-out")
    assert server.asked == ["get 1 of c1"]


# Another calendar is unread, or changes.


_SEEN = outcome_of(changed(2), listed=True)
TRUNCATED = replace(_SEEN, look=replace(_SEEN.look, truncated=True))


def gone_for(seconds: int) -> KnownCalendar:
    """A calendar of which one event has said so long ago that it is gone."""
    return calendar(1, doubts={"/1/3.ics": doubt(DoubtKind.GONE, seconds, last=seconds, proved=seconds, uid="u3")})


@pytest.mark.parametrize(
    ("home", "answers", "expected"),
    [
        (changed(2, not_before=NOW.monotonic + 1), {}, ("leave-unread", "backing-off")),
        (changed(2), {"reads": {2: TIMEOUT}}, ("leave-unread", "failed")),
        (changed(2), {"reads": {2: DataError("no")}}, ("leave-unread", "failed")),
        (changed(2), {"reads": {2: NotFound("h")}}, ("leave-unread", "failed")),
        (changed(2), {"reads": {2: LoginRefused("h")}}, ("leave-unread", "connection-failed")),
        (calendar(2), {"listing": listing_of([calendar(1), HOME], unreadable=["/2/"])},
         ("leave-unread", "listed-with-a-fault")),
        (changed(2), {"reads": {2: TRUNCATED}}, ("settle", "nothing-gone")),
        (changed(2), {"reads": {2: outcome_of(changed(2), gone=[9])}, "handed_out": [got("/2/9.ics")]},
         ("settle", "handed-out")),
        (calendar(2, doubts={"/2/9.ics": doubt(DoubtKind.UNLISTED, 5, last=5)}), {}, ("leave-unread", "handed-out")),
    ],
)  # fmt: skip
def test_what_is_gone_may_have_moved_to_a_calendar_that_has_changed_and_cannot_be_read_but_not_for_ever(
    home: KnownCalendar, answers: dict[str, Any], expected: tuple[str, str]
) -> None:
    for seconds, action in ((MOVING_UNSEEN - 1, "confirm"), (MOVING_UNSEEN, "settle")):
        work = gone_for(seconds)
        plan = play(work, home, **answers)
        assert row(plan, home) == expected
        assert row(plan, work)[0] == action


@pytest.mark.parametrize(
    ("home", "answers", "expected"),
    [
        (missing(2, 9999), {"reads": {2: TIMEOUT}}, ("leave-unread", "failed")),
        (missing(2, 9999), {"reads": {2: NotFound("h")}, "gone": [2]}, ("hold", "said-gone")),
        (missing(2, 9999, is_linked=False), {}, ("leave-unread", "still-there")),
        (changed(2, look_again=Instant(AT + 1)), {}, ("settle", "nothing-gone")),
        (changed(2), {"reads": {2: outcome_of(changed(2), new=[40])}}, ("settle", "nothing-gone")),
    ],
)
def test_nothing_else_that_becomes_of_another_calendar_delays_what_is_gone_from_this_one(
    home: KnownCalendar, answers: dict[str, Any], expected: tuple[str, str]
) -> None:
    work = gone_for(MOVING)
    plan = play(work, home, **({"listing": listing_of([work, home, HOME])} | answers))
    assert row(plan, home) == expected
    assert row(plan, work) == ("settle", "not-moving")


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


@pytest.mark.parametrize("error", [LoginRefused("h"), TooManyRequests("h")])
def test_no_further_calendar_and_no_further_event_is_asked_once_asking_for_events_has_ended_the_round(
    error: Any,
) -> None:
    work, home = changed(1), changed(2)
    reads = {1: outcome_of(work, size=99, gone=range(50))}
    server = Server([work, home], reads=reads, error=error)
    plan = server.play()
    assert server.asked == ["read c1", f"get {SAMPLE} of c1"]
    assert plan.ended is error
    assert row(plan, home) == ("leave-unread", "connection-failed")
    assert not about(plan, work).settlement.forget


# A calendar is missing from the listing.


def test_a_calendar_missing_from_the_listing_is_asked_itself_at_once() -> None:
    work = missing(1, 0)
    server = Server([work, HOME])
    assert row(server.play(), work) == ("settle", "nothing-gone")
    assert server.asked == ["read c1"]


def test_a_missing_calendar_that_failed_lately_is_left_alone() -> None:
    work = missing(1, 9999, not_before=NOW.monotonic + 1)
    server = Server([work, HOME])
    assert row(server.play(), work) == ("leave-unread", "backing-off")
    assert not server.asked


@pytest.mark.parametrize("error", [NotFound("h"), NotFound("h", status=410), Forbidden("h")])
def test_a_missing_calendar_that_says_itself_that_it_is_gone_is_asked_once_more_a_minute_later(
    error: BusydError,
) -> None:
    work = missing(1, 0)
    server = Server([work, HOME], reads={1: error}, gone=[1])
    plan = server.play()
    assert row(plan, work) == ("hold", "said-gone")
    assert server.asked == ["read c1", "ask c1"]
    assert (about(plan, work).since, about(plan, work).retry) == (AT, GONE_AGAIN)
    assert plan.left_alone and not plan.failed


@pytest.mark.parametrize(("ago", "expected"), [(GONE_AGAIN - 1, "hold"), (GONE_AGAIN, "remove")])
def test_a_calendar_is_gone_when_it_has_said_so_twice_a_minute_apart(ago: int, expected: str) -> None:
    work = missing(1, 120, said_gone_since=Instant(AT - ago))
    decision = about(play(work, HOME, reads={1: NotFound("h")}, gone=[1]), work)
    assert decision.action == expected
    if expected == "hold":
        assert decision.since == AT - ago


@pytest.mark.parametrize(("ago", "expected"), [(MOVING_UNSEEN - 1, "hold"), (MOVING_UNSEEN, "remove")])
def test_what_was_in_a_calendar_that_is_gone_may_have_moved_to_one_that_cannot_be_read(ago: int, expected: str) -> None:
    work, unread = missing(1, 9999, said_gone_since=Instant(AT - ago)), changed(2, not_before=NOW.monotonic + 1)
    assert row(play(work, unread, gone=[1], reads={1: NotFound("h")}), work)[0] == expected


def test_what_happens_in_other_calendars_does_not_delay_that_one_is_gone() -> None:
    work, home, other = missing(1, 120, said_gone_since=Instant(AT - GONE_AGAIN)), changed(2), missing(3, 0)
    reads = {1: NotFound("h"), 2: outcome_of(home, new=[40]), 3: TIMEOUT}
    plan = play(work, home, other, reads=reads, gone=[1])
    assert row(plan, work) == ("remove", "said-gone-twice")


def test_a_missing_calendar_that_only_fails_is_not_believed_to_be_gone() -> None:
    work = missing(1, 9999, said_gone_since=Instant(AT - 9999))
    assert row(play(work, HOME, reads={1: ServerFault("h", 500)}, gone=[1]), work) == ("leave-unread", "failed")
    assert row(play(work, HOME, reads={1: NotFound("h")}), work) == ("leave-unread", "failed")


def test_a_calendar_that_has_said_it_is_gone_is_left_alone_until_it_is_asked_again() -> None:
    work = missing(1, 9999, said_gone_since=AT, not_before=NOW.monotonic + 1)
    server = Server([work, HOME])
    assert row(server.play(), work) == ("hold", "said-gone")
    assert not server.asked


# A calendar that does not count is hidden.


def test_a_hidden_calendar_is_asked_at_once_and_after_all_others_were_read() -> None:
    hidden, work = missing(3, 0, is_linked=False), changed(1)
    server = Server([hidden, work], gone=[3])
    assert row(server.play(), hidden) == ("hold", "said-gone")
    assert server.asked == ["read c1", "ask c3"]


def test_a_hidden_calendar_is_believed_gone_when_it_says_so_again() -> None:
    hidden = missing(3, 120, is_linked=False, said_gone_since=Instant(AT - GONE_AGAIN))
    assert row(play(hidden, HOME, gone=[3]), hidden) == ("remove", "said-gone-twice")


def test_a_hidden_calendar_that_answers_is_left_alone_for_a_while_and_is_no_failure() -> None:
    hidden = missing(3, 9999, is_linked=False)
    plan = play(hidden)
    assert row(plan, hidden) == ("leave-unread", "still-there")
    assert not plan.failed
    assert [decision.retry for decision in plan.left_alone] == [MISSING_AGAIN]


def test_a_hidden_subscription_is_asked_like_a_calendar_that_does_not_count() -> None:
    feed = missing(3, 9999, remote=SUBSCRIBED, said_gone_since=Instant(AT - GONE_AGAIN))
    assert row(play(feed, gone=[3]), feed) == ("remove", "said-gone-twice")


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


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (None, "keep-counting"),
        (Instant(AT - HOLD + 1), "keep-counting"),
        (Instant(AT - HOLD), "stop-counting"),
        (AT, "keep-counting"),
        (Instant(AT + 9999), "keep-counting"),  # the clock was set back
    ],
)
def test_a_ceasing_calendar_counts_until_it_was_listed_so_for_a_while(since: Instant | None, expected: str) -> None:
    assert whether_counts(calendar(1, ceasing_since=since), HOME) == (expected, "not-counting")


def test_a_change_in_another_calendar_does_not_delay_that_one_ceases_to_count() -> None:
    work, home = calendar(1, ceasing_since=Instant(AT - HOLD)), changed(2)
    assert whether_counts(work, home, reads={2: outcome_of(home, new=[40])}) == ("stop-counting", "not-counting")


@pytest.mark.parametrize("seconds", [HOLD, MOVING_UNSEEN])
def test_a_ceasing_calendar_counts_for_longer_while_another_one_may_hide_what_left_it(seconds: int) -> None:
    work = calendar(1, ceasing_since=Instant(AT - seconds))
    expected = "stop-counting" if seconds == MOVING_UNSEEN else "keep-counting"
    assert whether_counts(work, changed(2), reads={2: TIMEOUT}) == (expected, "not-counting")
    gone = doubt(DoubtKind.GONE, 5, last=5, proved=5, uid="u3")
    moving = calendar(1, ceasing_since=Instant(AT - seconds), doubts={"/1/3.ics": gone})
    assert whether_counts(moving, HOME) == (expected, "not-counting")


def test_a_ceasing_calendar_is_read_as_ever_meanwhile() -> None:
    work = changed(1)
    plan = play(work, HOME, listing=ceases(work))
    assert row(plan, work) == ("settle", "nothing-gone")
    assert plan.ceasing == {1}


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
    work, home, old = changed(1), calendar(2), missing(3, 60, not_before=NOW.monotonic + 1)
    plan = play(work, home, old, reads={1: outcome_of(work, gone=[3], new=[40])})
    assert [line.split() for line in str(plan).splitlines()] == [
        ["anna/c1", "settle", "may-be-moving,", "1", "kept,", "again", "in", "15", "s"],
        ["anna/c2", "confirm", "unchanged"],
        ["anna/c3", "leave-unread", "backing-off"],
    ]


MOMENTS = st.sampled_from([Instant(AT - SETTLED_AFTER), Instant(AT - HOLD), Instant(AT - 1), AT, Instant(AT + 9)])
MADE_UP = st.builds(
    lambda number, make, known: (make, number, known),
    st.integers(1, 4),
    st.sampled_from([calendar, changed, lambda number, **known: missing(number, 400, **known)]),
    st.fixed_dictionaries(
        {},
        optional={
            "is_linked": st.booleans(),
            "not_before": st.sampled_from([0.0, NOW.monotonic + 1]),
            "said_gone_since": MOMENTS,
            "ceasing_since": MOMENTS,
            "look_again": st.sampled_from([AT, Instant(AT + 1)]),
        },
    ),
)
KINDS = st.sampled_from(list(DoubtKind))
DOUBTED = st.dictionaries(
    st.integers(0, 30),
    st.tuples(KINDS, st.integers(-5, 4000), st.integers(0, 8), st.none() | st.integers(-5, 4000)),
    max_size=20,
)


@settings(max_examples=100)
@given(st.lists(MADE_UP, unique_by=lambda made: made[1], min_size=1), st.data())
def test_whatever_happens_a_round_ends_and_nothing_is_believed_gone_that_did_not_say_so_itself(
    made: list[Any], data: st.DataObject
) -> None:
    known = []
    for make, number, fields in made:
        doubts = {
            f"/{number}/{one}.ics": doubt(kind, age, asked=asked, last=last, uid=f"u{one}", etag='"new"')
            for one, (kind, age, asked, last) in data.draw(DOUBTED).items()
        }
        known.append(make(number, doubts=doubts, **fields))
    reads: dict[int, Any] = {}
    for entry in known:
        outcomes = [
            outcome_of(entry, gone=[3], new=[40]),
            outcome_of(entry, missing=[3], gone=[5], outdated=[6]),
            outcome_of(entry, size=90, gone=range(80), listed=True),
            outcome_of(entry),
        ]
        reads[entry.record.id] = data.draw(st.sampled_from([*outcomes, NotFound("h"), TIMEOUT, TooManyRequests("h")]))
    transparent = {entry.record.id for entry in known if data.draw(st.booleans())}
    listing = Listing(
        tuple(
            replace(entry.record.remote, transparent=entry.record.id in transparent)
            for entry in known
            if entry.record.missing_since is None
        )
    )
    every = [href for entry in known for href in hrefs(entry, *range(90))]
    server = Server(
        known,
        listing=listing,
        reads=reads,
        gone=data.draw(st.sets(st.integers(1, 4))),
        handed_out=[got(href) for href in data.draw(st.sets(st.sampled_from(every), max_size=20))],
        failing=data.draw(st.sets(st.sampled_from(every), max_size=20)),
        error=data.draw(st.none() | st.sampled_from([TIMEOUT, LoginRefused("h")])),
    )
    plan = server.play()

    assert {decision.record.id for decision in plan.decisions} == {entry.record.id for entry in known}
    for entry in known:
        number = entry.record.id
        questions = [question for asked, question in server.questions if asked == number]
        assert [question.multiget for question in questions] in ([], [False], [False, True])
        hrefs_asked = [href for question in questions for href in question.hrefs]
        assert len(hrefs_asked) <= SAMPLE + 2 * ASKED_AT_MOST
        assert server.error is not None or len(hrefs_asked) == len(set(hrefs_asked))
        decision = about(plan, entry)
        for href in decision.settlement.forget:
            doubted = entry.record.doubts.get(href)
            was_asked_before = doubted is not None and doubted.kind is DoubtKind.UNREAD and doubted.asked
            assert "#" in href or server.said_404(href) or was_asked_before
        if decision.action is Action.REMOVE:
            assert f"ask {entry.record.remote.name}" in server.asked
            assert number in server.gone and entry.said_gone_since is not None
        if decision.action is Action.CONFIRM:
            assert entry.record.missing_since is None
    assert len([asked for asked in server.asked if asked[0] in "ra"]) <= 2 * len(known)


@settings(max_examples=100)
@given(st.data())
def test_an_event_that_was_deleted_is_forgotten_soon_and_one_that_is_handed_out_never_is(data: st.DataObject) -> None:
    """A poll every few seconds, a listing that tells the truth or lies, and a GET that now and then fails."""
    truly_gone = data.draw(st.sets(st.integers(0, 11), max_size=8))
    lies_about = data.draw(st.sets(st.integers(0, 11), max_size=8)) - truly_gone
    work = changed(1)
    there = [got(href) for href in hrefs(work, *lies_about)]
    plan = play(work, HOME, reads={1: outcome_of(work, gone=truly_gone | lies_about)}, handed_out=there)
    forgotten: set[str] = set(about(plan, work).settlement.forget)
    doubts, seconds = doubts_of(plan, work), 0
    for wait in (10, MOVING, 15, 60):
        seconds += wait
        later = calendar(1, doubts=doubts, look_again=None)
        plan = Server([later, HOME], handed_out=there).play(Now(Instant(AT + seconds), NOW.monotonic + seconds))
        forgotten |= about(plan, later).settlement.forget
        doubts = doubts_of(plan, later)
    forgotten = {href for href in forgotten if "#" not in href}
    assert forgotten == set(hrefs(work, *truly_gone))
    assert doubts.keys() == set(hrefs(work, *lies_about))
