"""Look into one calendar: ask what changed since a token, or compare the whole. Nothing is fetched or stored here.

What the answers mean is decided in `plan.py`.
"""

from typing import Final

from msgspec.structs import replace

from busyd.cooperative import let_others_run
from busyd.dav.errors import InvalidSyncToken, MalformedResponse, ServerFault, SyncUnsupported
from busyd.dav.operation import list_members, sync_collection
from busyd.errors import RemoteError
from busyd.remote.client import CaldavClient
from busyd.sync.plan import (
    Delta,
    Look,
    SyncPlan,
    SyncState,
    contradicts,
    may_be_everything,
    needs_members,
    plan_delta,
    plan_listing,
)

_ROUNDS: Final = 1000
"""A truncated sync answer is continued at most so often."""
_NO_ANSWER: Final = (InvalidSyncToken, SyncUnsupported, MalformedResponse)


async def look(client: CaldavClient, calendar: str, *, state: SyncState, full: bool) -> Look:
    """Find out what changed in a calendar since `state`. Raises RemoteError; then nothing is known.

    `full` compares everything without a token: the daily check, and when a listing was contradicted before.
    """
    if full or not state.tokens:
        return await _compare(client, calendar, state=state, refused=False)
    seen = Delta({}, frozenset(), None, itself=False)
    for asked in state.tokens:
        try:
            delta = await _collect(client, calendar, token=asked)
        except _NO_ANSWER:
            return await _compare(client, calendar, state=state, refused=True)
        except ServerFault as error:
            # QUIRK(calendarserver): a token that another server gave out is answered 500 there, not 403.
            if error.status != 500:
                raise
            return await _compare(client, calendar, state=state, refused=True)
        if may_be_everything(state, asked, delta=delta):
            return await _compare(client, calendar, state=state, refused=True)
        seen = _joined(seen, delta)
        await let_others_run()  # a millisecond of work where thousands of members changed
    if contradicts(state, seen):
        return await _compare(client, calendar, state=state, refused=True)
    plan = plan_delta(state, changed=seen.changed, vanished=seen.vanished)
    await let_others_run()
    return Look(plan, seen.token, compared_all=False, spelled=seen.spelled)


async def _compare(client: CaldavClient, calendar: str, *, state: SyncState, refused: bool) -> Look:
    """Compare the whole calendar. What a listing leaves out is looked for in another one, too."""
    try:
        everything = await _collect(client, calendar, token=None)
    except _NO_ANSWER:
        everything = await _members(client, calendar)
    except ServerFault as error:
        if error.status != 500:
            raise
        everything = await _members(client, calendar)
    listed, token = everything.changed, everything.token
    spelled, truncated = everything.spelled, everything.truncated
    if needs_members(state, everything):
        members = await _members(client, calendar)
        if members.changed.keys() - listed.keys() or not (listed or everything.itself):
            token = None  # it stands for an answer that was not true
        listed, spelled = {**members.changed, **listed}, {**members.spelled, **spelled}
        truncated = members.truncated
    await let_others_run()
    plan = plan_listing(state, listed)
    if truncated:
        plan = SyncPlan(plan.fetch, frozenset(), etags=plan.etags)
    await let_others_run()
    return Look(plan, token, compared_all=not truncated, refused=refused, truncated=truncated, spelled=spelled)


async def _members(client: CaldavClient, calendar: str) -> Delta:
    """The listing of last resort, which even an empty calendar answers with itself."""
    members = await client.run(list_members(calendar))
    etags = {str(href): str(etag) for href, etag in members.etags.items()}
    spelled = {str(href): spelling for href, spelling in members.spelled.items()}
    return Delta(etags, frozenset(), None, itself=True, truncated=members.truncated, spelled=spelled)


async def _collect(client: CaldavClient, calendar: str, *, token: str | None) -> Delta:
    """A sync-collection answer, continued while the server truncates it (RFC 6578 §3.6)."""
    seen = Delta({}, frozenset(), None, itself=False)
    for _ in range(_ROUNDS):
        page = await client.run(sync_collection(calendar, token))
        await let_others_run()
        changed = {str(href): str(etag) for href, etag in page.changed.items()}
        spelled = {str(href): spelling for href, spelling in page.spelled.items()}
        seen = _joined(seen, Delta(changed, page.vanished, page.token, page.itself, spelled=spelled))
        await let_others_run()
        if not page.truncated:
            return seen
        if page.token is None or page.token == token:
            break
        token = page.token
    message = "the server truncates its sync answers without getting any further"
    raise RemoteError(message)


def _joined(earlier: Delta, later: Delta) -> Delta:
    """Two deltas as one. What either names as changed is fetched; it is gone only if the later one says so."""
    return replace(
        later,
        changed={**earlier.changed, **later.changed},
        vanished=(earlier.vanished - later.changed.keys()) | later.vanished,
        itself=earlier.itself or later.itself,
        spelled={**earlier.spelled, **later.spelled},
    )
