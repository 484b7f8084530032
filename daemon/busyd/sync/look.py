"""Look into one calendar: ask what changed since a token, or compare the whole. Nothing is fetched or stored here.

What the answers mean is decided in `plan.py`.
"""

from typing import Final

from busyd.cooperative import let_others_run
from busyd.dav.errors import InvalidSyncToken, LoginRefused, ServerFault, SyncUnsupported, TooManyRequests
from busyd.dav.operation import fetch_object, list_members, sync_collection
from busyd.errors import RemoteError
from busyd.remote.client import CaldavClient
from busyd.remote.errors import Unreachable
from busyd.sync.plan import (
    Delta,
    Look,
    SyncState,
    contradicts,
    may_be_everything,
    needs_members,
    plan_delta,
    plan_listing,
    to_ask_singly,
)

_ROUNDS: Final = 1000
"""A truncated sync answer is continued at most so often."""


async def look(client: CaldavClient, calendar: str, *, state: SyncState, ctag: str | None, full: bool) -> Look:
    """Find out what changed in a calendar since `state`. Raises RemoteError; then nothing is known.

    `full` compares everything without a token: the daily check, and the second look at what seemed gone.
    """
    if full or not state.tokens:
        return await _compare(client, calendar, state=state, refused=False)
    changed: dict[str, str] = {}
    vanished: set[str] = set()
    newest: str | None = None
    for asked in state.tokens:
        try:
            delta = await _collect(client, calendar, token=asked)
        except (InvalidSyncToken, SyncUnsupported):
            return await _compare(client, calendar, state=state, refused=True)
        except ServerFault as error:
            # QUIRK(calendarserver): a token that another server gave out is answered 500 there, not 403.
            if error.status != 500:
                raise
            return await _compare(client, calendar, state=state, refused=True)
        if contradicts(state, asked, delta=delta, ctag=ctag) or may_be_everything(state, asked, delta=delta):
            return await _compare(client, calendar, state=state, refused=True)
        vanished = (vanished - delta.changed.keys()) | delta.vanished
        changed = {href: etag for href, etag in {**changed, **delta.changed}.items() if href not in delta.vanished}
        newest = delta.token
        await let_others_run()  # a millisecond of work where thousands of members changed
    plan = plan_delta(state, changed=changed, vanished=vanished)
    await let_others_run()
    return Look(plan, newest, compared_all=False)


async def _compare(client: CaldavClient, calendar: str, *, state: SyncState, refused: bool) -> Look:
    """Compare the whole calendar. What a listing leaves out is asked for in another way before it counts as gone."""
    try:
        everything = await _collect(client, calendar, token=None)
    except (InvalidSyncToken, SyncUnsupported):
        everything = Delta(await _members(client, calendar), frozenset(), None, itself=True)
    except ServerFault as error:
        if error.status != 500:
            raise
        everything = Delta(await _members(client, calendar), frozenset(), None, itself=True)
    listed, token = everything.changed, everything.token
    if needs_members(state, everything):
        members = await _members(client, calendar)
        if members.keys() - listed.keys() or not (listed or everything.itself):
            token = None  # it stands for an answer that was not true
        listed = {**members, **listed}
    unproved = False
    if absent := to_ask_singly(state, listed):
        present, unproved = await _still_there(client, state, absent=absent)
        listed = {**listed, **present}
    await let_others_run()
    plan = plan_listing(state, listed)
    await let_others_run()
    return Look(plan, token, compared_all=True, unproved=unproved, refused=refused)


async def _members(client: CaldavClient, calendar: str) -> dict[str, str]:
    """The listing of last resort, which even an empty calendar answers with itself."""
    return {str(href): str(etag) for href, etag in (await client.run(list_members(calendar))).items()}


async def _still_there(
    client: CaldavClient, state: SyncState, *, absent: frozenset[str]
) -> tuple[dict[str, str], bool]:
    """Those of a few hrefs, missing from a listing, that are not proved gone: listings lag behind, a GET does not.

    True when one could not be had: it counts as unchanged.
    """
    present: dict[str, str] = {}
    unproved = False
    for href in sorted(absent):
        try:
            fetched = await client.run(fetch_object(href))
        except (LoginRefused, TooManyRequests, Unreachable):
            raise
        except RemoteError:
            present[href], unproved = state.etags[href], True
            continue
        if fetched is not None:
            present[href] = str(fetched.etag)
    return present, unproved


async def _collect(client: CaldavClient, calendar: str, *, token: str | None) -> Delta:
    """A sync-collection answer, continued while the server truncates it (RFC 6578 §3.6)."""
    changed: dict[str, str] = {}
    vanished: set[str] = set()
    itself = False
    for _ in range(_ROUNDS):
        delta = await client.run(sync_collection(calendar, token))
        await let_others_run()
        itself = itself or delta.itself
        changed |= {str(href): str(etag) for href, etag in delta.changed.items()}
        vanished = (vanished | delta.vanished) - delta.changed.keys()
        for href in delta.vanished:
            changed.pop(href, None)
        await let_others_run()
        if not delta.truncated:
            return Delta(changed, frozenset(vanished), delta.token, itself)
        if delta.token is None or delta.token == token:
            break
        token = delta.token
    message = "the server truncates its sync answers without getting any further"
    raise RemoteError(message)
