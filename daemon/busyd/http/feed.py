"""`GET /feeds/{token}.ics`: the blocked slots of a profile as a calendar that apps subscribe to.

While no slot changes, not a byte does, across restarts too, because nothing in a feed is a "now":

* the window moves once a month, for all slots at once, so that no past event is dropped at each fetch;
* a UID is a keyed hash of the slot's content, so that a changed slot is another event: apps take those without fail,
  while several were seen to keep the old version of a known UID;
* DTSTAMP and LAST-MODIFIED are the moment at which the whole slot came into the reach of the feed: always past, and
  moved only by the slot itself. When the feed as a whole last changed, the ledger remembers.
"""

import hashlib
import hmac
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Final

from aiohttp import web
from msgspec import Struct

from busyd.cooperative import in_slices
from busyd.http.auth import Authenticator
from busyd.http.facade import Backend
from busyd.http.freebusy import FreeBusyHandler
from busyd.http.problem import HttpProblem
from busyd.http.response import Finished, headers_for
from busyd.http.routes import Call
from busyd.ical.compose import BlockedSlot, compose_feed
from busyd.period import FbType, Instant, Period
from busyd.state.state import ProfileState
from busyd.store.errors import StorageError
from busyd.store.ledger import Token

logger = logging.getLogger(__name__)

DAY: Final = 86_400
BACK: Final = 30 * DAY
"""Before the first of the current month."""
AHEAD: Final = 431 * DAY
"""After the first of the current month: 400 days and the longest month."""
CALENDAR: Final = "text/calendar; charset=utf-8"
_KEPT: Final = 32


class _Kept(Struct):
    finished: Finished
    state: ProfileState
    version: int
    known: bool
    window: Period


class FeedHandler:
    """Writes feeds, and remembers what it wrote."""

    def __init__(self, backend: Backend, auth: Authenticator, freebusy: FreeBusyHandler) -> None:
        self._backend = backend
        self._guard = auth
        self._freebusy = freebusy
        self._kept: dict[str, _Kept] = {}

    async def get_feed(self, call: Call) -> web.StreamResponse:
        """The feed of a token. Unknown, revoked and expired ones, and those of no one profile, get the same 404."""
        caller = self._guard.authenticate(call.value, self._backend.clock.now())
        token = caller.token if caller is not None else None
        profile_state = self._backend.state.profiles.get(token.profile) if token is not None else None
        if token is None or profile_state is None or "freebusy" not in token.scopes:
            await self._guard.throttle(call.client)
            raise HttpProblem(
                "unknown-feed", 404, "there is no feed at this address", fix="`busyd token add PROFILE` makes a new one"
            )
        finished = await self._feed(token, profile_state)
        return await finished.response(call.head)

    async def _feed(self, token: Token, profile_state: ProfileState) -> Finished:
        now = self._backend.clock.now()
        window = feed_window(now)
        rendered = self._freebusy.freshness_cache.of(self._backend.state, profile_state, now)
        if profile_state.snapshot is None:
            # Apps keep their last copy when the answer is 503; an empty feed, or a full one, would replace it.
            raise HttpProblem(
                "not-ready",
                503,
                f"the calendars of {profile_state.profile.name} are being read for the first time",
                fix="keep what you have, and ask again in a minute",
                headers={"Retry-After": "60"},
            )
        known = rendered.freshness.known
        kept = self._kept.get(token.id)
        if (
            kept is not None
            and kept.state is profile_state
            and kept.version == profile_state.version
            and kept.known == known
            and kept.window == window
        ):
            return kept.finished
        version = profile_state.version
        slots = (
            await self._details(token, profile_state, window)
            if token.details
            else await self._slots(token, profile_state, window)
        )
        profile = profile_state.profile
        body = await in_slices(compose_feed(f"Busy: {profile.name}", profile.timezone or "", slots))
        finished = self._finish(token, body, kept, now)
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        self._kept[token.id] = _Kept(finished, profile_state, version, known, window)
        return finished

    async def _slots(self, token: Token, profile_state: ProfileState, window: Period) -> list[BlockedSlot]:
        rendered = self._freebusy.freshness_cache.of(self._backend.state, profile_state, self._backend.clock.now())
        found = await self._freebusy.find(profile_state, rendered, window)
        return [
            BlockedSlot(_uid(token, (str(start), str(end), str(kind))), start, end, FbType(kind), stamp_of(end))
            for start, end, kind in found.spans
        ]

    async def _details(self, token: Token, profile_state: ProfileState, window: Period) -> list[BlockedSlot]:
        slots = []
        for one in await self._backend.explain(profile_state.profile.name, window):
            start, end = max(one.start, window.start), min(one.end, window.end)
            if one.fbtype is FbType.FREE or start >= end:
                continue
            content = (one.calendar, one.uid, str(start), str(end), str(int(one.fbtype)), one.summary, one.location)
            summary = one.summary or "Busy"
            slots.append(
                BlockedSlot(_uid(token, content), start, end, one.fbtype, stamp_of(end), summary, one.location)
            )
        return sorted(slots, key=lambda slot: (slot.start, slot.end, slot.uid))

    def _finish(self, token: Token, body: bytes, before: _Kept | None, now: Instant) -> Finished:
        if before is not None and before.finished.body == body:
            return before.finished
        etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        headers = headers_for(CALENDAR)
        changed = self._changed(token, etag, now)
        if changed is not None:
            headers["Last-Modified"] = formatdate(changed, usegmt=True)
        headers["Vary"] = "Accept-Encoding"
        headers["Content-Disposition"] = 'inline; filename="busy.ics"'
        return Finished(body, headers, etag)

    def _changed(self, token: Token, etag: str, now: Instant) -> Instant | None:
        """When the feed last changed; None when that cannot be said, as RFC 9110 §8.8.2.1 allows no time to come."""
        try:
            changed = self._backend.ledger.feed_changed(token.id, etag, now)
        except StorageError as error:
            logger.warning("cannot note a change of the feed of token %s: %s", token.id, error)
            return None
        return changed if changed <= now else None


def feed_window(now: Instant) -> Period:
    """30 days back and 400 ahead, at least; the same for the whole of a month (UTC)."""
    today = datetime.fromtimestamp(now, UTC)
    first = datetime(today.year, today.month, 1, tzinfo=UTC)
    return Period(
        Instant(int((first - timedelta(seconds=BACK)).timestamp())),
        Instant(int((first + timedelta(seconds=AHEAD)).timestamp())),
    )


def stamp_of(end: int) -> int:
    """When the whole of a slot came into the reach of the feed: never in the future, as no slot ends beyond it."""
    return end - AHEAD


def _uid(token: Token, content: Iterable[str]) -> str:
    """Says nothing about the content to those who do not know the token's digest."""
    text = "\x1f".join(content)
    return f"{hmac.new(token.digest, text.encode(errors='surrogatepass'), hashlib.sha256).hexdigest()[:32]}@busyd"
