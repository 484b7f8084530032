"""Read one calendar collection: what is new and changed is stored at once, what is gone only when its round settles.

The two are apart because an event that left one calendar may have arrived in another: nothing is forgotten before all
of an account was looked at. How to look is decided in `due.py`, what is believed in `round.py`.
"""

import logging
from contextlib import aclosing

from busyd.index.writer import Incoming
from busyd.period import Instant
from busyd.progress import Progress, Report
from busyd.store.mirror import CalendarRecord
from busyd.sync.context import PollContext, refresh_state
from busyd.sync.decision import Decision
from busyd.sync.due import hrefs_to_reread, plan_look
from busyd.sync.fetch import fetch
from busyd.sync.look import look
from busyd.sync.settlement import SyncOutcome

logger = logging.getLogger(__name__)


async def read_changes(context: PollContext, record: CalendarRecord, *, at: Instant, report: Report) -> SyncOutcome:
    """Look at a calendar and store what is new and changed in it. Raises RemoteError; what was stored stays."""
    etags = await context.store.read_etags(record.id)
    plan = plan_look(record, etags, at=at)
    seen = await look(context.client, record.remote.href, state=plan.state, ctag=record.remote.ctag, full=plan.full)
    wanted, listed = seen.plan.fetch, seen.plan.etags
    if seen.compared_all and plan.reread:
        wanted = tuple(sorted({*wanted, *hrefs_to_reread(etags.keys() - seen.plan.gone, at)}))
    done, vanished, unread = 0, set[str](), False
    report(Progress(context.name, record.label, "fetching", 0, len(wanted)))
    try:
        async with aclosing(fetch(context.client, record.remote.href, hrefs=wanted, known=etags)) as batches:
            async for batch in batches:
                incoming = [
                    Incoming(fetched.href, fetched.etag or listed.get(fetched.href, ""), fetched.payload)
                    for fetched in batch.objects
                ]
                await context.writer.store_batch(record, incoming, unread=batch.unread)
                done, unread = done + len(incoming), unread or bool(batch.unread)
                vanished |= batch.vanished
                report(Progress(context.name, record.label, "fetching", done, len(wanted)))
    finally:
        if done or unread:
            await refresh_state(context)
    return SyncOutcome(record, plan.state, seen, frozenset(vanished), unread, min(done, len(seen.plan.fetch)))


async def commit_settlement(context: PollContext, decision: Decision) -> None:
    """Forget what is believed gone, and commit the token with it: only now all that the token stands for is stored."""
    record, settlement = decision.record, decision.settlement
    gone = await context.writer.store_batch(record, (), gone=settlement.forget, mark=settlement.mark)
    if settlement.fetched or gone or not record.complete:
        counts = (settlement.fetched, gone, len(settlement.held))
        logger.info("%s: %d changed, %d gone, %d held back", record.label, *counts)
    if settlement.newly_held:
        logger.warning(
            "%s: %d events look deleted; their time stays busy until a second look agrees (%s)",
            record.label, len(settlement.held), settlement.reason,
        )  # fmt: skip
    await refresh_state(context)
