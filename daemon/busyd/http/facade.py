"""What the handlers ask of the backend behind them; `flow/backend.py` is it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from busyd.clock import Clock
from busyd.flow.ask import FreeBusyAnswer
from busyd.flow.reload import ReloadOutcome
from busyd.period import Period
from busyd.progress import Report
from busyd.state.state import State
from busyd.store.ledger import Ledger

if TYPE_CHECKING:
    from busyd.flow.backend import ProblemView
    from busyd.flow.explain import Explained


class Backend(Protocol):
    """The journeys, ready to be asked."""

    @property
    def state(self) -> State: ...

    @property
    def ledger(self) -> Ledger: ...

    @property
    def clock(self) -> Clock: ...

    async def freebusy(self, profile: str, window: Period) -> FreeBusyAnswer:
        """When is this person busy? Also beyond the horizon."""

    async def explain(self, profile: str, window: Period) -> Sequence["Explained"]:
        """Why? Every event that touches the window."""

    async def refresh(self, profile: str, max_age: timedelta) -> bool:
        """One conditional check with the remotes; False when nothing fresh enough could be had."""

    async def sync_now(self, report: Report) -> Sequence[str]:
        """Poll every connection now; the names of those that failed."""

    async def reload(self) -> ReloadOutcome:
        """Read the configuration again; what came of it."""

    def problems(self) -> Sequence["ProblemView"]:
        """What is wrong with single events."""
