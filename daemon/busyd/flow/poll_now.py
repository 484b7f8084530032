"""What the pipelines ask of the schedule of a connection; the schedule itself comes with lxml, which a start does
without.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from busyd.progress import Progress, Report
from busyd.state.connection_state import ConnectionState
from busyd.sync.timing import APART, TOGETHER

if TYPE_CHECKING:
    from busyd.booking.carrying import Client
    from busyd.flow.looks import WriteContext


class PollNow(Protocol):
    """What Backend asks of a schedule; the schedule itself comes with lxml, which a start does without."""

    async def poll_now(self, report: Report | None = None) -> bool: ...

    async def check_now(self) -> bool: ...

    @property
    def context(self) -> "WriteContext": ...

    @property
    def is_refused(self) -> bool: ...

    async def look(self, *, is_awaited: bool = True) -> bool: ...

    def undisturbed(self) -> "AbstractAsyncContextManager[Client]": ...


async def poll_all(
    schedules: Mapping[str, PollNow], *, connections: Mapping[str, ConnectionState], report: Report
) -> list[str]:
    """Poll every connection now, none of them after another one; the names of those that failed.

    A connection without a schedule cannot even be tried.
    """
    untried = sorted(connections.keys() - schedules.keys())
    for name in untried:
        report(Progress(name, "", "failed", detail=connections[name].trouble))
    polls: dict[str, asyncio.Task[bool]] = {}
    for name, schedule in list(schedules.items()):
        polls[name] = asyncio.create_task(schedule.poll_now(report), name=f"sync {name}")
        await asyncio.sleep(APART if len(polls) > TOGETHER else 0)
    good = await asyncio.gather(*polls.values())
    return untried + [name for name, is_good in zip(polls, good, strict=True) if not is_good]
