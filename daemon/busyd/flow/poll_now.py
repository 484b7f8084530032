"""What the pipelines ask of the schedule of a connection; the schedule itself comes with lxml, which a start does
without.
"""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from busyd.progress import Report

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

    async def look(self) -> bool: ...

    def undisturbed(self) -> "AbstractAsyncContextManager[Client]": ...
