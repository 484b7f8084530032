"""`GET /feeds/{token}.ics`: the blocked slots of a profile as a calendar that apps subscribe to.

While no slot changes, not a byte does, not even after a restart, because nothing in a feed depends on the present:

* the window moves once a month, for all slots at once, so that no past event disappears at each fetch;
* a UID is a keyed hash of the slot's content, so that a changed slot is another event: apps take those reliably, while
  several were seen to keep the old version of a known UID;
* DTSTAMP and LAST-MODIFIED are the moment at which the whole slot came within the window: always in the past, and
  moved only by the slot itself. When the feed as a whole last changed is kept in the ledger.
"""

import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Final

from aiohttp import web
from msgspec import Struct

from busyd.cooperative import in_slices
from busyd.credentials.tokens import Token
from busyd.flow.ask import FreeBusyAnswer, answer_at_once
from busyd.flow.backend import Backend
from busyd.flow.views import ProfileView
from busyd.http.auth import Authenticator
from busyd.http.call import Call
from busyd.http.problem import HttpProblem
from busyd.http.response import Finished, headers_for
from busyd.ical.compose import BlockedSlot, compose_feed
from busyd.period import FbType, Instant, Period

DAY: Final = 86_400
BACK: Final = 30 * DAY
"""Before the first of the current month."""
AHEAD: Final = 431 * DAY
"""After the first of the current month: 400 days and the longest month."""
CALENDAR: Final = "text/calendar; charset=utf-8"
_MOST_KEPT: Final = 32
_INCOMPLETE: Final = (
    "Not complete: an event could not be understood, so time without an entry is not surely free."
    " `busyd status` names it."
)
_UNREAD: Final = "Not complete: a calendar has never been read, so all of its time counts as busy."


class _Kept(Struct, frozen=True):
    """A feed, and what it was made from."""

    finished: Finished
    revision: int
    snapshot_version: int
    known: bool
    window: Period


class FeedHandler:
    """Writes feeds, and remembers what it wrote."""

    def __init__(self, backend: Backend, auth: Authenticator) -> None:
        self._backend = backend
        self._auth = auth
        self._kept: dict[str, _Kept] = {}

    async def get_feed(self, call: Call) -> web.StreamResponse:
        """The feed of a token. Unknown, revoked and expired ones, and those of no one profile, get the same 404."""
        caller = await self._auth.authenticate(call.values["token"], self._backend.clock.now())
        token = caller.token if caller is not None else None
        profile = self._backend.profile(token.profile) if token is not None else None
        if token is None or profile is None or "freebusy" not in token.scopes:
            await self._auth.throttle(call.client)
            raise HttpProblem(
                "unknown-feed",
                404,
                detail="there is no feed at this address",
                fix="`busyd token add PROFILE` makes a new one",
            )
        finished = await self._feed(token, profile)
        return await finished.response(call.head)

    async def _feed(self, token: Token, profile: ProfileView) -> Finished:
        now = self._backend.clock.now()
        window = feed_window(now)
        if profile.snapshot is None:
            # Apps keep their last copy when the answer is 503; an empty feed, or a full one, would replace it.
            raise HttpProblem(
                "not-ready",
                503,
                detail=f"the calendars of {profile.name} are being read for the first time",
                fix="keep the copy you have, and ask again in a minute",
                headers={"Retry-After": "60"},
            )
        known, kept = profile.freshness.known, self._kept.get(token.id)
        if (
            kept is not None
            and kept.snapshot_version == profile.snapshot_version
            # A changed title does not change the snapshot, but it does change the feed that shows it.
            and (kept.revision == profile.revision or not token.details)
            and kept.known == known
            and kept.window == window
        ):
            return kept.finished
        answer = answer_at_once(profile, window) or await self._backend.freebusy(profile.name, window)
        if token.details:
            slots = await self._detailed_slots(token, profile.name, window=window)
        else:
            slots = _slots(token, answer)
        composed = compose_feed(
            f"Busy: {profile.name}",
            profile.configured_timezone,
            slots=slots,
            description="" if answer.complete else _INCOMPLETE if known else _UNREAD,
        )
        body = await in_slices(composed)
        finished = await self._finish(token, body, before=kept, now=now)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[token.id] = _Kept(
            finished=finished,
            revision=profile.revision,
            snapshot_version=profile.snapshot_version,
            known=known,
            window=window,
        )
        return finished

    async def _detailed_slots(self, token: Token, profile: str, *, window: Period) -> list[BlockedSlot]:
        slots = []
        for event in await self._backend.explain(profile, window):
            start, end = max(event.start, window.start), min(event.end, window.end)
            if event.fbtype is FbType.FREE or start >= end:
                continue
            shown = (event.summary, event.location)
            content = (event.calendar, event.uid, str(start), str(end), str(int(event.fbtype)), *shown)
            slots.append(
                BlockedSlot(
                    _uid(token, content),
                    start,
                    end,
                    event.fbtype,
                    stamp_of(end),
                    event.summary or "Busy",
                    event.location,
                )
            )
        return sorted(slots, key=lambda slot: (slot.start, slot.end, slot.uid))

    async def _finish(self, token: Token, body: bytes, *, before: _Kept | None, now: Instant) -> Finished:
        if before is not None and before.finished.body == body:
            return before.finished
        etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        headers = headers_for(CALENDAR)
        changed = await self._backend.tokens.feed_changed(token.id, etag, now=now)
        if changed is not None and changed <= now:  # RFC 9110 §8.8.2.1: never later than now
            headers["Last-Modified"] = formatdate(changed, usegmt=True)
        headers["Vary"] = "Accept-Encoding"
        headers["Content-Disposition"] = 'inline; filename="busy.ics"'
        return Finished(body, headers, etag)


def feed_window(now: Instant) -> Period:
    """30 days back and 400 ahead, at least; the same for the whole of a month (UTC)."""
    today = datetime.fromtimestamp(now, UTC)
    first = datetime(today.year, today.month, 1, tzinfo=UTC)
    return Period(
        Instant(int((first - timedelta(seconds=BACK)).timestamp())),
        Instant(int((first + timedelta(seconds=AHEAD)).timestamp())),
    )


def _slots(token: Token, answer: FreeBusyAnswer) -> list[BlockedSlot]:
    return [
        BlockedSlot(_uid(token, (str(start), str(end), str(kind))), start, end, FbType(kind), stamp_of(end))
        for start, end, kind in answer.spans
    ]


def stamp_of(end: int) -> int:
    """When the whole of a slot came within the window: never in the future, as no slot ends beyond the window."""
    return end - AHEAD


def _uid(token: Token, content: Iterable[str]) -> str:
    """Says nothing about the content to those who do not know the key."""
    text = "\x1f".join(content)
    return f"{hmac.new(token.digest, text.encode(errors='surrogatepass'), hashlib.sha256).hexdigest()[:32]}@busyd"
