"""busyd as its users start it, which dies where it is told to. `python -m tests.soak.killable [OPTIONS] run ...`.

`--die-at POINT:N` ends it by SIGKILL when it comes to a point for the N-th time; a point is `WHAT:WHEN`.
`--mutant NAME` breaks it: a loop that looks for faults must find that one. `--unpaced` sends requests to iCloud as fast
as they come.
"""

import functools
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Generator
from typing import Any, Final

from busyd.booking import carrying, decision
from busyd.booking.decision import NOTHING, Sight, Step
from busyd.booking.transitions import BookingEvent
from busyd.dav import objects
from busyd.dav.exchange import Operation
from busyd.flow import appointments, book, looks
from busyd.index.publisher import SnapshotPublisher
from busyd.remote.backoff import RequestBudget
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.engine import LedgerDatabase, SqlSession
from busyd.store.ledger import Ledger
from busyd.store.outbox import Outbox

COMMITS: Final = (
    "accept",
    "claim",
    "sending",
    "confirmed",
    "booked",
    "moving",
    "claimed",
    "cancelling",
    "cancelled",
    "answer",
)
"""What a transaction of the outbox is about; it dies before it is committed, or right after."""
REQUESTS: Final = ("put", "delete", "get")
"""It dies before a request is sent, while that is under way, or when it has the answer and has kept nothing of it."""
POINTS: Final = (
    *(f"{name}:{when}" for name in COMMITS for when in ("before", "after")),
    *(f"{name}:{when}" for name in REQUESTS for when in ("before", "under-way", "after")),
    "proof:after",
    "show:before",
    "show:after",
    "mirror:after",
)
_UNDER_WAY: Final = 0.004
"""Seconds after the first byte, more or less."""


class Countdown:
    """Dies at one point."""

    def __init__(self, order: str) -> None:
        self._point, _, left = order.rpartition(":")
        self._left = int(left or 0)

    def reach(self, point: str) -> None:
        """Be at a point."""
        if point != self._point:
            return
        self._left -= 1
        if self._left == 0:
            if point.endswith(":under-way"):
                threading.Timer(_UNDER_WAY, _die).start()
            else:
                _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def watch_commits(countdown: Countdown) -> None:
    """Have every transaction of the outbox tell what it is about, before and after it is committed."""
    about: list[str] = []  # of the one transaction that runs on the ledger's thread
    add, record, keep_answer, whole = Outbox.add, Outbox.record, Outbox.keep_answer, Ledger.outbox

    def adding(self: Outbox, booking: Booking) -> None:
        add(self, booking)
        about.append("claim" if booking.kind is BookingKind.CLAIM else "accept")

    def recording(self: Outbox, booking: Booking) -> None:
        record(self, booking)
        about.append(booking.state.value)

    def keeping(self: Outbox, profile: str, key: str, *, status: int, answer: bytes) -> None:
        keep_answer(self, profile, key, status=status, answer=answer)
        about.append("answer")

    def committing(self: Ledger, work: Callable[[Outbox], Any]) -> Any:
        about.clear()

        def worked(outbox: Outbox) -> Any:
            result = work(outbox)
            for name in about:
                countdown.reach(f"{name}:before")
            return result

        result = whole(self, worked)
        for name in tuple(about):
            countdown.reach(f"{name}:after")
        return result

    for name, method in (("add", adding), ("record", recording), ("keep_answer", keeping)):
        setattr(Outbox, name, method)
    Ledger.outbox = committing  # type: ignore[method-assign]


def watch_requests(countdown: Countdown) -> None:
    """Have what is done with the remote tell how far it is."""

    def around(name: str, make: Callable[..., Operation[Any]]) -> Callable[..., Operation[Any]]:
        def operation(*arguments: Any, **options: Any) -> Generator[Any, Any, Any]:
            countdown.reach(f"{name}:before")
            countdown.reach(f"{name}:under-way")
            outcome = yield from make(*arguments, **options)
            countdown.reach(f"{name}:after")
            return outcome

        return operation

    for name, function in (("put", "put_object"), ("delete", "delete_object"), ("get", "fetch_object")):
        setattr(carrying, function, around(name, getattr(carrying, function)))

    def after(owner: Any, method: str, *, point: str, is_before: bool = False) -> None:
        plain = getattr(owner, method)

        async def watched(*arguments: Any, **options: Any) -> Any:
            if is_before:
                countdown.reach(f"{point}:before")
            result = await plain(*arguments, **options)
            countdown.reach(f"{point}:after")
            return result

        setattr(owner, method, watched)

    after(looks.Looks, "prove", point="proof")
    after(SnapshotPublisher, "show_rows", point="show", is_before=True)
    after(book.Booker, "_mirror", point="mirror")


def without_sending() -> None:
    """A PUT leaves before its row says so."""
    commit = book.Booker._commit

    async def commits(self: book.Booker, before: Booking, after: Booking, /, *, is_answer: bool = False) -> Booking:
        if before.state is BookingState.PENDING and after.state is BookingState.SENDING:
            return after
        return await commit(self, before, after, is_answer=is_answer)

    book.Booker._commit = commits  # type: ignore[method-assign]


def without_ghost_watch() -> None:
    """What turns up after it was cancelled is left alone."""

    def watched(row: Booking, sight: Sight) -> Step:  # noqa: ARG001
        return NOTHING

    decision._watched = watched


def with_fresh_names() -> None:
    """Every try has a name of its own."""
    put = carrying._put

    def puts(row: Booking, payload: bytes, *, is_new: bool) -> Operation[Any]:
        if not is_new:
            return put(row, payload, is_new=is_new)
        uid = str(uuid.uuid4()).upper()
        renamed = payload.replace(row.uid.encode(), uid.encode())
        return objects.put_object(row.href.replace(row.uid, uid), renamed, if_none_match=True)

    carrying._put = puts


def with_wrong_overlap() -> None:
    """What else is in the time is neither seen, nor refused by the database."""

    async def nobody(*_: Any, **__: Any) -> tuple[()]:
        return ()

    async def free(*_: Any, **__: Any) -> bool:
        return False

    for module in (looks, appointments):
        setattr(module, "others_busy", nobody)  # noqa: B010
    setattr(looks, "is_overlapped", free)  # noqa: B010
    init = Ledger.__init__

    def opened(self: Ledger, database: LedgerDatabase) -> None:
        for name in ("booking_new", "booking_changed"):
            database.write(functools.partial(drop, name=name))
        init(self, database)

    def drop(db: SqlSession, name: str) -> None:
        db.execute(f"DROP TRIGGER IF EXISTS {name}")

    Ledger.__init__ = opened  # type: ignore[method-assign]


def with_believed_cancels() -> None:
    """What is to go counts as gone."""

    def gone(row: Booking, sight: Sight) -> Step:  # noqa: ARG001
        return Step(BookingEvent.ABSENT)

    decision._going = gone


MUTANTS: Final[dict[str, Callable[[], None]]] = {
    "no-sending": without_sending,
    "no-ghost-watch": without_ghost_watch,
    "fresh-names": with_fresh_names,
    "wrong-overlap": with_wrong_overlap,
    "believed-cancels": with_believed_cancels,
}


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--unpaced"]:
        RequestBudget.__init__.__kwdefaults__ = {"per_minute": 60_000.0, "burst": 60_000}
        del arguments[0]
    if arguments[:1] == ["--mutant"]:
        MUTANTS[arguments[1]]()
        del arguments[:2]
    if arguments[:1] == ["--die-at"]:
        countdown = Countdown(arguments[1])
        watch_commits(countdown)
        watch_requests(countdown)
        del arguments[:2]
    from busyd.cli.main import run_command_line

    sys.exit(run_command_line(arguments))


if __name__ == "__main__":
    main()
