"""How long it takes until each kind of read shows a write: looks that go on until all do."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from busyd.cli.remote_session import RemoteSession
from busyd.cli.terminal import print_note
from busyd.dav.errors import InvalidSyncToken, SyncUnsupported
from busyd.dav.href import ETag, Href, normalise_href
from busyd.dav.operation import FetchedObject, SyncDelta, fetch_object, list_members, sync_collection
from busyd.store.server_traits import WAITED, ReadLag

_PAUSES: Final = (0.25, 0.5, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 8.0, 8.0, 15.0, 15.0)
"""Seconds between looks; together about `WAITED`."""


_ROUNDS: Final = 100
"""A truncated sync is continued at most this many times."""
_ANNOUNCED_AFTER: Final = 4.0
"""Seconds of waiting after which a person is told what is waited for."""


class Expected(Struct, frozen=True):
    """How each kind of read shows a write."""

    in_get: Callable[[FetchedObject | None], bool]
    in_listing: Callable[[ETag | None], bool]
    """Of the ETag there; None when the event is not listed."""
    in_sync: Callable[[SyncDelta, Href], bool]


def appeared() -> Expected:
    """The event is there."""
    return Expected(
        lambda stored: stored is not None,
        lambda etag: etag is not None,
        lambda delta, href: href in delta.changed,
    )


def changed_to(text: bytes, *, before: ETag) -> Expected:
    """It has this text, and another ETag than before."""
    return Expected(
        lambda stored: stored is not None and text in stored.payload,
        lambda etag: etag is not None and etag != before,
        lambda delta, href: href in delta.changed and delta.changed[href] != before,
    )


def vanished() -> Expected:
    """It is gone."""
    return Expected(
        lambda stored: stored is None,
        lambda etag: etag is None,
        lambda delta, href: href in delta.vanished,
    )


class Watch:
    """Looks at one event of a calendar, from before a write on."""

    def __init__(self, session: RemoteSession, calendar: str, *, href: str) -> None:
        self._session = session
        self._calendar = calendar
        self._href = normalise_href(href)
        self._token: str | None = None
        self.loses_changes = False
        """The sync token has moved on past a change that it never showed."""

    async def begin(self) -> None:
        """Remember the state before the write. Raises RemoteError."""
        try:
            delta: SyncDelta = await self._session.client.run(sync_collection(self._calendar, None))
        except SyncUnsupported:
            return
        for _ in range(_ROUNDS):
            if not delta.truncated:
                break
            delta = await self._session.client.run(sync_collection(self._calendar, delta.token))
        self._token = delta.token

    async def until(self, expected: Expected) -> ReadLag:
        """Look until every kind of read shows the write that was just answered. Raises RemoteError."""
        run, clock = self._session.client.run, self._session.clock
        lags: dict[str, float | None] = {"get": None, "listing": None, "sync": None if self._token else 0.0}
        following, is_told = self._token, False
        start = clock.monotonic()
        for pause in (0.0, *_PAUSES):
            await clock.sleep(pause)
            passed = round(clock.monotonic() - start, 1) if pause else 0.0
            if lags["get"] is None and expected.in_get(await run(fetch_object(self._href))):
                lags["get"] = passed
            if lags["listing"] is None:
                members = await run(list_members(self._calendar))
                if expected.in_listing(members.etags.get(self._href)):
                    lags["listing"] = passed
            if self._token is not None and lags["sync"] is None:
                shown, following = await self._sync(expected, following)
                lags["sync"] = passed if shown else None
            if None not in lags.values():
                break
            if passed > _ANNOUNCED_AFTER and not is_told:
                print_note(f"waiting up to {WAITED:.0f} s until reads show a write ...")
                is_told = True
        return ReadLag(lags["get"], lags["listing"], lags["sync"])

    async def _sync(self, expected: Expected, following: str | None) -> tuple[bool, str | None]:
        """Whether the changes since before the write have it, and the newest token.

        `following`: the newest token of the looks before, which is past the write if the changes since then lack it.
        """
        run = self._session.client.run
        delta: SyncDelta = await run(sync_collection(self._calendar, self._token))
        if not expected.in_sync(delta, self._href):
            return False, delta.token
        if following != self._token:
            try:
                rest: SyncDelta = await run(sync_collection(self._calendar, following))
            except InvalidSyncToken:
                return True, delta.token
            self.loses_changes = self.loses_changes or not expected.in_sync(rest, self._href)
        return True, delta.token


def longest(lags: list[ReadLag]) -> ReadLag:
    """The longest of each kind; None where one was not seen at all."""
    return ReadLag(*(_longest([getattr(lag, kind) for lag in lags]) for kind in ("get", "listing", "sync")))


def describe_lag(lag: ReadLag) -> str:
    """`GET at once, listing after 1 s, sync not within 60 s`."""
    names = {"get": "GET", "listing": "listing", "sync": "sync"}
    return ", ".join(f"{name} {_after(getattr(lag, kind))}" for kind, name in names.items())


def _after(seconds: float | None) -> str:
    if seconds is None:
        return f"not within {WAITED:.0f} s"
    return f"after {seconds:g} s" if seconds else "at once"


def _longest(seconds: list[float | None]) -> float | None:
    known = [one for one in seconds if one is not None]
    return max(known) if len(known) == len(seconds) else None
