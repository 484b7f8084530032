"""Who asks, and what may that caller see? Tokens, scopes and the rights of this machine; no paths, no calendars.

A token that was sent counts alone: it never falls back to what this machine may ask without one. Scopes do not imply
each other. A token for one profile sees nothing of another: not that it exists, nor which calendars it has.
"""

import asyncio
from collections import deque
from typing import Final

from msgspec import Struct

from busyd.clock import Clock
from busyd.credentials.tokens import ALL_PROFILES, Token
from busyd.flow.tokens import Tokens
from busyd.http.problem import HttpProblem
from busyd.http.request_headers import RequestHeaders
from busyd.http.settings import Limits
from busyd.period import Instant

_BASIC_CHALLENGE: Final = 'Basic realm="busyd", charset="UTF-8"'
"""RFC 7617 §2.1. Always the same: some apps remember a password by its realm."""
_ENTER: Final = "make one with `busyd token add PROFILE --scope freebusy,details` and enter it as the password"
_SEND: Final = "make one with `busyd token add PROFILE{scope}` and send it as `Authorization: Bearer TOKEN`"
_USUAL: Final = "freebusy"
"""The scope of a token that is made without naming any."""
_WAIT_SECONDS: Final = 1.0
_MOST_WAITING: Final = 64
_MOST_CLIENTS: Final = 1024
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


HERE: Final = Caller(None, here=True)


class Authenticator:
    """Finds out who asks, and slows down guessing."""

    def __init__(self, tokens: Tokens, clock: Clock, *, limits: Limits) -> None:
        self._tokens = tokens
        self._clock = clock
        self._limits = limits
        self.wrong: dict[str, deque[float]] = {}
        """Client -> when its last wrong tokens came."""
        self._waiting = 0

    async def caller_of(
        self, head: RequestHeaders, now: Instant, *, basic: bool = False, scopes: frozenset[str] = frozenset()
    ) -> Caller | None:
        """The caller, or None for a token that is not valid. Raises HttpProblem when a token is needed: of `scopes`.

        `basic`: the token may also come as the password of HTTP Basic. Browsers send such passwords by themselves, so
        that is not for every address.
        """
        token = head.basic[1] if basic and head.basic is not None else head.token
        if token is None:
            if head.local:
                return HERE
            raise login_needed(basic=basic, scopes=scopes)
        return await self.authenticate(token, now)

    async def holder_of_session(self, text: str, now: Instant) -> Caller | None:
        """Who is logged in on the page, while the token that was entered there is valid."""
        token = await self._tokens.authenticate_session(text, now)
        return Caller(token) if token is not None else None

    async def authenticate(self, text: str, now: Instant) -> Caller | None:
        """The holder of this token, if it is valid."""
        token = await self._tokens.authenticate(text, now)
        return Caller(token) if token is not None else None

    def remembered(self, text: str, now: Instant) -> Caller | None:
        """The same, where it is known without waiting."""
        token = self._tokens.remembered(text, now)
        return Caller(token) if token is not None else None

    def has_succeeded(self, caller: Caller | None) -> bool:
        """Whether the token was used before this request: such callers still get a connection when few are left."""
        return caller is not None and caller.token is not None and caller.token.last_used is not None

    async def throttle(self, client: str) -> None:
        """Count a wrong token; from the eleventh within a minute on, every further one has to wait.

        Raises HttpProblem when too many wait already.
        """
        now = self._clock.monotonic()
        if len(self.wrong) >= _MOST_CLIENTS:
            self.wrong.clear()
        tries = self.wrong.setdefault(client, deque(maxlen=self._limits.wrong_tokens + 1))
        tries.append(now)
        if len(tries) <= self._limits.wrong_tokens or now - tries[0] > _MINUTE:
            return
        if self._waiting >= _MOST_WAITING:
            raise HttpProblem(
                "too-many-tries",
                429,
                detail="too many wrong tokens were sent from your address",
                fix="wait a minute, then use a token made by `busyd token add`",
                headers={"Retry-After": "60"},
            )
        self._waiting += 1
        try:
            await asyncio.sleep(_WAIT_SECONDS)
        finally:
            self._waiting -= 1


def login_needed(*, basic: bool = False, scopes: frozenset[str] = frozenset()) -> HttpProblem:
    """401: no token, and this cannot be asked without one; one of `scopes` is enough."""
    scope = f" --scope {_least(scopes)}" if scopes and _USUAL not in scopes else ""
    return HttpProblem(
        "login-needed",
        401,
        detail="this request needs a token",
        fix=_ENTER if basic else _SEND.format(scope=scope),
        headers={"WWW-Authenticate": _BASIC_CHALLENGE if basic else 'Bearer realm="busyd"'},
    )


def login_refused(*, basic: bool = False) -> HttpProblem:
    """401: unknown, revoked and expired tokens get the same words."""
    return HttpProblem(
        "login-needed",
        401,
        detail="the token is not valid, or no longer valid",
        fix="`busyd token list` shows the valid tokens; `busyd token add PROFILE` makes a new one",
        headers={"WWW-Authenticate": _BASIC_CHALLENGE if basic else 'Bearer realm="busyd", error="invalid_token"'},
    )


def login_ended() -> HttpProblem:
    """401: the cookie of the page is worth nothing any more."""
    return HttpProblem(
        "login-needed",
        401,
        detail="the login has ended",
        fix="load the page again and log in, with a token made by `busyd token add PROFILE` or by `busyd open`",
        headers={"WWW-Authenticate": 'Bearer realm="busyd", error="invalid_token"'},
    )


def scope_missing(scopes: frozenset[str]) -> HttpProblem:
    """403: a valid token that was not made for this."""
    wanted = " or ".join(sorted(scopes))
    return HttpProblem(
        "missing-scope",
        403,
        detail=f"the token lacks the scope {wanted}",
        fix=f"make one with `busyd token add PROFILE --scope {_least(scopes)}`",
        headers={"WWW-Authenticate": f'Bearer realm="busyd", error="insufficient_scope", scope="{wanted}"'},
    )


def _least(scopes: frozenset[str]) -> str:
    """The one that gives away the least."""
    return min(scopes, key=lambda scope: (scope == "admin", scope))
