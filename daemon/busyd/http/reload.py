"""`POST /v1/reload`: read the configuration again, and tell what came of it. The same as SIGHUP."""

from busyd.flow.backend import Backend
from busyd.http import web
from busyd.http.call import Call
from busyd.http.problem import HttpProblem
from busyd.http.request_body import read_nothing
from busyd.http.response import json_response


class ReloadHandler:
    """Asks for a reload on behalf of a caller who may see every profile."""

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
                detail="a reload affects every profile, but the token is for one",
                fix="make one with `busyd token add '*' --scope admin`, or send SIGHUP to the daemon",
            )
        return await json_response(await self._backend.reload(), call.head)
