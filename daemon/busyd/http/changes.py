"""`GET /v1/profiles/{profile}/changes` and `GET /v1/changes`: what changes, as a stream of events or a page of JSON."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from busyd.errors import BusydError
from busyd.flow.backend import Backend
from busyd.flow.changes import ChangeView, NumberGone, Viewer
from busyd.http import web
from busyd.http.bodies import time_or_none
from busyd.http.call import Call
from busyd.http.change_bodies import ChangeInAnswer, ChangesPage, Heartbeat
from busyd.http.cors import allow_origin
from busyd.http.problem import bad_request, unknown_profile
from busyd.http.response import JSON, headers_for, json_response
from busyd.http.streams import EventStream, EventStreams

EVENTS: Final = "text/event-stream"
OF_PROFILE: Final = frozenset({"last_event_id", "limit"})
OF_SEVERAL: Final = OF_PROFILE | {"profiles"}
HEARTBEAT_SECONDS: Final = 15.0
MOST_IN_PAGE: Final = 1000
_IN_PAGE: Final = 100
_RETRY: Final = b"retry: 3000\n"
_NEVER_GIVEN: Final = -1
"""Instead of an id that is none of ours: what came after it cannot be told."""


class ChangesHandler:
    """Tells what the log of changes has for those who may know of it."""

    def __init__(self, backend: Backend, streams: EventStreams) -> None:
        self._backend = backend
        self._changes = backend.changes
        self._streams = streams

    async def get_of_profile(self, call: Call) -> web.StreamResponse:
        """The changes of one profile."""
        return await self._answer(call, frozenset({call.values["profile"]}))

    async def get_of_several(self, call: Call) -> web.StreamResponse:
        """The changes of several profiles, or of all that the caller may see. Raises HttpProblem."""
        text = call.query.get("profiles")
        if text is None:
            token = call.caller.token
            return await self._answer(call, None if token is None or call.caller.sees_all else {token.profile})
        names = frozenset(filter(None, text.split(",")))
        for name in sorted(names):
            if not call.caller.sees(name) or self._backend.profile(name) is None:
                raise unknown_profile(name)
        if not names:
            raise bad_request("profiles= names no profile", fix="write profiles=anna,ben, or leave it out")
        return await self._answer(call, names)

    async def _answer(self, call: Call, names: "frozenset[str] | set[str] | None") -> web.StreamResponse:
        """What is asked for of these profiles; None: of all, also of those that come later."""
        caller = call.caller

        def viewer() -> Viewer:
            return Viewer(
                self._changes.visible_profiles(names),
                busy_time=caller.may("freebusy") or caller.may("details"),
                connections=caller.may("details") or caller.may("admin"),
                all_connections=names is None and caller.sees_all,
                appointments=caller.may("details") or caller.may("admin"),
                token=caller.token.id if caller.token is not None and caller.may("book") else "",
            )

        if _wants_page(call):
            return await self._page(call, viewer())
        after = _last_event_id(call)
        with self._streams.opened(call) as stream:
            response = web.StreamResponse(headers=headers_for(EVENTS))
            response.headers["Cache-Control"] = "no-store"
            response.headers["X-Accel-Buffering"] = "no"  # a proxy must not collect the events
            response.force_close()
            if call.head.origin:
                allow_origin(response, call.head.origin)
            await response.prepare(call.request)
            if call.request.method != "HEAD":
                await self._follow(response, stream, after=after, viewer=viewer)
            return response

    async def _page(self, call: Call, viewer: Viewer) -> web.StreamResponse:
        """The changes after an entry, or the last ones, at most `limit`."""
        limit, after, reset = _limit(call), _last_event_id(call), False
        views: list[ChangeView] = []
        if after is None:
            newest = self._changes.newest
            views, after = await self._changes.last(limit, viewer), newest
        try:
            while after != self._changes.newest and len(views) < limit:
                some, after = await self._changes.after(after, viewer)
                views += some
        except NumberGone:
            after, reset = self._changes.newest, True
        if len(views) > limit:
            views = views[:limit]
            after = views[-1].number
        changes = [ChangeInAnswer(view.number, view.event, msgspec.Raw(view.body)) for view in views]
        return await json_response(ChangesPage(changes, last_event_id=after, reset=reset), call.head)

    async def _follow(
        self, response: web.StreamResponse, stream: EventStream, *, after: int | None, viewer: Callable[[], Viewer]
    ) -> None:
        """Write events until the stream ends. One that breaks off for a fault of the disk is asked for again."""
        loop, changes = asyncio.get_running_loop(), self._changes
        at = told = changes.newest if after is None else after
        # An id without data is not an event, but what a client sends when it comes back.
        await response.write(_RETRY + (b"id: %d\n\n" % at if after is None else b"\n") + self._heartbeat(viewer()))
        due = loop.time() + HEARTBEAT_SECONDS
        while not stream.ended:
            seen = viewer()
            if not seen.profiles and not seen.all_connections:
                return  # no longer configured
            try:
                views, at = await changes.after(at, seen)
            except NumberGone:
                at = told = changes.newest
                await response.write(b"id: %d\nevent: reset\ndata: {}\n\n" % at)
            except BusydError:
                return
            else:
                if views:
                    told = views[-1].number
                    await response.write(b"".join(map(_event, views)))
            if at == changes.newest:
                await stream.sleep(max(0.0, due - loop.time()))
            if loop.time() >= due and not stream.ended:
                passed = b"id: %d\n\n" % at if at != told else b""
                told = at
                await response.write(passed + self._heartbeat(seen))
                due = loop.time() + HEARTBEAT_SECONDS

    def _heartbeat(self, viewer: Viewer) -> bytes:
        """How old the oldest confirmation of all these profiles is."""
        views = [view for name in viewer.profiles if (view := self._backend.profile(name)) is not None]
        confirmed = [view.freshness.as_of for view in views if view.freshness.as_of is not None]
        as_of = min(confirmed) if confirmed and len(confirmed) == len(views) else None
        body = Heartbeat(time_or_none(as_of), stale=any(view.freshness.stale for view in views))
        return b"event: heartbeat\ndata: %b\n\n" % msgspec.json.encode(body)


def _event(view: ChangeView) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (view.number, view.event.encode(), view.body)


def _wants_page(call: Call) -> bool:
    accept = call.request.headers.get("Accept", "")
    return JSON in accept and EVENTS not in accept


def _last_event_id(call: Call) -> int | None:
    """After which entry to go on. What a client sends when it comes back is newer than what its address says."""
    text = call.request.headers.get("Last-Event-ID") or call.query.get("last_event_id")
    if text is None:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else _NEVER_GIVEN


def _limit(call: Call) -> int:
    text = call.query.get("limit", str(_IN_PAGE))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_IN_PAGE):
        detail = f"limit must be a number from 1 to {MOST_IN_PAGE}"
        raise bad_request(detail, fix="leave it out, or write limit=100")
    return int(text)
