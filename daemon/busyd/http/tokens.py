"""`/v1/tokens`: the tokens that the caller may know of. They are made here too, and shown once, and revoked.

The scope `admin` of a token for one profile is about the tokens of that profile, and nobody can give what he lacks.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from busyd.credentials.tokens import ALL_PROFILES, SCOPES, Token, is_local
from busyd.flow.backend import Backend
from busyd.http import web
from busyd.http.bodies import Time, time_or_none
from busyd.http.call import Call
from busyd.http.idempotency import invalid, read_json
from busyd.http.problem import HttpProblem, unknown_profile
from busyd.http.request_body import read_nothing
from busyd.http.response import JSON, headers_for, json_response, to_json
from busyd.http.span_fields import read_duration
from busyd.period import Instant, to_rfc3339


class TokenInAnswer(Struct, frozen=True):
    """A token without its secret. `current` is the one that asks."""

    id: str
    profile: str
    scopes: list[str]
    details: bool
    name: str
    created: Time
    expires: Time | None
    last_used: Time | None
    current: bool


class TokensInAnswer(Struct, frozen=True):
    """The tokens that the caller may know of, oldest first."""

    tokens: list[TokenInAnswer]


class WantedToken(Struct, forbid_unknown_fields=True):
    """A token to make. `details` has its feed show titles and places."""

    profile: Annotated[str, Meta(max_length=100)]
    scopes: list[str] = msgspec.field(default_factory=lambda: ["freebusy"])
    details: bool = False
    name: Annotated[str, Meta(max_length=100)] = ""
    expires: Annotated[str, Meta(max_length=32)] | UnsetType = UNSET


class MadeToken(Struct, frozen=True):
    """A new token: it is shown only now. `feed` is the path of its feed, where it has one."""

    id: str
    token: str
    scopes: list[str]
    feed: str | None


class TokensHandler:
    """Lists, makes and revokes tokens."""

    def __init__(self, backend: Backend, *, body_seconds: float) -> None:
        self._backend = backend
        self._body_seconds = body_seconds

    async def get_tokens(self, call: Call) -> web.StreamResponse:
        return await json_response(
            TokensInAnswer([_shown(token, call) for token in await self._visible(call)]), call.head
        )

    async def post_token(self, call: Call) -> web.StreamResponse:
        """201 with the token. Raises HttpProblem."""
        wanted, _ = await read_json(call, self._body_seconds, of=WantedToken)
        caller, now = call.caller, self._backend.clock.now()
        is_for_all = wanted.profile == ALL_PROFILES
        if not caller.sees(wanted.profile) or not (is_for_all or self._backend.profile(wanted.profile) is not None):
            raise unknown_profile(wanted.profile)
        scopes: list[str] = [scope for scope in SCOPES if scope in wanted.scopes]
        if unknown := sorted(set(wanted.scopes) - set(SCOPES)):
            detail = f"unknown scope {unknown[0]!r}"
            raise invalid(detail, fix=f"known scopes: {', '.join(SCOPES)}")
        if not scopes:
            raise invalid(
                "a token without scopes would allow nothing", fix="name one in `scopes`, freebusy for instance"
            )
        # A feed with titles shows what needs the scope `details` elsewhere.
        needed = {*scopes, *(["details"] if wanted.details else [])}
        if lacking := sorted(scope for scope in needed if not caller.may(scope)):
            raise HttpProblem(
                "missing-scope",
                403,
                detail=f"your own token lacks the scope {lacking[0]}, so it cannot give it",
                fix=f"make the token with `busyd token add {wanted.profile} --scope {','.join(scopes)}`",
            )
        if is_local(wanted.name):
            raise invalid("this name is reserved for the daemon", fix="choose another one")
        seconds = read_duration("expires", wanted.expires, least=1) if wanted.expires is not UNSET else None
        made = await self._backend.tokens.add(
            wanted.profile,
            scopes=scopes,
            details=wanted.details,
            expires=Instant(now + seconds) if seconds is not None else None,
            name=wanted.name,
            now=now,
        )
        has_feed = "freebusy" in scopes and not is_for_all
        body = MadeToken(made.id, made.text, scopes, feed=f"/feeds/{made.text}.ics" if has_feed else None)
        return web.Response(status=201, body=to_json(body), headers=headers_for(JSON, Cache_Control="no-store"))

    async def delete_token(self, call: Call) -> web.StreamResponse:
        """204; the token is worth nothing from now on. Raises HttpProblem."""
        await read_nothing(call, self._body_seconds)
        token_id = call.values["token"]
        visible = {token.id for token in await self._visible(call)}
        if token_id not in visible or not await self._backend.tokens.revoke(token_id):
            raise HttpProblem(
                "unknown-token",
                404,
                detail=f"there is no token {token_id!r} that you may revoke",
                fix="GET /v1/tokens lists those you may",
            )
        headers = headers_for(JSON)
        headers.popall("Content-Type")
        return web.Response(status=204, headers=headers)

    async def _visible(self, call: Call) -> list[Token]:
        tokens, caller = await self._backend.tokens.all(), call.caller
        return [token for token in tokens if caller.sees_all or caller.sees(token.profile)]


def _shown(token: Token, call: Call) -> TokenInAnswer:
    return TokenInAnswer(
        id=token.id,
        profile=token.profile,
        scopes=[scope for scope in SCOPES if scope in token.scopes],
        details=token.details,
        name=token.name,
        created=to_rfc3339(token.created),
        expires=time_or_none(token.expires),
        last_used=time_or_none(token.last_used),
        current=call.caller.token is not None and call.caller.token.id == token.id,
    )
