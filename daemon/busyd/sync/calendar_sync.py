"""Read one calendar collection: what is new and changed is stored at once, what is gone only when its round settles.

The two are apart because an event that left one calendar may have arrived in another: nothing is forgotten before all
of an account was looked at. How to look is decided in `due.py`, what is believed in `round.py`.
"""

import logging
from collections.abc import Mapping
from contextlib import aclosing

from msgspec import Struct

from busyd.dav.objects import FetchedObject
from busyd.index.batch import Incoming
from busyd.period import Instant
from busyd.progress import Progress, Report
from busyd.store.mirror import NO_ETAG, CalendarRecord, is_other_version
from busyd.sync.context import PollContext, refresh_state
from busyd.sync.decision import Decision
from busyd.sync.doubts import SAMPLE, Answers, Got, Question
from busyd.sync.due import LookPlan, hrefs_to_reread, other_collections, plan_look
from busyd.sync.fetch import Batch, fetch, fetch_singly
from busyd.sync.look import look
from busyd.sync.outcome import SyncOutcome
from busyd.sync.plan import Look
from busyd.sync.reasons import Reason
from busyd.sync.round_facts import ObjectsAsked
from busyd.sync.settlement import Settlement

logger = logging.getLogger(__name__)


class TakenLook(Struct, frozen=True):
    """A look at a calendar, before anything is fetched."""

    etags: Mapping[str, str]
    spelled: Mapping[str, str]
    plan: LookPlan
    seen: Look


async def take_look(
    context: PollContext, record: CalendarRecord, *, at: Instant, is_awaited: bool = False
) -> TakenLook:
    """Ask what has changed in a calendar. `is_awaited`: see `plan_look`. Raises RemoteError."""
    etags, spelled = await context.store.read_names(record.id)
    others = other_collections(record, context.state.calendars_of(context.name))
    is_written = record.id in context.written
    plan = plan_look(record, etags, others=others, at=at, is_awaited=is_awaited, is_written=is_written)
    now, refused = context.clock.monotonic(), context.refused_syncs
    seen = await look(
        context.client,
        record.remote.target,
        state=plan.state,
        full=plan.full,
        list_only=refused.is_refused(record.id, now),
    )
    refused.note(record.id, seen, now=now)
    return TakenLook(etags, {**spelled, **seen.spelled}, plan, seen)


async def read_changes(
    context: PollContext,
    record: CalendarRecord,
    *,
    at: Instant,
    report: Report,
    early: TakenLook | None = None,
    is_awaited: bool = False,
) -> SyncOutcome:
    """Look at a calendar and store what is new and changed in it. Raises RemoteError; what was stored stays.

    `early` is a look that was taken in this round beside the listing, which may thus know of more. `is_awaited`: what
    a second look names once more is fetched again by the next poll.
    """
    store, taken = context.store, early or await take_look(context, record, at=at, is_awaited=is_awaited)
    etags, plan, seen = taken.etags, taken.plan, taken.seen
    listed = seen.plan.etags
    wanted = context.without_written(record.id, seen.plan.fetch, mirrored=etags, listed=listed)
    is_short = plan.is_short
    if is_awaited and seen.sync_token is not None and seen.sync_token == record.sync_token:
        known, wanted = (
            wanted,
            tuple(href for href in wanted if href in record.doubts or etags.get(href) != listed[href]),
        )
        is_short = is_short or wanted != known
    if seen.compared_all and plan.reread:
        settled = etags.keys() - seen.plan.gone - record.doubts.keys()
        wanted = tuple(sorted({*wanted, *hrefs_to_reread(settled, at)}))
    done, stored, missing, outdated = 0, False, set[str](), set[str]()
    report(Progress(context.name, record.label, "fetching", 0, len(wanted)))
    try:
        batches = fetch(context.client, record.remote.target, hrefs=wanted, listed=listed, spelled=taken.spelled)
        async with aclosing(batches):
            async for batch in batches:
                as_before, old = await _not_new(context, record, batch=batch, etags=etags, listed=listed)
                current = [fetched for fetched in batch.objects if fetched.href not in as_before | old]
                await _store(context, record, objects=current, listed=listed, spelled=seen.spelled)
                done, stored = done + len(current), stored or bool(current)
                missing |= batch.missing
                outdated |= batch.outdated | old
                report(Progress(context.name, record.label, "fetching", done, len(wanted)))
    finally:
        if stored and record.complete:  # one that was not read before counts from the end of its round on
            await refresh_state(context)
    new = [href for href in seen.plan.fetch if href not in etags] if record.complete else []
    uids = await store.read_uids(record.id, [*new, *seen.plan.gone]) if new or seen.plan.gone else {}
    return SyncOutcome(
        record,
        plan.state,
        seen,
        missing=frozenset(missing),
        outdated=frozenset(outdated),
        fetched=done,
        uids={href: uids[href] for href in seen.plan.gone & uids.keys()},
        arrived=frozenset(uids[href] for href in new if uids.get(href)),
        is_early=early is not None,
        is_short=is_short,
    )


async def ask_for_objects(context: PollContext, record: CalendarRecord, *, question: Question) -> ObjectsAsked:
    """Ask for objects singly. What is handed out is not stored yet: whether it is the current version is decided."""
    known = await context.store.read_payloads(record.id, question.hrefs)
    spelled = await context.store.read_spellings(record.id)
    client, calendar = context.client, record.remote.target
    single = await fetch_singly(client, calendar, hrefs=question.hrefs, spelled=spelled, multiget=question.multiget)
    got = {}
    for fetched in single.objects:
        old = known[fetched.href].payload if fetched.href in known else b""
        got[str(fetched.href)] = Got(
            fetched, is_as_before=context.as_stored(fetched.payload) == old, is_known=bool(old)
        )
    return ObjectsAsked(
        record, Answers(got, single.not_found, single.failed, is_cut=single.error is not None), single.error
    )


async def commit_additions(context: PollContext, decision: Decision) -> None:
    """Store what is to be stored before anything is forgotten; `commit_settlement` does the rest."""
    settlement = decision.settlement
    await context.writer.store_batch(
        decision.record, _incoming(settlement), unread=settlement.unread, spelled=settlement.spelled
    )


async def commit_settlement(context: PollContext, decision: Decision) -> None:
    """Store and forget what is believed, and commit the token with it: only now all that it stands for is stored.

    What it proves is to be shown by `refresh_state`.
    """
    record, settlement = decision.record, decision.settlement
    await context.writer.store_batch(
        record,
        _incoming(settlement),
        gone=settlement.forget,
        unread=settlement.unread,
        ghosts=settlement.ghosts,
        spelled=settlement.spelled,
        mark=settlement.mark,
    )
    gone = sum(not is_other_version(href) for href in settlement.forget)
    if settlement.fetched or gone or not record.complete:
        counts = (settlement.fetched, gone, len(settlement.kept))
        logger.debug("%s: %d changed, %d gone, %d kept although missing", record.label, *counts)
    if settlement.newly_missing and settlement.reason is not Reason.MAY_BE_MOVING:
        logger.warning(
            "%s: %d events look deleted; their time stays busy until each has said so itself (%s)",
            record.label, len(settlement.kept), settlement.reason,
        )  # fmt: skip


def _incoming(settlement: Settlement) -> list[Incoming]:
    return [Incoming(fetched.href, fetched.etag, fetched.payload) for fetched in settlement.store]


async def _not_new(
    context: PollContext,
    record: CalendarRecord,
    *,
    batch: Batch,
    etags: Mapping[str, str],
    listed: Mapping[str, str],
) -> tuple[frozenset[str], frozenset[str]]:
    """What came as the mirror has it, and what may be older than listed, so that only its own GET can tell.

    May be older: the text of before under another ETag, and another text under the ETag that is known. Where many have
    the text of before, a server has merely renewed its ETags.
    """
    mirrored = [fetched.href for fetched in batch.objects if fetched.href in etags]
    known = await context.store.read_payloads(record.id, mirrored) if mirrored else {}
    same: set[str] = set()
    renewed: set[str] = set()
    doubtful: set[str] = set()
    for fetched in batch.objects:
        href, etag = fetched.href, listed.get(fetched.href)
        if not etag or href not in known:
            continue
        is_same = known[href].payload == context.as_stored(fetched.payload)
        is_known = etags.get(href) == etag
        if is_same and is_known:
            same.add(href)
        elif is_same and fetched.etag:
            renewed.add(href)
        elif is_same or is_known:
            doubtful.add(href)
    return frozenset(same), frozenset(doubtful | renewed if len(renewed) <= SAMPLE else doubtful)


async def _store(
    context: PollContext,
    record: CalendarRecord,
    *,
    objects: list[FetchedObject],
    listed: Mapping[str, str],
    spelled: Mapping[str, str],
) -> None:
    incoming = [
        Incoming(fetched.href, listed.get(fetched.href) or fetched.etag or NO_ETAG, fetched.payload)
        for fetched in objects
    ]
    spellings = {item.href: spelled[item.href] for item in incoming if item.href in spelled}
    if incoming:
        await context.writer.store_batch(record, incoming, spelled=spellings)
