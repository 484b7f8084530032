"""`GET /feeds/{token}.ics`: the blocked slots of a profile as a calendar that apps subscribe to.

While no slot changes, not a byte does, not even after a restart, because nothing in a feed depends on the present:

* the window moves once a month, for all slots at once, so that no past event disappears at each fetch;
* a UID is a keyed hash of the slot's content, so that a changed slot is another event: apps take those reliably, while
  several were seen to keep the old version of a known UID;
* DTSTAMP and LAST-MODIFIED are the moment at which the whole slot came within the window: always in the past, and
  moved only by the slot itself. When the feed as a whole last changed is kept in the ledger.
"""

import asyncio
import hashlib
import hmac
import zlib
from array import array
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from itertools import chain
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from busyd.cooperative import in_slices
from busyd.credentials.tokens import Token
from busyd.flow.ask import FreeBusyAnswer, answer_at_once
from busyd.flow.backend import Backend
from busyd.flow.views import ProfileView
from busyd.http import web
from busyd.http.auth import Authenticator
from busyd.http.call import Call
from busyd.http.problem import HttpProblem
from busyd.http.request_headers import RequestHeaders
from busyd.http.response import Finished, compress, headers_for
from busyd.ical.compose import BlockedSlot, compose_feed
from busyd.period import FbType, Instant, Period, Span

DAY: Final = 86_400
BACK: Final = 30 * DAY
"""Before the first of the current month."""
AHEAD: Final = 431 * DAY
"""After the first of the current month: 400 days and the longest month."""
CALENDAR: Final = "text/calendar; charset=utf-8"
FORMAT: Final = 1
"""Of the bytes of a feed: to be raised whenever the same content makes other bytes."""
BODIES_BYTES: Final = 16 * 1024 * 1024
"""Of all bodies that are kept, as they are compressed."""
_INCOMPLETE: Final = (
    "Not complete: an event could not be understood, so time without an entry is not surely free."
    " `busyd status` names it."
)
_UNREAD: Final = "Not complete: a calendar has never been read, so all of its time counts as busy."
_WITHOUT: Final = "Not complete: no calendar is configured, so all time counts as busy."


class ShownSlots(Struct, frozen=True):
    """What a feed says: its slots as they are, or spans that have yet to become slots."""

    name: str
    zone: str
    description: str
    spans: Sequence[Span] = ()
    slots: Sequence[BlockedSlot] = ()

    def tag(self, token: Token) -> str:
        """The strong tag of its bytes. It says nothing of the content to those who do not know the key."""
        head = repr((FORMAT, self.name, self.zone, self.description, self.slots)).encode(errors="surrogatepass")
        digest = hashlib.blake2b(head, key=token.digest, digest_size=12)
        digest.update(array("q", chain.from_iterable(self.spans)))
        return f'"{digest.hexdigest()}"'

    async def compose(self, token: Token) -> bytes:
        """Its bytes, compressed."""
        slots = self.slots or (_slot(token, span) for span in self.spans)
        composed = compose_feed(f"Busy: {self.name}", self.zone, slots=slots, description=self.description)
        return await compress(await in_slices(composed))


class _TokenFeed(Struct):
    """What is known of the feed of a token. The tag stays for good, the body as long as it fits."""

    made_from: object = None
    etag: str = ""
    changed: Instant | None = None
    """Since when it has this tag; None when that could not be recorded."""
    zipped: bytes = b""
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while it is made: a changed feed is made once, however many ask for it at once."""

    def finished(self, head: RequestHeaders, now: Instant) -> Finished | None:
        """The answer, with as much of a body as this client needs; None where that is not kept."""
        headers = headers_for(CALENDAR)
        if self.changed is not None and self.changed <= now:  # RFC 9110 §8.8.2.1: never later than now
            headers["Last-Modified"] = formatdate(self.changed, usegmt=True)
        headers["Vary"] = "Accept-Encoding"
        headers["Content-Disposition"] = 'inline; filename="busy.ics"'
        finished = Finished(b"", headers, self.etag, zipped=self.zipped)
        if not finished.is_known(head):
            if not self.zipped:
                return None
            if not head.gzip:
                finished.body = zlib.decompress(self.zipped, 16 + zlib.MAX_WBITS)
        return finished


class FeedHandler:
    """Writes feeds, and remembers the tag of each, so that who has a feed is not sent it again."""

    def __init__(self, backend: Backend, auth: Authenticator) -> None:
        self._backend = backend
        self._auth = auth
        self._feeds: dict[str, _TokenFeed] = {}
        """By the id of the token."""
        self._bodies: dict[str, int] = {}
        """The tokens whose bodies are kept, the one asked for last at the end, with the bytes of each."""

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
        if profile.snapshot is None:
            # Apps keep their last copy when the answer is 503; an empty feed, or a full one, would replace it.
            raise HttpProblem(
                "not-ready",
                503,
                detail=f"the calendars of {profile.name} are being read for the first time",
                fix="keep the copy you have, and ask again in a minute",
                headers={"Retry-After": "60"},
            )
        feed = self._feeds.setdefault(token.id, _TokenFeed())
        if (finished := self._known(token, profile, head=call.head)) is None:
            async with feed.making:
                profile = self._backend.profile(token.profile) or profile  # it may have changed while others made it
                finished = self._known(token, profile, head=call.head)
                if finished is None:
                    finished = await self._make(token, profile, head=call.head)
        return await finished.response(call.head)

    def _known(self, token: Token, profile: ProfileView, *, head: RequestHeaders) -> Finished | None:
        """The answer, where what is remembered is enough for it."""
        feed = self._feeds[token.id]
        if feed.made_from != self._made_from(token, profile):
            return None
        if feed.zipped:
            self._bodies[token.id] = self._bodies.pop(token.id)
        return feed.finished(head, self._backend.clock.now())

    def _made_from(self, token: Token, profile: ProfileView) -> object:
        """All that the feed follows from; while it is equal, so are the bytes."""
        # A changed title does not change the snapshot, but it does change the feed that shows it.
        titles = self._backend.told_from(profile.name) if token.details else None
        window = feed_window(self._backend.clock.now())
        return (profile.snapshot_version, titles, profile.freshness.known, profile.configured_timezone, window)

    async def _make(self, token: Token, profile: ProfileView, *, head: RequestHeaders) -> Finished:
        """Find out the tag, and make the body only for a client that does not have it."""
        feed, made_from, now = self._feeds[token.id], self._made_from(token, profile), self._backend.clock.now()
        content = await self._content(token, profile, window=feed_window(now))
        etag = content.tag(token)
        if feed.etag != etag:
            self._put_body(token.id, b"")
            feed.changed = await self._backend.tokens.feed_changed(token.id, etag, now=now)
        feed.made_from, feed.etag = made_from, etag
        if (finished := feed.finished(head, now)) is None:
            self._put_body(token.id, await content.compose(token))
            finished = feed.finished(head, now)
            assert finished is not None
        return finished

    def _put_body(self, token_id: str, zipped: bytes) -> None:
        """Keep a body, or let go of it, and of those asked for longest ago while all together are too large."""
        self._feeds[token_id].zipped = zipped
        self._bodies.pop(token_id, None)
        if zipped:
            self._bodies[token_id] = len(zipped)
        while len(self._bodies) > 1 and sum(self._bodies.values()) > BODIES_BYTES:
            oldest = next(iter(self._bodies))
            del self._bodies[oldest]
            self._feeds[oldest].zipped = b""

    async def _content(self, token: Token, profile: ProfileView, *, window: Period) -> ShownSlots:
        answer = answer_at_once(profile, window) or await self._backend.freebusy(profile.name, window)
        content = ShownSlots(profile.name, profile.configured_timezone, _describe(answer))
        if token.details:
            return replace(content, slots=await self._detailed_slots(token, profile.name, window=window))
        return replace(content, spans=answer.spans)

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


def _describe(answer: FreeBusyAnswer) -> str:
    """What a feed says of itself; empty when it is complete."""
    if answer.complete:
        return ""
    if not answer.freshness.calendars:
        return _WITHOUT
    return _INCOMPLETE if answer.freshness.known else _UNREAD


def feed_window(now: Instant) -> Period:
    """30 days back and 400 ahead, at least; the same for the whole of a month (UTC)."""
    today = datetime.fromtimestamp(now, UTC)
    first = datetime(today.year, today.month, 1, tzinfo=UTC)
    return Period(
        Instant(int((first - timedelta(seconds=BACK)).timestamp())),
        Instant(int((first + timedelta(seconds=AHEAD)).timestamp())),
    )


def _slot(token: Token, span: Span) -> BlockedSlot:
    start, end, kind = span
    return BlockedSlot(_uid(token, (str(start), str(end), str(kind))), start, end, FbType(kind), stamp_of(end))


def stamp_of(end: int) -> int:
    """When the whole of a slot came within the window: never in the future, as no slot ends beyond the window."""
    return end - AHEAD


def _uid(token: Token, content: Iterable[str]) -> str:
    """Says nothing about the content to those who do not know the key."""
    text = "\x1f".join(content)
    return f"{hmac.new(token.digest, text.encode(errors='surrogatepass'), hashlib.sha256).hexdigest()[:32]}@busyd"
