"""The parts of a daemon that work with those of others: see `fleet.py`."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from busyd.flow.backend import Backend
from busyd.index.changes import ChangeRecorder
from busyd.index.writer import IndexWriter
from busyd.store.change_log import ChangeLog
from busyd.store.ledger_thread import LedgerThread

if TYPE_CHECKING:
    from busyd.service.polling import Polling


class SharedParts(Struct, frozen=True):
    """The parts of a daemon that work with those of others."""

    polling: "Polling"
    backend: Backend
    writer: IndexWriter
    ledger: LedgerThread
    changes: ChangeLog
    recorder: ChangeRecorder
    duties: Callable[[], Coroutine[Any, Any, None]]
    """What only one of all daemons does, and for as long as it may."""
