"""`POST /v1/reload`: read the configuration again, and tell what came of it. The same as SIGHUP."""

import msgspec
from aiohttp import web

from busyd.http.body import read_nothing
from busyd.http.facade import Backend
from busyd.http.problem import HttpProblem
from busyd.http.response import json_response
from busyd.http.routes import Call


class ReloadHandler:
    """Asks for a reload on behalf of whoever may see every profile."""

    def __init__(self, backend: Backend, *, body_seconds: float) -> None:
        self._backend = backend
        self._body_seconds = body_seconds

    async def post_reload(self, call: Call) -> web.StreamResponse:
        """Answers once it is done: 200 also when the new configuration was refused."""
        await read_nothing(call, self._body_seconds)
        if not call.caller.sees_all:
            raise HttpProblem(
                "missing-scope",
                403,
                "a reload concerns every profile, and the token is for one",
                fix="make one with `busyd token add '*' --scope admin`, or send SIGHUP to the daemon",
            )
        return await json_response(msgspec.to_builtins(await self._backend.reload()), call.head)
