"""Carry out the looking of a sync: which objects changed, and which are gone for certain. Nothing is stored here."""

import asyncio
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from busyd.dav.errors import InvalidSyncToken, LoginRefused, ServerFault, SyncUnsupported, TooManyRequests
from busyd.dav.operation import fetch_object, list_members, sync_collection
from busyd.errors import RemoteError
from busyd.remote.client import CaldavClient
from busyd.remote.errors import Unreachable
from busyd.sync.plan import FEW, SyncPlan, SyncState, is_many, plan_delta, plan_listing

_ROUNDS: Final = 1000
"""A truncated sync answer is continued at most so often."""


class Look(Struct, frozen=True):
    """What a look at a calendar found, and the token that stands for it."""

    plan: SyncPlan
    sync_token: str | None
    compared_all: bool
    """True when the whole listing was compared, not only what a token brought."""
    unproved: bool = False
    """Something was missing from the listing, and whether it is gone could not be found out."""
    refused: bool = False
    """The tokens asked with are of no use: unknown to the server, or contradicted by the collection itself."""


async def look(client: CaldavClient, calendar: str, state: SyncState, *, ctag: str | None, full: bool) -> Look:
    """Find out what changed in a calendar since `state`. Raises RemoteError; then nothing is known.

    `full` compares everything without a token: the daily check, and the second look at what seemed gone.
    """
    if full or not state.tokens:
        return await _compare(client, calendar, state, refused=False)
    changed: dict[str, str] = {}
    vanished: set[str] = set()
    newest: str | None = None
    for asked in state.tokens:
        try:
            delta = await _collect(client, calendar, asked)
        except (InvalidSyncToken, SyncUnsupported):
            return await _compare(client, calendar, state, refused=True)
        except ServerFault as error:
            # QUIRK(calendarserver): a token that another server gave out is no 403 there but a fault of its own.
            if error.status != 500:
                raise
            return await _compare(client, calendar, state, refused=True)
        if _contradicts(state, asked, delta, ctag) or _may_be_everything(state, asked, delta.changed):
            return await _compare(client, calendar, state, refused=True)
        vanished = (vanished - delta.changed.keys()) | delta.vanished
        changed = {href: etag for href, etag in (changed | delta.changed).items() if href not in delta.vanished}
        newest = delta.token
        await _breathe()
    plan = plan_delta(state, changed=changed, vanished=vanished)
    await _breathe()
    return Look(plan, newest, compared_all=False)


async def _breathe() -> None:
    """Let others run: each step of a look takes a millisecond where thousands of members changed."""
    await asyncio.sleep(0)


class _Delta(Struct, frozen=True):
    """One sync answer with all its pages."""

    changed: dict[str, str]
    vanished: set[str]
    token: str | None
    itself: bool
    """The collection was listed as well."""


def _contradicts(state: SyncState, asked: str, delta: _Delta, ctag: str | None) -> bool:
    """Whether the answer says that nothing changed since a token, while the collection has changed since."""
    silent = not delta.changed and not delta.vanished and delta.token == asked
    return silent and (ctag != state.ctag or asked != state.newest_token)


def _may_be_everything(state: SyncState, asked: str, changed: Mapping[str, str]) -> bool:
    """Whether the token seems to be so old that it was answered with all there is: then deletions are not told."""
    known = [href for href in changed if href in state.etags]
    if len(known) >= FEW and 2 * len(known) >= len(state.etags):
        return True
    unchanged = sum(1 for href in known if changed[href] == state.etags[href])
    return asked == state.newest_token and unchanged >= FEW


async def _compare(client: CaldavClient, calendar: str, state: SyncState, *, refused: bool) -> Look:
    """Compare the whole calendar. What a listing leaves out is asked for in another way before it counts as gone."""
    listed: Mapping[str, str]
    try:
        everything = await _collect(client, calendar, None)
        listed, token, itself = everything.changed, everything.token, everything.itself
    except (InvalidSyncToken, SyncUnsupported):
        listed, token, itself = await _members(client, calendar), None, True
    except ServerFault as error:
        if error.status != 500:
            raise
        listed, token, itself = await _members(client, calendar), None, True
    absent = frozenset(state.etags.keys() - listed.keys())
    if token is not None and ((absent and not listed) or not (listed or itself) or is_many(state, absent)):
        members = await _members(client, calendar)
        if members.keys() - listed.keys() or not (listed or itself):
            token = None  # it stands for an answer that was not true
        listed = members | listed
        absent = frozenset(state.etags.keys() - listed.keys())
    unproved = False
    if absent and listed and not is_many(state, absent):
        found, unproved = await _still_there(client, state, absent)
        listed = {**listed, **found}
    await _breathe()
    plan = plan_listing(state, listed)
    await _breathe()
    return Look(plan, token, compared_all=True, unproved=unproved, refused=refused)


async def _members(client: CaldavClient, calendar: str) -> dict[str, str]:
    """The listing of last resort, which even an empty calendar answers with itself."""
    return {str(href): str(etag) for href, etag in (await client.run(list_members(calendar))).items()}


async def _still_there(client: CaldavClient, state: SyncState, absent: frozenset[str]) -> tuple[dict[str, str], bool]:
    """Those of a few hrefs, missing from a listing, that are not proved gone: listings lag behind, a GET does not.

    True when one could not be had: it counts as unchanged.
    """
    found: dict[str, str] = {}
    unproved = False
    for href in sorted(absent):
        try:
            one = await client.run(fetch_object(href))
        except (LoginRefused, TooManyRequests, Unreachable):
            raise
        except RemoteError:
            found[href], unproved = state.etags[href], True
            continue
        if one is not None:
            found[href] = str(one.etag)
    return found, unproved


async def _collect(client: CaldavClient, calendar: str, token: str | None) -> _Delta:
    """A sync-collection answer, continued while the server truncates it (RFC 6578 §3.6)."""
    changed: dict[str, str] = {}
    vanished: set[str] = set()
    itself = False
    for _ in range(_ROUNDS):
        delta = await client.run(sync_collection(calendar, token))
        await _breathe()
        itself = itself or delta.itself
        changed |= {str(href): str(etag) for href, etag in delta.changed.items()}
        vanished = (vanished | delta.vanished) - delta.changed.keys()
        for href in delta.vanished:
            changed.pop(href, None)
        await _breathe()
        if not delta.truncated:
            return _Delta(changed, vanished, delta.token, itself)
        if delta.token is None or delta.token == token:
            break
        token = delta.token
    message = "the server truncates its sync answers without getting any further"
    raise RemoteError(message)
