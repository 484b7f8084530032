"""The age of a proof is the larger of two, and not known when the clock says what cannot be."""

import pytest
from msgspec.structs import replace

from busyd.clock import Now
from busyd.connection import RemoteCalendar
from busyd.period import Instant
from busyd.state.proofs import Proofs
from busyd.store.mirror import CalendarRecord

AT = Instant(1_790_000_000)
WORK = CalendarRecord(1, "anna", RemoteCalendar("/1/work/", "Work"), as_of=AT, complete=True)
HOME = replace(WORK, id=2, as_of=Instant(AT - 600))


def later(wall: float, monotonic: float) -> Now:
    """So many seconds after AT, and after 1000.0."""
    return Now(Instant(int(AT + wall)), 1000.0 + monotonic)


def proved(*, at: Instant = AT, known: Instant | None = None, asked: Now | None = None) -> Proofs:
    """Proved at 1000.0, the moment AT."""
    proofs = Proofs()
    proofs.note(replace(WORK, as_of=at), known=known, asked=asked, monotonic=1000.0)
    return proofs


@pytest.mark.parametrize(
    ("wall", "monotonic", "age"),
    [
        (0, 0.0, 0),
        (60, 60.0, 60),
        (60, 3600.0, 3600),  # the clock was set back, or stood still
        (3600, 60.0, 3600),  # it was set ahead, or the machine slept
        (-1, 60.0, None),  # a proof that lies ahead is none
        (60, 60.75, 60.75),
        (61, 60.25, 60.25),  # of whole seconds another one has begun
        (62, 60.5, 62),
        (0, 0.5, 0.5),
    ],
)
def test_the_larger_age_counts(wall: float, monotonic: float, age: float | None) -> None:
    assert proved().age_of(WORK, later(wall, monotonic)) == age


def test_a_proof_is_as_old_as_the_poll_that_made_it() -> None:
    proofs = proved(asked=Now(AT, 940.0))
    assert proofs.age_of(WORK, later(0, 0.0)) == 60


def test_a_poll_that_proved_nothing_leaves_the_age_as_it_was() -> None:
    proofs = proved()
    for known in (AT, None):
        proofs.note(WORK, known=known, asked=Now(Instant(AT + 60), 1060.0), monotonic=1060.0)
    assert proofs.age_of(WORK, later(0, 120.0)) == 120


def test_what_was_never_proved_has_no_age() -> None:
    assert Proofs().age_of(WORK, later(0, 0.0)) is None
    assert proved().age_of(replace(WORK, as_of=None), later(0, 0.0)) is None


@pytest.mark.parametrize(
    ("wall", "ages"), [(1, (1, 601)), (3600, (3600, 4200)), (0, (None, None)), (-500, (None, None))]
)
def test_after_a_restart_a_clock_at_or_before_the_last_proof_leaves_every_age_unknown(
    wall: int, ages: tuple[int | None, int | None]
) -> None:
    proofs = Proofs()
    proofs.restore([WORK, HOME], now=later(wall, 0.0))
    assert tuple(proofs.age_of(record, later(wall, 0.0)) for record in (WORK, HOME)) == ages


def test_that_time_goes_by_makes_no_such_proof_good_again_but_a_new_one_does() -> None:
    proofs = Proofs()
    proofs.restore([WORK, HOME], now=later(-10, 0.0))
    assert proofs.age_of(WORK, later(100, 110.0)) is None
    poll = later(100, 110.0)
    for record in (WORK, replace(HOME, as_of=poll.wall)):  # Work could not be read
        proofs.note(record, known=AT if record is WORK else HOME.as_of, asked=poll, monotonic=1111.0)
    assert proofs.age_of(WORK, later(101, 111.0)) is None
    assert proofs.age_of(replace(HOME, as_of=poll.wall), later(101, 111.0)) == 1


def test_a_poll_in_the_very_second_of_a_doubted_proof_proves_it_anew() -> None:
    proofs = Proofs()
    proofs.restore([WORK], now=later(0, 0.0))
    proofs.note(WORK, known=AT, asked=later(0, 0.5), monotonic=1001.0)
    assert proofs.age_of(WORK, later(0, 1.5)) == 1.0


def test_a_clock_set_back_after_a_restart_does_not_make_an_old_proof_young() -> None:
    proofs = Proofs()
    proofs.restore([WORK], now=later(900, 0.0))
    assert proofs.age_of(WORK, later(10, 60.0)) == 960
