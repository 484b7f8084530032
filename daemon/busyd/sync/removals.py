"""Carry out what a round decides about calendars as a whole: ask whether one is gone, take one out.

When that is done, and what follows from the answers, is decided in `round.py`.
"""

import logging

from busyd.advice.trouble import describe_missing
from busyd.dav.errors import Forbidden, NotFound
from busyd.dav.operation import list_members
from busyd.errors import RemoteError
from busyd.period import to_rfc3339
from busyd.store.mirror import CalendarRecord
from busyd.sync.context import PollContext, refresh_state
from busyd.sync.decision import Decision
from busyd.sync.round_facts import Asked

logger = logging.getLogger(__name__)


async def ask_whether_gone(context: PollContext, record: CalendarRecord) -> Asked:
    """Have a calendar list its members. Only its own 404, 410 or 403 says that it is gone; no answer says nothing."""
    try:
        await context.client.run(list_members(record.remote.target))
    except (NotFound, Forbidden):
        return Asked(record, is_gone=True)
    except RemoteError:
        return Asked(record, is_gone=False)
    return Asked(record, is_gone=False)


async def commit_removal(context: PollContext, decision: Decision) -> None:
    """Take a calendar for gone. What is mirrored of it stays, should it be listed again."""
    record = decision.record
    await context.store.record_gone(record.id)
    await refresh_state(context)
    if record.missing_since is not None and any(
        linked.id == record.id for linked in context.state.linked_calendars(context.name)
    ):
        told = describe_missing(to_rfc3339(record.missing_since), is_gone=True)
        logger.warning("%s: %s", record.label, told)
    else:
        logger.info("%s is gone from its server", record.label)


async def commit_stop_counting(context: PollContext, decision: Decision) -> None:
    """Take a calendar as it is listed now: as one that does not count."""
    if decision.remote is not None:
        await context.store.record_listed(context.name, decision.remote)
        await refresh_state(context)
