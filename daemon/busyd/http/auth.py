"""Who asks, and what may that caller see? Tokens, scopes and the rights of this machine; no paths, no calendars.

A token that was sent counts alone: it never falls back to what this machine may ask without one. Scopes do not imply
each other. A token of one profile sees nothing of another: not that it exists, nor which calendars it has.
"""

import asyncio
import logging
from collections import deque
from typing import Final

from msgspec import Struct

from busyd.clock import Clock
from busyd.http.problem import HttpProblem
from busyd.http.request_headers import RequestHeaders
from busyd.http.settings import Limits
from busyd.period import Instant
from busyd.store.errors import StorageError
from busyd.store.ledger import Ledger, Token

logger = logging.getLogger(__name__)

ALL_PROFILES: Final = "*"
USE_IS_NOTED_EVERY: Final = 60
"""Seconds: "last used" is exact to a minute, as each note is a write that waits for the disk."""
_WAIT_SECONDS: Final = 1.0
_WAITERS: Final = 64
_CLIENTS: Final = 1024
_REMEMBERED: Final = 256
_MINUTE: Final = 60.0


class Caller(Struct, frozen=True):
    """Who asks."""

    token: Token | None
    here: bool = False
    """From this machine, which may ask for what holds no details."""

    def sees(self, profile: str) -> bool:
        return self.here if self.token is None else self.token.profile in (ALL_PROFILES, profile)

    def may(self, scope: str) -> bool:
        return scope == "freebusy" and self.here if self.token is None else scope in self.token.scopes

    @property
    def sees_all(self) -> bool:
        return self.here if self.token is None else self.token.profile == ALL_PROFILES


class _Alive(Struct, frozen=True):
    caller: Caller
    first: int
    until: int
    """When to look again: it expires, or its use is to be noted."""


HERE: Final = Caller(None, here=True)


class Authenticator:
    """Finds out who asks; keeps those waiting who guess."""

    def __init__(self, ledger: Ledger, clock: Clock, limits: Limits) -> None:
        self._ledger = ledger
        self._clock = clock
        self._limits = limits
        self._noted: dict[str, int] = {}
        self._revision = b""
        self._alive: dict[str, _Alive] = {}
        """Text of a token -> whose it is, while the ledger stays as it was."""
        self.wrong: dict[str, deque[float]] = {}
        """Client -> when its last wrong tokens came."""
        self._waiting = 0

    def caller_of(self, head: RequestHeaders, now: Instant) -> Caller | None:
        """The caller, or None when a token was sent that is none (any more). Raises HttpProblem when one is needed."""
        if head.token is None:
            if head.local:
                return HERE
            raise login_needed()
        return self.authenticate(head.token, now)

    def authenticate(self, text: str, now: Instant) -> Caller | None:
        """The caller that this token stands for, if it is alive."""
        revision = self._ledger.revision()
        if revision != self._revision or len(self._alive) > _REMEMBERED:
            self._alive.clear()
            self._revision = revision
        known = self._alive.get(text)
        if known is not None and known.first <= now < known.until:
            return known.caller
        token = self._ledger.find_token(text, now)
        if token is None:
            return None
        noted = self._noted.get(token.id)
        if noted is None or not 0 <= now - noted < USE_IS_NOTED_EVERY:
            noted = self._noted[token.id] = now
            self._note(token, now)
        until = noted + USE_IS_NOTED_EVERY
        until = until if token.expires is None else min(until, token.expires)
        caller = Caller(token)
        self._alive[text] = _Alive(caller, now, until)
        return caller

    def has_succeeded(self, caller: Caller | None) -> bool:
        """Whether the token was good before this request: such callers keep their places when it gets crowded."""
        return caller is not None and caller.token is not None and caller.token.last_used is not None

    async def throttle(self, client: str) -> None:
        """Count a wrong token; from the eleventh within a minute on, every further one has to wait.

        Raises HttpProblem when too many wait already.
        """
        now = self._clock.monotonic()
        if len(self.wrong) >= _CLIENTS:
            self.wrong.clear()
        tries = self.wrong.setdefault(client, deque(maxlen=self._limits.wrong_tokens + 1))
        tries.append(now)
        if len(tries) <= self._limits.wrong_tokens or now - tries[0] > _MINUTE:
            return
        if self._waiting >= _WAITERS:
            raise HttpProblem(
                "too-many-tries",
                429,
                "too many wrong tokens were sent from your address",
                fix="use a token that `busyd token add` made, and wait a minute",
                headers={"Retry-After": "60"},
            )
        self._waiting += 1
        try:
            await asyncio.sleep(_WAIT_SECONDS)
        finally:
            self._waiting -= 1

    def _note(self, token: Token, now: Instant) -> None:
        try:
            self._ledger.record_use(token.id, now)
        except StorageError as error:
            logger.warning("cannot note the use of token %s: %s", token.id, error)


def login_needed() -> HttpProblem:
    """401: no token, and this cannot be asked without one."""
    return HttpProblem(
        "login-needed",
        401,
        "this needs a token, and there is none in the request",
        fix="make one with `busyd token add PROFILE` and send it as `Authorization: Bearer TOKEN`",
        headers={"WWW-Authenticate": 'Bearer realm="busyd"'},
    )


def login_refused() -> HttpProblem:
    """401: unknown, revoked and expired tokens get the same words."""
    return HttpProblem(
        "login-needed",
        401,
        "the token in the request is not valid (any more)",
        fix="`busyd token list` shows the tokens there are; `busyd token add PROFILE` makes a new one",
        headers={"WWW-Authenticate": 'Bearer realm="busyd", error="invalid_token"'},
    )


def scope_missing(scopes: frozenset[str]) -> HttpProblem:
    """403: a good token that was not made for this."""
    wanted = " or ".join(sorted(scopes))
    return HttpProblem(
        "missing-scope",
        403,
        f"the token lacks the scope {wanted}",
        fix=f"make one with `busyd token add PROFILE --scope {','.join(sorted(scopes)[:1])}`",
        headers={"WWW-Authenticate": f'Bearer realm="busyd", error="insufficient_scope", scope="{wanted}"'},
    )
