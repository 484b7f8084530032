"""Look into one calendar: ask what changed since a token, or compare the whole. Nothing is fetched or stored here.

What the answers mean is decided in `plan.py`.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from busyd.cooperative import let_others_run
from busyd.dav.errors import (
    DavError,
    Forbidden,
    InvalidSyncToken,
    LoginRefused,
    MalformedResponse,
    ServerFault,
    TooManyRequests,
)
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
    own_members,
    plan_delta,
    plan_listing,
)

T = TypeVar("T")

_LONG: Final = 5000
"""Members of a calendar through all of which one step of the loop may look."""
_ROUNDS: Final = 1000
"""A truncated sync answer is continued at most so often."""


async def look(client: CaldavClient, calendar: str, *, state: SyncState, full: bool, list_only: bool = False) -> Look:
    """Find out what changed in a calendar since `state`. Raises RemoteError; then nothing is known.

    `full` compares everything without a token: the daily check, and when a listing was contradicted before.
    `list_only` does so without the sync-collection report, which the server is known to refuse.
    """
    if full or list_only or not state.tokens:
        return await _compare(client, calendar, state=state, refused=False, list_only=list_only)
    seen = Delta({}, frozenset(), None, itself=False)
    for asked in state.tokens:
        try:
            delta = await _collect(client, calendar, token=asked, state=state)
        except DavError as error:
            if not is_refusal(error):
                raise
            fault = None if _is_about_token(error) else error
            return await _compare(client, calendar, state=state, refused=True, fault=fault)
        if may_be_everything(state, asked, delta=delta):
            return await _compare(client, calendar, state=state, refused=True)
        seen = _joined(seen, delta)
        await let_others_run()  # a millisecond of work where thousands of members changed
    if contradicts(state, seen):
        # Nor would the same report without a token be more to the point.
        members = await _compare(client, calendar, state=state, refused=False, list_only=True)
        is_fruitless = not members.plan.fetch and not members.plan.gone
        return replace(members, sync_token=seen.token if is_fruitless else None, list_only=False)
    plan = plan_delta(state, changed=seen.changed, vanished=seen.vanished)
    await let_others_run()
    return Look(plan, seen.token, compared_all=False, spelled=seen.spelled)


def is_refusal(error: DavError) -> bool:
    """Whether an answer is about the report rather than the login, the load, or the calendar for this account.

    Servers and what stands before them refuse what they do not know in every way: 404, 405, 409, 412, 418, 422, 502, a
    web page. Whether the calendar is there is then shown by the listing, which is answered by the same server.
    """
    if isinstance(error, Forbidden):
        return error.precondition != "need-privileges"
    if isinstance(error, LoginRefused | TooManyRequests):
        return False
    return not (isinstance(error, ServerFault) and error.status == 503)


def _is_about_token(error: DavError) -> bool:
    """Whether the report may be answered without a token.

    QUIRK(calendarserver): a token that another server gave out is answered 500 there, not 403.
    """
    return isinstance(error, InvalidSyncToken | MalformedResponse) or error.status == 500


async def _compare(
    client: CaldavClient,
    calendar: str,
    *,
    state: SyncState,
    refused: bool,
    list_only: bool = False,
    fault: DavError | None = None,
) -> Look:
    """Compare the whole calendar. What a listing leaves out is looked for in another one, too.

    `fault`: how the report was refused just now, so that it need not be tried.
    """
    if list_only or fault is not None:
        everything = await _members(client, calendar, state=state)
    else:
        try:
            everything = await _collect(client, calendar, token=None, state=state)
        except DavError as error:
            if not is_refusal(error):
                raise
            everything, fault = await _members(client, calendar, state=state), error
    listed, token = everything.changed, everything.token
    spelled, truncated = everything.spelled, everything.truncated
    if needs_members(state, everything):
        members = await _members(client, calendar, state=state)
        if members.changed.keys() - listed.keys() or not (listed or everything.itself):
            token = None  # it stands for an answer that was not true
        listed, spelled = {**members.changed, **listed}, {**members.spelled, **spelled}
        truncated = members.truncated
    await let_others_run()
    plan = await _apart(plan_listing, state=state, listed=listed)
    if truncated:
        plan = SyncPlan(plan.fetch, frozenset(), etags=plan.etags)
    await let_others_run()
    return Look(
        plan,
        token,
        compared_all=not truncated,
        refused=refused,
        truncated=truncated,
        spelled=spelled,
        sync_fault=fault,
        list_only=list_only,
    )


async def _members(client: CaldavClient, calendar: str, *, state: SyncState) -> Delta:
    """The listing of last resort, which even an empty calendar answers with itself."""
    members = await client.run(list_members(calendar))
    etags = await _apart(own_members, state=state, listed=members.etags)
    return Delta(etags, frozenset(), None, itself=True, truncated=members.truncated, spelled=_as_texts(members.spelled))


async def _apart(
    work: Callable[[SyncState, Mapping[str, str]], T], *, state: SyncState, listed: Mapping[Any, str]
) -> T:
    """What a pure function makes of a listing; of a long one on a thread, which lets go of the loop every now and then.

    With hundreds of thousands of members any look through all of them would hold it up.
    """
    if len(listed) + len(state.etags) < _LONG:
        return work(state, listed)
    return await asyncio.to_thread(work, state, listed)


def _as_texts(spelled: Mapping[Any, str]) -> Mapping[str, str]:
    """An href is a str to those who plan; it is not copied."""
    return spelled


async def _collect(client: CaldavClient, calendar: str, *, token: str | None, state: SyncState) -> Delta:
    """A sync-collection answer, continued while the server truncates it (RFC 6578 §3.6)."""
    seen = Delta({}, frozenset(), None, itself=False)
    for _ in range(_ROUNDS):
        page = await client.run(sync_collection(calendar, token))
        await let_others_run()
        changed = await _apart(own_members, state=state, listed=page.changed)
        seen = _joined(seen, Delta(changed, page.vanished, page.token, page.itself, spelled=_as_texts(page.spelled)))
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
