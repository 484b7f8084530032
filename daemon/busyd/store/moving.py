"""Moving the stores from one engine to the other, and back: every row as it is, compared before anything is set aside.

Passwords are opened on the way, and sealed again: in a file all of them are one record, in a table each is one.

Each place has a store in up to four forms. They change in an order in which a move may end anywhere:

1. Each store is copied to the target as `MOVING`, in one transaction, read again there, and compared.
2. What the target had, if it is to be replaced, becomes `REPLACED`.
3. What the source has becomes `MOVED`, the ledger first. Now no daemon starts in either place: the ledger of one was
   moved away, and that of the other has not arrived (`store/sqlite/forms.py` and `store/postgresql/forms.py`).
4. What is `MOVING` becomes `LIVE`, the ledger last.

Until 3 the source is as it was, and the next move begins anew. After that it finishes what was begun, once both places
were compared again.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from msgspec import Struct

from busyd.errors import UserError
from busyd.period import Instant, to_rfc3339
from busyd.store.errors import StorageError, StorageUnusable
from busyd.store.table_copy import StoreTables, Sums, Tell, copy_tables, differing, sum_tables

T = TypeVar("T")

LEDGER: Final = "ledger"
SECRETS: Final = "secrets"
_NAMES: Final[Mapping[str, str]] = {
    "mirror": "a mirror",
    "changes": "a log of changes",
    SECRETS: "stored passwords",
    LEDGER: "a ledger",
}
STORES: Final = tuple(_NAMES)


class Form(StrEnum):
    """What a place has of a store."""

    LIVE = "live"
    MOVING = "moving"
    """Copied, and not in use yet."""
    MOVED = "moved"
    """Set aside once it was copied to another place; the last one counts."""
    REPLACED = "replaced"


class MoveRefused(UserError):
    """The stores cannot be moved so. Nothing was changed."""


class StorePlace(Protocol):
    """Where stores are. Its methods raise StorageError."""

    name: str
    """As a person is told of it."""

    def held(self) -> contextlib.AbstractContextManager[None]:
        """Keep everybody else from changing anything meanwhile. Raises TryAgain when somebody uses it."""

    def has(self, store: str, form: Form) -> bool: ...

    def has_stamp(self, stamp: str) -> bool:
        """Whether anything was set aside under this date."""

    def read(self, store: str, form: Form, *, work: Callable[[StoreTables], T]) -> T:
        """Run `work` on one state of a store that is sound and of the newest schema."""

    def fill(self, store: str, *, work: Callable[[StoreTables], T]) -> T:
        """Run `work` on new, empty tables, which are then there as `MOVING`: all of them, or nothing."""

    def forget_moving(self) -> None:
        """Throw away what is `MOVING`."""

    def set_aside(self, form: Form, stamp: str) -> list[str]:
        """Have what is live as `form`, under a date, the ledger first; what it is called now."""

    def take_over(self) -> None:
        """Have what is `MOVING` live, the ledger last."""


class Moved(Struct, frozen=True):
    """What was moved."""

    source: str
    target: str
    """As a person is told of them."""
    rows: Mapping[str, Mapping[str, int]]
    """Store -> table -> how many."""
    aside: Sequence[str]
    """What the stores are called now in the place they come from."""
    replaced: Sequence[str]
    """And what they have replaced."""


def move(source: StorePlace, target: StorePlace, *, replace: bool, now: Instant, tell: Tell = lambda _: None) -> Moved:
    """Move every store, or finish a move that was ended midway. Raises MoveRefused, TryAgain, StorageError."""
    with source.held(), target.held():
        stamp = _free_stamp(now, source, target)
        replaced: Sequence[str] = ()
        if source.has(LEDGER, Form.LIVE):
            taken = [store for store in STORES if target.has(store, Form.LIVE)]
            if taken and not replace:
                raise _taken(target, taken)
            sums = _copy_stores(source, target, tell=tell)
            if taken:
                replaced = target.set_aside(Form.REPLACED, stamp)
        elif source.has(LEDGER, Form.MOVED) and target.has(LEDGER, Form.MOVING):
            sums = _compare_stores(source, target)
        else:
            raise _nothing_to_move(source, target)
        aside = source.set_aside(Form.MOVED, stamp)
        target.take_over()
    rows = {store: {table: one.rows for table, one in found.items()} for store, found in sums.items()}
    return Moved(source.name, target.name, rows, aside, replaced)


def _free_stamp(now: Instant, *places: StorePlace) -> str:
    """A date under which nothing was set aside yet: now, or a moment later."""
    while True:
        stamp = to_rfc3339(now).replace("-", "").replace(":", "").lower()
        if not any(place.has_stamp(stamp) for place in places):
            return stamp
        now = Instant(now + 1)


def _taken(target: StorePlace, stores: Iterable[str]) -> MoveRefused:
    message = f"{target.name} already has {' and '.join(_NAMES[store] for store in stores)}, so nothing was moved"
    return MoveRefused(message, fix="pass --replace to set that aside and put what is moved in its place")


def _nothing_to_move(source: StorePlace, target: StorePlace) -> MoveRefused:
    if not source.has(LEDGER, Form.MOVED):
        return MoveRefused(f"there is nothing to move: {source.name} has no ledger")
    where = f"; {target.name} has one" if target.has(LEDGER, Form.LIVE) else ""
    return MoveRefused(f"there is nothing to move: the ledger of {source.name} was moved away before{where}")


def _copy_stores(source: StorePlace, target: StorePlace, *, tell: Tell) -> dict[str, Sums]:
    """Copy, and compare with what has arrived. After an error nothing of it stays."""
    target.forget_moving()
    try:
        stores = [store for store in STORES if source.has(store, Form.LIVE)]
        return {store: _copy_store(source, target, store=store, tell=tell) for store in stores}
    except BaseException:
        with contextlib.suppress(StorageError):
            target.forget_moving()
        raise


def _copy_store(source: StorePlace, target: StorePlace, *, store: str, tell: Tell) -> Sums:
    def work(old: StoreTables) -> Sums:
        sent = target.fill(store, work=lambda new: copy_tables(old, new, tell=tell))
        arrived = target.read(store, Form.MOVING, work=lambda new: sum_tables(new, old))
        if sent != arrived:
            message = f"what has arrived in {target.name} is not what was sent ({differing(sent, arrived)} of {store})"
            raise StorageUnusable(message, fix="nothing was set aside: try it again, and report it if it stays so")
        return sent

    return source.read(store, Form.LIVE, work=work)


def _compare_stores(source: StorePlace, target: StorePlace) -> dict[str, Sums]:
    """What both places have, the ledger surely; the rest may have been made anew. Raises MoveRefused."""
    return {store: sums for store in STORES if (sums := _compare_store(source, target, store=store)) is not None}


def _compare_store(source: StorePlace, target: StorePlace, *, store: str) -> Sums | None:
    ours = Form.LIVE if source.has(store, Form.LIVE) else Form.MOVED
    theirs = Form.MOVING if target.has(store, Form.MOVING) else Form.LIVE
    if not (source.has(store, ours) and target.has(store, theirs)):
        return None

    def compare(old: StoreTables, new: StoreTables) -> Sums:
        sent, arrived = sum_tables(old, new), sum_tables(new, old)
        if sent != arrived:
            message = (
                f"a move to {target.name} was ended midway, and what it has there is not what was moved away from "
                f"{source.name} ({differing(sent, arrived)} of {store})"
            )
            raise MoveRefused(message, fix="give what was moved away its name back, then move again")
        return sent

    return source.read(store, ours, work=lambda old: target.read(store, theirs, work=lambda new: compare(old, new)))
