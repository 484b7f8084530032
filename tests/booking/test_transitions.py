"""The table of states against the model by which the protocol was checked, and what looks make of rows against both."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from busyd.booking.decision import Request, Sight, Step, Version, decide
from busyd.booking.transitions import TRANSITIONS, BookingEvent, ImpossibleTransition, next_state
from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState

Transition = tuple[str, str, str, str]

MODEL: Final = {
    tuple(line.split("\t")) for line in (Path(__file__).parent / "model_transitions.tsv").read_text().splitlines()
}
"""Kind, state, event and next state of everything that occurs in the model, apart from the bounds of its worlds."""
BEYOND_THE_MODEL: Final = {
    # A person touches claims, and servers forget names, only outside the model's worlds.
    ("claim", "sending", "deleted-early", "removed"),
    ("claim", "confirmed", "taken-and-touched", "attention"),
    ("claim", "yielding", "a-persons", "attention"),
    ("claim", "cancelling", "a-persons", "attention"),
    ("claim", "refused", "back", "attention"),
    ("claim", "removed", "back", "attention"),
    ("claim", "attention", "cancel", "cancelling"),
    ("claim", "pending", "found", "confirmed"),
    ("claim", "pending", "cancel", "cancelling"),
    # No world restores a backup at these moments.
    ("claim", "refused", "restored-there", "cancelling"),
    ("claim", "removed", "restored-there", "cancelling"),
    ("claim", "removed", "restored-absent", "cancelled"),
    ("appointment", "refused", "restored-there", "attention"),
    ("appointment", "attention:restored", "restored-there", "confirmed"),
}
SPAN: Final = Period(Instant(1000), Instant(2000))
TARGET: Final = Period(Instant(3000), Instant(4000))
ELSEWHERE: Final = Period(Instant(5000), Instant(6000))


def transitions(kind: BookingKind) -> Iterator[Transition]:
    for (state, event), following in TRANSITIONS[kind].items():
        if state is not following:  # the model lists changes
            yield kind.value, state.value, event.value, following.value


def test_the_table_is_that_of_the_model() -> None:
    ours = {*transitions(BookingKind.APPOINTMENT), *transitions(BookingKind.CLAIM)}
    assert ours - MODEL == BEYOND_THE_MODEL
    assert MODEL - ours == set()


def test_what_is_not_in_the_table_does_not_happen() -> None:
    with pytest.raises(ImpossibleTransition, match="cancelled cannot take the event send"):
        next_state(BookingKind.APPOINTMENT, BookingState.CANCELLED, event=BookingEvent.SEND)


def test_what_is_local_ends_at_once() -> None:
    ended = next_state(BookingKind.BLOCK, BookingState.BOOKED, event=BookingEvent.CANCEL, is_local=True)
    assert ended is BookingState.CANCELLED


def row(state: BookingState, **changes: object) -> Booking:
    known = Booking("1", BookingKind.APPOINTMENT, "anna", state, SPAN, Instant(0), etag='"1"', marks=("m",))
    if state is BookingState.MOVING:
        known = replace(known, target=TARGET)
    return replace(known, **changes)


def version(**changes: object) -> Version:
    return replace(Version('"1"', SPAN), **changes)


def rows() -> Iterator[Booking]:
    for state, etag, touched, restored, kind in product(
        BookingState, ('"1"', ""), (False, True), (0, 1, 2), (BookingKind.APPOINTMENT, BookingKind.CLAIM)
    ):
        if kind is BookingKind.CLAIM and state in (
            BookingState.BOOKED,
            BookingState.MOVING,
            BookingState.ATTENTION_RESTORED,
        ):
            continue
        if kind is BookingKind.APPOINTMENT and state is BookingState.CLAIMED:
            continue
        if restored == 2 and (state is not BookingState.CONFIRMED or kind is BookingKind.CLAIM):
            continue
        for watch in (None, Instant(9)):
            yield row(state, etag=etag, touched=touched, restored=restored, kind=kind, watch_until=watch)


def sights() -> Iterator[Sight]:
    versions: list[Version | None] = [None]
    versions += [
        Version(etag, span, mark, edited)
        for etag, span, mark, edited in product(
            ('"1"', '"2"'), (SPAN, TARGET, ELSEWHERE, None), ("", "m", "other"), (False, True)
        )
    ]
    claims = (None, BookingState.PENDING, BookingState.CLAIMED, BookingState.REFUSED)
    for seen, taken, after, claim, wanted in product(versions, (False, True), (False, True), claims, (False, True)):
        yield Sight(seen, taken, after, claim, wanted)


def test_every_step_after_a_look_is_in_the_table() -> None:
    found: set[tuple[BookingKind, BookingState, BookingEvent]] = set()
    for one in rows():
        for sight in sights():
            step = decide(one, sight)
            if step.event is not None:
                next_state(one.kind, one.state, event=step.event)
                found.add((one.kind, one.state, step.event))
    asked = {BookingEvent.CANCEL, BookingEvent.CANCEL_UNSENT, BookingEvent.MOVE, BookingEvent.RETRY}
    everything = {
        (kind, state, event)
        for kind in (BookingKind.APPOINTMENT, BookingKind.CLAIM)
        for state, event in TRANSITIONS[kind]
        if event not in {*asked, BookingEvent.CREATED}  # what people ask for, and what answers say
    }
    assert everything - found == set()


def test_what_a_person_touched_is_never_deleted_or_overwritten_unasked() -> None:
    for one in rows():
        for sight in sights():
            seen, step = sight.version, decide(one, sight)
            if step.send in (Request.DELETE, Request.MOVE):
                assert seen is not None
                known = seen.etag == one.etag
                has_mark = seen.mark == "m" or (one.kind is BookingKind.CLAIM and seen.mark != "")
                assert known or (has_mark and not seen.edited)


def test_nothing_is_sent_by_the_first_look_after_a_restore() -> None:
    for one in rows():
        if one.restored == 1:
            assert {decide(one, sight).send for sight in sights()} == {None}


def test_what_is_not_there_is_created_only_before_it_was_ever_seen() -> None:
    senders = {one.state for one in rows() for sight in sights() if decide(one, sight).send is Request.CREATE}
    assert senders == {BookingState.PENDING, BookingState.SENDING}


def test_a_put_that_was_refused_is_not_sent_again_when_the_name_is_gone() -> None:
    assert decide(row(BookingState.SENDING, etag=""), Sight(None, after_412=True)).event is BookingEvent.DELETED_EARLY
    assert decide(row(BookingState.SENDING, etag=""), Sight(None)) == Step(send=Request.CREATE)


def test_an_edit_on_a_phone_moves_the_time_that_is_told() -> None:
    step = decide(row(BookingState.BOOKED), Sight(version(etag='"2"', span=ELSEWHERE)))
    assert (step.event, step.span, step.touched) == (None, ELSEWHERE, True)


def test_an_overlap_that_comes_and_goes_is_told_and_taken_back() -> None:
    assert decide(row(BookingState.BOOKED), Sight(version(), taken=True)) == Step(conflict=True)
    assert decide(row(BookingState.BOOKED, conflict=True), Sight(version())) == Step(conflict=False)


def test_whoever_sees_somebody_else_in_the_span_yields() -> None:
    assert decide(row(BookingState.CONFIRMED), Sight(version(), taken=True)).event is BookingEvent.TAKEN
    gone = decide(row(BookingState.YIELDING), Sight(version()))
    assert gone.send is Request.DELETE
    kept = decide(row(BookingState.YIELDING, touched=True), Sight(version()))
    assert (kept.event, kept.send) == (BookingEvent.A_PERSONS, None)


def test_a_move_is_sent_only_once_its_claim_is_clean() -> None:
    moving = row(BookingState.MOVING)
    assert decide(moving, Sight(version(), claim=BookingState.CONFIRMED)) == Step()
    assert decide(moving, Sight(version(), claim=BookingState.CLAIMED)).send is Request.MOVE
    assert decide(moving, Sight(version(), claim=BookingState.REFUSED)).event is BookingEvent.MOVE_REFUSED


def test_what_a_move_came_to_is_read_from_the_time_on_the_server() -> None:
    moved = Sight(version(etag='"2"', span=TARGET), claim=BookingState.CLAIMED)
    assert decide(row(BookingState.MOVING), moved).event is BookingEvent.MOVED
    elsewhere = Sight(version(etag='"2"', span=ELSEWHERE), claim=BookingState.CLAIMED)
    step = decide(row(BookingState.MOVING), elsewhere)
    assert (step.event, step.span) == (BookingEvent.MOVE_REFUSED, ELSEWHERE)


def test_only_a_late_put_of_ours_is_deleted_by_the_watch() -> None:
    watched = row(BookingState.CANCELLED, etag="", watch_until=Instant(9))
    assert decide(watched, Sight(version(mark="m"))).send is Request.DELETE
    assert decide(watched, Sight(version(mark="m", edited=True))).event is BookingEvent.BACK
    assert decide(watched, Sight(version(mark="other"))).event is BookingEvent.BACK
